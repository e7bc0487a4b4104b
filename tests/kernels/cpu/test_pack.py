"""Weights in panels: every number at its place, zeros elsewhere, for every order of strides."""

from itertools import pairwise

import numpy as np
import pytest
from numba import from_dtype

from fastrnn.functional.panels import (
    gate_panels,
    packed,
    packed_transposed,
    plain_panels,
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


def gate_columns(panels, panel, vector):
    """The columns that a vector of a panel of gates holds."""
    H, lanes = panels.limit, panels.lanes
    units = range(panel * lanes, min(H, (panel + 1) * lanes))
    return [panels.columns[vector] + unit for unit in units]


def plain_columns(panels, panel, vector):
    """The columns that a vector of a panel of neighbours holds."""
    first = (panel * 4 + vector) * panels.lanes
    return list(range(first, min(panels.limit, first + panels.lanes)))


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


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("K", [1, 3, 16, 33, 200])
def test_gates_round_trip_from_any_strides(rng, dtype, strides, K):
    for H in (1, 5, 16, 37):
        for gates in (1, 3, 4):
            panels = gate_panels(H, gates, dtype)
            matrix = STRIDES[strides](rng.standard_normal((K, gates * H)).astype(dtype))
            check(matrix, panels, gate_columns)


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("K", [1, 3, 16, 33])
def test_columns_round_trip_from_any_strides(rng, dtype, strides, K):
    for columns in (1, 3, 63, 64, 65, 100):
        panels = plain_panels(columns, dtype)
        matrix = STRIDES[strides](rng.standard_normal((K, columns)).astype(dtype))
        check(matrix, panels, plain_columns)


def check(matrix, panels, columns_of):
    result = packed(matrix, panels)
    np.testing.assert_array_equal(result, panels_one_by_one(matrix, panels, columns_of))
    np.testing.assert_array_equal(unpacked(result, panels, matrix.shape[1]), matrix)
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
        check(matrix, panels, plain_columns)
    for matrix in (numbers[:, 3:4], numbers.T[:, 3:4], numbers[::2, 3:4], numbers.T[::-1, 3:4]):
        check(matrix, plain_panels(1, dtype), plain_columns)
    for matrix in (numbers[3:4], numbers.T[3:4], numbers[3:4, ::-1]):
        check(matrix, panels, plain_columns)


def test_share_of_the_gates_is_packed_alone(rng, dtype):
    H, K = 21, 10
    matrix = rng.standard_normal((K, 4 * H)).astype(dtype)
    panels = gate_panels(H, 4, dtype).share(1, 3)
    result = packed(matrix, panels)
    np.testing.assert_array_equal(result, panels_one_by_one(matrix, panels, gate_columns))
    matrix[:, :H] = matrix[:, 3 * H :] = 0
    np.testing.assert_array_equal(unpacked(result, panels, 4 * H), matrix)


def test_padding_is_zero_even_in_used_memory(rng, dtype):
    panels = gate_panels(lanes_of(dtype) + 1, 4, dtype)
    matrix = rng.standard_normal((5, 4 * (lanes_of(dtype) + 1))).astype(dtype)
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
        np.testing.assert_array_equal(
            function(matrix, panels), desired(matrix, panels, gate_columns)
        )


def test_nan_and_infinity_are_moved_as_they_are(dtype):
    matrix = np.full((19, 70), np.nan, dtype)
    matrix[::2] = np.inf
    for strides in ("C", "Fortran"):
        panels = plain_panels(70, dtype)
        result = unpacked(packed(STRIDES[strides](matrix), panels), panels, 70)
        np.testing.assert_array_equal(result, matrix)


def test_every_number_of_workers_writes_everything(rng, dtype, monkeypatch):
    monkeypatch.setattr(schedule, "_MULTIPLY_ADDS_PER_WORKER", 1)
    before = get_num_threads()
    matrix = rng.standard_normal((50, 150)).astype(dtype)
    try:
        for workers in (1, 2, 3, 8):
            set_num_threads(workers)
            for strides in ("C", "Fortran"):
                check(STRIDES[strides](matrix), plain_panels(150, dtype), plain_columns)
    finally:
        set_num_threads(before)
