"""Moves of rows: what NumPy's assignment and addition write, and nothing beside it."""

import numpy as np
import pytest

from fastrnn.kernels.cpu import moves

SHAPES = [(1,), (33,), (3, 5), (4, 2, 17), (2, 3, 64), (300, 8, 65)]
VIEWS = {
    "C": lambda a: a,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "blocks and rows exchanged": lambda a: np.moveaxis(np.moveaxis(a, -2, 0).copy(), 0, -2),
    "part of wider rows": lambda a: np.pad(a, ((1, 2),) * a.ndim, constant_values=7)[
        (slice(1, -2),) * a.ndim
    ],
}


def view_of(name, array):
    """A view with the numbers of an array; vectors have one layout only."""
    return VIEWS[name](array) if array.ndim > 1 else array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("source", VIEWS)
@pytest.mark.parametrize("target", VIEWS)
def test_rows_are_those_of_numpy(rng, dtype, shape, source, target):
    numbers, old = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    given = view_of(source, numbers)
    for move, wanted in ((moves.copy, numbers), (moves.add, old + numbers)):
        written = view_of(target, old.copy())
        around = written.base.copy() if target == "part of wider rows" and len(shape) > 1 else None
        move(given, written)
        np.testing.assert_array_equal(written, wanted)
        if around is not None:
            around[(slice(1, -2),) * len(shape)] = wanted
            np.testing.assert_array_equal(written.base, around)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zeros_are_a_source(dtype):
    target = np.full((3, 4, 21), np.nan, dtype)
    moves.copy(moves.zeros(target.shape, dtype), target)
    assert not target.any()


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_any_number_of_workers_writes_every_row_once(rng, workers, monkeypatch):
    monkeypatch.setattr(moves, "workers_over", lambda _: workers)
    source, target = rng.standard_normal((5, 3, 20)), np.ones((5, 3, 20))
    moves.add(source, target)
    np.testing.assert_array_equal(target, 1 + source)
