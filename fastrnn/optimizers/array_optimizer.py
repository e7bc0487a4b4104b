"""Steps over named arrays: limits, decay, accumulation, averages, and the state between steps."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu import rules
from fastrnn.optimizers import options
from fastrnn.optimizers.options import LearningRate
from fastrnn.optimizers.schedules import LearningRateSchedule
from fastrnn.optimizers.selection import (
    Selection,
    check_gradients,
    check_rows,
    check_weights,
    scales_to,
)
from fastrnn.optimizers.slots import ACCUMULATOR, AVERAGE, Slots, allocate, compare, read

Array = NDArray[Any]


class ArrayOptimizer(ABC):
    """An optimizer of named arrays; see `Optimizer` for its parameters."""

    def __init__(
        self,
        learning_rate: LearningRate,
        weight_decay: float | None = None,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        self._learning_rate: LearningRate = 0.0
        self.learning_rate = learning_rate
        self.weight_decay = (
            None if weight_decay is None else options.number("weight_decay", weight_decay)
        )
        options.limits(clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema = bool(use_ema)
        self.ema_momentum = options.closed_share("ema_momentum", ema_momentum)
        self.ema_overwrite_frequency = options.count(
            "ema_overwrite_frequency", ema_overwrite_frequency, least=1
        )
        if loss_scale_factor is not None:
            raise ValueError(
                "loss_scale_factor: expected None, as float32 and float64 need no scaling, "
                f"got {loss_scale_factor!r}"
            )
        self.loss_scale_factor = None
        self.gradient_accumulation_steps = options.count(
            "gradient_accumulation_steps", gradient_accumulation_steps, least=2
        )
        words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(self).__name__)
        self.name = words.lower() if name is None else name

        self._letters: tuple[str, ...] = rules.SLOTS[type(self._rule(0.0, 1))]
        if self.use_ema:
            self._letters += (AVERAGE,)
        if self.gradient_accumulation_steps:
            self._letters += (ACCUMULATOR,)
        self._initial: dict[str, float] = {}  # by letter, where it is not zero
        self._steps = 0  # calls of `apply` or `update`
        self._slots: dict[str, Slots] = {}
        self._selections: dict[tuple[str, ...], Selection] = {}
        self._without_decay: re.Pattern[str] | None = None

    @abstractmethod
    def _rule(self, rate: float, step: int) -> Any:
        """Return the kernel's rule for the step of that number, counted from 1."""

    @property
    def learning_rate(self) -> float:
        """Size of the next step; a number, a schedule or a callable may be assigned.

        As in Keras, a number cannot take the place of a schedule: that raises TypeError.
        """
        rate = self._learning_rate
        if callable(rate):
            return options.number("learning_rate", float(rate(self._steps)))
        return rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        """Set the size of the steps."""
        if callable(learning_rate):
            self._learning_rate = learning_rate
            return
        if isinstance(self._learning_rate, LearningRateSchedule):
            raise TypeError(
                f"learning_rate: expected a schedule in place of a schedule, got {learning_rate!r}"
            )
        if getattr(learning_rate, "shape", None) == ():
            learning_rate = float(learning_rate)
        self._learning_rate = options.number("learning_rate", learning_rate)

    @property
    def iterations(self) -> int:
        """Steps taken so far: calls, or changes of the weights where gradients accumulate."""
        return self._steps // (self.gradient_accumulation_steps or 1)

    @property
    def state(self) -> dict[str, Array]:
        """What the next step depends on, beside the constructor's arguments.

        "iterations" () int64, the calls so far, and for each weight what is kept of it, an array
        of its shape and dtype: "<weight>/m" for a momentum, "<weight>/v" for a mean square, and
        so on.  The latter are the live arrays: later steps change them.  Variables are called
        "0", "1", ... here, so that a state fits a model whose layers have other names.
        """
        slots = {
            f"{name}/{letter}": array
            for name, slots in self._slots.items()
            for letter, array in zip(slots.letters, slots.arrays(), strict=True)
        }
        return {"iterations": np.array(self._steps, np.int64), **slots}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on from `state`, a copy of what the property of that name returned.

        Parameters
        ----------
        state : mapping of arrays
            Is copied.

        Raises
        ------
        ValueError
            If an entry is missing, unknown, or of a wrong shape or dtype; nothing is changed.
        """
        iterations = np.asarray(state.get("iterations"))
        if iterations.shape != () or iterations.dtype.kind not in "iu" or iterations < 0:
            raise ValueError(
                f"state: expected 'iterations' to be an integer of at least 0, got {iterations!r}"
            )
        loaded = read(state, self._letters)
        if self._slots and self._letters:
            compare(loaded, self._slots)
            unknown = loaded.keys() - self._slots.keys()
            if unknown:
                raise ValueError(f"state: there is no weight {min(unknown)!r}")
        self._steps = int(iterations)
        self._slots = loaded
        self._selections = {}

    def update(
        self,
        weights: Mapping[str, Array],
        gradients: Mapping[str, Array],
        *,
        rows: Mapping[str, NDArray[np.integer[Any]]] | None = None,
    ) -> float:
        """Take one step: change `weights` in place.

        Parameters
        ----------
        weights : mapping of C-contiguous arrays of float32 or float64, all of one dtype
            Written.  Steps cost less when they are the same arrays each time.
        gradients : mapping of C-contiguous arrays
            For the same names, of the same shapes and dtype.
        rows : mapping of sorted integer arrays, each id once, optional
            For weights with few non-zero rows of the gradient: all those rows.  Others are left
            out where that does not change the result (gradient descent without momentum and
            decay); elsewhere it has no effect.

        Returns
        -------
        float
            The norm of all gradients together before any limit, summed in float64: of their mean
            where gradients have accumulated and now change the weights.

        Raises
        ------
        ValueError
            If an argument is not as described; nothing is changed.
        """
        if weights.keys() != gradients.keys():
            missing = min(weights.keys() ^ gradients.keys())
            raise ValueError(f"gradients: expected the names of the weights; see {missing!r}")
        names = tuple(weights)
        selection = self._select(names, list(weights.values()), names)
        ordered = [gradients[name] for name in names]
        check_gradients(names, selection.weights, ordered)
        for name, used in (rows or {}).items():
            if name not in weights:
                raise ValueError(f"rows: expected names of weights, got {name!r}")
            check_rows(f"rows[{name!r}]", used, weights[name])
        used_rows = [rows.get(name) for name in names] if rows and self._skips_rows else None
        return self._advance(selection, selection, ordered, used_rows)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs: not the selections, which hold addresses of these arrays."""
        return self.__dict__ | {"_selections": {}}

    @property
    def _skips_rows(self) -> bool:
        """Whether a row without a gradient may be left out."""
        if self.gradient_accumulation_steps:
            return True  # of the sum
        kept = [letter for letter in self._letters if letter != AVERAGE]
        return not kept and not self.weight_decay

    def _decays(self, name: str) -> bool:
        """Whether weight decay is for the weight of that name."""
        return self._without_decay is None or not self._without_decay.search(name)

    def _select(
        self, names: tuple[str, ...], weights: Sequence[Array], labels: Sequence[Hashable]
    ) -> Selection:
        """Return weights by that name, as checked before, or checked now; `labels` are shown."""
        known = self._selections.get(names)
        if known is not None and all(map(is_, known.weights, weights)):
            return known
        check_weights(dict(zip(labels, weights, strict=True)))
        if self._letters:
            expected = zip(names, weights, strict=True)
            compare(self._slots, {n: w for n, w in expected if self._steps or n in self._slots})
        for name, weight in zip(names, weights, strict=True):
            if name not in self._slots:
                self._slots[name] = allocate(
                    self._letters, weight.shape, weight.dtype, self._initial
                )
        selection = Selection(
            weights,
            [self._slots[name] for name in names],
            [float(self._decays(name)) for name in names],
        )
        self._selections[names] = selection
        return selection

    def _advance(
        self,
        selection: Selection,
        whole: Selection,
        gradients: Sequence[Array],
        rows: Sequence[Array | None] | None,
        *,
        wants_norm: bool = True,
    ) -> float:
        """Take one step with checked arguments; return the norm, or NaN where it is not wanted.

        `whole` are all weights, `selection` those that have gradients now.
        """
        rate, done = self.learning_rate, self.iterations
        rule = self._rule(rate, done + 1)
        letters = rules.SLOTS[type(rule)]
        if letters != self._letters[: len(letters)]:
            raise ValueError("optimizer: expected the options that it was made with")
        every = self.gradient_accumulation_steps
        scale = 1.0
        squares = None
        if selection.sums is not None and every:
            selection.sums.set_gradients(gradients, rows)
            if wants_norm and (self._steps + 1) % every:
                squares = selection.sums.square_sums()
            selection.sums.step(rules.Mix(1.0, 1.0), limit=math.inf)
            gradients, rows, scale = selection.sums.parameters, None, 1.0 / every
        if not every or (self._steps + 1) % every == 0:
            decay = rate * (self.weight_decay or 0.0)
            selection.tensors.set_gradients(gradients, rows, skips=self._skips_rows)
            squares = self._change(selection, rule, decay, scale, wants_norm)
            if whole.sums is not None:
                for total in whole.sums.parameters:
                    total[...] = 0.0
        if whole.averages is not None:
            self._average(whole, done)
        self._steps += 1
        return math.nan if squares is None else math.sqrt(sum(squares.tolist()))

    def _change(
        self, selection: Selection, rule: Any, decay: float, scale: float, wants_norm: bool
    ) -> NDArray[np.float64] | None:
        """Change the weights by the gradients times `scale`, after they lost the share `decay`.

        Returns the sums of squares (weights,) of the gradients, if they were needed.
        """
        tensors = selection.tensors
        scales: Any = scale
        squares = None
        if wants_norm or self.clipnorm is not None or self.global_clipnorm is not None:
            squares = tensors.square_sums() * scale**2
        if squares is not None and self.clipnorm is not None:
            scales = scale * scales_to(self.clipnorm, np.sqrt(squares))
        elif squares is not None and self.global_clipnorm is not None:
            norm = math.sqrt(sum(squares.tolist()))
            scales = scale * scales_to(self.global_clipnorm, norm)
        tensors.step(
            rule,
            scales=scales,
            decays=decay * selection.shares if decay else 0.0,
            limit=math.inf if self.clipvalue is None else self.clipvalue,
        )
        return squares

    def _average(self, whole: Selection, done: int) -> None:
        """Take the weights into their averages, and these back where it is time to."""
        averages = whole.averages
        assert averages is not None
        momentum = self.ema_momentum if done else 0.0
        averages.set_gradients(whole.weights)
        averages.step(rules.Mix(momentum, 1.0 - momentum), limit=math.inf)
        if self.ema_overwrite_frequency and (done + 1) % self.ema_overwrite_frequency == 0:
            for weight, average in zip(whole.weights, averages.parameters, strict=True):
                weight[...] = average
