"""Ending the training before its last epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.callbacks.monitor import Monitor


class EarlyStopping(Callback):
    """Stops when a value has not improved for some epochs.

    Parameters
    ----------
    monitor : str
        A name in the logs.
    min_delta : float
        Smaller changes are no improvement.
    patience : int
        Epochs without improvement after which training stops.
    verbose : int
        Whether to print what happens.
    mode : "auto", "min" or "max"
        Whether less or more is better; "auto" decides by the name.
    baseline : float, optional
        Values that do not beat it count as no improvement.
    restore_best_weights : bool
        Whether the model gets the weights of its best epoch in the end.
    start_from_epoch : int
        Earlier epochs are not looked at.

    Raises
    ------
    ValueError
        If `mode` does not fit.

    Attributes
    ----------
    stopped_epoch, best_epoch : int
        From 0.
    """

    kept = ("_monitor", "wait", "stopped_epoch", "best_epoch", "best_weights")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__()
        self.monitor = monitor
        self._monitor = Monitor(monitor, mode, min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._forget()

    def _forget(self) -> None:
        self._monitor.reset()
        self.wait = 0
        self.stopped_epoch = 0
        self.best_epoch = 0
        self.best_weights: list[NDArray[Any]] | None = None

    @property
    def best(self) -> float:
        """The best value so far."""
        return self._monitor.best

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start anew."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Look at the epoch's value."""
        value = self._monitor.read(logs, "EarlyStopping")
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._monitor.is_better(value):
            self._monitor.best = value
            self._remember(epoch)
            if self.baseline is None or self._monitor.is_better(value, self.baseline):
                self.wait = 0
            return
        if self.best_weights is None:
            self._remember(epoch)
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Restore the best weights if asked to."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()


class TerminateOnNaN(Callback):
    """Stops when the loss is no longer finite.

    Parameters
    ----------
    raise_error : bool
        Whether to raise RuntimeError instead of ending the training in good order.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(np.asarray(loss).item()):
            return
        if self.raise_error:
            raise RuntimeError(f"batch {batch}: the loss is {loss}")
        print(f"\nBatch {batch}: the loss is {loss}, training ends")
        self.model.stop_training = True
