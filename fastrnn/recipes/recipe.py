"""What all recipes are: data and a model, ready to learn, and figures at the end."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks.callback import Callback, Logs
from fastrnn.callbacks.history import History
from fastrnn.callbacks.stopping import EarlyStopping
from fastrnn.recipes.continuation import Continuation

Array = NDArray[Any]


class RecipeError(ValueError):
    """A recipe's data are missing, damaged, too few, or do not fit its options."""


class DivergenceError(ArithmeticError):
    """The loss is not a finite number."""


class Score(NamedTuple):
    """One figure of a report.

    name    "accuracy"
    value   the figure
    who     "this model", or the baseline's name
    what    on which data
    """

    name: str
    value: float
    who: str
    what: str


class Panel(NamedTuple):
    """One pair of axes of the picture: lines by their names, each a pair (x, y) of arrays."""

    xlabel: str
    ylabel: str
    lines: dict[str, Any]


class Report(NamedTuple):
    """What came out: figures, sentences with examples, and panels of a picture."""

    scores: list[Score]
    examples: list[str]
    panels: list[Panel]


class _Timed(Callback):
    """Knows the seconds since the first step, in which kernels may be compiled."""

    kept = ("seconds",)

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._mark: float | None = None

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the clock."""
        now = time.monotonic()
        if self._mark is not None:
            self.seconds += now - self._mark
        self._mark = now


class Deadline(_Timed):
    """Ends the training some minutes after its first step.

    Parameters
    ----------
    minutes : float
    """

    def __init__(self, minutes: float) -> None:
        super().__init__()
        self.limit = 60.0 * minutes

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the clock."""
        super().on_batch_end(batch, logs)
        if self.seconds >= self.limit:
            self.model.stop_training = True


class Annealing(_Timed):
    """Lets the learning rate fall to nothing in the course of the run, along half a cosine.

    Parameters
    ----------
    epochs : int
        Of the whole run.
    minutes : float, optional
        Of the whole run, if a clock may end it first: such runs differ from each other.
    """

    def __init__(self, epochs: int, minutes: float | None) -> None:
        super().__init__()
        self.epochs, self.minutes = epochs, minutes
        self.first_batch = 0
        self._epoch = 0
        self._highest = 0.0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Remember the rate to start from."""
        self._highest = float(self.model.optimizer.learning_rate)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Set the rate of the next step."""
        super().on_batch_end(batch, logs)
        step = self.first_batch + batch + 1
        done = (self._epoch + step / (self.params.get("steps") or step)) / self.epochs
        if self.minutes is not None:
            done = max(done, self.seconds / (60.0 * self.minutes))
        share = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
        self.model.optimizer.learning_rate = self._highest * share


class Recipe(ABC):
    """Data and a model.

    Attributes
    ----------
    model : Model
        Built and compiled.
    epochs : int
        Passes over the data if `fit` is not told.
    patience : int
        Epochs without a better validation after which learning ends.
    history : dict of lists of floats
        Losses and metrics of every epoch.
    sources : list of Path
        The files that the data are from.
    """

    epochs = 20
    patience = 5
    #: The validation figure that decides which epoch was the best: by "min" or by "max".
    monitor, mode = "val_loss", "min"
    #: What `loss` is called on the picture.
    loss_label = "loss"

    model: Any

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.sources: list[Path] = []

    @abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say about data and model before learning, by headings."""

    @abstractmethod
    def batches(self) -> tuple[Any, Any]:
        """Return the training data and the validation data as `Model.fit` takes them."""

    @abstractmethod
    def evaluate(self) -> Report:
        """Measure model and baselines."""

    def preprocessing(self) -> dict[str, Any]:
        """Return what the model's inputs and outputs mean, as JSON values."""
        return {}

    def own_callbacks(self, epochs: int, minutes: float | None) -> list[Callback]:
        """Return who of this recipe listens to a run of at most so many epochs and minutes."""
        return []

    def fit(
        self,
        *,
        epochs: int | None = None,
        minutes: float | None = None,
        callbacks: Sequence[Callback] = (),
        run: Continuation | None = None,
    ) -> None:
        """Learn until validation no longer improves, then go back to the best epoch.

        Parameters
        ----------
        epochs : int, optional
            The most passes over the training data; the recipe's own number if not given.
        minutes : float, optional
            The most time, from the first step on.
        callbacks : sequence of Callback
            Who else listens.
        run : Continuation, optional
            Saves what the run needs to go on, and goes on with one that was stopped.

        Raises
        ------
        StoppedError
            If `run` was asked to stop.
        DivergenceError
            If the loss is not finite.
        """
        training, validation = self.batches()
        epochs = epochs or self.epochs
        own = self.own_callbacks(epochs, minutes)
        listeners: list[Callback] = [*own, *callbacks, _Finite()]
        if minutes is not None:
            listeners.append(Deadline(minutes))
        listeners.append(
            EarlyStopping(
                self.monitor, patience=self.patience, mode=self.mode, restore_best_weights=True
            )
        )
        history = History()
        listeners.append(history)
        first = 0
        if run is not None:
            first = run.epoch
            training = run.begin(training, validation, listeners)
            listeners = [*listeners, run]
        self.model.fit(
            training, epochs=max(epochs, first + 1), initial_epoch=first,
            validation_data=validation, callbacks=listeners, verbose=0,
        )  # fmt: skip
        self.history = history.history

    def curves(self) -> Panel:
        """Return the losses of all epochs."""
        names = {"loss": "training", "val_loss": "validation"}
        count = len(self.history.get("loss", ()))
        lines = {
            label: (np.arange(1, count + 1), np.asarray(self.history[name]))
            for name, label in names.items()
            if name in self.history
        }
        return Panel("epoch", self.loss_label, lines)

    def size(self) -> str:
        """Return the number of the model's weights in words."""
        return f"{self.model.count_params():,} parameters"


class _Finite(Callback):
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not np.isfinite(loss):
            raise DivergenceError(
                f"epoch {epoch + 1}: the loss is {loss}; a smaller learning rate may help"
            )


def read_bytes(path: str | Path) -> bytes:
    """Return what is in a file of the user.

    Raises
    ------
    RecipeError
        If it cannot be read, or is empty.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise RecipeError(f"{path}: expected a file, got a folder")
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror or error}") from error
    if not content:
        raise RecipeError(f"{path}: the file is empty")
    return content


def decode(path: str | Path, content: bytes) -> str:
    """Return UTF-8 text.

    Raises
    ------
    RecipeError
        If it is none.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise RecipeError(
            f"{path}: expected UTF-8 text, got the byte 0x{byte:02x} at offset {error.start}"
        ) from error


def require(package: str, install: str, why: str) -> Any:
    """Return an installed package.

    Raises
    ------
    RecipeError
        If it is not there, naming what to install.
    """
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise RecipeError(f"{why} needs the package {install}: pip install {install}") from error
