"""Distinct rows are found whatever their bits, strides and hashes, and looked up again."""

import numpy as np
import pytest

from fastrnn.functional import distinct
from fastrnn.functional.distinct import distinct_rows

from .guarded import guarded


def repeating(rng, shape, dtype, kinds=7):
    rows = rng.standard_normal((kinds, shape[-1])).astype(dtype)
    rows[0] = np.nan
    rows[1] = 0.0
    rows[2] = -0.0
    rows[3], rows[3, -1] = rows[4], np.inf
    return rows[rng.integers(0, kinds, shape[:-1])]


def assert_same_bits(actual, desired):
    assert actual.tobytes() == np.ascontiguousarray(desired).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 3), (200, 1), (6, 40, 17), (40, 1, 5), (1, 40, 64)])
def test_rows_are_those_of_the_table(shape, dtype):
    x = repeating(np.random.default_rng(3), shape, dtype)
    rows = distinct_rows(x)
    assert_same_bits(rows.table[rows.ids].reshape(shape), x)
    count = rows.ids.max() + 1
    assert count == len({row.tobytes() for row in x.reshape(-1, shape[-1])})
    assert_same_bits(rows.table[count:], np.zeros_like(rows.table[count:]))


def test_numbers_follow_the_first_appearance():
    x = np.float32([[3], [1], [3], [2], [1]])
    assert distinct_rows(x).ids.tolist() == [0, 1, 0, 2, 1]


def test_equal_hashes_do_no_harm(monkeypatch):
    monkeypatch.setattr(distinct, "_keys", lambda count: np.zeros(count, np.int64))
    x = repeating(np.random.default_rng(4), (90, 33), np.float32)
    rows = distinct_rows(x)
    assert_same_bits(rows.table[rows.ids], x)


@pytest.mark.parametrize("turn", [(1, 0, 2), (0, 1, 2)])
def test_rows_may_lie_anywhere(turn):
    x = repeating(np.random.default_rng(5), (12, 9, 10), np.float32)
    for view in (x.transpose(turn), x[::-1], x[:, ::2, 3:], x[::3, ::-2], x[:, 0]):
        rows = distinct_rows(view)
        assert_same_bits(rows.table[rows.ids].reshape(view.shape), view)


def test_it_gives_up_where_few_rows_repeat():
    rng = np.random.default_rng(6)
    assert distinct_rows(rng.standard_normal((400, 8))) is None
    few = rng.standard_normal((400, 8))[np.arange(800) % 400]
    assert distinct_rows(few) is None
    assert distinct_rows(rng.standard_normal((8, 400)).T) is None


@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_beside_the_rows_is_read(at_end):
    for I in (1, 15, 16, 17):
        x = repeating(np.random.default_rng(7), (50, I), np.float32)
        rows = distinct_rows(guarded(x, at_end))
        assert_same_bits(rows.table[rows.ids], x)
