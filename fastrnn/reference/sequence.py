"""What the references of all cells have in common: types, sequence lengths, the sigmoid."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.reference.float64 import Array

States = tuple[Array, ...]


class Gradients(NamedTuple):
    """Gradients of a cell's inputs, each of its input's shape; `states` of the initial states."""

    x: Array
    W: Array
    R: Array
    b: Array
    states: States


def steps_of_rows(lengths: ArrayLike | None, T: int, B: int) -> NDArray[np.intp]:
    """Return the steps (B,) that each row runs: `lengths` (B,), or all `T` when it is None."""
    if lengths is None:
        return np.full(B, T, dtype=np.intp)
    return np.asarray(lengths, dtype=np.intp)


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)) for `a` of any shape, never taking exp of a positive number."""
    e = np.exp(-np.abs(a))
    return np.where(a >= 0, 1.0, e) / (1.0 + e)
