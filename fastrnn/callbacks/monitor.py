"""Which of two values of a loss or metric is the better one."""

from __future__ import annotations

import math
import warnings
from typing import Any

# Parts of names by which mode="auto" decides.
_FALLING = (
    "loss", "error", "mse", "mae", "mape", "msle", "rmse", "entropy", "divergence", "perplexity",
    "hinge", "logcosh", "log_cosh", "poisson", "false",
)  # fmt: skip
_RISING = (
    "acc", "auc", "precision", "recall", "f1", "fbeta", "r2", "iou", "true", "cosine",
    "sensitivity", "specificity",
)  # fmt: skip


class Monitor:
    """Reads one value out of the logs and compares it with the best so far.

    Parameters
    ----------
    name : str
        A name in the logs, such as "val_loss".
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" decides by the name.
    min_delta : float
        Smaller changes are no improvement.
    best : float, optional
        What the first value has to beat.

    Raises
    ------
    ValueError
        If `mode` is none of these, or "auto" and the name tells nothing.

    Attributes
    ----------
    best : float
    """

    kept = ("best",)

    def __init__(
        self, name: str, mode: str = "auto", min_delta: float = 0.0, best: float | None = None
    ) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        self.name = name
        self.min_delta = abs(min_delta)
        self.is_rising = _is_rising(name) if mode == "auto" else mode == "max"
        self.start = best
        self.reset()

    def reset(self) -> None:
        """Forget all values."""
        worst = -math.inf if self.is_rising else math.inf
        self.best = worst if self.start is None else float(self.start)

    def read(self, logs: dict[str, Any] | None, who: str) -> float | None:
        """Return the value, or None with a warning if the logs have none."""
        logs = logs or {}
        if self.name in logs:
            return float(logs[self.name])
        names = ", ".join(logs) or "no logs"
        warnings.warn(f"{who}: there is no {self.name!r} among {names}", stacklevel=4)
        return None

    def is_better(self, value: float, than: float | None = None) -> bool:
        """Return whether `value` beats another, the best so far if not given."""
        than = self.best if than is None else than
        if self.is_rising:
            return value - self.min_delta > than
        return value + self.min_delta < than


def _is_rising(name: str) -> bool:
    for parts, is_rising in ((_FALLING, False), (_RISING, True)):
        if any(part in name for part in parts):
            return is_rising
    raise ValueError(f"mode: expected 'min' or 'max', as the name {name!r} tells nothing")
