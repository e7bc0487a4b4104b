"""Working memory: arrays on cache-line boundaries whose memory is used again.

Large fresh arrays cost a page fault every 4 KB, at every training step; memory that comes back
here is handed out again as it is.  An array owns its memory until it and all its views are gone.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNMENT = 64
_KEPT_BYTES = 1 << 30

_free: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)
_kept = 0
_lock = threading.RLock()


def _after_fork() -> None:
    """In a forked child nobody is left to give the lock back."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Block:
    """Memory that returns to the pool when the last array on it is gone."""

    def __init__(self, size: int, shape: tuple[int, ...], typestr: str) -> None:
        global _kept
        memory = None
        with _lock:
            if _free[size]:
                memory = _free[size].pop()
                _kept -= size
        self._memory = np.empty(size + _ALIGNMENT, np.uint8) if memory is None else memory
        self._size = size
        address = self._memory.__array_interface__["data"][0]
        self.__array_interface__: dict[str, Any] = {
            "data": (address + -address % _ALIGNMENT, False),
            "shape": shape,
            "typestr": typestr,
            "version": 3,
        }

    def __del__(self) -> None:
        global _kept
        if _lock is None:  # the interpreter is shutting down
            return
        with _lock:
            if _kept + self._size <= _KEPT_BYTES:
                _free[self._size].append(self._memory)
                _kept += self._size


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of arbitrary content, 64-byte aligned."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize
    for length in shape:
        size *= length
    return np.asarray(_Block(_size_class(size), shape, dtype.str))


def _size_class(size: int) -> int:
    """Return the bytes to allocate: few different sizes, at most an eighth more than asked."""
    step = max(_ALIGNMENT, 1 << max(0, size.bit_length() - 4))
    return max(step, -(-size // step) * step)


def zeros(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros, 64-byte aligned."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def release() -> None:
    """Give the memory that no array uses back to the system."""
    global _kept
    with _lock:
        _free.clear()
        _kept = 0
