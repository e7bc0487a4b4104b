"""Initializers that keep the variance of what flows through a layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers.distributions import truncated_normal
from fastrnn.initializers.initializer import RandomInitializer, fans, number

Array = NDArray[Any]

MODES = ("fan_in", "fan_out", "fan_avg")
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

# Standard deviation of the standard normal distribution within -2..2.
_TRUNCATED_DEVIATION = 0.87962566103423978


class VarianceScaling(RandomInitializer):
    """Random numbers of mean 0 and variance scale / n.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : str
        What n is: "fan_in", the inputs of a unit, "fan_out", its outputs, or "fan_avg", their
        mean; at least 1.  Of a weight (..., I, O) they are I and O times the lengths before.
    distribution : str
        "uniform"; "truncated_normal", whose numbers are drawn again beyond two standard
        deviations; or "untruncated_normal".
    seed : int or sequence of ints, optional
        See `RandomInitializer`.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ) -> None:
        super().__init__(seed)
        self.scale = number("scale", scale, 0)
        if self.scale == 0:
            raise ValueError(f"scale: expected a number above 0, got {scale!r}")
        if mode not in MODES:
            raise ValueError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
        if distribution == "normal":
            distribution = "truncated_normal"
        if distribution not in DISTRIBUTIONS:
            expected = ", ".join(DISTRIBUTIONS)
            raise ValueError(f"distribution: expected one of {expected}, got {distribution!r}")
        self.mode = mode
        self.distribution = distribution

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of this shape, float64."""
        fan_in, fan_out = fans(shape)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        deviation = math.sqrt(self.scale / max(1.0, n))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * deviation
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return np.asarray(deviation * rng.standard_normal(shape))
        return np.asarray(deviation / _TRUNCATED_DEVIATION * truncated_normal(shape, rng))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
        }


class _Scaled(VarianceScaling):
    """Variance scaling of which all but the seed is fixed."""

    SCALE: float
    MODE: str
    DISTRIBUTION: str

    def __init__(self, seed: Any = None) -> None:
        super().__init__(self.SCALE, self.MODE, self.DISTRIBUTION, seed)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return RandomInitializer.get_config(self)


class GlorotUniform(_Scaled):
    """Uniform numbers of variance 2 / (fan_in + fan_out).

    Source: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward
    neural networks, AISTATS 2010, equation 16.
    """

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_avg", "uniform"


class GlorotNormal(_Scaled):
    """Truncated normal numbers of variance 2 / (fan_in + fan_out); source as `GlorotUniform`."""

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_avg", "truncated_normal"


class HeUniform(_Scaled):
    """Uniform numbers of variance 2 / fan_in.

    Source: K. He et al., Delving deep into rectifiers, ICCV 2015, equation 10.
    """

    SCALE, MODE, DISTRIBUTION = 2.0, "fan_in", "uniform"


class HeNormal(_Scaled):
    """Truncated normal numbers of variance 2 / fan_in; source as `HeUniform`."""

    SCALE, MODE, DISTRIBUTION = 2.0, "fan_in", "truncated_normal"


class LecunUniform(_Scaled):
    """Uniform numbers of variance 1 / fan_in.

    Source: Y. LeCun et al., Efficient backprop, 1998, equation 16.
    """

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_in", "uniform"


class LecunNormal(_Scaled):
    """Truncated normal numbers of variance 1 / fan_in; source as `LecunUniform`."""

    SCALE, MODE, DISTRIBUTION = 1.0, "fan_in", "truncated_normal"
