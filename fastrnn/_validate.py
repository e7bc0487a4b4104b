"""Errors about what users pass, raised once at the public boundary.

A message names the argument, what was expected and what came: `x: expected (T, B, 128)
float32, got (32, 128) float64`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def describe(value: Any) -> str:
    """Return what `value` is, for the end of an error message."""
    if isinstance(value, np.ndarray):
        return f"{tuple(value.shape)} {value.dtype}"
    return f"{type(value).__name__} {value!r}"[:80]


def float_array(name: str, value: Any, shape: Sequence[int | str]) -> NDArray[Any]:
    """Return `value` as an array of float32 or float64 numbers with the given shape.

    A letter in `shape` stands for any length of at least 1.  Integers and Python numbers become
    float32; nothing else is converted.  Numbers at odd addresses, such as a field of packed
    records, are copied: kernels count strides in numbers.
    """
    if type(value) is np.ndarray and _is_float_array(value, shape):
        return value
    wanted = f"{_shape(shape)} float32 or float64"
    array = as_array(name, value, wanted)
    if array.dtype.kind in "biu" or (array.dtype == np.float64 and not hasattr(value, "__array__")):
        array = array.astype(np.float32)
    if array.dtype not in FLOATS or not _fits(array.shape, shape):
        raise ValueError(f"{name}: expected {wanted}, got {describe(array)}")
    return array if array.flags.aligned else array.copy()


def _is_float_array(array: NDArray[Any], shape: Sequence[int | str]) -> bool:
    return array.dtype in FLOATS and array.flags.aligned and _fits(array.shape, shape)


def exactly(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `value` as an array if it has this shape and dtype."""
    if type(value) is np.ndarray and value.shape == shape and value.dtype == dtype:
        return value
    array = as_array(name, value, f"{shape} {dtype}")
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name}: expected {shape} {dtype}, got {describe(array)}")
    return array


def same_dtype(name: str, array: NDArray[Any], other: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `array` if its dtype is that of the argument `other`."""
    if array.dtype != dtype:
        raise TypeError(f"{name}: expected {dtype} as {other}, got {array.dtype}")
    return array


def ids_array(name: str, value: Any, shape: Sequence[int | str], limit: int) -> NDArray[np.int32]:
    """Return `value` as int32 indices in 0..limit-1 with the given shape.

    They are a copy: what the caller does to `value` later cannot send a kernel out of bounds.
    """
    wanted = f"{_shape(shape)} integers"
    array = as_array(name, value, wanted)
    if array.dtype.kind not in "iu" or not _fits(array.shape, shape):
        raise ValueError(f"{name}: expected {wanted}, got {describe(array)}")
    wrong = out_of_range(array, limit)
    if wrong is not None:
        raise ValueError(f"{name}: expected indices in 0..{limit - 1}, got {wrong}")
    return array.astype(np.int32)


def out_of_range(indices: NDArray[np.integer[Any]], limit: int) -> int | None:
    """Return one of the indices that is not in 0..limit-1, or None."""
    # Read as unsigned, what is below 0 is above all others: one pass looks for both.  It is not
    # above a limit that is itself beyond the dtype, as 1000 is beyond int8.
    unsigned = indices.view(indices.dtype.str.replace("i", "u"))
    if indices.size == 0 or int(unsigned.max()) < min(limit, 1 << 8 * indices.itemsize - 1):
        return None
    low, high = int(indices.min()), int(indices.max())
    if low < 0:
        return low
    return high if high >= limit else None


def lengths_array(value: Any, T: int, B: int) -> NDArray[np.int64]:
    """Return `lengths` as (B,) int64 in 0..T."""
    wanted = f"({B},) integers in 0..{T}"
    array = as_array("lengths", value, wanted)
    if array.dtype.kind not in "iu" or array.shape != (B,):
        raise ValueError(f"lengths: expected {wanted}, got {describe(array)}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > T:
        raise ValueError(f"lengths: expected {wanted}, got {low if low < 0 else high}")
    return array.astype(np.int64)


def bool_array(name: str, value: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return `value` as bools with the given shape."""
    wanted = f"{shape} bools"
    array = as_array(name, value, wanted)
    if array.dtype != np.bool_ or array.shape != shape:
        raise ValueError(f"{name}: expected {wanted}, got {describe(array)}")
    return array


def as_array(name: str, value: Any, wanted: str) -> NDArray[Any]:
    """Return `value` as an array of whatever dtype and shape it has."""
    try:
        return np.asarray(value)
    except ValueError as error:  # sequences of unequal lengths within a sequence
        raise ValueError(f"{name}: expected {wanted}, got {describe(value)}") from error


def _shape(shape: Sequence[int | str]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _fits(shape: tuple[int, ...], wanted: Sequence[int | str]) -> bool:
    if shape == wanted:
        return True
    if len(shape) != len(wanted):
        return False
    for length, want in zip(shape, wanted, strict=True):
        if length < 1 if isinstance(want, str) else length != want:
            return False
    return True
