"""Weights in panels: every number at its place, zeros elsewhere, for every order of strides."""

from itertools import pairwise

import numpy as np
import pytest
from numba import from_dtype

from fastrnn.cells import CELLS
from fastrnn.cells.protocol import gate_names
from fastrnn.functional.panels import (
    gate_tile,
    packed,
    packed_transposed,
    plain_panels,
    unpack_into,
    unpacked,
)
from fastrnn.kernels.cpu import buffers, schedule
from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads
from fastrnn.simd.target import lanes_of, tile

DTYPES = [np.float32, np.float64]

STRIDES = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "rows of wider ones": lambda a: np.pad(a, ((2, 3), (1, 4)), constant_values=np.nan)[2:-3, 1:-4],
    "columns of longer ones": lambda a: (
        np.pad(a.T, ((2, 3), (1, 4)), constant_values=np.nan)[2:-3, 1:-4].T
    ),
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "rows backwards": lambda a: a[::-1].copy()[::-1],
    "Fortran, columns backwards": lambda a: np.asfortranarray(a[:, ::-1])[:, ::-1],
    "every second": lambda a: a.repeat(2, 0).repeat(2, 1)[::2, ::2],
}


@pytest.fixture(params=DTYPES, ids=["float32", "float64"])
def dtype(request):
    return np.dtype(request.param)


def gate_columns(H, units, gates, order):
    """The columns that each vector of a panel holds, of `gates` out of a matrix with `order`."""

    def columns(panels, panel, vector):
        gate, unit_vector = gates[vector // units], panel * units + vector % units
        there = range(unit_vector * panels.lanes, min(H, (unit_vector + 1) * panels.lanes))
        return [order.index(gate) * H + unit for unit in there] if gate in order else []

    return columns


def plain_columns(total):
    """The columns that a vector of a panel of neighbours holds."""

    def columns(panels, panel, vector):
        first = (panel * 4 + vector) * panels.lanes
        return list(range(first, min(total, first + panels.lanes)))

    return columns


def panels_one_by_one(matrix, panels, columns_of):
    """What `packed` must return, and `unpacked` must take."""
    desired = np.zeros((panels.number, len(matrix), panels.width), matrix.dtype)
    for panel in range(panels.number):
        for vector in range(panels.vectors):
            columns = columns_of(panels, panel, vector)
            start = vector * panels.lanes
            desired[panel, :, start : start + len(columns)] = matrix[:, columns]
    return desired


def transposed_one_by_one(matrix, panels, columns_of):
    """What `packed_transposed` must return, from the panels and `pack_transposed`'s docstring."""
    K, lanes = len(matrix), panels.lanes
    rows = panels_one_by_one(matrix, panels, columns_of).swapaxes(1, 2).reshape(-1, K)
    blocks = -(-K // lanes)
    rows = np.pad(rows, ((0, 0), (0, blocks * lanes - K)))
    groups = -(-blocks // tile_vectors(matrix.dtype))
    ends = [blocks * group // groups * lanes for group in range(groups + 1)]
    return np.concatenate([rows[:, low:high].ravel() for low, high in pairwise(ends)])


def tile_vectors(dtype):
    return tile(from_dtype(dtype)).vectors


def shares(kind, H, dtype):
    """Panels of the tile of a cell class, the columns they hold, and the columns of the matrix."""
    tile = gate_tile(kind, H, dtype)
    parts = {"BIAS": (tile.all, 0, len(kind.GATES) * tile.units)}
    parts["INPUT"], parts["RECURRENT"] = tile.input, tile.recurrent
    parts["INNER"] = tile.inner
    for part, (panels, first, last) in parts.items():
        order = gate_names(kind, "RECURRENT" if part == "INNER" else part)
        gates = kind.GATES[first // tile.units : last // tile.units]
        if gates:
            yield panels, gate_columns(H, tile.units, gates, order), len(order) * H


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("K", [1, 3, 16, 33, 200])
@pytest.mark.parametrize("cell", CELLS)
def test_gates_round_trip_from_any_strides(rng, dtype, strides, K, cell):
    for H in (1, 5, 16, 37, 70):
        for panels, columns_of, columns in shares(CELLS[cell], H, dtype):
            matrix = STRIDES[strides](rng.standard_normal((K, columns)).astype(dtype))
            check(matrix, panels, columns_of)


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("K", [1, 3, 16, 33])
def test_columns_round_trip_from_any_strides(rng, dtype, strides, K):
    for columns in (1, 3, 63, 64, 65, 100):
        panels = plain_panels(columns, dtype)
        matrix = STRIDES[strides](rng.standard_normal((K, columns)).astype(dtype))
        check(matrix, panels, plain_columns(columns))


def check(matrix, panels, columns_of):
    result = packed(matrix, panels)
    np.testing.assert_array_equal(result, panels_one_by_one(matrix, panels, columns_of))
    held = {c for p in range(panels.number) for v in range(panels.vectors)
            for c in columns_of(panels, p, v)}  # fmt: skip
    is_held = np.isin(np.arange(matrix.shape[1]), list(held))
    for order in "CF":
        # Within a larger matrix: nothing around it may be written.
        around = np.full([length + 2 for length in matrix.shape], -1, matrix.dtype, order=order)
        unpack_into(around[1:-1, 1:-1], result, panels)
        desired = np.pad(np.where(is_held, matrix, -1), 1, constant_values=-1)
        np.testing.assert_array_equal(around, desired)
    np.testing.assert_array_equal(
        packed_transposed(matrix, panels), transposed_one_by_one(matrix, panels, columns_of)
    )


def test_matrices_of_one_stride_zero_or_a_single_column(rng, dtype):
    numbers = rng.standard_normal((40, 40)).astype(dtype)
    panels = plain_panels(40, dtype)
    for matrix in (
        np.broadcast_to(numbers[:1], (40, 40)),
        np.broadcast_to(numbers[:, :1], (40, 40)),
    ):
        check(matrix, panels, plain_columns(40))
    for matrix in (numbers[:, 3:4], numbers.T[:, 3:4], numbers[::2, 3:4], numbers.T[::-1, 3:4]):
        check(matrix, plain_panels(1, dtype), plain_columns(1))
    for matrix in (numbers[3:4], numbers.T[3:4], numbers[3:4, ::-1]):
        check(matrix, panels, plain_columns(40))


def test_padding_is_zero_even_in_used_memory(rng, dtype):
    panels, columns_of, columns = next(shares(CELLS["lstm"], lanes_of(dtype) + 1, dtype))
    matrix = rng.standard_normal((5, columns)).astype(dtype)
    for function, desired in (
        (packed, panels_one_by_one),
        (packed_transposed, transposed_one_by_one),
    ):
        used = function(matrix, panels)
        used[...] = np.nan
        size = used.size
        del used
        used = buffers.empty((size,), dtype)
        used[...] = np.nan
        del used
        np.testing.assert_array_equal(function(matrix, panels), desired(matrix, panels, columns_of))


def test_nan_and_infinity_are_moved_as_they_are(dtype):
    matrix = np.full((19, 70), np.nan, dtype)
    matrix[::2] = np.inf
    for strides in ("C", "Fortran"):
        panels = plain_panels(70, dtype)
        result = unpacked(packed(STRIDES[strides](matrix), panels), panels, 70)
        np.testing.assert_array_equal(result, matrix)


def test_every_number_of_workers_writes_everything(rng, dtype, monkeypatch):
    monkeypatch.setattr(schedule, "MULTIPLY_ADDS_PER_WORKER", 1)
    before = get_num_threads()
    matrix = rng.standard_normal((50, 150)).astype(dtype)
    try:
        for workers in (1, 2, 3, 8):
            set_num_threads(workers)
            for strides in ("C", "Fortran"):
                check(STRIDES[strides](matrix), plain_panels(150, dtype), plain_columns(150))
    finally:
        set_num_threads(before)
