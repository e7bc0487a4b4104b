"""Where a training run stands, and what it has seen: everything of it that is not an array."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

CURVE_POINTS = 512


class Epoch(NamedTuple):
    """The figures of one validation; losses in bits per character."""

    step: int
    epochs: float
    training: float
    validation: float
    learning_rate: float
    seconds: float


@dataclass
class Curve:
    """Training losses by step, in at most `CURVE_POINTS` points of `stride` steps each.

    When the points run out, neighbours are averaged: no total has to be known beforehand.
    """

    points: list[float] = field(default_factory=list)
    stride: int = 1
    pending: list[float] = field(default_factory=list)

    def append(self, loss: float) -> None:
        """Add the loss of the next step."""
        self.pending.append(loss)
        if len(self.pending) < self.stride:
            return
        self.points.append(math.fsum(self.pending) / self.stride)
        self.pending.clear()
        if len(self.points) == CURVE_POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [0.5 * (first + second) for first, second in pairs]
            self.stride *= 2


@dataclass
class Position:
    """The state of the training loop.

    Attributes
    ----------
    step, epoch, window
        Steps and epochs done, windows of the current epoch done.
    seconds
        Time spent, without the compilation of the kernels.
    loss_sum, loss_count
        Nats, and predicted characters, of the current epoch so far.
    learning_rate
        Of the last step.
    history, best
        All validations, and the one with the smallest loss.
    """

    step: int = 0
    epoch: int = 0
    window: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    loss_count: int = 0
    learning_rate: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None
    curve: Curve = field(default_factory=Curve)

    @property
    def validated(self) -> bool:
        """Whether the weights as they are have been validated."""
        return bool(self.history) and self.history[-1].step == self.step

    def start_epoch(self) -> None:
        """Go to the first window of the next epoch."""
        self.epoch += 1
        self.window = 0
        self.loss_sum = 0.0
        self.loss_count = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the position as JSON values."""
        return asdict(self) | {
            "history": [entry._asdict() for entry in self.history],
            "best": self.best and self.best._asdict(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Position:
        """Return the position that `to_dict` described.

        Raises
        ------
        ValueError
            If anything is missing or of another type.
        """
        try:
            position = cls(**values)
            position.history = [Epoch(**entry) for entry in values["history"]]
            position.best = Epoch(**values["best"]) if values["best"] is not None else None
            position.curve = Curve(**values["curve"])
            counts = [position.step, position.epoch, position.window, position.loss_count]
            counts.append(position.curve.stride)
            numbers = [position.seconds, position.loss_sum, position.learning_rate]
            numbers += [*position.curve.points, *position.curve.pending]
            for entry in [*position.history, *([position.best] if position.best else [])]:
                numbers += entry
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected the position of a run: {error}") from error
        if not all(type(count) is int and count >= 0 for count in counts):
            raise ValueError("expected counts that are integers >= 0")
        if not all(type(number) in (int, float) for number in numbers):
            raise ValueError("expected numbers")
        return position
