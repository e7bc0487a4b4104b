"""Embedding on arrays: the reference's results, and errors that name the argument."""

import numpy as np
import pytest
from tolerances import (
    FLOAT32_GRADIENT,
    FLOAT64_GRADIENT,
    assert_close,
)

from fastrnn.functional.embedding import embedding, used_rows
from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads
from fastrnn.reference import embedding as reference

DTYPES = [np.float32, np.float64]
GRADIENT = {np.float32: FLOAT32_GRADIENT, np.float64: FLOAT64_GRADIENT}
V = 50


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (7,), (5, 3), (2, 3, 4), (0,), (4, 0)])
def test_results_match_the_reference_for_any_shape_of_ids(shape, dtype, rng):
    E = rng.standard_normal((V, 17)).astype(dtype)
    ids = rng.integers(0, V, shape)
    y, backward = embedding(ids, E)
    np.testing.assert_array_equal(y, E[ids])
    assert y.dtype == dtype
    dy = rng.standard_normal((*shape, 17)).astype(dtype)
    assert_close(backward(dy), reference.backward(ids, V, dy), GRADIENT[dtype], "dE")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [12, 60_000])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (2, 3, 4), (0, 4)])
def test_rows_times_factors_and_their_gradients_match_the_reference(number, shape, dtype, rng):
    E = rng.standard_normal((number, 17)).astype(dtype)
    ids = rng.integers(0, 9, shape)
    factors = rng.standard_normal((4, 17)).astype(dtype)
    y, backward = embedding(ids, E, factors)
    np.testing.assert_array_equal(y, E[ids] * factors)
    dy = rng.standard_normal((*shape, 17)).astype(dtype)
    rows, sums = backward.rows(dy)
    np.testing.assert_array_equal(rows, np.unique(ids))
    desired = reference.backward(ids, number, np.asarray(dy, np.float64) * factors)
    assert_close(backward(dy), desired, GRADIENT[dtype], "dE")
    assert_close(sums, desired[rows], GRADIENT[dtype], "sums")


def test_strided_factors_are_read_right(rng):
    E, ids = rng.standard_normal((V, 5)), rng.integers(0, V, (6, 3))
    factors = rng.standard_normal((5, 3)).T
    y, backward = embedding(ids, E, factors)
    np.testing.assert_array_equal(y, E[ids] * factors)
    desired = reference.backward(ids, V, factors * np.ones((6, 3, 5)))
    assert_close(backward(np.ones((6, 3, 5))), desired, FLOAT64_GRADIENT)


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">i4"])
def test_ids_may_have_any_integer_dtype(kind):
    E = np.arange(30, dtype=np.float32).reshape(10, 3)
    y, _ = embedding(np.array([9, 0, 4], kind), E)
    np.testing.assert_array_equal(y, E[[9, 0, 4]])


@pytest.mark.parametrize(
    ("kind", "highest"), [("i1", 127), ("u1", 255), ("i2", 1999), ("u2", 1999)]
)
def test_ids_may_be_narrower_than_the_table(kind, highest):
    E = np.arange(2000, dtype=np.float32)[:, None]
    y, _ = embedding(np.array([highest, 0], kind), E)
    assert y[:, 0].tolist() == [highest, 0]


def test_strided_arguments_are_read_right(rng):
    E = np.asfortranarray(rng.standard_normal((V, 5)))
    ids = rng.integers(0, V, (6, 8))[::2, ::-3]
    y, backward = embedding(ids, E)
    np.testing.assert_array_equal(y, E[ids])
    dy = rng.standard_normal((5, *ids.shape)).transpose(1, 2, 0)
    assert_close(backward(dy), reference.backward(ids, V, dy), FLOAT64_GRADIENT)


def test_backward_is_not_confused_by_later_changes_of_ids():
    ids = np.array([1, 2], np.int32)
    _, backward = embedding(ids, np.eye(3))
    ids[:] = 0
    np.testing.assert_array_equal(backward(np.ones((2, 3)))[:, 0], [0, 1, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_number_of_threads_changes_no_bit(dtype, rng):
    before = get_num_threads()
    E = rng.standard_normal((V, 100)).astype(dtype)
    ids = rng.integers(0, V, 3000)
    dy = rng.standard_normal((3000, 100)).astype(dtype)
    try:
        found = []
        for number in (1, 2, 3, 8):
            set_num_threads(number)
            y, backward = embedding(ids, E)
            scaled, scaled_backward = embedding(ids, E, dy)
            found.append((y, backward(dy), scaled, scaled_backward(dy), *backward.rows(dy)))
    finally:
        set_num_threads(before)
    for arrays in found[1:]:
        for array, first in zip(arrays, found[0], strict=True):
            np.testing.assert_array_equal(array, first)


@pytest.mark.parametrize("V", [10, 100_000])
def test_used_rows_are_sorted_and_unique(V, rng):
    ids = rng.integers(0, 10, (20, 3))
    np.testing.assert_array_equal(used_rows(ids, V), np.unique(ids))
    assert used_rows(np.zeros(0, int), V).size == 0


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0, 3], r"ids: expected integers in 0\.\.2, got 3"),
        ([-1, 2], r"ids: expected integers in 0\.\.2, got -1"),
        (np.array([2**32], np.int64), r"ids: expected integers in 0\.\.2, got 4294967296"),
        (
            np.array([2**63], np.uint64),
            r"ids: expected integers in 0\.\.2, got 9223372036854775808",
        ),
        ([0.0, 1.0], r"ids: expected integers, got \(2,\) float64"),
        ([True], r"ids: expected integers, got \(1,\) bool"),
        (["a"], "ids: expected integers"),
    ],
)
def test_bad_ids_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        embedding(ids, np.eye(3))
    with pytest.raises(ValueError, match=message):
        used_rows(ids, 3)


def test_bad_tables_and_gradients_are_named():
    for E in (np.zeros(3), np.zeros((3, 2), int), np.zeros((3, 2), np.float16), np.zeros((0, 2))):
        with pytest.raises(ValueError, match="E: expected"):
            embedding([0], E)
    _, backward = embedding([0, 1], np.eye(3))
    for dy in (np.zeros((3, 3)), np.zeros((2, 3), np.float32), np.zeros(6)):
        for call in (backward, backward.rows):
            with pytest.raises(ValueError, match=r"dy: expected \(2, 3\) float64"):
                call(dy)


def test_bad_factors_are_named():
    for factors in (np.ones(3), np.ones((3, 3)), np.ones((2, 2))):
        with pytest.raises(ValueError, match=r"factors: expected \(2, 3\) float32 or float64"):
            embedding([0, 1], np.eye(3), factors)
    with pytest.raises(TypeError, match="factors: expected float64 as E, got float32"):
        embedding([0, 1], np.eye(3), np.ones((2, 3), np.float32))
