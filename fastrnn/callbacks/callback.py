"""What a callback is, and how a model calls many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

Logs = dict[str, Any] | None


class Callback:
    """Is told what happens while a model learns, evaluates or predicts.

    Subclasses define what they want to hear.  Numbers of epochs and batches count from 0; `logs`
    are the losses and metrics so far.

    Attributes
    ----------
    model : Model
        Whom it listens to.
    params : dict
        "verbose", "epochs" and "steps" (None where unknown).
    """

    #: Attributes that tell how far it has come; a run that goes on sets them as they were.
    kept: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_params(self, params: dict[str, Any]) -> None:
        """Take what is known before the first event."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Take the model before the first event."""
        self.model = model

    def on_train_begin(self, logs: Logs = None) -> None:
        """Hear that `fit` begins."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Hear that `fit` ends."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Hear that an epoch begins."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Hear that an epoch ends, validation included."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Do what `on_train_batch_begin` does: its older name."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Do what `on_train_batch_end` does: its older name."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a step of learning begins."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a step of learning ends."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Hear that `evaluate`, or validation, begins."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Hear that `evaluate`, or validation, ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a batch is about to be evaluated."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a batch was evaluated."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Hear that `predict` begins."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Hear that `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Hear that a batch is about to be predicted."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Hear that a batch was predicted; `logs["outputs"]` has the result."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        Take the number of the epoch and the logs.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Take the number of the batch and the logs.
    on_train_begin, on_train_end : callable, optional
        Take the logs.
    others : callables
        By the names of other methods of `Callback`.

    Raises
    ------
    TypeError
        If a name is none of an event, or a value cannot be called.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **others: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **others,
        }
        for name, function in given.items():
            if not (name.startswith("on_") and hasattr(Callback, name)):
                raise TypeError(f"LambdaCallback: there is no event {name!r}")
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name}: expected a function, got {function!r}")
                setattr(self, name, _without_keywords(function))


def _without_keywords(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let users name the last argument as they like."""

    def call(*arguments: Any, **logs: Logs) -> Any:
        return function(*arguments, *logs.values())

    return call


class CallbackList:
    """Tells several callbacks, in order.

    Parameters
    ----------
    callbacks : Callback, CallbackList or iterable of Callback, optional
    model : Model, optional
    params
        See `Callback`.

    Raises
    ------
    TypeError
        If one is not a Callback.
    """

    def __init__(
        self,
        callbacks: Callback | CallbackList | Iterable[Callback] | None = None,
        model: Any = None,
        **params: Any,
    ) -> None:
        if isinstance(callbacks, CallbackList):
            callbacks = callbacks.callbacks
        elif isinstance(callbacks, Callback):
            callbacks = [callbacks]
        self.callbacks: list[Callback] = []
        self._listening: dict[str, list[Callable[..., None]]] = {}
        self.params: dict[str, Any] = params
        self.model = model
        for callback in callbacks or ():
            self.append(callback)

    def append(self, callback: Callback) -> None:
        """Add one to the end."""
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks: expected Callback objects, got {callback!r}")
        callback.set_params(self.params)
        if self.model is not None:
            callback.set_model(self.model)
        self.callbacks.append(callback)
        self._listening.clear()

    def set_params(self, params: dict[str, Any]) -> None:
        """Pass on what is known before the first event."""
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Pass on the model."""
        self.model = model
        for callback in self.callbacks:
            callback.set_model(model)

    def listens(self, event: str) -> bool:
        """Return whether a callback does anything at an event, such as "on_train_batch_end"."""
        return bool(self._of(event))

    def on_train_begin(self, logs: Logs = None) -> None:
        """Tell that `fit` begins."""
        self._tell("on_train_begin", logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Tell that `fit` ends."""
        self._tell("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Tell that an epoch begins."""
        self._tell("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Tell that an epoch ends."""
        self._tell("on_epoch_end", logs, epoch)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Tell that a step of learning begins."""
        self._tell_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Tell that a step of learning ends."""
        self._tell_batch("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Tell that evaluation begins."""
        self._tell("on_test_begin", logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Tell that evaluation ends."""
        self._tell("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Tell that a batch is about to be evaluated."""
        self._tell_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Tell that a batch was evaluated."""
        self._tell_batch("on_test_batch_end", batch, logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Tell that prediction begins."""
        self._tell("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Tell that prediction ends."""
        self._tell("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Tell that a batch is about to be predicted."""
        self._tell_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Tell that a batch was predicted."""
        self._tell_batch("on_predict_batch_end", batch, logs)

    def _tell(self, event: str, logs: Logs, *number: int) -> None:
        logs = {} if logs is None else logs
        for listener in self._of(event):
            listener(*number, logs)

    def _tell_batch(self, event: str, number: int, logs: Logs) -> None:
        logs = {} if logs is None else logs
        for listener in self._of(event):
            listener(number, logs=logs)

    def _of(self, event: str) -> list[Callable[..., None]]:
        """Return the methods that do something: two calls of each callback a step add up."""
        if event not in self._listening:
            older = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}
            names = [event, older.get(event, event)]
            self._listening[event] = [
                getattr(callback, event)
                for callback in self.callbacks
                if any(_is_overridden(callback, name) for name in names)
            ]
        return self._listening[event]


def _is_overridden(callback: Callback, name: str) -> bool:
    function = getattr(getattr(callback, name), "__func__", None)
    return function is not getattr(Callback, name)
