"""Linear layers: y = x @ W + b."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.functional.panels import Share, packed, plain_panels, unpacked
from fastrnn.functional.products import input_gradient, packed_bias, project, weight_gradient
from fastrnn.functional.steps import all_rows
from fastrnn.kernels.cpu import buffers, gemm, narrow, schedule

Array = NDArray[Any]

# Columns up to which a product is made without panels.  Measured both ways, with 32 to 2560 rows of
# 64 to 512 numbers: for 1 column 3 to 8 times, for 8 columns 1.8 to 3 times as fast.
_NARROW = 8


class Gradients(NamedTuple):
    """Gradients of a linear layer's arguments; b is None where there is no bias."""

    x: Array
    W: Array
    b: Array | None


class Affine:
    """The product x @ W + b in panels, and its gradients: what linear and cross_entropy share.

    x (..., I), W (I, O), b (O,) or None, all float32 or all float64.
    """

    def __init__(self, x: ArrayLike, W: ArrayLike, b: ArrayLike | None) -> None:
        self.W = _validate.float_array("W", W, ("I", "O"))
        self.I, self.O = self.W.shape
        dtype = self.W.dtype
        self.b = None
        if b is not None:
            self.b = _validate.float_array("b", b, (self.O,))
            _validate.same_dtype("b", self.b, "W", dtype)
        wanted = f"(..., {self.I}) float32 or float64"
        ndim = _validate.as_array("x", x, wanted).ndim
        self.x = _validate.float_array("x", x, (*(["N"] * (ndim - 1)), self.I))
        _validate.same_dtype("x", self.x, "W", dtype)
        self.shape = self.x.shape[:-1]
        self.are_rows = ndim == 2
        if self.are_rows:
            self.rows = _flat_rows(self.x)
        else:
            # Rows are taken in memory order: time-major memory seen batch-major is not copied.
            self.order = sorted(range(ndim - 1), key=lambda axis: -self.x.strides[axis])
            self.rows = _flat_rows(self.x.transpose(*self.order, ndim - 1))
        self.N = self.x.size // self.I
        self.panels = plain_panels(self.O, dtype)
        self.share = Share(self.panels, 0, self.panels.vectors)

    def forward(self) -> Array:
        """Return x @ W + b, (P, N, width)."""
        out = buffers.empty((self.panels.number, self.N, self.panels.width), self.W.dtype)
        project(
            self.rows, packed(self.W, self.panels), packed_bias(self.b, self.panels, out.dtype),
            self.panels, self.share, out,
        )  # fmt: skip
        return out

    def backward(self, dout: Array) -> Gradients:
        """Return all gradients; dout (P, N, width) is 0 beyond the columns of W."""
        dW, db = weight_gradient(self.rows, dout, self.panels, self.share, self.b is not None)
        dx = input_gradient(self.W, dout, self.panels, self.share)
        return Gradients(
            self.from_rows(dx),
            unpacked(dW, self.panels, self.O),
            None if db is None else unpacked(db, self.panels, self.O)[0],
        )

    def to_rows(self, array: Array) -> Array:
        """Return a user's array (..., columns) or (...) as rows (N, columns) or (N,)."""
        if self.are_rows:
            return array
        rest = array.ndim - len(self.order)
        axes = [*self.order, *range(len(self.order), array.ndim)]
        rows: Array = array.transpose(axes).reshape(self.N, *array.shape[array.ndim - rest :])
        return rows

    def from_rows(self, rows: Array) -> Array:
        """Return rows (N, columns) as a user's array (..., columns)."""
        if self.are_rows:
            return rows
        shape = [self.shape[axis] for axis in self.order]
        back = [self.order.index(axis) for axis in range(len(self.order))]
        array: Array = rows.reshape(*shape, rows.shape[1]).transpose(*back, len(self.order))
        return array


def _flat_rows(x: Array) -> gemm.Rows:
    """Return the numbers x (..., I) as rows; copied only where they are not evenly spaced."""
    I = x.shape[-1]
    is_even = x.strides[-1] == x.itemsize or I == 1
    for length, outer, inner in zip(x.shape[1:-1], x.strides, x.strides[1:-1], strict=False):
        is_even &= outer == length * inner
    if is_even and x.ndim > 1:
        row = x.strides[-2] // x.itemsize
    else:
        # Contiguous arrays keep whatever stride an axis of length 1 has: it tells nothing.
        x, row = np.ascontiguousarray(x), I
    return all_rows(x, x.size // I, row)


def linear(
    x: ArrayLike, W: ArrayLike, b: ArrayLike | None = None
) -> tuple[Array, Callable[[ArrayLike], Gradients]]:
    """Multiply by a weight matrix and add a bias.

    Parameters
    ----------
    x : (..., I) array
        float32 or float64.
    W : (I, O) array
        Weights, of the dtype of x.
    b : (O,) array, optional
        Bias.

    Returns
    -------
    y : (..., O) array
        x @ W + b.
    backward : callable
        `backward(dy) -> Gradients(x, W, b)`, dy of the shape of y.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Examples
    --------
    >>> y, backward = linear(np.ones((5, 3), np.float32), np.ones((3, 2), np.float32))
    >>> y.shape, backward(y).W.shape
    ((5, 2), (3, 2))
    """
    if _are_plain_rows(x, W, b):
        y, pull = _narrow(x, W, b)  # type: ignore[arg-type]
        return y, lambda dy: pull(_as_gradient(dy, y))
    product = Affine(x, W, b)
    is_narrow = product.O <= _NARROW
    if is_narrow:
        rows: Any = product.rows
        of_rows, pull = _narrow(rows.x, product.W, product.b, product.N, rows.x_row)
    else:
        of_rows = unpacked(product.forward(), product.panels, product.O)
    y = product.from_rows(of_rows)

    def backward(dy: ArrayLike) -> Gradients:
        rows = product.to_rows(_as_gradient(dy, y))
        if is_narrow:
            gradients = pull(rows)
            return gradients._replace(x=product.from_rows(gradients.x))
        return product.backward(packed(rows, product.panels))

    return y, backward


def _are_plain_rows(x: Any, W: Any, b: Any) -> bool:
    """Return whether x (N, I), W (I, O) and b are as `_narrow` takes them, as they are."""
    if not (type(x) is type(W) is np.ndarray and x.ndim == W.ndim == 2):
        return False
    I, O = W.shape
    dtype = W.dtype
    flags = x.flags
    return (
        O <= _NARROW
        and x.shape[1] == I
        and x.dtype == dtype
        and dtype in _validate.FLOATS
        and flags.c_contiguous
        and flags.aligned
        and W.flags.aligned
        and x.size > 0 < O
        and (b is None or _is_plain_bias(b, O, dtype))
    )


def _is_plain_bias(b: Any, O: int, dtype: np.dtype[Any]) -> bool:
    is_array = type(b) is np.ndarray
    return is_array and b.dtype == dtype and b.shape == (O,) and bool(b.flags.aligned)


def _as_gradient(dy: ArrayLike, y: Array) -> Array:
    """Return the gradient of y, checked."""
    if type(dy) is np.ndarray and dy.shape == y.shape and dy.dtype == y.dtype and dy.flags.aligned:
        return dy
    return _validate.same_dtype(
        "dy", _validate.float_array("dy", dy, y.shape), "x", y.dtype
    )  # fmt: skip


def _narrow(
    x: Array, W: Array, b: Array | None, N: int | None = None, x_row: int | None = None
) -> tuple[Array, Callable[[Array], Gradients]]:
    """Return x @ W + b, (N, O), and what makes all gradients of its own, without panels.

    x        (N, I), or with N rows that are `x_row` numbers apart
    """
    I, O = W.shape
    N = len(x) if N is None else N
    x_row = I if x_row is None else x_row
    # A number that is read takes as long as some 16 multiply-adds of a tile.
    workers = schedule.workers_for(16 * N * I, N)
    transposed = np.ascontiguousarray(W.T)
    bias = None if b is None else np.ascontiguousarray(b)
    y = np.empty((N, O), W.dtype)
    narrow.forward(None, narrow.Narrow(N, I, O, x, x_row, transposed, bias, y), workers)

    def backward(dy: Array) -> Gradients:
        dx = buffers.empty((N, I), dy.dtype)
        dW = np.empty((O, I), dy.dtype)
        db = None if bias is None else np.empty(O, dy.dtype)
        arguments = narrow.Narrow(
            N, I, O, x, x_row, transposed, bias, None, np.ascontiguousarray(dy), dx, dW, db
        )
        narrow.backward(None, arguments, workers)
        return Gradients(dx, dW.T, db)

    return y, backward
