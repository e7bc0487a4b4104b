"""What all layers have in common: weights made at the first call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers import INITIALIZERS
from fastrnn.tape import Tensor, Variable

Array = NDArray[Any]


def as_tensor(x: Any, dtype: np.dtype[Any]) -> Tensor:
    """Return `x` as a Tensor; what is not yet an array of floats becomes `dtype`."""
    if isinstance(x, Tensor):
        return x
    array = np.asarray(x)
    is_chosen = array.dtype.kind == "f" and hasattr(x, "__array__")
    return Tensor(array if is_chosen else array.astype(dtype))


class Layer:
    """A function with weights.

    Parameters
    ----------
    name : str
        Starts the names of its weights.
    seed : int or sequence of ints
        Of its initial weights.
    dtype : str
        float32 or float64.
    """

    def __init__(self, *, name: str, seed: Any = 0, dtype: str = "float32") -> None:
        self.name = name
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
        self.variables: list[Variable] = []
        self._rng = np.random.default_rng(seed)

    @property
    def trainable_variables(self) -> list[Variable]:
        """The weights that optimizers change."""
        return [variable for variable in self.variables if variable.trainable]

    def get_weights(self) -> list[Array]:
        """Return copies of the weights, in Keras' order and layout."""
        return [variable.value.copy() for variable in self.variables]

    def set_weights(self, weights: list[Array]) -> None:
        """Overwrite the weights.

        Raises
        ------
        ValueError
            If their number or a shape does not fit.
        """
        if len(weights) != len(self.variables):
            raise ValueError(
                f"weights: {self.name} expected {len(self.variables)} arrays, got {len(weights)}"
            )
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)

    def _add_weight(self, name: str, shape: tuple[int, ...], initializer: str) -> Variable:
        value = INITIALIZERS[initializer](shape, self._rng, self.dtype)
        variable = Variable(value, f"{self.name}/{name}")
        self.variables.append(variable)
        return variable


def positive(name: str, value: Any) -> int:
    """Return `value` if it is an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: expected an int of at least 1, got {value!r}")
    return int(value)
