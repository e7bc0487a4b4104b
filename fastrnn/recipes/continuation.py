"""Runs of recipes that go on, bit for bit, where they were stopped."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.data.feed import one_batch, unpack
from fastrnn.models import snapshot
from fastrnn.models.checkpoint import Checkpoint, CheckpointError, check_arrays
from fastrnn.models.run_folder import RunFolder

SAVE_SECONDS = 30.0
#: Saving takes at most this share of the time.
_SHARE = 0.05

Arrays = dict[str, NDArray[Any]]


class StoppedError(Exception):
    """A run ended because it was asked to, and its checkpoint is written."""


class Continuation(Callback):
    """Saves before a step, every now and then, all that the steps from there on depend on.

    The last step of an epoch is always saved: validation and all that follows is done again by a
    run that goes on.

    Parameters
    ----------
    folder : RunFolder
    checkpoint : Checkpoint, optional
        Where to go on.

    Attributes
    ----------
    epoch, step : int
        The next step, from 0, and its epoch.

    Raises
    ------
    CheckpointError
        If the checkpoint is of another kind.
    """

    def __init__(self, folder: RunFolder, checkpoint: Checkpoint | None = None) -> None:
        super().__init__()
        self.folder = folder
        self._checkpoint = checkpoint
        self._where = f"{folder.path}: last checkpoint"
        self.epoch = self.step = 0
        if checkpoint is not None:
            match checkpoint.progress:
                case {"epoch": int(epoch), "step": int(step), "model": dict(), "listeners": dict()}:
                    self.epoch, self.step = epoch, step
                case _:
                    raise CheckpointError(f"{self._where}: it is not one of a recipe")
        self._listeners: Sequence[Callback] = ()
        self._validation: Any = None
        self._first = 0
        self._stopping = False
        self._due = 0.0

    def check(self, model: Any) -> None:
        """Check that the checkpoint has the weights of a model.

        Raises
        ------
        CheckpointError
            If it has others.
        """
        if self._checkpoint is not None:
            expected = snapshot.weights_of(model)
            check_arrays(self._checkpoint.weights, expected, where=self._where)

    def stop(self) -> None:
        """Ask to save and raise `StoppedError` before the next step; safe in a signal handler."""
        self._stopping = True

    def begin(self, training: Any, validation: Any, listeners: Sequence[Callback]) -> Any:
        """Take who listens to the run beside this callback, the last of them.

        Returns
        -------
        iterable of batches
            `training`, whose first pass begins at the next step.
        """
        self._listeners, self._validation = listeners, validation
        return _Rest(training, self.epoch, self.step) if self._checkpoint else training

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set everything as it was, in the first epoch."""
        self._first, self.epoch = (self.step if epoch == self.epoch else 0), epoch
        for listener in self._listeners:
            if hasattr(listener, "first_batch"):
                listener.first_batch = self._first
        if self._checkpoint is not None:
            try:
                self._restore(self._checkpoint)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise CheckpointError(f"{self._where}: {error}") from error
            self._checkpoint = None

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Save, if it is time."""
        self.step = self._first + batch
        is_last = self.step + 1 == self.params.get("steps")
        if is_last or self._stopping or time.monotonic() >= self._due:
            self.save()
        self._end_if_asked()

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """End the run if asked to; there is a checkpoint from before validation."""
        self._end_if_asked()

    def on_train_end(self, logs: Logs = None) -> None:
        """End the run if asked to."""
        self._end_if_asked()

    def save(self) -> None:
        """Write a checkpoint of the moment before a step.

        Raises
        ------
        OSError
            If it cannot be written; the one before is whole.
        """
        begin = time.monotonic()
        arrays = snapshot.arrays_of(self.model)
        listeners = {}
        for name, listener in self._named():
            listeners[name], more = _kept(listener, name)
            arrays |= more
        progress = {
            "epoch": self.epoch,
            "step": self.step,
            "model": snapshot.numbers_of(self.model),
            "listeners": listeners,
        }
        checkpoint = Checkpoint(
            int(self.model.optimizer.iterations), snapshot.weights_of(self.model), arrays, progress
        )
        self.folder.save(checkpoint)
        now = time.monotonic()
        self._due = now + max(SAVE_SECONDS, (now - begin) / _SHARE)

    def _restore(self, checkpoint: Checkpoint) -> None:
        arrays, progress = dict(checkpoint.training), checkpoint.progress
        if self.step:
            # Which metrics there are is known after a batch.
            self.model.test_step(one_batch(*unpack(next(iter(self._validation)))))
        snapshot.restore(self.model, checkpoint.weights, arrays, progress["model"])
        for name, listener in self._named():
            _set_kept(listener, name, progress["listeners"][name], arrays)

    def _named(self) -> Iterator[tuple[str, Callback]]:
        """Yield those who keep something, by unique names."""
        for i, listener in enumerate(self._listeners):
            if listener.kept:
                yield f"{type(listener).__name__}/{i}", listener

    def _end_if_asked(self) -> None:
        if self._stopping:
            raise StoppedError


class _Rest:
    """Batches whose passes before one are over, as are the first batches of that one."""

    def __init__(self, batches: Any, passes: int, skipped: int) -> None:
        self._batches, self._passes, self._skipped = batches, passes, skipped

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        passes, skipped = self._passes, self._skipped
        self._passes = self._skipped = 0
        for _ in range(passes):
            next(iter(self._batches), None)  # the order of a pass follows from how many were begun
        return itertools.islice(iter(self._batches), skipped, None)


def _kept(owner: Any, path: str) -> tuple[dict[str, Any], Arrays]:
    """Return the attributes that `owner` keeps: JSON values, and arrays by their paths."""
    values: dict[str, Any] = {}
    arrays: Arrays = {}
    for name in owner.kept:
        value, place = getattr(owner, name), f"{path}/{name}"
        if hasattr(value, "kept"):
            values[name], more = _kept(value, place)
            arrays |= more
        elif isinstance(value, list) and value and isinstance(value[0], np.ndarray):
            arrays |= {f"{place}/{i:05d}": array for i, array in enumerate(value)}
        else:
            values[name] = _written(value)
    return values, arrays


def _set_kept(owner: Any, path: str, values: dict[str, Any], arrays: Arrays) -> None:
    for name in owner.kept:
        value, place = getattr(owner, name), f"{path}/{name}"
        if hasattr(value, "kept"):
            _set_kept(value, place, values[name], arrays)
        elif name in values:
            setattr(owner, name, _read(values[name]))
        else:
            setattr(owner, name, [arrays[key] for key in sorted(arrays) if key.startswith(place)])


def _written(value: Any) -> Any:
    """Return a value as JSON has it: infinity and NaN, which it lacks, by their names."""
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_written(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"float"} and isinstance(value["float"], str):
            return float(value["float"])
        return {name: _read(each) for name, each in value.items()}
    return [_read(each) for each in value] if isinstance(value, list) else value
