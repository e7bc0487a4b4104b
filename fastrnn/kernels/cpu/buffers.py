"""Working memory: arrays on cache-line boundaries whose memory is used again.

Large fresh arrays cost a page fault every 4 KB, at every training step; memory that comes back
here is handed out again as it is.  An array owns its memory until it and all its views are gone.
"""

from __future__ import annotations

import math
import os
import threading
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNMENT = 64
_KEPT_BYTES = 1 << 30

# Memory that nobody uses, by size.
_free: defaultdict[int, list[_Memory]] = defaultdict(list)
_kept = 0
_lock = threading.RLock()


def _after_fork() -> None:
    """In a forked child nobody is left to give the lock back."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _Memory(np.ndarray[Any, Any]):
    """Aligned bytes that are handed out again and again."""


class _Block(np.ndarray[Any, Any]):
    """Some memory in use; it returns to the pool when the last array on it is gone.

    NumPy lets a view of a view refer to the array that owns the memory, but looks for that no
    further than its own type goes: a block stays the base of what is made of it.
    """

    def __del__(self) -> None:
        global _kept
        if _lock is None:  # the interpreter is shutting down
            return
        size = self.size
        with _lock:
            if _kept + size <= _KEPT_BYTES:
                memory: Any = self.base
                _free[size].append(memory)
                _kept += size


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of arbitrary content, 64-byte aligned."""
    global _kept
    dtype = np.dtype(dtype)
    size = _size_class(dtype.itemsize * math.prod(shape))
    memory = None
    with _lock:
        if unused := _free.get(size):
            memory = unused.pop()
            _kept -= size
    if memory is None:
        room = np.empty(size + _ALIGNMENT, np.uint8)
        start = -room.ctypes.data % _ALIGNMENT
        memory = room[start : start + size].view(_Memory)
    array: NDArray[Any] = np.ndarray(shape, dtype, _Block((size,), np.uint8, memory))
    return array


def _size_class(size: int) -> int:
    """Return the bytes to allocate: few different sizes, at most an eighth more than asked."""
    if size <= 1024:
        return max(size + _ALIGNMENT - 1, _ALIGNMENT) & -_ALIGNMENT
    step = 1 << (size.bit_length() - 4)
    return (size + step - 1) & -step


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
