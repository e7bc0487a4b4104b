"""Blocks of rows copied or added to others, at any strides of both."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu.task import Floats, task
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.memory import lanes, load_edge, store_edge

Array = NDArray[Any]


class Move(NamedTuple):
    """Arguments of `move`: row r of block n begins at n * block + r * row, on either side."""

    blocks: int
    rows: int  # of a block
    width: int
    source_block: int
    source_row: int
    target_block: int
    target_row: int
    is_added: int
    source: Floats  # numbers of a row side by side
    target: Floats  # likewise, written


@task
def move(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Copy rows, or add them to those that are there.

    args    Move; writes target

    A worker owns a range of rows.
    """
    s = args[0]
    count = s.blocks * s.rows
    for n in range(count * worker // workers, count * (worker + 1) // workers):
        block = n // s.rows
        row = n - block * s.rows
        source = s.source + (block * s.source_block + row * s.source_row)
        target = s.target + (block * s.target_block + row * s.target_row)
        if s.is_added:
            for i in range(0, s.width, lanes(source)):
                left = s.width - i
                store_edge(
                    target + i, load_edge(target + i, left) + load_edge(source + i, left), left
                )
        else:
            for i in range(0, s.width, lanes(source)):
                store_edge(target + i, load_edge(source + i, s.width - i), s.width - i)


def copy(source: Array, target: Array) -> None:
    """Write `target[...] = source`.

    source, target    of one shape (width,), (rows, width) or (blocks, rows, width) and one float
                      dtype, the numbers of a row side by side
    """
    _move(source, target, 0)


def add(source: Array, target: Array) -> None:
    """Write `target += source`; arrays as of `copy`."""
    _move(source, target, 1)


def _move(source: Array, target: Array, is_added: int) -> None:
    blocks, rows, width = (1,) * (3 - target.ndim) + target.shape
    (from_block, from_row), (to_block, to_row) = map(_strides, (source, target))
    arguments = Move(
        blocks, rows, width, from_block, from_row, to_block, to_row, is_added, source, target
    )
    workers = max(1, min(blocks * rows, workers_over(target.size)))
    move(None, arguments, workers)


def _strides(array: Array) -> tuple[int, int]:
    """Return how many numbers lie from one block, and from one row, to the next."""
    block, row = (0, 0, *array.strides[:-1])[-2:]
    return block // array.itemsize, row // array.itemsize


def zeros(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return zeros that take the memory of one row, as a source."""
    return np.broadcast_to(np.zeros(shape[-1:], dtype), shape)
