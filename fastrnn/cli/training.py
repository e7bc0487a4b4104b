"""The training loop of character models: it prints nothing and tells a reporter."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrnn.cli.options import Options
from fastrnn.cli.position import Epoch, Position
from fastrnn.cli.schedule import factor
from fastrnn.models.checkpoint import Checkpoint, CheckpointError, check_arrays
from fastrnn.models.run_folder import RunFolder
from fastrnn.preprocessing.text import Windows

if TYPE_CHECKING:
    from fastrnn.models.language import LanguageModel, State
    from fastrnn.optimizers import Optimizer

SAVE_SECONDS = 30.0
BITS_PER_NAT = 1.0 / math.log(2.0)


class Reporter(Protocol):
    """Whoever shows the progress of a `Trainer`."""

    def compiling(self) -> None:
        """Tell that kernels may be compiled, from here to the first `stepped`."""

    def stepped(self, trainer: Trainer, *, characters: int) -> None:
        """Tell that a step is done, which learned from so many characters."""

    def validating(self) -> None:
        """Tell that a validation begins."""

    def validated(self, trainer: Trainer, epoch: Epoch, *, best: bool) -> None:
        """Tell that a validation is done and saved; `best` if none was better before."""


class DivergenceError(ArithmeticError):
    """The loss, a gradient or a weight is not a finite number."""


class Trainer:
    """Truncated backpropagation through time, with checkpoints.

    Parameters
    ----------
    model, optimizer
        What is trained; changed in place.
    training, validation
        Windows of the two parts of the text.
    options
        Length of the run, and learning rate.
    run
        Where the checkpoints go.
    reporter
        Is told what happens.

    Attributes
    ----------
    position : Position
        Where the run stands.
    """

    def __init__(
        self,
        model: LanguageModel,
        optimizer: Optimizer,
        *,
        training: Windows,
        validation: Windows,
        options: Options,
        run: RunFolder,
        reporter: Reporter,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.training = training
        self.validation = validation
        self.options = options
        self.folder = run
        self.reporter = reporter
        self.position = Position()
        self._state: State = model.zero_state(training.batch)
        self._stopping = False
        self._mark: float | None = None

    @property
    def steps(self) -> int | None:
        """Steps of the whole run; None where a clock ends it."""
        return None if self.options.minutes else self.options.epochs * len(self.training)

    @property
    def fraction(self) -> float:
        """Share of the run that is done, 0..1."""
        if self.options.minutes:
            return min(1.0, self.position.seconds / (60.0 * self.options.minutes))
        return self.position.step / (self.options.epochs * len(self.training))

    @property
    def training_bits(self) -> float:
        """Mean training loss of the epoch so far, in bits per character."""
        return self.position.loss_sum / self.position.loss_count * BITS_PER_NAT

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return self.fraction >= 1.0 and self.position.validated

    def stop(self) -> None:
        """Ask `train` to save and return after the current step; safe in a signal handler."""
        self._stopping = True

    def save(self, *, best: bool = False) -> None:
        """Write a checkpoint; it becomes the last one, and the best one if asked.

        Raises
        ------
        DivergenceError
            If a weight is not finite.
        OSError
            If it cannot be written.
        """
        _check_finite(self.model.weights)
        arrays = {f"optimizer/{name}": array for name, array in self.optimizer.state.items()}
        checkpoint = Checkpoint(
            step=self.position.step,
            weights=self.model.weights,
            training=arrays | _name_states(self._state),
            progress=self.position.to_dict(),
        )
        # Were "last" moved first and the process killed, the better weights would be lost.
        self.folder.save(checkpoint, pointers=("best", "last") if best else ("last",))

    def resume(self) -> None:
        """Go back to the last checkpoint.

        Raises
        ------
        CheckpointError
            If it is damaged, or does not fit the model and the text.
        """
        checkpoint = self.folder.load("last")
        where = f"{self.folder.path}: last checkpoint"
        check_arrays(checkpoint.weights, self.model.weights, where=where)
        prefix = "optimizer/"
        slots = {
            name.removeprefix(prefix): array
            for name, array in checkpoint.training.items()
            if name.startswith(prefix)
        }
        states = {
            name: array
            for name, array in checkpoint.training.items()
            if not name.startswith(prefix)
        }
        check_arrays(states, _name_states(self._state), where=where)
        try:
            self.position = Position.from_dict(checkpoint.progress)
            self.model.load_weights(dict(checkpoint.weights))
            self.optimizer.load_state(slots)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{where}: {error}") from error
        if self.position.window > len(self.training) or self.position.step != checkpoint.step:
            raise CheckpointError(f"{where}: its position is not one of this run")
        self._state = [
            tuple(states[_state_name(layer, index)] for index in range(len(arrays)))
            for layer, arrays in enumerate(self._state)
        ]

    def train(self) -> bool:
        """Train to the end of the run, or until `stop`.

        Returns
        -------
        bool
            Whether the run is finished; if not, it was stopped and a checkpoint saved.

        Raises
        ------
        DivergenceError
            At a number that is not finite; the last checkpoint is from before.
        OSError
            If a checkpoint cannot be written; the last one is whole.
        """
        if self.finished:
            return True
        self._compile()
        saved = time.monotonic()
        while not self.finished:
            while self.position.window < len(self.training) and self.fraction < 1.0:
                if self._stopping:
                    self.save()
                    return False
                self._step()
                if time.monotonic() - saved >= SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
            if not self._validate():
                self.save()
                return False
            saved = time.monotonic()
        return True

    def _compile(self) -> None:
        # The first step compiles the rest; it cannot be tried without learning from it.
        self.reporter.compiling()
        self.model.evaluate(*self.validation[0], self.model.zero_state(self.validation.batch))

    def _step(self) -> None:
        position = self.position
        position.learning_rate = self.optimizer.learning_rate = self._learning_rate()
        inputs, targets = self.training[position.window]
        result, norm, self._state = self.model.train_step(
            inputs, targets, self._state, self.optimizer, position.step
        )
        loss = float(result)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = "gradient" if math.isfinite(loss) else "loss"
            raise DivergenceError(f"the {what} is not finite at step {position.step + 1}")
        position.step += 1
        position.window += 1
        position.loss_sum += loss * inputs.size
        position.loss_count += inputs.size
        position.curve.append(loss * BITS_PER_NAT)
        self._tick()
        self.reporter.stepped(self, characters=inputs.size)

    def _validate(self) -> bool:
        """Validate and save; return False if stopped meanwhile, with nothing changed."""
        self.reporter.validating()
        position = self.position
        state = self.model.zero_state(self.validation.batch)
        total = 0.0
        for inputs, targets in self.validation:
            if self._stopping:
                return False
            loss, state = self.model.evaluate(inputs, targets, state)
            total += float(loss) * inputs.size
        if not math.isfinite(total):
            raise DivergenceError(
                f"the validation loss is not finite after step {self.position.step}"
            )
        self._tick()
        epoch = Epoch(
            step=position.step,
            epochs=position.epoch + position.window / len(self.training),
            training=self.training_bits,
            validation=total / self.validation.characters * BITS_PER_NAT,
            learning_rate=position.learning_rate,
            seconds=position.seconds,
        )
        best = position.best is None or epoch.validation < position.best.validation
        position.history.append(epoch)
        if best:
            position.best = epoch
        if position.window == len(self.training):
            position.start_epoch()
            self._state = self.model.zero_state(self.training.batch)
        self.save(best=best)
        self.reporter.validated(self, epoch, best=best)
        return True

    def _learning_rate(self) -> float:
        return self.options.learning_rate * factor(
            self.options.schedule,
            step=self.position.step,
            fraction=self.fraction,
            steps=self.steps,
        )

    def _tick(self) -> None:
        """Add the time since the last tick; the first one ends the compilation."""
        now = time.monotonic()
        if self._mark is not None:
            self.position.seconds += now - self._mark
        self._mark = now


def _state_name(layer: int, index: int) -> str:
    return f"state/{layer}/{index}"


def _name_states(state: State) -> dict[str, NDArray[Any]]:
    return {
        _state_name(layer, index): array
        for layer, arrays in enumerate(state)
        for index, array in enumerate(arrays)
    }


def _check_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise DivergenceError(f"the weight {name!r} is not finite")
