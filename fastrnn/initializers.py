"""Initial weights.  Each takes a shape, a random generator and a dtype; names are Keras'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Initializer = Callable[[tuple[int, ...], np.random.Generator, np.dtype[Any]], Array]


def zeros(shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
    """Return zeros."""
    return np.zeros(shape, dtype)


def uniform(shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
    """Return numbers uniform in (-0.05, 0.05)."""
    return rng.uniform(-0.05, 0.05, shape).astype(dtype)


def standard_normal(
    shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype[Any]
) -> Array:
    """Return numbers of the normal distribution with mean 0 and variance 1."""
    return rng.standard_normal(shape).astype(dtype)


def glorot_uniform(shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
    """Return numbers uniform in (-l, l), l = sqrt(6 / (rows + columns)).

    Source: X. Glorot and Y. Bengio, Understanding the difficulty of training deep feedforward
    neural networks, AISTATS 2010, equation 16.
    """
    limit = np.sqrt(6.0 / (shape[0] + shape[-1]))
    return rng.uniform(-limit, limit, shape).astype(dtype)


def orthogonal(shape: tuple[int, ...], rng: np.random.Generator, dtype: np.dtype[Any]) -> Array:
    """Return a (rows, columns) matrix whose rows or columns, the fewer, are orthonormal.

    Source: A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks, ICLR 2014.
    """
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q *= np.sign(np.diag(r))
    return (q if rows >= columns else q.T).astype(dtype)


INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "uniform": uniform,
    "standard_normal": standard_normal,
    "glorot_uniform": glorot_uniform,
    "orthogonal": orthogonal,
}
