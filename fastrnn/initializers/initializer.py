"""What all initializers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.random import generator, next_seed

Array = NDArray[Any]


class Initializer(ABC):
    """Makes the first values of a weight: `initializer(shape, dtype)`."""

    @abstractmethod
    def __call__(self, shape: Any, dtype: Any = "float32") -> Array:
        """Return an array of this shape and dtype."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """Return a new initializer with these arguments."""
        return cls(**config)


class RandomInitializer(Initializer):
    """An initializer that draws numbers; as in Keras, each of its calls draws the same ones.

    Parameters
    ----------
    seed : int or sequence of ints, optional
        The next one of the process-wide sequence (`fastrnn.random`) if not given.

    Attributes
    ----------
    seed : int or sequence of ints
        The one in use.
    """

    def __init__(self, seed: Any = None) -> None:
        self._given_seed = seed
        self.seed = next_seed() if seed is None else seed
        generator(self.seed)  # a wrong seed is an error here, not at the first call

    @abstractmethod
    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of this shape, float64."""

    def __call__(self, shape: Any, dtype: Any = "float32") -> Array:
        """Return an array of this shape and dtype."""
        drawn = self.draw(as_shape(shape), generator(self.seed))
        return drawn.astype("float32" if dtype is None else dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"seed": self._given_seed}


def as_shape(shape: Any) -> tuple[int, ...]:
    """Return `shape`, an int or a sequence of ints of at least 0, as a tuple.

    Raises
    ------
    ValueError
        If it is not as described.
    """
    lengths = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not all(isinstance(n, int | np.integer) and n >= 0 for n in lengths):
        raise ValueError(f"shape: expected ints of at least 0, got {shape!r}")
    return tuple(int(n) for n in lengths)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many numbers a unit of a weight (..., inputs, outputs) takes, and gives to.

    What stands before the last two axes multiplies both; a vector has its length for both.
    """
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = int(np.prod(shape[:-2], dtype=np.int64))
    return shape[-2] * field, shape[-1] * field


def number(name: str, value: Any, low: float = -np.inf) -> float:
    """Return the argument `name` if it is a finite number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    if not np.isfinite(value) or value < low:
        at_least = "" if low == -np.inf else f" of at least {low:g}"
        raise ValueError(f"{name}: expected a finite number{at_least}, got {value!r}")
    return float(value)
