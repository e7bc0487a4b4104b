"""Initializers that draw no random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers.initializer import Initializer, as_shape, number

Array = NDArray[Any]


class Constant(Initializer):
    """One number everywhere, or given ones, such as the vectors of an embedding.

    Parameters
    ----------
    value : float or array
        An array broadcasts to the shape that is asked for.
    """

    def __init__(self, value: Any = 0.0) -> None:
        is_array = np.ndim(value) > 0
        self.value = np.array(value, float) if is_array else number("value", value)

    def __call__(self, shape: Any, dtype: Any = "float32") -> Array:
        """Return an array of this shape and dtype."""
        lengths = as_shape(shape)
        try:
            return np.full(lengths, self.value, "float32" if dtype is None else dtype)
        except ValueError as error:
            raise ValueError(
                f"value: expected a shape that broadcasts to {lengths}, got {np.shape(self.value)}"
            ) from error

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        value = self.value
        return {"value": value.tolist() if isinstance(value, np.ndarray) else value}


class Zeros(Constant):
    """Zeros."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}


class Ones(Constant):
    """Ones."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}


class Identity(Initializer):
    """`gain` times the identity matrix; also of matrices that are not square.

    Parameters
    ----------
    gain : float
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("gain", gain)

    def __call__(self, shape: Any, dtype: Any = "float32") -> Array:
        """Return a matrix of this shape and dtype."""
        lengths = as_shape(shape)
        if len(lengths) != 2:
            raise ValueError(f"shape: expected two lengths for an identity matrix, got {shape!r}")
        return (self.gain * np.eye(*lengths)).astype("float32" if dtype is None else dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"gain": self.gain}
