"""Weights in and out of the panels that the kernels read; see `kernels.cpu.pack`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.cells.protocol import gate_names, gate_range
from fastrnn.kernels.cpu import buffers, pack, schedule
from fastrnn.simd.target import lanes_of, tile_of

Array = NDArray[Any]


class Panels(NamedTuple):
    """How the columns of a matrix are dealt out to panels.

    number      panels
    lanes       numbers in a vector
    columns     first column of each vector of panel 0
    limits      columns that exist from each vector of panel 0 on
    step        columns from one panel to the next
    """

    number: int
    lanes: int
    columns: tuple[int, ...]
    limits: tuple[int, ...]
    step: int

    @property
    def vectors(self) -> int:
        """Vectors in a row of a panel."""
        return len(self.columns)

    @property
    def width(self) -> int:
        """Numbers in a row of a panel."""
        return len(self.columns) * self.lanes


class Share(NamedTuple):
    """The vectors first..last of the panels of a tile that belong to one matrix."""

    panels: Panels
    first: int
    last: int

    @property
    def alone(self) -> Share:
        """The same vectors in panels that hold no others."""
        return Share(self.panels, 0, self.panels.vectors)


class Tile(NamedTuple):
    """How the gates of a cell lie in the panels of a tile.

    units      vectors of hidden units in a panel
    all        all gates, as a bias has them
    input      those that W feeds, likewise R from h and R from the operand of the cell's own
    """

    units: int
    all: Panels
    input: Share
    recurrent: Share
    inner: Share

    @property
    def padded(self) -> int:
        """Hidden units with those that fill up the last panel."""
        return self.all.number * self.units * self.all.lanes


@lru_cache(maxsize=64)
def gate_tile(kind: Any, H: int, dtype: np.dtype[Any]) -> Tile:
    """Return the tile of a cell class with H hidden units."""
    lanes, gates = lanes_of(dtype), kind.GATES
    ranges = [gate_range(kind, part) for part in ("INPUT", "RECURRENT", "INNER")]
    products = [last - first for first, last in ranges if last > first]
    units = schedule.units_per_panel(products, -(-H // lanes), tile_of(dtype).vectors)
    step = units * lanes

    def panels(first: int, last: int, order: tuple[str, ...]) -> Panels:
        columns, limits = [], []
        for gate in gates[first:last]:
            is_there = gate in order
            for start in range(0, step, lanes):
                columns.append(order.index(gate) * H + start if is_there else 0)
                limits.append(H - start if is_there else 0)
        return Panels(-(-H // step), lanes, tuple(columns), tuple(limits), step)

    def share(part: str, names: str) -> Share:
        first, last = gate_range(kind, part)
        return Share(panels(first, last, gate_names(kind, names)), first * units, last * units)

    return Tile(
        units, panels(0, len(gates), gate_names(kind, "BIAS")), share("INPUT", "INPUT"),
        share("RECURRENT", "RECURRENT"), share("INNER", "RECURRENT"),
    )  # fmt: skip


@lru_cache(maxsize=64)
def plain_panels(columns: int, dtype: np.dtype[Any], vectors: int = 4) -> Panels:
    """Return the panels of a matrix (K, columns): `vectors` neighbouring vectors each."""
    lanes = lanes_of(dtype)
    starts = tuple(vector * lanes for vector in range(vectors))
    limits = tuple(columns - start for start in starts)
    step = vectors * lanes
    return Panels(-(-columns // step), lanes, starts, limits, step)


def feature_panels(features: int, dtype: np.dtype[Any]) -> Panels:
    """Return the panels of a projection (H, features): each as wide as a register tile."""
    return plain_panels(features, dtype, tile_of(dtype).vectors)


@lru_cache(maxsize=64)
def _table(columns: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(columns, np.int64)


def _arguments(matrix: Array, panels: Panels, packed: Array) -> pack.Packing:
    row, column = matrix.strides
    size = matrix.itemsize
    return pack.Packing(
        matrix, row // size, column // size, matrix.shape[0], panels.vectors,
        _table(panels.columns), _table(panels.limits), panels.step, panels.number, packed,
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
    workers = schedule.workers_to_move(target.size, panels.number)
    pack.pack(None, _arguments(matrix, panels, target), workers)
    return target


def packed_transposed(matrix: Array, panels: Panels) -> Array:
    """Return the operand of gradients @ matrix^T of a matrix (K, columns), flat."""
    matrix = _readable(matrix)
    blocks = -(-matrix.shape[0] // panels.lanes)
    size = panels.number * panels.width * blocks * panels.lanes
    target = buffers.empty((size,), matrix.dtype)
    workers = schedule.workers_to_move(size, blocks)
    pack.pack_transposed(None, _arguments(matrix, panels, target), workers)
    return target


def empty_like(matrix: Array) -> Array:
    """Return a matrix of arbitrary content whose rows, or else columns, lie as another's do."""
    row, column = matrix.strides
    if row == matrix.itemsize and column != row:
        gradient: Array = buffers.empty(matrix.shape[::-1], matrix.dtype).T
        return gradient
    return buffers.empty(matrix.shape, matrix.dtype)


def unpacked(source: Array, panels: Panels, columns: int) -> Array:
    """Return the matrix (K, columns) whose panels (panels, K, width) are given."""
    matrix = buffers.empty((source.shape[1], columns), source.dtype)
    unpack_into(matrix, source, panels)
    return matrix


def unpacked_like(matrix: Array, source: Array, panels: Panels) -> Array:
    """Return the gradient of a matrix, laid out as that is, whose panels are given."""
    gradient = empty_like(matrix)
    unpack_into(gradient, source, panels)
    return gradient


def unpack_into(matrix: Array, source: Array, panels: Panels) -> None:
    """Write those columns of a matrix (K, columns) that the panels (panels, K, width) hold."""
    workers = schedule.workers_to_move(source.size, panels.number)
    pack.unpack(None, _arguments(matrix, panels, source), workers)
