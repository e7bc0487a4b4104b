"""Changing the learning rate from epoch to epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import numpy as np

from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.callbacks.monitor import Monitor


class LearningRateScheduler(Callback):
    """Sets the learning rate at the begin of every epoch.

    Parameters
    ----------
    schedule : callable
        Takes the number of the epoch, from 0, and the learning rate, or the former alone;
        returns the new rate.
    verbose : int
        Whether to print it.

    Raises
    ------
    ValueError
        While training, if `schedule` returns no float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Ask for the epoch's learning rate."""
        optimizer = self.model.optimizer
        if _takes_rate(self.schedule):
            rate = self.schedule(epoch, float(optimizer.learning_rate))
        else:
            rate = self.schedule(epoch)
        if isinstance(rate, np.ndarray) and rate.ndim == 0:
            rate = rate.item()
        if not isinstance(rate, float | np.floating):
            raise ValueError(f"schedule: expected it to return a float, got {rate!r}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: learning rate {float(rate):g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write the learning rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_rate(schedule: Callable[..., float]) -> bool:
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # of built-in functions Python may not know the arguments
        return True
    return True


class ReduceLROnPlateau(Callback):
    """Lowers the learning rate when a value has not improved for some epochs.

    Parameters
    ----------
    monitor : str
        A name in the logs.
    factor : float
        What the learning rate is multiplied by, below 1.
    patience : int
        Epochs without improvement after which that happens.
    verbose : int
        Whether to print it.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" decides by the name.
    min_delta : float
        Smaller changes are no improvement.
    cooldown : int
        Epochs after a change that are not counted.
    min_lr : float
        The learning rate goes no lower.

    Raises
    ------
    ValueError
        If `factor` or `mode` does not fit.
    """

    kept = ("_monitor", "wait", "_cooling")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 < factor < 1:
            raise ValueError(f"factor: expected a number between 0 and 1, got {factor!r}")
        self.monitor = monitor
        self._monitor = Monitor(monitor, mode, min_delta)
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.wait = 0
        self._cooling = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start anew."""
        self._monitor.reset()
        self.wait = 0
        self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Look at the epoch's value."""
        rate = float(self.model.optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        value = self._monitor.read(logs, "ReduceLROnPlateau")
        if value is None:
            return
        if self._cooling:
            self._cooling -= 1
            self.wait = 0
        if self._monitor.is_better(value):
            self._monitor.best = value
            self.wait = 0
        elif not self._cooling:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                self._reduce(epoch, rate)

    def _reduce(self, epoch: int, rate: float) -> None:
        lower = max(rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = lower
        if self.verbose:
            print(f"\nEpoch {epoch + 1}: learning rate {rate:g} reduced to {lower:g}")
        self._cooling = self.cooldown
        self.wait = 0
