"""Rows of a table looked up by id, in float64 NumPy."""

import numpy as np
from numpy.typing import ArrayLike

from fastrnn.reference.float64 import Array, as_float64


def forward(ids: ArrayLike, E: ArrayLike) -> Array:
    """Rows y (..., D) of the table E (V, D) named by ids (...), integers in 0..V-1."""
    y: Array = as_float64(E)[np.asarray(ids)]
    return y


def backward(ids: ArrayLike, vocabulary_size: int, dy: ArrayLike) -> Array:
    """Gradient dE (vocabulary_size, D) from ids (...) and dy (..., D), summed for each id."""
    dy = as_float64(dy)
    dE = np.zeros((vocabulary_size, dy.shape[-1]))
    # dE[ids] += dy would keep only one of an id's occurrences.
    np.add.at(dE, np.asarray(ids), dy)
    return dE
