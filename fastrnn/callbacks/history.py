"""Losses and metrics of every epoch: in memory, and as a table on the disk."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from fastrnn.callbacks.callback import Callback, Logs


class History(Callback):
    """Keeps what every epoch ended with; `Model.fit` returns one.

    Attributes
    ----------
    history : dict of lists of floats
        By the name of the loss or metric.
    epoch : list of ints
        Numbers of the epochs, from 0.
    """

    kept = ("history", "epoch")

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Start anew."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keep the epoch's logs."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class CSVLogger(Callback):
    """Writes a line of losses and metrics after every epoch.

    Parameters
    ----------
    filename : str or path
    separator : str
        Between the columns.
    append : bool
        Go on with the file if it exists, instead of replacing it.

    Raises
    ------
    OSError
        When training begins, if the file cannot be written.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        super().__init__()
        self.filename = Path(filename)
        self.separator = separator
        self.append = append
        self._columns: list[str] | None = None
        self._file: TextIO | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Open the file."""
        self._columns = None
        if self.append and self.filename.exists() and self.filename.stat().st_size:
            with self.filename.open(newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.separator), [])
            self._columns = header[1:]
        self._file = self.filename.open("a" if self.append else "w", newline="", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a line; the first of a new file is followed by it."""
        if self._file is None:
            return
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        if self._columns is None:
            self._columns = sorted(logs)
            # Epochs without validation have no such values, the first one perhaps.
            if not any(name.startswith("val_") for name in logs):
                self._columns += [f"val_{name}" for name in sorted(logs) if name != "learning_rate"]
            writer.writerow(["epoch", *self._columns])
        writer.writerow([epoch, *(_cell(logs.get(name, "NA")) for name in self._columns)])
        self._file.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _cell(value: Any) -> Any:
    """Return what stands in the table for a value; arrays are written as lists."""
    if isinstance(value, np.ndarray) and value.ndim:
        return f"[{', '.join(map(str, value.ravel().tolist()))}]"
    return value
