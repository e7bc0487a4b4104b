"""Weights in and out of the panels that the kernels read; see `kernels.cpu.pack`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu import buffers, pack, schedule
from fastrnn.simd.target import lanes_of

Array = NDArray[Any]


class Panels(NamedTuple):
    """How the columns of a matrix are dealt out to panels.

    number      panels
    lanes       numbers in a vector
    columns     first column of each vector of panel 0
    step        columns from one panel to the next
    limit, limit_step
                columns that exist from vector v of panel p on: limit - p * step - v * limit_step
    """

    number: int
    lanes: int
    columns: tuple[int, ...]
    step: int
    limit: int
    limit_step: int

    @property
    def vectors(self) -> int:
        """Vectors in a row of a panel."""
        return len(self.columns)

    @property
    def width(self) -> int:
        """Numbers in a row of a panel."""
        return len(self.columns) * self.lanes

    def share(self, first: int, last: int) -> Panels:
        """Return the panels of vectors first..last only."""
        return self._replace(columns=self.columns[first:last])


@lru_cache(maxsize=64)
def gate_panels(H: int, gates: int, dtype: np.dtype[Any]) -> Panels:
    """Return the panels of a matrix (K, gates * H): a panel has all gates of a vector of units."""
    lanes = lanes_of(dtype)
    columns = tuple(gate * H for gate in range(gates))
    return Panels(-(-H // lanes), lanes, columns, lanes, H, 0)


@lru_cache(maxsize=64)
def plain_panels(columns: int, dtype: np.dtype[Any]) -> Panels:
    """Return the panels of a matrix (K, columns): four neighbouring vectors each."""
    lanes = lanes_of(dtype)
    starts = tuple(vector * lanes for vector in range(4))
    return Panels(-(-columns // (4 * lanes)), lanes, starts, 4 * lanes, columns, lanes)


@lru_cache(maxsize=64)
def _table(columns: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(columns, np.int64)


def _arguments(matrix: Array, panels: Panels, packed: Array) -> pack.Packing:
    row, column = (stride // matrix.itemsize for stride in matrix.strides)
    return pack.Packing(
        matrix, row, column, matrix.shape[0], len(panels.columns), _table(panels.columns),
        panels.step, panels.limit, panels.limit_step, panels.number, packed,
    )  # fmt: skip


def _readable(matrix: Array) -> Array:
    """Return a matrix of which one stride is 1 and the other is not (but for single rows)."""
    row, column = matrix.strides
    if column == matrix.itemsize and row != 0:
        return matrix
    if row == matrix.itemsize and column != 0 and matrix.shape[1] > 1:
        return matrix
    return np.ascontiguousarray(matrix)


def packed(matrix: Array, panels: Panels) -> Array:
    """Return the panels (panels, K, width) of a matrix (K, columns)."""
    matrix = _readable(matrix)
    K = matrix.shape[0]
    target = buffers.empty((panels.number, K, panels.width), matrix.dtype)
    workers = schedule.workers_for(target.size * 16, panels.number)
    pack.pack(None, _arguments(matrix, panels, target), workers)
    return target


def packed_transposed(matrix: Array, panels: Panels) -> Array:
    """Return the operand of gradients @ matrix^T of a matrix (K, columns), flat."""
    matrix = _readable(matrix)
    blocks = -(-matrix.shape[0] // panels.lanes)
    size = panels.number * panels.width * blocks * panels.lanes
    target = buffers.empty((size,), matrix.dtype)
    workers = schedule.workers_for(size * 16, blocks)
    pack.pack_transposed(None, _arguments(matrix, panels, target), workers)
    return target


def unpacked(source: Array, panels: Panels, columns: int) -> Array:
    """Return the matrix (K, columns) whose panels (panels, K, width) are given, 0 elsewhere."""
    is_full = panels.vectors * panels.limit >= columns
    matrix = (buffers.empty if is_full else buffers.zeros)((source.shape[1], columns), source.dtype)
    workers = schedule.workers_for(source.size * 16, panels.number)
    pack.unpack(None, _arguments(matrix, panels, source), workers)
    return matrix
