"""Embedding: rows of a table looked up by id."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import buffers
from fastrnn.kernels.cpu import embedding as kernel
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.target import lanes_of

Array = NDArray[Any]


def embedding(ids: ArrayLike, E: Array, factors: Array | None = None) -> tuple[Array, Backward]:
    """Look up rows of a table.

    Parameters
    ----------
    ids : array (...) of integers in 0..V-1
        Of any integer dtype and shape.
    E : array (V, D) of float32 or float64
        The table.
    factors : array (B, D) of the dtype of E, optional
        What the rows are multiplied by, of ids (..., B): factors of dropout that were drawn
        before, say.

    Returns
    -------
    y : array (..., D)
        y[n] = E[ids[n]], of the dtype of `E`.
    backward : callable
        dE = backward(dy): the gradient (V, D) from dy (..., D), added up for each id in the order
        of positions; memory of rows that no id names is never touched where there are more rows
        than ids.  rows, drows = backward.rows(dy) are the rows (U,) that ids name, sorted, and
        their gradients (U, D) alone.

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
    >>> backward.rows(np.ones((2, 2, 3), np.float32))[0].tolist()
    [0, 2]
    """
    E = _validate.as_array("E", E, "(V, D) float32 or float64")
    if E.ndim != 2 or E.dtype not in _validate.FLOATS or E.size == 0:
        raise ValueError(f"E: expected (V, D) float32 or float64, got {_validate.describe(E)}")
    V, D = E.shape
    named, shape = _validate_ids(ids, V)
    if factors is not None:
        given = _validate.float_array("factors", factors, (shape[-1] if shape else 1, D))
        factors = np.ascontiguousarray(_validate.same_dtype("factors", given, "E", E.dtype))
    backward = Backward(named, (*shape, D), E.dtype, V, factors)
    table = np.ascontiguousarray(E)
    y = buffers.empty((*shape, D), E.dtype)
    kernel.gather(None, backward.arguments(named, y, table), workers_over(y.size))
    return y, backward


class Backward:
    """Turns the gradient of rows that were looked up into that of their table.

    Parameters
    ----------
    ids : (N,) int32
        Checked.
    shape : tuple of ints
        Of the rows, (..., D).
    dtype : numpy.dtype
    V : int
        Rows of the table.
    factors : (B, D) array, optional
        C-contiguous.
    """

    def __init__(
        self, ids: NDArray[np.int32], shape: tuple[int, ...], dtype: np.dtype[Any], V: int,
        factors: Array | None = None,
    ) -> None:  # fmt: skip
        self._ids, self._shape, self._dtype, self._V = ids, shape, dtype, V
        self._factors = factors

    def __call__(self, dy: ArrayLike) -> Array:
        """Return the gradient (V, D); see `embedding`."""
        return self._sums(self._ids, dy, self._V)

    def rows(self, dy: ArrayLike) -> tuple[NDArray[np.int64], Array]:
        """Return the rows that were used and their gradients; see `embedding`."""
        rows, places = _numbered(self._ids, self._V)
        return rows, self._sums(places, dy, len(rows))

    def arguments(
        self, ids: NDArray[np.int32], rows: Array, table: Array, cleared: int = 0
    ) -> kernel.Embedding:
        """Return what the kernels take."""
        named: Any = ids
        B = 1 if self._factors is None else len(self._factors)
        return kernel.Embedding(
            len(ids), rows.shape[-1], named, rows, table, self._factors, B, cleared
        )

    def _sums(self, ids: NDArray[np.int32], dy: ArrayLike, number: int) -> Array:
        """Return the sums (number, D) of the rows of each id."""
        dy = _validate.exactly("dy", dy, self._shape, self._dtype)
        D = dy.shape[-1]
        # Fresh zero pages cost nothing until they are touched, used memory is there already.
        is_fresh = number > len(ids)
        sums = (np.zeros if is_fresh else buffers.empty)((number, D), dy.dtype)
        arguments = self.arguments(ids, np.ascontiguousarray(dy), sums, 0 if is_fresh else number)
        workers = min(workers_over(dy.size), -(-D // lanes_of(dy.dtype)))
        kernel.scatter_add(None, arguments, max(1, workers))
        return sums


def sums_by_id(ids: ArrayLike, values: ArrayLike, V: int) -> tuple[NDArray[np.int64], Array]:
    """Add up rows that have the same id.

    Parameters
    ----------
    ids : (...) integers in 0..V-1
    values : (..., D) array of float32 or float64

    Returns
    -------
    rows : (U,) array
        The ids that occur, sorted.
    sums : (U, D) array
        Of each of them the sum of its rows, in the order of positions.

    Raises
    ------
    ValueError
        If an argument is not as described.
    """
    named, shape = _validate_ids(ids, V)
    rows = _validate.float_array("values", values, (*shape, "D"))
    return Backward(named, rows.shape, rows.dtype, V).rows(rows)


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
    return _numbered(_validate_ids(ids, V)[0], V)[0]


def numbered(ids: ArrayLike, V: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Give the ids that occur new numbers, with none left out.

    Returns
    -------
    rows : (U,) array
        As `used_rows` does.
    places : (...) array
        For each of `ids` (...), integers in 0..V-1, its place in rows.

    Raises
    ------
    ValueError
        If `ids` is not as described.

    Examples
    --------
    >>> rows, places = numbered([[5, 1], [1, 5]], 10)
    >>> rows.tolist(), places.tolist()
    ([1, 5], [[1, 0], [0, 1]])
    """
    named, shape = _validate_ids(ids, V)
    rows, places = _numbered(named, V)
    return rows, places.reshape(shape)


def _numbered(ids: NDArray[np.int32], V: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the rows (U,) that ids (N,) name, sorted, and of each id which of them it names."""
    # Measured: the kernel takes 1.6 ns a row of the table, sorting some 20 to 30 ns an id.
    if len(ids) * 16 < V:
        named, numbers = np.unique(ids, return_inverse=True)
        return named.astype(np.int64), numbers.astype(np.int32)
    places: Any = np.empty(len(ids), np.int32)
    memory = buffers.empty((V + 1 + (V + 1) // 2,), np.int64)
    rows: Any = memory[: V + 1]
    scratch: Any = memory[V + 1 :].view(np.int32)[:V]
    like = scratch.view(np.float32)
    given: Any = ids
    kernel.number(None, kernel.Numbering(len(ids), V, given, scratch, places, rows, like), 1)
    return rows[: rows[V]], places


def _validate_ids(ids: ArrayLike, V: int) -> tuple[NDArray[np.int32], tuple[int, ...]]:
    """Return `ids` flat as int32, a copy that later changes do not reach, and their shape."""
    array = _validate.as_array("ids", ids, "integers")
    if array.dtype.kind not in "iu":
        raise ValueError(f"ids: expected integers, got {_validate.describe(array)}")
    wrong = _validate.out_of_range(array, V)
    if wrong is not None:
        raise ValueError(f"ids: expected integers in 0..{V - 1}, got {wrong}")
    return array.astype(np.int32).reshape(-1), array.shape
