"""Learning, evaluating and predicting with whole data sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fastrnn.callbacks.callback import Callback, CallbackList
from fastrnn.callbacks.history import History
from fastrnn.callbacks.progress import ProgbarLogger
from fastrnn.data import structure
from fastrnn.data.feed import Batch, Feed, class_weights, feed, one_batch, pack, split, unpack
from fastrnn.models.learner import Learner
from fastrnn.models.objective import flat

Callbacks = Callback | CallbackList | Sequence[Callback] | None


class Trainer(Learner):
    """A layer that learns by itself: what a `Model` does with data."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callbacks = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Learn from data, epoch by epoch.

        Parameters
        ----------
        x : array (N, ...), list, tuple or dict of arrays, or iterable of batches
            Batches are (x,), (x, y) or (x, y, sample_weight).
        y : array (N, ...), or list or dict of arrays
            Targets; not given where x yields batches.
        batch_size : int, optional
            Rows of a batch; if not given, what makes `steps_per_epoch` batches, or 32.
        epochs : int
            Number of the last epoch, counted from 1.
        verbose : "auto", 0, 1 or 2
            Silent, a bar for each epoch ("auto" too), or a line for each epoch.
        callbacks : list of Callback, optional
        validation_split : float
            Share of x and y, their last rows, to evaluate after each epoch and not to learn from.
        validation_data : tuple (x, y) or (x, y, sample_weight), or iterable of batches, optional
            What to evaluate after each epoch.
        shuffle : bool or "batch"
            Whether each epoch has an order of its own.  It follows from the model's
            `shuffle_seed`, drawn from `fastrnn.random` when it was made, and the number of epochs
            it has learned for: a model that is saved and loaded goes on as it would have.
        class_weight : mapping of int to float, optional
            Weights of samples by the class of their target.
        sample_weight : array (N,) or (N, T), optional
        initial_epoch : int
            Number of the first epoch, from 0.
        steps_per_epoch, validation_steps : int, optional
            Batches of an epoch, which go on where the one before ended, or of a validation, which
            are the first ones; all if not given.
        validation_batch_size : int, optional
            `batch_size` if not given.
        validation_freq : int, or sequence of ints
            Epochs between validations, or the epochs, from 1, that have one.

        Returns
        -------
        History
            Its `history` has losses and metrics of every epoch.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        ValueError, TypeError
            If arguments do not fit.
        """
        self._check_compiled()
        _check_count("epochs", epochs, least=0)
        _check_count("steps_per_epoch", steps_per_epoch)
        _check_count("validation_steps", validation_steps)
        if not isinstance(validation_freq, Collection):
            _check_count("validation_freq", validation_freq)
        data: Any = (x, y, sample_weight)
        if validation_split and validation_data is None:
            data, validation_data = split(data, validation_split)
        source = feed(
            *data, batch_size=batch_size, steps=steps_per_epoch, class_weight=class_weight,
            shuffle=shuffle, seed=self.shuffle_seed,
        )  # fmt: skip
        validation = None
        if validation_data is not None:
            validation = _validation_feed(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        steps = steps_per_epoch or source.size
        listeners, history = self._listeners(callbacks, verbose, epochs=epochs, steps=steps)
        self.stop_training = False
        logs: dict[str, Any] = {}
        listeners.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            listeners.on_epoch_begin(epoch)
            logs = self._train_epoch(source.epoch(self.epochs_done, steps_per_epoch), listeners)
            if not logs:
                _refuse_nothing(epoch == initial_epoch)
                break
            self.epochs_done += 1
            if validation is not None and _is_due(epoch, validation_freq):
                values = self._test_epoch(validation.first(validation_steps), listeners)
                logs |= {f"val_{name}": value for name, value in values.items()}
            listeners.on_epoch_end(epoch, logs)
            if self.stop_training:
                break
        self.optimizer.finalize_variable_values(self.trainable_variables)
        listeners.on_train_end(logs)
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Callbacks = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss and the metrics over data.

        Parameters
        ----------
        x, y, batch_size, sample_weight, verbose, callbacks
            See `fit`.
        steps : int, optional
            Batches to look at; all if not given.
        return_dict : bool
            Return values by name.

        Returns
        -------
        float, list of floats or dict
            The loss, where there are no metrics; a list that starts with it; or all by name.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        ValueError, TypeError
            If arguments do not fit.
        """
        self._check_compiled()
        _check_count("steps", steps)
        source = feed(x, y, sample_weight, batch_size=batch_size, steps=steps)
        listeners, _ = self._listeners(callbacks, verbose, epochs=1, steps=steps or source.size)
        logs = self._test_epoch(source.epoch(0, steps), listeners)
        if not logs:
            _refuse_nothing(True)
        return logs if return_dict else self._as_list(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callbacks = None,
    ) -> Any:
        """Return the model's results for data.

        Parameters
        ----------
        x, batch_size, verbose, callbacks
            See `fit`; targets in batches are ignored.
        steps : int, optional
            Batches to look at; all if not given.

        Returns
        -------
        array (N, ...), or list, tuple or dict of them
            Joined from all batches.

        Raises
        ------
        ValueError, TypeError
            If arguments do not fit.
        """
        _check_count("steps", steps)
        source = feed(x, batch_size=batch_size, steps=steps)
        listeners, _ = self._listeners(callbacks, verbose, epochs=1, steps=steps or source.size)
        self.stop_training = False
        parts = []
        listeners.on_predict_begin()
        for i, batch in enumerate(source.epoch(0, steps)):
            listeners.on_predict_batch_begin(i)
            # A copy of what may be the layers' own memory, to be read after the next batch.
            result = structure.transform(np.array, self.predict_step(pack(*batch)))
            parts.append(result)
            listeners.on_predict_batch_end(i, {"outputs": result})
            if self.stop_training:
                break
        listeners.on_predict_end()
        if not parts:
            _refuse_nothing(True)
        return structure.concatenate(parts)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Learn from one batch; return its losses and metrics as `evaluate` does.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        ValueError
            If there are both sample and class weights.
        """
        self._check_compiled()
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("class_weight: expected None where there is a sample_weight")
            sample_weight = class_weights(y, class_weight)
        self.reset_metrics()
        logs = flat(self.train_step(pack(*one_batch(x, y, sample_weight))))
        return logs if return_dict else self._as_list(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Evaluate one batch; return its losses and metrics as `evaluate` does.

        Raises
        ------
        RuntimeError
            If the model is not compiled.
        """
        self._check_compiled()
        self.reset_metrics()
        logs = flat(self.test_step(pack(*one_batch(x, y, sample_weight))))
        return logs if return_dict else self._as_list(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the model's results for one batch as arrays."""
        return structure.transform(np.array, self.predict_step(pack(x)))

    def _train_epoch(self, batches: Iterator[Batch], listeners: CallbackList) -> dict[str, Any]:
        is_begin_heard = listeners.listens("on_train_batch_begin")
        is_end_heard = listeners.listens("on_train_batch_end")
        is_unwatched = self._is_unwatched = not (
            is_begin_heard or is_end_heard or self._has_own_steps
        )
        logs: dict[str, Any] = {}
        self._changing = (-1, [])  # not looked for yet
        steps = 0
        try:
            for steps, batch in enumerate(batches, 1):
                if is_begin_heard:
                    listeners.on_train_batch_begin(steps - 1)
                logs = self.train_step(pack(*batch))
                if is_end_heard:
                    listeners.on_train_batch_end(steps - 1, flat(logs))
                if self.stop_training:
                    break
        finally:
            self._changing = None
            self._is_unwatched = False
        return flat(self.get_metrics_result() if is_unwatched and steps else logs)

    def _test_epoch(self, batches: Iterator[Batch], listeners: CallbackList) -> dict[str, Any]:
        is_watched = listeners.listens("on_test_batch_end")
        self.reset_metrics()
        logs: dict[str, Any] = {}
        listeners.on_test_begin()
        for i, batch in enumerate(batches):
            listeners.on_test_batch_begin(i)
            logs = self.test_step(pack(*batch))
            if is_watched:
                listeners.on_test_batch_end(i, flat(logs))
        logs = flat(logs)
        listeners.on_test_end(logs)
        return logs

    def _listeners(
        self, callbacks: Callbacks, verbose: str | int, **params: Any
    ) -> tuple[CallbackList, History]:
        """Return all who listen; a bar and the history join those that the user gave."""
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"verbose: expected 'auto', 0, 1 or 2, got {verbose!r}")
        loud = 1 if verbose == "auto" else int(verbose)
        given = CallbackList(callbacks).callbacks
        history = next((c for c in given if isinstance(c, History)), History())
        added: list[Callback] = [] if history in given else [history]
        if loud and not any(isinstance(c, ProgbarLogger) for c in given):
            added.append(ProgbarLogger())
        return CallbackList([*given, *added], model=self, verbose=loud, **params), history


def _validation_feed(data: Any, batch_size: int | None, steps: int | None) -> Feed:
    if isinstance(data, tuple | list):
        return feed(*unpack(data), batch_size=batch_size, steps=steps)
    return feed(data, batch_size=batch_size, steps=steps)


def _check_count(name: str, value: Any, least: int = 1) -> None:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if value is not None and not (is_int and value >= least):
        raise ValueError(f"{name}: expected an int of at least {least}, got {value!r}")


def _is_due(epoch: int, freq: int | Sequence[int]) -> bool:
    if isinstance(freq, Collection):
        return epoch + 1 in freq
    return (epoch + 1) % freq == 0


def _refuse_nothing(is_first: bool) -> None:
    if is_first:
        raise ValueError("x: expected at least one batch")
