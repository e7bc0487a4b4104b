"""Affine map of the last axis, y = x W + b, in float64 NumPy."""

from typing import NamedTuple

from numpy.typing import ArrayLike

from fastrnn.reference.float64 import Array, as_float64


class Gradients(NamedTuple):
    """Gradients of the inputs, each of its input's shape."""

    x: Array
    W: Array
    b: Array


def forward(x: ArrayLike, W: ArrayLike, b: ArrayLike) -> Array:
    """Output y (..., O) = x W + b of x (..., I), W (I, O) and b (O,)."""
    return as_float64(x) @ as_float64(W) + as_float64(b)


def backward(x: ArrayLike, W: ArrayLike, dy: ArrayLike) -> Gradients:
    """Gradients of x (..., I), W (I, O) and b (O,) from dy (..., O)."""
    x, W, dy = as_float64(x), as_float64(W), as_float64(dy)
    x_rows, dy_rows = x.reshape(-1, W.shape[0]), dy.reshape(-1, W.shape[1])
    return Gradients(x=dy @ W.T, W=x_rows.T @ dy_rows, b=dy_rows.sum(axis=0))
