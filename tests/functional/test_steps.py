"""Packed sequences: a recurrence over their steps against one over each sequence by itself."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from processes import run_python

from fastrnn.functional.sequences import packed_steps
from fastrnn.functional.steps import even_steps, splits, unview, view

# T, sequences
SIZES = [(1, 1), (1, 7), (9, 1), (6, 5), (13, 40), (20, 3)]
H = 3
PADDED = 5

LENGTHS = {
    "all steps": lambda rng, T, B: np.full(B, T),
    "random": lambda rng, T, B: rng.integers(0, T + 1, B),
    "none": lambda rng, T, B: np.zeros(B, np.int64),
    "one or none": lambda rng, T, B: rng.integers(0, 2, B),
    "falling": lambda rng, T, B: np.sort(rng.integers(0, T + 1, B))[::-1].copy(),
}
RESETS = {
    "never": lambda rng, T, B: np.zeros((T, B), bool),
    "rare": lambda rng, T, B: rng.random((T, B)) < 0.1,
    "frequent": lambda rng, T, B: rng.random((T, B)) < 0.6,
    "always": lambda rng, T, B: np.ones((T, B), bool),
    "at both ends": lambda rng, T, B: np.isin(np.arange(T), [0, T - 1])[:, None].repeat(B, 1),
}


class Problem:
    """Sequences of whole numbers, which halve without rounding, and NaN where nobody may look."""

    def __init__(self, rng, lengths, resets, reverse):
        T, B = resets.shape
        self.lengths, self.resets, self.reverse = lengths, resets, reverse
        padding = np.arange(T)[:, None] >= lengths
        self.x, self.dy = rng.integers(-9, 10, (2, T, B, H)).astype(float)
        self.x[padding] = self.dy[padding] = np.nan
        self.state, self.dstate = rng.integers(-9, 10, (2, B, H)).astype(float)
        for b in range(B):
            if lengths[b] and resets[self.times(b)[0], b]:
                self.state[b] = np.nan

    def times(self, b):
        """The times of a sequence in the order they run."""
        return range(self.lengths[b])[:: -1 if self.reverse else 1]


def one_by_one(problem):
    """y, final state, dx and the gradient of the initial state of h = h_prev / 2 + x."""
    y, dx = np.zeros((2, *problem.x.shape))
    final, dstate = np.zeros((2, *problem.state.shape))
    for b in range(len(final)):
        h = problem.state[b]
        for t in problem.times(b):
            h = y[t, b] = (0 if problem.resets[t, b] else h / 2) + problem.x[t, b]
        dh = problem.dstate[b]
        for t in reversed(problem.times(b)):
            dx[t, b] = dh + problem.dy[t, b]
            dh = np.zeros(H) if problem.resets[t, b] else dx[t, b] / 2
        final[b], dstate[b] = h, dh
    return y, final, dx, dstate


def by_steps(problem, steps):
    """The same over packed rows, as the kernels walk them."""
    B, N, rows = steps.B, steps.N, steps.rows
    x = view(problem.x, steps, problem.reverse).array.reshape(-1, H)
    h = np.full((B + N, PADDED), np.nan)
    steps.put_initial(problem.state, h[:B])
    assert not h[:B, H:].any()
    latest = h[:B].copy()
    for k in range(steps.T):
        count = rows[k + 1] - rows[k]
        before = B + rows[k - 1] if k else 0
        after = h[B + rows[k] : B + rows[k + 1]]
        after[:] = h[before : before + count] / 2
        after[:, :H] += x[rows[k] : rows[k + 1]]
        latest[:count] = after
    T = len(problem.x)
    y = unview(h[B:, :H], steps, problem.reverse, T)
    final = steps.take_final(h, H)
    np.testing.assert_array_equal(steps.take_final(latest, H), final)

    dy = view(problem.dy, steps, problem.reverse).array.reshape(-1, H)
    dx = np.full((N, H), np.nan)
    dh = np.full((B, PADDED), np.nan)
    steps.put_final(problem.dstate, dh)
    assert not dh[:, H:].any()
    for k in reversed(range(steps.T)):
        count = rows[k + 1] - rows[k]
        dh[:count, :H] += dy[rows[k] : rows[k + 1]]
        dx[rows[k] : rows[k + 1]] = dh[:count, :H]
        dh[:count] /= 2
    return y, final, unview(dx, steps, problem.reverse, T), steps.take_initial(dh, H)


def assert_agree(problem, steps):
    for ours, wanted in zip(by_steps(problem, steps), one_by_one(problem), strict=True):
        np.testing.assert_array_equal(ours, wanted)
        assert ours.flags.c_contiguous or steps.packing is None


reverse = pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])


@reverse
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("resets", RESETS)
@pytest.mark.parametrize("lengths", LENGTHS)
def test_packed_sequences_run_as_each_by_itself(rng, lengths, resets, sizes, reverse):
    for _ in range(3):
        lengths_, resets_ = LENGTHS[lengths](rng, *sizes), RESETS[resets](rng, *sizes)
        steps = packed_steps(lengths_, reverse, resets_)
        assert steps.sequences == sizes[1]
        assert_agree(Problem(rng, lengths_, resets_, reverse), steps)
        if resets == "never":
            assert_agree(Problem(rng, lengths_, resets_, reverse), packed_steps(lengths_, reverse))
        if lengths == "all steps":
            steps = packed_steps(None, reverse, resets_)
            assert_agree(Problem(rng, lengths_, resets_, reverse), steps)


@reverse
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equal_sequences_run_as_each_by_itself(rng, sizes, reverse):
    problem = Problem(rng, np.full(sizes[1], sizes[0]), np.zeros(sizes, bool), reverse)
    steps = even_steps(*sizes)
    assert steps.sequences == sizes[1]
    assert_agree(problem, steps)


@reverse
def test_resets_are_worth_more_places_and_fewer_steps(rng, reverse):
    T, B = 12, 4
    resets = np.zeros((T, B), bool)
    resets[[3, 6, 9]] = True
    steps = packed_steps(None, reverse, resets)
    # Backwards the state is cleared before step 9 runs: after 11 and 10.
    assert steps[:3] == (4 if reverse else 3, 4 * B, T * B)
    steps = packed_steps(None, reverse, np.ones((T, B), bool))
    assert steps[:3] == (1, T * B, T * B)


def test_rows_fall_from_step_to_step_and_are_as_many_as_there_are_steps(rng):
    lengths = rng.integers(0, 30, 50)
    steps = packed_steps(lengths, False, rng.random((30, 50)) < 0.1)
    active = np.diff(steps.rows)
    assert steps.N == steps.rows[-1] == lengths.sum()
    assert (np.diff(active) <= 0).all() and active[-1] > 0
    assert len(active) == steps.T and active[0] <= steps.B


def test_more_than_16_bits_of_steps_are_put_in_order():
    lengths = np.array([4000, 70000, 0, 70001, 69000])
    steps = packed_steps(lengths, False)
    np.testing.assert_array_equal(steps.packing.order, [3, 1, 4, 0, 2])
    assert (steps.T, steps.N) == (70001, 213001)


@pytest.mark.parametrize("steps", [even_steps(4, 3), packed_steps(np.array([1, 0, 2]), False)])
def test_no_state_is_zeros(steps):
    for put in (steps.put_initial, steps.put_final):
        target = np.full((3, H), np.nan)
        put(None, target)
        assert not target.any()


@reverse
def test_what_is_taken_is_the_callers(rng, reverse):
    for steps in (even_steps(2, 3), packed_steps(np.array([2, 0, 1]), reverse)):
        places = rng.standard_normal((steps.B + steps.N, PADDED))
        kept = places.copy()
        steps.take_initial(places[: steps.B], H)[:] = 0
        steps.take_final(places, H)[:] = 0
        np.testing.assert_array_equal(places, kept)


STRIDES = {
    "C": lambda a: a,
    "batch-major": lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1),
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran": np.asfortranarray,
    "every second feature": lambda a: a.repeat(2, -1)[..., ::2],
    "one sequence for all": lambda a: np.broadcast_to(a[:, :1], a.shape),
    "one number for all": lambda a: np.broadcast_to(a[:1, :1, :1], a.shape),
}


@reverse
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("strides", STRIDES)
def test_views_of_any_strides_are_the_rows_of_the_array(rng, strides, kind, reverse):
    T, B = 7, 6
    lengths = np.array([7, 0, 3, 7, 1, 4])
    resets = rng.random((T, B)) < 0.3
    everything = np.full(B, T)
    for M in (1, 4, 17):
        array = STRIDES[strides](rng.integers(-(2**31), 2**31, (T, B, M)).astype(kind))
        for steps, ends in (
            (packed_steps(lengths, reverse), lengths),
            (packed_steps(lengths, reverse, resets), lengths),
            (even_steps(T, B), everything),
        ):
            seen = view(array, steps, reverse)
            rows = seen.array.reshape(-1, M)
            assert rows.dtype == kind
            np.testing.assert_array_equal(rows, rows_one_by_one(array, steps, reverse))
            if steps.packing is not None:
                assert seen.row == M
                np.testing.assert_array_equal(seen.step, steps.rows[:-1] * M)
            if kind != np.int32:
                desired = np.where((np.arange(T)[:, None] < ends)[..., None], array, 0)
                np.testing.assert_array_equal(unview(rows, steps, reverse, T), desired)


def rows_one_by_one(array, steps, reverse):
    """The rows of an array, from what `Packing` says of each place."""
    packing = steps.packing
    if packing is None:
        return array[:: -1 if reverse else 1].reshape(-1, array.shape[2])
    return [
        array[packing.start[p] + k * packing.turn, packing.order[p]]
        for k in range(steps.T)
        for p in range(steps.B)
        if k < packing.falling[p]
    ]


def test_packed_output_may_be_made_read_only():
    steps = packed_steps(np.array([2, 0, 1]), False)
    for is_writeable in (True, False):
        array = unview(np.ones((3, 4), np.float32), steps, False, 2)
        array.flags.writeable = is_writeable


@pytest.mark.parametrize("workers", [1, 2, 3, 16])
def test_workers_get_equal_shares_of_rows(rng, workers):
    for lengths in (
        rng.integers(0, 100, 64),
        np.array([5, 5]),
        np.array([100, *[1] * 100]),
        np.zeros(4, np.int64),
        np.array([1]),
    ):
        steps = packed_steps(lengths, False)
        ends = splits(steps, workers)
        assert ends[0] == 0 and ends[-1] == steps.B and (np.diff(ends) >= 0).all()
        falling = np.sort(lengths)[::-1]
        for begin, end in pairwise(ends):
            assert abs(falling[begin:end].sum() - steps.N / workers) <= falling[0]
    np.testing.assert_array_equal(splits(packed_steps(np.array([5, 5]), False), 2), [0, 1, 2])


RANDOM_VIEWS = """
import numpy as np
from functional.guarded import guarded_in_any_order
from fastrnn import set_num_threads
from fastrnn.functional.sequences import packed_steps
from fastrnn.functional.steps import unview, view
from fastrnn.kernels.cpu import threads

threads.GRAIN = 1
rng = np.random.default_rng(7)
for n in range(300):
    set_num_threads(int(rng.choice([1, 3])))
    T, B, M = (int(rng.choice([1, 2, 7, 16, 33])) for _ in range(3))
    kind = rng.choice([np.float32, np.float64, np.int32])
    array = rng.integers(-9, 10, (T, B, M)).astype(kind)
    lengths = rng.integers(0, T + 1, B)
    resets = rng.random((T, B)) < rng.choice([0, 0.2, 1]) if rng.integers(2) else None
    reverse = bool(rng.integers(2))
    steps = packed_steps(lengths, reverse, resets)
    inside = guarded_in_any_order(rng, array, at_end=bool(rng.integers(2)))
    rows = view(inside, steps, reverse).array
    if kind != np.int32 and rows.size:
        rows = guarded_in_any_order(rng, rows, at_end=bool(rng.integers(2)))
        rows = rows if rows.strides[1] == rows.itemsize else np.ascontiguousarray(rows)
        back = unview(rows, steps, reverse, T)
        desired = np.where((np.arange(T)[:, None] < lengths)[..., None], array, 0)
        np.testing.assert_array_equal(back, desired)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="memory is protected by mprotect")
def test_memory_beside_the_arrays_is_never_touched():
    run_python(RANDOM_VIEWS)
