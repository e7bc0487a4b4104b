"""What all optimizers have in common: steps over variables, configuration, Keras' lists."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from operator import is_
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fastrnn.optimizers import schedules
from fastrnn.optimizers.array_optimizer import ArrayOptimizer
from fastrnn.optimizers.selection import Selection, as_gradient, as_rows, is_like
from fastrnn.optimizers.slots import ACCUMULATOR, AVERAGE
from fastrnn.tape import RowGradients, Variable, settle

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[Any]


class Optimizer(ArrayOptimizer):
    """What all optimizers have in common.

    At most one of the three limits may be given.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        At least 0.  A callable takes the number of calls so far and returns the learning rate.
    weight_decay : float, optional
        Before each step a weight loses this share of itself, times the learning rate.
    clipnorm : float, optional
        Scale each gradient so that its own norm is at most this.
    clipvalue : float, optional
        Cut gradients off at this, both ways.
    global_clipnorm : float, optional
        Scale all gradients alike so that their common norm is at most this.
    use_ema : bool
        Keep an exponentially weighted average of each weight, updated at every call.
    ema_momentum : float
        In [0, 1]: how much of the average stays.
    ema_overwrite_frequency : int, optional
        Replace the weights by their averages at every so manieth step; if not given, only
        `finalize_variable_values` does.
    loss_scale_factor : None
        There is nothing to scale: numbers are float32 or float64.
    gradient_accumulation_steps : int, optional
        At least 2: change the weights only at every so manieth call, by the mean gradient of
        these calls.
    name : str, optional

    Notes
    -----
    A norm that is not finite turns the gradients that it would scale into NaN, so that a broken
    step cannot pass for a small one.
    """

    #: Arguments of the constructor that a subclass adds; they are attributes too.
    _OPTIONS: ClassVar[tuple[str, ...]] = ()
    #: Letters that Keras lists variable by variable; other slots are listed letter by letter.
    _PAIRED: ClassVar[tuple[str, ...]] = ()

    _variables: tuple[Variable, ...] = ()
    _names: tuple[str, ...] = ()  # of the variables' slots: their numbers
    _numbers: Mapping[int, int] = MappingProxyType({})  # of the variables, by id
    _undecayed: tuple[Variable, ...] = ()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become a copy, whose variables are copies too."""
        self.__dict__.update(state)
        self._numbers = {id(variable): number for number, variable in enumerate(self._variables)}

    @property
    def built(self) -> bool:
        """Whether the optimizer knows its variables."""
        return bool(self._variables)

    def build(self, variables: Iterable[Variable]) -> None:
        """Make room for what is kept of the variables; the first step does it otherwise.

        Parameters
        ----------
        variables : iterable of Variable
            Of float32 or float64, all of one dtype.  Later steps are for these, or some of them.

        Raises
        ------
        ValueError
            If they are not as described, or the optimizer was built for others.
        """
        variables = tuple(variables)
        if self.built:
            if not _are_same(variables, self._variables):
                raise ValueError("variables: this optimizer was built for others; make a new one")
            return
        numbers = {id(variable): number for number, variable in enumerate(variables)}
        if len(numbers) != len(variables):
            raise ValueError("variables: expected each of them once")
        self._variables, self._numbers = variables, numbers
        self._names = tuple(map(str, range(len(variables))))
        try:
            self._whole()
        except ValueError:
            self._variables, self._numbers, self._names = (), {}, ()
            raise

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> int:
        """Take one step: change the variables in place.

        Parameters
        ----------
        grads_and_vars : iterable of pairs
            What `apply` takes, as in `zip(gradients, variables)`.

        Returns
        -------
        int
            Calls so far.
        """
        pairs = list(grads_and_vars)
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._steps

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """Take one step: change the variables in place, and then apply their constraints.

        Parameters
        ----------
        grads : sequence of arrays, RowGradients or None
            Of the variables' shapes.  A variable without a gradient stays as it is, and there is
            a warning.  Rows without a gradient are left out where that does not change the
            result: in gradient descent without momentum and decay.
        trainable_variables : sequence of Variable, optional
            Those that the optimizer was built for, or some of them; if not given, all of them.

        Raises
        ------
        ValueError
            If an argument is not as described, or no variable has a gradient; nothing is changed.
        """
        variables = self._variables if trainable_variables is None else tuple(trainable_variables)
        if trainable_variables is None and not self.built:
            raise ValueError("trainable_variables: expected them, as there was no build()")
        if len(grads) != len(variables):
            raise ValueError(
                f"grads: expected one for each of {len(variables)} variables, got {len(grads)}"
            )
        if not variables:
            return
        missing = [gradient is None for gradient in grads]
        if all(missing):
            raise ValueError("grads: expected a gradient for at least one variable, got only None")
        if not self.built:
            self.build(variables)
        settle()
        whole = selection = self._whole()
        if any(missing) or not _are_same(variables, self._variables):
            selection, grads, variables = self._part(grads, variables)
        self._step_on(selection, whole, grads, variables)
        for variable in variables:
            constraint = getattr(variable, "constraint", None)
            if constraint is not None:
                variable.assign(np.asarray(constraint(variable.value)))

    def _whole(self) -> Selection:
        """Return all variables."""
        return self._select(
            self._names, [variable.value for variable in self._variables], self._variables
        )

    def _part(
        self, grads: Sequence[Any], variables: Sequence[Variable]
    ) -> tuple[Selection, list[Any], tuple[Variable, ...]]:
        """Return those variables that have gradients."""
        known = [self._numbers.get(id(variable)) for variable in variables]
        for number, variable in zip(known, variables, strict=True):
            if number is None:
                raise ValueError(
                    f"trainable_variables: this optimizer was built without {variable.name!r}; "
                    "make a new one for other variables"
                )
        if len(set(known)) != len(known):
            raise ValueError("trainable_variables: expected each of them once")
        kept = [place for place, gradient in enumerate(grads) if gradient is not None]
        names = tuple(str(known[place]) for place in kept)
        chosen = tuple(variables[place] for place in kept)
        if len(kept) < len(variables) and names not in self._selections:
            missing = [v.name for v, g in zip(variables, grads, strict=True) if g is None]
            warnings.warn(
                f"these variables have no gradient and stay as they are: {', '.join(missing)}",
                stacklevel=4,
            )
        selection = self._select(names, [variable.value for variable in chosen], chosen)
        return selection, [grads[place] for place in kept], chosen

    def _step_on(
        self,
        selection: Selection,
        whole: Selection,
        grads: Sequence[Any],
        variables: Sequence[Variable],
    ) -> None:
        """Take one step with a gradient for each variable of the selection."""
        gradients: list[Array] = []
        rows: list[Array | None] = []
        for gradient, variable, weight in zip(grads, variables, selection.weights, strict=True):
            used = None
            if is_like(gradient, weight):
                array = gradient
            elif isinstance(gradient, RowGradients):
                used, array = as_rows(variable.name, gradient, weight)
            else:
                array = as_gradient(variable.name, gradient, weight.shape, weight.dtype)
            gradients.append(array)
            rows.append(used)
        used_rows = None if all(used is None for used in rows) else rows
        self._advance(selection, whole, gradients, used_rows, wants_norm=False)

    def finalize_variable_values(self, var_list: Iterable[Variable]) -> None:
        """Replace variables by their averages, where `use_ema` keeps some.

        Parameters
        ----------
        var_list : iterable of Variable
            Variables that the optimizer was built for.

        Raises
        ------
        ValueError
            If it was not built for one of them.
        """
        if not self.use_ema:
            return
        variables = list(var_list)
        numbers = [self._numbers.get(id(variable)) for variable in variables]
        for number, variable in zip(numbers, variables, strict=True):
            if number is None:
                raise ValueError(f"var_list: this optimizer was built without {variable.name!r}")
        for number, variable in zip(numbers, variables, strict=True):
            variable.value[...] = self._slots[str(number)].array(AVERAGE)

    def exclude_from_weight_decay(
        self,
        var_list: Iterable[Variable] | None = None,
        var_names: Iterable[str] | None = None,
    ) -> None:
        """Leave weights out of weight decay; to be called before the first step.

        Parameters
        ----------
        var_list : iterable of Variable, optional
            These.
        var_names : iterable of str, optional
            Those whose name has one of these regular expressions in it, such as "bias".

        Raises
        ------
        ValueError
            If the optimizer knows its weights already.
        """
        if self._selections:
            raise ValueError("exclude_from_weight_decay: expected before build() and steps")
        self._undecayed = tuple(var_list or ())
        patterns = list(var_names or ())
        self._without_decay = re.compile("|".join(patterns)) if patterns else None

    def _decays(self, name: str) -> bool:
        variable = dict(zip(self._names, self._variables, strict=True)).get(name)
        if variable is None:
            return super()._decays(name)
        excluded = any(variable is other for other in self._undecayed)
        return super()._decays(variable.name) and not excluded

    @property
    def variables(self) -> list[Variable]:
        """Copies of the steps, the learning rate if it is a number, and all slots, in Keras' order.

        `load_own_variables` takes them back.
        """
        listed = [Variable(np.array(self._steps, np.int64), "iteration", False)]
        if not callable(self._learning_rate):
            rate = np.array(self._learning_rate, np.float32)
            listed.append(Variable(rate, "learning_rate", False))
        for letter, name in self._listed_slots():
            array = self._slots[name].array(letter)
            listed.append(Variable(array, f"{self._variables[int(name)].name}_{letter}", False))
        return listed + [Variable(np.array(number), "number", False) for number in self._extras()]

    def _listed_slots(self) -> Iterator[tuple[str, str]]:
        """Yield letter and variable's number of every slot in Keras' order."""
        letters = [letter for letter in self._letters if letter not in (AVERAGE, ACCUMULATOR)]
        first = [letter for letter in (AVERAGE, ACCUMULATOR) if letter in self._letters]
        paired = [letter for letter in letters if letter in self._PAIRED]
        single = [letter for letter in letters if letter not in self._PAIRED]
        yield from ((letter, name) for letter in first for name in self._names)
        yield from ((letter, name) for name in self._names for letter in paired)
        yield from ((letter, name) for letter in single for name in self._names)

    def _extras(self) -> list[float]:
        """Return numbers that Keras keeps beside the slots, and that follow from the steps here."""
        return []

    def save_own_variables(self, store: MutableMapping[str, Any]) -> None:
        """Write `variables` as "0", "1", ...

        Parameters
        ----------
        store : mutable mapping
            Takes arrays.
        """
        for number, variable in enumerate(self.variables):
            store[str(number)] = variable.value

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Go on from what `save_own_variables` wrote, here or in Keras.

        Parameters
        ----------
        store : mapping of arrays

        Raises
        ------
        ValueError
            If their number or a shape differs from that of `variables`; nothing is changed.
        """
        own = self.variables
        if len(store) != len(own):
            raise ValueError(
                f"store: expected {len(own)} arrays, got {len(store)}; the optimizer must be built"
            )
        arrays = [np.asarray(store[str(number)]) for number in range(len(own))]
        for array, variable in zip(arrays, own, strict=True):
            if array.shape != variable.shape:
                expected = f"{variable.shape} of {variable.name!r}"
                raise ValueError(f"store: expected shape {expected}, got {array.shape}")
        steps = int(arrays.pop(0))
        if steps < 0:
            raise ValueError(f"store: expected at least 0 steps, got {steps}")
        if not callable(self._learning_rate):
            self.learning_rate = float(arrays.pop(0))
        self._steps = steps
        for (letter, name), array in zip(self._listed_slots(), arrays, strict=False):
            self._slots[name].array(letter)[...] = array

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, the learning rate as it is now, as JSON knows them.

        Raises
        ------
        TypeError
            If the learning rate is a callable that is no schedule.
        """
        rate: Any = self._learning_rate
        if isinstance(rate, schedules.LearningRateSchedule):
            rate = schedules.serialize(rate)
        elif callable(rate):
            raise TypeError(f"learning_rate: expected a number or a schedule, got {rate!r}")
        common = (
            "weight_decay",
            "clipnorm",
            "global_clipnorm",
            "clipvalue",
            "use_ema",
            "ema_momentum",
            "ema_overwrite_frequency",
            "loss_scale_factor",
            "gradient_accumulation_steps",
        )
        return {
            "name": self.name,
            "learning_rate": rate,
            **{name: getattr(self, name) for name in (*common, *self._OPTIONS)},
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a new optimizer with these constructor's arguments.

        Parameters
        ----------
        config : mapping
            What `get_config` returned, here or in Keras.
        custom_objects : mapping of classes by name, optional
            Schedules beside those of this package.
        """
        given = dict(config)
        if isinstance(given.get("learning_rate"), Mapping):
            given["learning_rate"] = schedules.deserialize(given["learning_rate"], custom_objects)
        return cls(**given)


def _are_same(some: Sequence[Variable], others: Sequence[Variable]) -> bool:
    return len(some) == len(others) and all(map(is_, some, others))
