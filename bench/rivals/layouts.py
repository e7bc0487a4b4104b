"""Other orders of gates than PyTorch's, and two biases where fastrnn has one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def reordered(array: Array, order: tuple[int, ...]) -> Array:
    """Return the gates of `array` (..., gates * H) in another order: first order[0], and so on."""
    gates = np.split(np.asarray(array), len(order), axis=-1)
    return np.concatenate([gates[k] for k in order], axis=-1)


def restored(array: Array, order: tuple[int, ...]) -> Array:
    """Undo `reordered`."""
    return reordered(array, tuple(order.index(k) for k in range(len(order))))


def two_biases(cell: str, b: Array) -> tuple[Array, Array]:
    """Return b as one bias (gates * H,) of the input's products and one of the recurrent ones.

    They are added everywhere but in the GRU's candidate n; elsewhere all of b goes to the first.
    """
    if cell != "gru":
        return b, np.zeros_like(b)
    r, z, n_x, n_h = np.split(b, 4)
    return np.concatenate([r, z, n_x]), np.concatenate([0 * r, 0 * z, n_h])


def one_bias(cell: str, b_x: Array, b_h: Array) -> Array:
    """Return the gradient of b from those of the two biases."""
    if cell != "gru":
        return b_x
    n_h = np.split(np.asarray(b_h), 3)[2]
    return np.concatenate([b_x, n_h])
