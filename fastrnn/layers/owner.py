"""What belongs to a layer: its weights and the layers within it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import constraints, initializers, regularizers
from fastrnn.layers import context
from fastrnn.tape import Tensor, Variable

Array = NDArray[Any]


class Owner:
    """Something named with weights, and others of its kind within, found in its attributes.

    Subclasses set `name`, `dtype`, `built`, `_trainable`, `_variables` and `_held`.

    Attributes
    ----------
    _variables : list of Variable
        Those that `add_weight` made.
    _held : list of Variable
        Those that are trainable but for the owner's being frozen.
    """

    name: str
    dtype: np.dtype[Any]
    built: bool
    _trainable: bool
    _variables: list[Variable]
    _held: list[Variable]
    _added_losses: list[Tensor]

    def add_weight(
        self,
        *args: Any,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
        **older: Any,
    ) -> Variable:
        """Return a new weight of this layer.

        Parameters
        ----------
        shape : tuple of ints
            Also the first argument without its name; () if not given.
        initializer : str, callable or initializer
            "glorot_uniform" if not given.
        dtype : str
            The layer's if not given.
        trainable : bool
        regularizer, constraint : str or callable, optional
            Its `regularizer` is in `losses`; optimizers apply its `constraint` after an update.
        name : str, optional
            Its full name has those of the layers around it in front.
        """
        if args and isinstance(args[0], str):
            name, args = args[0], args[1:]
        if len(args) > 1 or set(older) - {"autocast", "aggregation", "experimental_autocast"}:
            raise TypeError(f"add_weight: unexpected {[*args[1:], *older]}")
        shape = (args[0] if args else shape) or ()
        shape = (shape,) if isinstance(shape, int) else tuple(int(length) for length in shape)
        kind = self.dtype if dtype is None else np.dtype(dtype)
        start = initializers.get("glorot_uniform" if initializer is None else initializer)
        stem = name or f"variable_{len(self._variables)}" if self._variables else name or "variable"
        with context.naming(self.name):
            full = context.path(stem)
        variable = Variable(
            start(shape, dtype=kind), full, trainable, dtype=kind,
            regularizer=regularizers.get(regularizer), constraint=constraints.get(constraint),
        )  # fmt: skip
        if trainable and not self._trainable:
            variable.trainable = False
            self._held.append(variable)
        self._variables.append(variable)
        return variable

    def _parts(self) -> tuple[list[Variable], list[Owner]]:
        """Return the variables and the layers kept in attributes, as they were kept."""
        variables: dict[int, Variable] = {}
        owners: dict[int, Owner] = {}
        for name, value in self.__dict__.items():
            role = _roles[type(value)]
            if role and name not in _NOT_WALKED:
                _find(value, role, variables, owners)
        return list(variables.values()), list(owners.values())

    @property
    def layers_inside(self) -> list[Owner]:
        """The layers that are directly in this one."""
        return self._parts()[1]

    #: Whether it keeps masks of dropout.
    _has_masks = False

    def _forget_masks(self) -> None:
        """Draw masks of dropout anew at the next call, if any are kept."""

    def _family(self) -> list[tuple[Any, list[Variable]]]:
        """Return this layer and all within it, each with the variables that are its own."""
        pending: list[Owner] = [self]
        seen = {id(self)}
        family = []
        for owner in pending:
            variables, inside = owner._parts()
            family.append((owner, variables))
            for each in inside:
                if id(each) not in seen:
                    seen.add(id(each))
                    pending.append(each)
        return family

    def _all_layers(self) -> list[Any]:
        """Return this layer and all within it."""
        return [owner for owner, _ in self._family()]

    @property
    def weights(self) -> list[Variable]:
        """All weights: the layer's own, trainable ones first, then those of the layers in it."""
        held = _Ids(self._held)
        variables, layers = self._parts()
        own = sorted(variables, key=lambda v: not (v.trainable or v in held))
        return _once([*own, *(v for layer in layers for v in layer.weights)])

    @property
    def variables(self) -> list[Variable]:
        """All weights."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that optimizers change."""
        if not self.trainable:
            return []
        variables, layers = self._parts()
        own = [v for v in variables if v.trainable]
        return _once([*own, *(v for each in layers for v in each.trainable_variables)])

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The weights that optimizers leave alone."""
        changing = _Ids(self.trainable_variables)
        return [v for v in self.weights if v not in changing]

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that optimizers change."""
        return self.trainable_variables

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that optimizers leave alone."""
        return self.non_trainable_variables

    @property
    def trainable(self) -> bool:
        """Whether optimizers change the weights; set it for all layers within as well."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Freeze the weights, or let those go that are not frozen for themselves."""
        self._trainable = bool(value)
        Variable.generation += 1
        if not value:
            frozen = [v for v in self._parts()[0] if v.trainable]
            self._held += frozen
        for variable in self._held:
            variable.trainable = self._trainable
        if value:
            self._held = []
        for layer in self.layers_inside:
            layer.trainable = value

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in Keras' order and layout."""
        return [variable.value.copy() for variable in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Overwrite the weights with a list of arrays.

        Raises
        ------
        ValueError
            If their number or a shape does not fit, or the layer has no weights yet.
        """
        variables = self.weights
        if len(weights) != len(variables):
            hint = "" if self.built else ", as it was not called or built yet"
            raise ValueError(
                f"weights: {self.name} expected {len(variables)} arrays{hint}, got {len(weights)}"
            )
        for variable, value in zip(variables, weights, strict=True):
            if np.shape(value) != variable.shape:
                raise ValueError(
                    f"weights: {variable.name} expected shape {variable.shape}, "
                    f"got {np.shape(value)}"
                )
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def count_params(self) -> int:
        """Return how many numbers the weights have."""
        return sum(variable.value.size for variable in self.weights)


# Attributes that hold nothing that belongs to a layer.
_NOT_WALKED = frozenset(
    ("_arguments", "_added_losses", "_held", "input_spec", "_changing", "_drawn")
)


# What a value may be to a layer.
_VARIABLE, _OWNER, _LIST, _DICT = 1, 2, 3, 4


class _Roles(dict[type, int]):
    """What values of each class are to a layer; 0 for nothing."""

    def __missing__(self, kind: type) -> int:
        for role, base in (
            (_VARIABLE, Variable), (_OWNER, Owner), (_LIST, list | tuple), (_DICT, dict)
        ):  # fmt: skip
            if issubclass(kind, base):
                self[kind] = role
                return role
        self[kind] = 0
        return 0


_roles = _Roles()


class _Ids:
    """A set of variables, which are not told apart by ==."""

    def __init__(self, values: list[Variable]) -> None:
        self._ids = {id(value) for value in values}

    def __contains__(self, value: Variable) -> bool:
        return id(value) in self._ids


def _once(values: Any) -> list[Any]:
    """Return values, each once, in order."""
    return list({id(value): value for value in values}.values())


def _find(value: Any, role: int, variables: dict[int, Variable], owners: dict[int, Owner]) -> None:
    """Add a variable or a layer, or all that are in a list or dict, by their ids."""
    if role == _VARIABLE:
        variables[id(value)] = value
    elif role == _OWNER:
        owners[id(value)] = value
    else:
        for each in value if role == _LIST else value.values():
            part = _roles[type(each)]
            if part:
                _find(each, part, variables, owners)
