"""Embedding: rows of a table looked up by id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import buffers
from fastrnn.kernels.cpu import embedding as kernel
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.target import lanes_of

Array = NDArray[Any]


def embedding(ids: ArrayLike, E: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Look up rows of a table.

    Parameters
    ----------
    ids : array (...) of integers in 0..V-1
        Of any integer dtype and shape.
    E : array (V, D) of float32 or float64
        The table.

    Returns
    -------
    y : array (..., D)
        y[n] = E[ids[n]], of the dtype of `E`.
    backward : callable
        dE = backward(dy): the gradient (V, D) from dy (..., D), added up for each id in the order
        of positions; memory of rows that no id names is never touched.  `used_rows` tells which
        rows are named.

    Raises
    ------
    ValueError
        If an argument is not as described; the message names it.

    Source
    ------
    Y. Bengio et al., A neural probabilistic language model, JMLR 2003.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = embedding([[2, 0], [2, 2]], np.eye(3, dtype=np.float32))
    >>> y.shape
    (2, 2, 3)
    >>> backward(np.ones((2, 2, 3), np.float32))[:, 0].tolist()
    [1.0, 0.0, 3.0]
    """
    E = _validate.as_array("E", E, "(V, D) float32 or float64")
    if E.ndim != 2 or E.dtype not in _validate.FLOATS or E.size == 0:
        raise ValueError(f"E: expected (V, D) float32 or float64, got {_validate.describe(E)}")
    V, D = E.shape
    dtype = E.dtype
    positions, shape = _validate_ids(ids, V)
    N = len(positions)
    table: Any = np.ascontiguousarray(E)
    y: Any = buffers.empty((*shape, D), dtype)
    named: Any = positions
    kernel.gather(None, kernel.Embedding(N, D, named, y, table), workers_over(N * D))

    def backward(dy: Array) -> Array:
        expected = f"{(*shape, D)} {dtype}"
        dy = _validate.as_array("dy", dy, expected)
        if dy.shape != (*shape, D) or dy.dtype != dtype:
            raise ValueError(f"dy: expected {expected}, got {_validate.describe(dy)}")
        return _added_by_id(positions, dy.reshape(N, D), V)

    return y, backward


def sums_by_id(ids: ArrayLike, values: ArrayLike, V: int) -> Array:
    """Add up rows that have the same id.

    Parameters
    ----------
    ids : (N,) integers in 0..V-1
    values : (N, D) array of float32 or float64

    Returns
    -------
    (V, D) array
        Of each id the sum of its rows, in the order of positions.

    Raises
    ------
    ValueError
        If an argument is not as described.
    """
    positions, shape = _validate_ids(ids, V)
    rows = _validate.float_array("values", values, (*shape, "D"))
    return _added_by_id(positions, rows, V)


def _added_by_id(positions: NDArray[np.int32], values: Array, V: int) -> Array:
    N, D = values.shape
    rows: Any = np.ascontiguousarray(values)
    named: Any = positions
    # Fresh zero pages cost nothing until they are touched.
    sums: Any = np.zeros((V, D), values.dtype)
    workers = min(workers_over(N * D), -(-D // lanes_of(values.dtype)))
    kernel.scatter_add(None, kernel.Embedding(N, D, named, rows, sums), workers)
    return sums  # type: ignore[no-any-return]


def used_rows(ids: ArrayLike, V: int) -> NDArray[np.int64]:
    """Return the sorted ids (U,) that occur in `ids` (...), integers in 0..V-1.

    Outside of these rows the gradient of `embedding` is zero.

    Raises
    ------
    ValueError
        If `ids` is not as described.

    Examples
    --------
    >>> used_rows([[5, 1], [1, 5]], 10).tolist()
    [1, 5]
    """
    positions, _ = _validate_ids(ids, V)
    # Measured: counting costs 1 to 3 ns a row of the table, sorting some 30 ns an id.
    if len(positions) * 16 < V:
        return np.unique(positions).astype(np.int64)
    return np.flatnonzero(np.bincount(positions, minlength=V))


def _validate_ids(ids: ArrayLike, V: int) -> tuple[NDArray[np.int32], tuple[int, ...]]:
    """Return `ids` flat as int32, a copy that later changes do not reach, and their shape."""
    array = _validate.as_array("ids", ids, "integers")
    if array.dtype.kind not in "iu":
        raise ValueError(f"ids: expected integers, got {_validate.describe(array)}")
    if array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= V:
            wrong = low if low < 0 else high
            raise ValueError(f"ids: expected integers in 0..{V - 1}, got {wrong}")
    return array.astype(np.int32).reshape(-1), array.shape
