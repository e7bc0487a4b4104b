"""Initializers that draw each number by itself from a given distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers.initializer import RandomInitializer, number

Array = NDArray[Any]


class RandomUniform(RandomInitializer):
    """Numbers uniform in [minval, maxval).

    Parameters
    ----------
    minval, maxval : float
    seed : int or sequence of ints, optional
        See `RandomInitializer`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = number("minval", minval)
        self.maxval = number("maxval", maxval, self.minval)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of this shape, float64."""
        return rng.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


class RandomNormal(RandomInitializer):
    """Numbers of the normal distribution.

    Parameters
    ----------
    mean, stddev : float
        Mean and standard deviation, the latter at least 0.
    seed : int or sequence of ints, optional
        See `RandomInitializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = number("mean", mean)
        self.stddev = number("stddev", stddev, 0)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of this shape, float64."""
        drawn: Array = self.mean + self.stddev * rng.standard_normal(shape)
        return drawn

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


class TruncatedNormal(RandomNormal):
    """Numbers of the normal distribution, drawn again where beyond two standard deviations.

    Parameters
    ----------
    mean, stddev : float
        Of the distribution before it is truncated; `stddev` at least 0.
    seed : int or sequence of ints, optional
        See `RandomInitializer`.
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of this shape, float64."""
        drawn: Array = self.mean + self.stddev * truncated_normal(shape, rng)
        return drawn


def truncated_normal(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Return standard normal numbers of this shape within -2..2, float64."""
    drawn = np.asarray(rng.standard_normal(shape))
    while (is_beyond := np.abs(drawn) > 2).any():
        drawn[is_beyond] = rng.standard_normal(np.count_nonzero(is_beyond))
    return drawn
