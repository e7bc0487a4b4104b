"""Initial weights, named as in Keras: `initializer(shape, dtype)` returns an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers.constants import Constant, Identity, Ones, Zeros
from fastrnn.initializers.distributions import RandomNormal, RandomUniform, TruncatedNormal
from fastrnn.initializers.identifier import described, identified
from fastrnn.initializers.initializer import Initializer, RandomInitializer, as_shape
from fastrnn.initializers.orthogonal import Orthogonal
from fastrnn.initializers.variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
)

Array = NDArray[Any]

constant, identity, ones, zeros = Constant, Identity, Ones, Zeros
random_normal, random_uniform = RandomNormal, RandomUniform
truncated_normal, variance_scaling = TruncatedNormal, VarianceScaling
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
orthogonal = Orthogonal


def standard_normal(seed: Any = None) -> RandomNormal:
    """Return the normal distribution with mean 0 and variance 1."""
    return RandomNormal(0.0, 1.0, seed)


#: What makes initializers, by the names that users give.
NAMES: dict[str, Callable[..., Initializer]] = {
    "zeros": Zeros,
    "zero": Zeros,
    "Zeros": Zeros,
    "ones": Ones,
    "one": Ones,
    "Ones": Ones,
    "constant": Constant,
    "Constant": Constant,
    "identity": Identity,
    "Identity": Identity,
    "IdentityInitializer": Identity,
    "uniform": RandomUniform,
    "random_uniform": RandomUniform,
    "RandomUniform": RandomUniform,
    "normal": RandomNormal,
    "random_normal": RandomNormal,
    "RandomNormal": RandomNormal,
    "standard_normal": standard_normal,
    "truncated_normal": TruncatedNormal,
    "TruncatedNormal": TruncatedNormal,
    "variance_scaling": VarianceScaling,
    "VarianceScaling": VarianceScaling,
    "glorot_uniform": GlorotUniform,
    "GlorotUniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "GlorotNormal": GlorotNormal,
    "he_uniform": HeUniform,
    "HeUniform": HeUniform,
    "he_normal": HeNormal,
    "HeNormal": HeNormal,
    "lecun_uniform": LecunUniform,
    "LecunUniform": LecunUniform,
    "lecun_normal": LecunNormal,
    "LecunNormal": LecunNormal,
    "orthogonal": Orthogonal,
    "Orthogonal": Orthogonal,
    "OrthogonalInitializer": Orthogonal,
}


def get(identifier: Any) -> Any:
    """Return an initializer.

    Parameters
    ----------
    identifier : str, dict, class, callable, array or None
        A name out of `NAMES`, what `serialize` returns, a class, an array that is to be the
        weight, or what is returned as it is: a callable `(shape, dtype)` and None.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> get("he_normal")((3, 4)).shape
    (3, 4)
    """
    if isinstance(identifier, np.ndarray):
        return _Given(identifier)
    return identified("initializer", NAMES, identifier)


def serialize(initializer: Any) -> Any:
    """Return an initializer's name and arguments, for `get` and for JSON; None for None."""
    return described(initializer)


def deserialize(config: Any) -> Any:
    """Return the initializer that `serialize` described."""
    return get(config)


class _Given:
    """The values of an array."""

    def __init__(self, values: Array) -> None:
        self._values = values

    def __call__(self, shape: Any, dtype: Any = "float32") -> Array:
        if as_shape(shape) != self._values.shape:
            raise ValueError(f"initializer: expected shape {shape}, got {self._values.shape}")
        return self._values.astype("float32" if dtype is None else dtype)


def _drawn_by(initializer: RandomInitializer) -> Callable[..., Array]:
    """Return a function of a generator in the place of a seed."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
        return initializer.draw(shape, rng).astype(dtype)

    return draw


#: Functions (shape, rng, dtype) for callers that have a generator of their own.
INITIALIZERS: dict[str, Callable[..., Array]] = {
    "zeros": lambda shape, rng, dtype: np.zeros(shape, dtype),
    "uniform": _drawn_by(RandomUniform(seed=0)),
    "standard_normal": _drawn_by(RandomNormal(0.0, 1.0, seed=0)),
    "glorot_uniform": _drawn_by(GlorotUniform(seed=0)),
    "orthogonal": _drawn_by(Orthogonal(seed=0)),
}

__all__ = [
    "INITIALIZERS",
    "NAMES",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "deserialize",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "standard_normal",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]
