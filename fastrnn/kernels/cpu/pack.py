"""Weights between the user's matrices and the panels that the micro-kernel reads.

A matrix (K, columns) is cut into panels of `vectors` vectors.  Vector v of panel p holds the V
columns from `columns[v] + p * step` on, of which `limits[v] - p * step` exist; the rest is 0.
For gates, `columns[v]` is the gate's first column, limits[v] = H and step = V: a panel holds all
gates of V hidden units.  For a plain matrix the vectors of a panel are neighbours: columns[v] =
v V, limits[v] = columns - v V and step = vectors V.

The user's matrix has `row` and `column` strides of which one is 1.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn._jit import part, pointwise
from fastrnn.kernels.cpu.task import Floats, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    copy_transposed,
    lanes,
    load,
    load_edge,
    store,
    store_edge,
    tile_vectors,
)


class Packing(NamedTuple):
    """Arguments of `pack`, `pack_transposed` and `unpack`; see the module's docstring."""

    matrix: Floats
    row: int
    column: int
    K: int
    vectors: int
    columns: Ints  # (vectors,)
    limits: Ints  # (vectors,)
    step: int
    panels: int
    packed: Floats


@pointwise
def _existing(s, panel, v):  # type: ignore[no-untyped-def]
    """How many columns of the user's matrix are in vector v of a panel."""
    there = s.limits[v] - panel * s.step
    return max(0, min(there, lanes(s.packed)))


@task
def pack(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write the panels (panels, K, vectors * V) of a matrix."""
    s = args[0]
    lane = lanes(s.packed)
    width = s.vectors * lane
    blocks = (s.K + lane - 1) // lane
    total = s.panels * blocks
    for work in range(total * worker // workers, total * (worker + 1) // workers):
        # Panels innermost: the matrix is read in its own order.
        k = work // s.panels * lane
        panel = work % s.panels
        rows = min(lane, s.K - k)
        for v in range(s.vectors):
            there = _existing(s, panel, v)
            source = s.matrix + k * s.row + (s.columns[v] + panel * s.step) * s.column
            target = s.packed + (panel * s.K + k) * width + v * lane
            if s.column == 1:
                for r in range(rows):
                    store(target + r * width, load_edge(source + r * s.row, there))
            else:
                copy_transposed(source, s.column, there, rows, target, width)


@task
def pack_transposed(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write the transposed panels: the right operand of gradients @ matrix^T.

    Row (panel, v, lane) of the operand is a column of the matrix; its K columns are stored in
    groups of tile_vectors or fewer vectors, each group (panels * vectors * V, vectors of group *
    V).  Rows of columns that do not exist are 0.
    """
    s = args[0]
    lane = lanes(s.packed)
    depth = s.panels * s.vectors * lane
    blocks = (s.K + lane - 1) // lane
    groups = (blocks + tile_vectors(s.packed) - 1) // tile_vectors(s.packed)
    for group in range(groups):
        low = blocks * group // groups
        high = blocks * (group + 1) // groups
        size = (high - low) * lane
        total = (high - low) * s.panels
        for work in range(total * worker // workers, total * (worker + 1) // workers):
            panel = work // (high - low)
            block = low + work % (high - low)
            k = block * lane
            rows = min(lane, s.K - k)
            for v in range(s.vectors):
                there = _existing(s, panel, v)
                source = s.matrix + k * s.row + (s.columns[v] + panel * s.step) * s.column
                target = s.packed + low * lane * depth + (block - low) * lane
                target = target + (panel * s.vectors + v) * lane * size
                if s.column == 1:
                    copy_transposed(source, s.row, rows, there, target, size)
                else:
                    for c in range(there):
                        store(target + c * size, load_edge(source + c * s.column, rows))
                for c in range(there, lane):
                    store(target + c * size, broadcast(target, 0.0))


@task
def unpack(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write a matrix from its panels."""
    s = args[0]
    lane = lanes(s.packed)
    width = s.vectors * lane
    if s.column != 1:
        _unpack_transposed(args, worker, workers)
        return
    total = s.panels * s.K
    for work in range(total * worker // workers, total * (worker + 1) // workers):
        k = work // s.panels
        panel = work % s.panels
        for v in range(s.vectors):
            target = s.matrix + k * s.row + s.columns[v] + panel * s.step
            source = s.packed + (panel * s.K + k) * width + v * lane
            store_edge(target, load(source), _existing(s, panel, v))


@part
def _unpack_transposed(args, worker, workers):  # type: ignore[no-untyped-def]
    """`unpack` for a matrix with row stride 1.

    Panels outermost: a panel's columns are written from one end to the other.
    """
    s = args[0]
    lane = lanes(s.packed)
    width = s.vectors * lane
    blocks = (s.K + lane - 1) // lane
    total = s.panels * blocks
    for work in range(total * worker // workers, total * (worker + 1) // workers):
        panel = work // blocks
        k = work % blocks * lane
        for v in range(s.vectors):
            there = _existing(s, panel, v)
            target = s.matrix + k + (s.columns[v] + panel * s.step) * s.column
            source = s.packed + (panel * s.K + k) * width + v * lane
            if s.K - k >= lane:
                copy_transposed(source, width, lane, there, target, s.column)
            else:
                for c in range(there):
                    for r in range(s.K - k):
                        target[c * s.column + r] = source[r * width + c]
