"""Limits that weights are brought back to after each step of an optimizer, named as in Keras."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers.identifier import described, identified
from fastrnn.initializers.initializer import number
from fastrnn.tape import Variable, as_array

Array = NDArray[Any]

# Keras': keeps a norm of 0 from dividing.
_EPSILON = 1e-7


class Constraint(ABC):
    """A limit: takes a weight, returns the nearest one, or a nearer one, within the limit."""

    @abstractmethod
    def __call__(self, w: Any) -> Array:
        """Return a new array of the shape and dtype of `w` (...)."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Constraint:
        """Return a new constraint with these arguments."""
        return cls(**config)


class NonNeg(Constraint):
    """No number below 0."""

    def __call__(self, w: Any) -> Array:
        """Return a new array of the shape and dtype of `w` (...)."""
        return np.maximum(as_array(w), 0)


class MinMaxNorm(Constraint):
    """Norms along an axis between two limits.

    Parameters
    ----------
    min_value, max_value : float
        The limits, at least 0.
    rate : float
        In 0..1: the share of the way to the limits that one step goes.
    axis : int or sequence of ints
        What a norm sums over: 0 for the weights into each unit of a kernel (inputs, units).
    """

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0
    ) -> None:
        self.min_value = number("min_value", min_value, 0)
        self.max_value = number("max_value", max_value, self.min_value)
        self.rate = number("rate", rate, 0)
        if self.rate > 1:
            raise ValueError(f"rate: expected a number in 0..1, got {rate!r}")
        self.axis = _axis(axis)

    def __call__(self, w: Any) -> Array:
        """Return a new array of the shape and dtype of `w` (...)."""
        w = as_array(w)
        norms = _norms(w, self.axis)
        wanted = np.clip(norms, self.min_value, self.max_value)
        wanted = self.rate * wanted + (1 - self.rate) * norms
        return np.asarray(w * (wanted / (_EPSILON + norms))).astype(w.dtype, copy=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


class MaxNorm(MinMaxNorm):
    """Norms along an axis of at most `max_value`; `axis` as of `MinMaxNorm`."""

    def __init__(self, max_value: float = 2.0, axis: Any = 0) -> None:
        super().__init__(0.0, max_value, 1.0, axis)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(Constraint):
    """Norms along an axis of 1; `axis` as of `MinMaxNorm`."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = _axis(axis)

    def __call__(self, w: Any) -> Array:
        """Return a new array of the shape and dtype of `w` (...)."""
        w = as_array(w)
        return np.asarray(w / (_EPSILON + _norms(w, self.axis))).astype(w.dtype, copy=False)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"axis": self.axis}


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

#: What makes constraints, by the names that users give.
NAMES: dict[str, Callable[..., Constraint]] = {
    "max_norm": MaxNorm,
    "MaxNorm": MaxNorm,
    "min_max_norm": MinMaxNorm,
    "MinMaxNorm": MinMaxNorm,
    "non_neg": NonNeg,
    "NonNeg": NonNeg,
    "unit_norm": UnitNorm,
    "UnitNorm": UnitNorm,
}


def apply(variable: Variable) -> None:
    """Bring a variable within its constraint, in place; nothing happens if it has none.

    Raises
    ------
    ValueError
        If the constraint returns another shape.
    """
    if variable.constraint is not None:
        variable.assign(variable.constraint(variable.value))


def get(identifier: Any) -> Any:
    """Return a constraint.

    Parameters
    ----------
    identifier : str, dict, class, callable or None
        A name out of `NAMES`, what `serialize` returns, a class, or what is returned as it is: a
        callable and None.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    return identified("constraint", NAMES, identifier)


def serialize(constraint: Any) -> Any:
    """Return a constraint's name and arguments, for `get` and for JSON; None for None."""
    return described(constraint)


def deserialize(config: Any) -> Any:
    """Return the constraint that `serialize` described."""
    return get(config)


def _norms(w: Array, axis: int | list[int]) -> Array:
    axes = tuple(axis) if isinstance(axis, list) else axis
    return np.asarray(np.sqrt(np.sum(w * w, axis=axes, keepdims=True)))


def _axis(axis: Any) -> int | list[int]:
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    if not axes or not all(isinstance(a, int | np.integer) for a in axes):
        raise ValueError(f"axis: expected an int or a sequence of ints, got {axis!r}")
    return [int(a) for a in axes] if isinstance(axis, list | tuple) else int(axis)
