"""Saving the model while it learns."""

from __future__ import annotations

import os
from pathlib import Path

from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.callbacks.monitor import Monitor


class ModelCheckpoint(Callback):
    """Saves the model, or its weights, after every epoch or every so many steps.

    Parameters
    ----------
    filepath : str or path
        May have fields in braces for the epoch, from 1, the step and the logs:
        "model-{epoch:02d}-{val_loss:.2f}.fastrnn".
    monitor : str
        A name in the logs.
    verbose : int
        Whether to print what happens.
    save_best_only : bool
        Save only when the value of `monitor` has improved.
    save_weights_only : bool
        Call the model's `save_weights` instead of `save`.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" decides by the name.
    save_freq : "epoch" or int
        The steps after which to save.
    initial_value_threshold : float, optional
        What the first value has to beat.

    Raises
    ------
    ValueError
        If `mode` or `save_freq` does not fit.
    KeyError
        While training, if a field in `filepath` is not in the logs.
    """

    kept = ("_monitor", "_steps")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__()
        is_number = isinstance(save_freq, int) and not isinstance(save_freq, bool)
        if not (save_freq == "epoch" or (is_number and int(save_freq) >= 1)):
            raise ValueError(f"save_freq: expected 'epoch' or an int above 0, got {save_freq!r}")
        self.filepath = os.fspath(filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._monitor = None
        if save_best_only:
            self._monitor = Monitor(monitor, mode, best=initial_value_threshold)
        self._epoch = 0
        self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Keep the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save if it is time."""
        if self.save_freq == "epoch":
            return
        self._steps += 1
        if self._steps % int(self.save_freq) == 0:
            self._save(logs, {"epoch": self._epoch + 1, "batch": batch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save if it is time."""
        if self.save_freq == "epoch":
            self._save(logs, {"epoch": epoch + 1})

    def _save(self, logs: Logs, numbers: dict[str, int]) -> None:
        if self._monitor is not None:
            value = self._monitor.read(logs, "ModelCheckpoint")
            if value is None or not self._monitor.is_better(value):
                return
            self._monitor.best = value
        try:
            path = Path(self.filepath.format(**{**(logs or {}), **numbers}))
        except KeyError as error:
            known = ", ".join([*numbers, *(logs or {})])
            raise KeyError(f"filepath: {self.filepath!r}: {error} is none of {known}") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path, overwrite=True)
        else:
            self.model.save(path, overwrite=True)
        if self.verbose:
            print(f"\nEpoch {numbers['epoch']}: saved {path}")
