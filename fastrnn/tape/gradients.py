"""Gradients that are zero in most places, and sums of gradients."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional.embedding import sums_by_id

Array = NDArray[Any]


class PartialGradient:
    """A gradient of which only a part is given; the rest is zero.

    Attributes
    ----------
    shape : tuple of ints
    dtype : numpy.dtype
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def add_to(self, total: Array) -> None:
        """Add the gradient to an array of its shape, in place."""
        raise NotImplementedError(f"{type(self).__name__}: add_to() is not implemented")

    def dense(self) -> Array:
        """Return a new array of all of the gradient."""
        total = np.zeros(self.shape, self.dtype)
        self.add_to(total)
        return total

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("the array of a partial gradient is always a new one")
        return self.dense().astype(self.dtype if dtype is None else dtype, copy=False)


class RowGradients(PartialGradient):
    """Gradient of a table of which few rows were used.

    Parameters
    ----------
    rows : (n,) integers
        Sorted, each once: the rows that may differ from zero.
    values : (n, ...) array of floats
        Their gradients.
    shape : tuple of ints
        Of the table, (V, ...).

    Raises
    ------
    ValueError
        If an argument is not as described.

    Examples
    --------
    >>> RowGradients([1, 3], np.ones((2, 2)), (4, 2)).dense()[:, 0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """

    def __init__(self, rows: Any, values: Any, shape: tuple[int, ...]) -> None:
        rows, values = np.asarray(rows), np.asarray(values)
        if not rows.size:
            rows = rows.astype(np.int64)
        if (
            rows.ndim != 1
            or rows.dtype.kind not in "iu"
            or not (rows[1:] > rows[:-1]).all()
            or (rows.size and not 0 <= int(rows[0]) <= int(rows[-1]) < shape[0])
        ):
            wanted = f"sorted integers in 0..{shape[0] - 1}, each once"
            raise ValueError(f"rows: expected {wanted}, got {rows.shape} {rows.dtype}")
        if values.shape != (len(rows), *shape[1:]):
            wanted = f"shape {(len(rows), *shape[1:])}"
            raise ValueError(f"values: expected {wanted}, got {values.shape}")
        self.rows = rows
        self.values = values
        self.shape = tuple(shape)
        self.dtype = values.dtype

    @classmethod
    def unchecked(cls, rows: Any, values: Any, shape: tuple[int, ...]) -> RowGradients:
        """Return the gradient of arrays that are known to be as described."""
        gradient = cls.__new__(cls)
        gradient.rows, gradient.values = rows, values
        gradient.shape, gradient.dtype = shape, values.dtype
        return gradient

    @classmethod
    def from_ids(cls, ids: Any, values: Any, shape: tuple[int, ...]) -> RowGradients:
        """Return the gradient of a table from those of rows looked up.

        Parameters
        ----------
        ids : (...) integers
            In any order, and any number of times each.
        values : (..., ...) array
            The gradient of each row looked up; those of one id are added in the order given.
        shape : tuple of ints
            Of the table, (V, ...).
        """
        ids = np.asarray(ids).reshape(-1)
        values = np.asarray(values).reshape(len(ids), *shape[1:])
        if not len(ids):
            return cls(ids, values, shape)
        if values.dtype in (np.float32, np.float64) and values.size:
            rows, sums = sums_by_id(ids, values.reshape(len(ids), -1), shape[0])
            return cls(rows, sums.reshape(len(rows), *shape[1:]), shape)
        rows, places = np.unique(ids, return_inverse=True)
        sums = np.zeros((len(rows), *shape[1:]), values.dtype)
        np.add.at(sums, places, values)
        return cls(rows, sums, shape)

    @property
    def ndim(self) -> int:
        """Number of axes of the table."""
        return len(self.shape)

    def add_to(self, total: Array) -> None:
        """Add the rows to an array (V, ...) in place."""
        total[self.rows] += self.values

    def __add__(self, other: Any) -> RowGradients | Array:
        if not isinstance(other, RowGradients):
            return np.asarray(self.dense() + np.asarray(other))
        if other.shape != self.shape:
            raise ValueError(f"RowGradients: expected shape {self.shape}, got {other.shape}")
        ids = np.concatenate([self.rows, other.rows])
        return self.from_ids(ids, np.concatenate([self.values, other.values]), self.shape)

    __radd__ = __add__

    def __mul__(self, factor: float) -> RowGradients:
        return RowGradients(self.rows, self.values * factor, self.shape)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> RowGradients:
        return RowGradients(self.rows, self.values / divisor, self.shape)

    def __repr__(self) -> str:
        return f"RowGradients({len(self.rows)} rows of shape={self.shape}, dtype={self.dtype})"


class PlacedGradient(PartialGradient):
    """Gradient of an array that was indexed: zero but where the index points.

    Parameters
    ----------
    index : any index of NumPy
    values : array
        Gradient of what the index selects.
    shape : tuple of ints
        Of the array that was indexed.
    repeats : bool
        Whether the index may point at an element more than once.
    """

    def __init__(self, index: Any, values: Array, shape: tuple[int, ...], repeats: bool) -> None:
        self.shape = shape
        self.dtype = values.dtype
        self._index = index
        self._values = values
        self._repeats = repeats

    def add_to(self, total: Array) -> None:
        """Add the gradient to an array of its shape, in place."""
        if self._repeats:
            np.add.at(total, self._index, self._values)
        else:
            total[self._index] += self._values


class Sums:
    """Sums of gradients by key, which write into no array that others may hold."""

    def __init__(self) -> None:
        self._totals: dict[Hashable, Any] = {}
        self._own: set[Hashable] = set()

    def add(self, key: Hashable, gradient: Any) -> None:
        """Add a gradient to the sum of `key`."""
        known = self._totals.get(key)
        if known is None and type(gradient) is np.ndarray:
            self._totals[key] = gradient
            return
        if not isinstance(gradient, PartialGradient):
            gradient = np.asarray(gradient)
        if known is None:
            is_placed = isinstance(gradient, PlacedGradient)
            self._set(key, gradient.dense() if is_placed else gradient, is_placed)
        elif isinstance(known, RowGradients) and isinstance(gradient, RowGradients):
            self._set(key, known + gradient, False)
        elif isinstance(gradient, PartialGradient):
            total = self._writable(key)
            gradient.add_to(total)
        elif isinstance(known, RowGradients):
            self._set(key, known + gradient, True)
        elif key in self._own and known.dtype == gradient.dtype:
            known += gradient
        else:
            self._set(key, np.asarray(known + gradient), True)

    def get(self, key: Hashable) -> Any:
        """Return the sum of `key`, None if nothing was added."""
        return self._totals.get(key)

    def pop(self, key: Hashable) -> Any:
        """Return the sum of `key` and forget it."""
        self._own.discard(key)
        return self._totals.pop(key, None)

    def is_own(self, key: Hashable) -> bool:
        """Return whether nobody else can hold the sum's array."""
        return key in self._own

    def _set(self, key: Hashable, total: Any, is_own: bool) -> None:
        self._totals[key] = total
        (self._own.add if is_own else self._own.discard)(key)

    def _writable(self, key: Hashable) -> Array:
        total = self._totals[key]
        if key not in self._own:
            total = total.dense() if isinstance(total, PartialGradient) else np.array(total)
            self._set(key, total, True)
        return total  # type: ignore[no-any-return]


def as_dense(gradient: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a gradient as an array of this dtype.

    Raises
    ------
    ValueError
        If it has another shape.
    """
    if type(gradient) is np.ndarray and gradient.dtype == dtype and gradient.shape == shape:
        return gradient
    if isinstance(gradient, PartialGradient):
        gradient = gradient.dense()
    array = np.asarray(gradient, dtype)
    if array.shape != shape:
        raise ValueError(f"gradient: expected shape {shape}, got {array.shape}")
    return array
