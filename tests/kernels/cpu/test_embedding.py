"""Gather and scatter-add: exact copies, sums in the order of positions."""

import numpy as np
import pytest

from fastrnn.kernels.cpu.embedding import Embedding, Numbering, gather, number, scatter_add

DTYPES = [np.float32, np.float64]
SIZES = [1, 3, 17, 33, 100]
WORKERS = [1, 2, 3, 8]
V = 11


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("D", SIZES)
@pytest.mark.parametrize("N", [0, 1, 17, 100])
def test_gather_copies_rows_with_any_number_of_workers(N, D, dtype, rng):
    table = rng.standard_normal((V, D)).astype(dtype)
    table[3] = np.nan
    ids = rng.integers(0, V, N, np.int32)
    for workers in WORKERS:
        memory = np.full(N * D + 40, 7, dtype)
        rows = memory[1 : N * D + 1].reshape(N, D)
        gather(None, Embedding(N, D, ids, rows, table), workers)
        np.testing.assert_array_equal(rows, table[ids])
        assert memory[0] == 7 and (memory[N * D + 1 :] == 7).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("D", SIZES)
@pytest.mark.parametrize("N", [0, 1, 17, 100])
def test_scatter_adds_in_the_order_of_positions_with_any_number_of_workers(N, D, dtype, rng):
    rows = rng.standard_normal((N, D)).astype(dtype)
    ids = rng.integers(0, V - 2, N, np.int32)
    desired = np.zeros((V, D), dtype)
    for n in range(N):
        desired[ids[n]] += rows[n]
    for workers in WORKERS:
        memory = np.full(V * D + 40, 7, dtype)
        table = memory[1 : V * D + 1].reshape(V, D)
        table[:] = 0
        scatter_add(None, Embedding(N, D, ids, rows, table), workers)
        np.testing.assert_array_equal(table, desired)
        assert memory[0] == 7 and (memory[V * D + 1 :] == 7).all()


def test_scatter_touches_named_rows_only(rng):
    rows = np.ones((2, 5), np.float32)
    table = np.full((4, 5), np.nan, np.float32)
    table[[1, 3]] = 0
    scatter_add(None, Embedding(2, 5, np.array([3, 1], np.int32), rows, table), 2)
    np.testing.assert_array_equal(np.isnan(table[:, 0]), [True, False, True, False])
    np.testing.assert_array_equal(table[[1, 3]], 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("D", SIZES)
def test_factors_come_again_every_few_rows_with_any_number_of_workers(D, dtype, rng):
    table = rng.standard_normal((V, D)).astype(dtype)
    ids = rng.integers(0, V, 100, np.int32)
    factors = rng.standard_normal((7, D)).astype(dtype)
    repeated = factors[np.arange(100) % 7]
    rows, sums = np.empty((100, D), dtype), np.zeros((V, D), dtype)
    np.add.at(sums, ids, table[ids] * repeated * repeated)
    tolerance = 1e-5 if dtype == np.float32 else 1e-14
    found = []
    for workers in WORKERS:
        gather(None, Embedding(100, D, ids, rows, table, factors, 7), workers)
        np.testing.assert_array_equal(rows, table[ids] * repeated)
        found.append(np.zeros((V, D), dtype))
        scatter_add(None, Embedding(100, D, ids, rows, found[-1], factors, 7), workers)
        np.testing.assert_array_equal(found[-1], found[0])
        np.testing.assert_allclose(found[-1], sums, tolerance, 10 * tolerance)


def test_scatter_clears_as_many_rows_as_it_is_told(rng):
    for workers in WORKERS:
        table = np.full((4, 33), np.nan, np.float32)
        ids = np.array([1, 1], np.int32)
        rows = np.ones((2, 33), np.float32)
        scatter_add(None, Embedding(2, 33, ids, rows, table, cleared=3), workers)
        np.testing.assert_array_equal(table[:3], np.array([[0], [2], [0]]) * np.ones(33))
        assert np.isnan(table[3]).all()


@pytest.mark.parametrize("N", [0, 1, 17, 100])
def test_rows_are_numbered_in_their_order(N, rng):
    ids = rng.integers(0, V, N, np.int32)
    places, numbers = np.full(N, -1, np.int32), np.full(V, -1, np.int32)
    rows = np.full(V + 1, -1)
    number(None, Numbering(N, V, ids, numbers, places, rows, np.ones(1)), 1)
    named, desired = np.unique(ids, return_inverse=True)
    np.testing.assert_array_equal(rows[: rows[V]], named)
    np.testing.assert_array_equal(places, desired)
