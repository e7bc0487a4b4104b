"""Frozen weights and streams give the bits of whole runs, step by step and chunk by chunk."""

import copy
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from functional.problems import call, extra_weights, random_problem

import fastrnn
from fastrnn import functional
from fastrnn.functional import bound


def frozen_problem(rng, cell, sizes, dtype):
    problem = random_problem(rng, cell, *sizes, dtype)
    extra = extra_weights(cell, problem)
    return problem, functional.freeze(cell, problem.W, problem.R, problem.b, extra=extra)


@pytest.mark.parametrize("sizes", [(5, 1, 4, 20), (3, 18, 7, 33), (1, 2, 100, 100)], ids=str)
def test_frozen_weights_give_the_bits_of_a_run(rng, cell, dtype, sizes):
    problem, frozen = frozen_problem(rng, cell, sizes, dtype)
    T, B = sizes[:2]
    lengths, resets = rng.integers(0, T + 1, B), rng.random((T, B)) < 0.3
    for options in ({}, {"lengths": lengths}, {"resets": resets, "reverse": True}):
        for given in (None, problem.state):
            y, final, _ = call(cell, problem._replace(state=given), training=False, **options)
            actual, actual_final = frozen(problem.x, given, **options)
            for ours, wanted in zip((actual, *actual_final), (y, *final), strict=True):
                np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("sizes", [(1, 1, 7, 33), (1, 9, 20, 16)], ids=str)
def test_one_step_from_zeros_gives_the_bits_of_zeros_that_are_given(rng, cell, dtype, sizes):
    problem, frozen = frozen_problem(rng, cell, sizes, dtype)
    zeros = tuple(np.zeros_like(part) for part in problem.state)
    wanted = frozen(problem.x, zeros)
    partly = (None, *zeros[1:])
    nothing = (None,) * len(zeros)
    for state in (None, partly, nothing, None, partly, nothing, None):
        y, final = frozen(problem.x, state)
        for ours, theirs in zip((y, *final), (wanted[0], *wanted[1]), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_states_in_any_order_give_the_bits_of_a_run(rng, cell, dtype):
    problem, frozen = frozen_problem(rng, cell, (1, 2, 7, 33), dtype)
    h, *others = problem.state
    states = [None, (None,) * (1 + len(others)), (h, *others), (None, *others), [h, *others]]
    states.append((h, *[None] * len(others)))
    for n in (0, 1, 1, 2, 0, 2, 3, 1, 4, 5, 2, 4, 0, 5, 3):
        y, final = frozen(problem.x, states[n])
        wanted, wanted_final, _ = call(cell, problem._replace(state=states[n]), training=False)
        for ours, theirs in zip((y, *final), (wanted, *wanted_final), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for wrong in ((*states[2], h), (h[:1], *others), "h"):
        with pytest.raises(ValueError, match="state"):
            frozen(problem.x, wrong)
    with pytest.raises(TypeError, match="state"):
        frozen(problem.x, (h.astype(np.float64 if dtype == np.float32 else np.float32), *others))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_step_from_zeros_shows_what_is_not_finite_in_R(rng, dtype, bad):
    problem = random_problem(rng, "lstm", 1, 2, 4, 20, dtype)
    problem.R[3, 5] = bad
    frozen = functional.freeze("lstm", problem.W, problem.R, problem.b)
    for _ in range(3):
        y, _ = frozen(problem.x)
        assert np.isnan(y[..., 5]).all()
        assert np.isfinite(y[..., 6]).all()


def test_small_runs_have_memory_of_their_own_from_the_second_time_on(rng):
    _, frozen = frozen_problem(rng, "lstm", (2, 1, 4, 5), np.float32)
    x = np.ones((2, 1, 4), np.float32)
    assert frozen.bound_run(x, None, False) is None
    frozen(x)
    first, second = (frozen.bound_run(x, None, False) for _ in range(2))
    assert first is not None
    assert first is not second
    first.put_back()
    assert frozen.bound_run(x, None, False) is first
    assert frozen.bound_run(x, None, True) is None
    assert frozen.bound_run(x.astype(np.float64), None, False) is None


def test_what_small_runs_keep_has_a_bound(rng):
    _, frozen = frozen_problem(rng, "lstm", (2, 1, 4, 64), np.float32)
    # Many kinds of runs, then large ones.
    for T in (*range(1, 1100), *range(3000, 4000, 5)):
        frozen(np.zeros((T, 1, 4), np.float32))
        frozen(np.zeros((T, 1, 4), np.float32))
        kept = [run for unused in frozen._bound._unused.values() for run in unused]
        assert sum(run._x.shape[0] for run in kept) * 64 <= bound._MOST_IN_ALL
        assert len(frozen._bound._unused) <= bound._MOST_KINDS


@pytest.mark.parametrize("V", [3, 90])
def test_a_frozen_table_gives_the_bits_of_a_run_on_its_rows(rng, cell, dtype, V):
    T, B, I, H = 5, 3, 7, 33
    problem = random_problem(rng, cell, T, B, I, H, dtype)
    extra = extra_weights(cell, problem)
    table, ids = rng.standard_normal((V, I)).astype(dtype), rng.integers(0, V, (T, B))
    W, R, b, state = problem.W, problem.R, problem.b, problem.state
    given = table.copy()
    frozen = functional.freeze(cell, W, R, b, extra=extra, table=given)
    given[...] = np.nan
    for options in ({}, {"reverse": True}, {"lengths": np.array([5, 0, 2])}):
        y, final = frozen(ids, state, **options)
        # With more rows of the table than steps, x is looked up first, and x @ W a longer sum.
        x = functional.Embedded(ids, table) if ids.size >= V else table[ids]
        wanted = functional.rnn(cell, x, W, R, b, state, extra=extra, training=False, **options)
        tolerance = 0 if ids.size >= V else 20 * np.finfo(dtype).eps
        for ours, theirs in zip((y, *final), (wanted[0], *wanted[1]), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    stream = frozen.stream(B)
    stream.state = state
    steps = [stream.step(ids[t]).copy() for t in range(2)]
    y, _ = frozen(ids, state)
    np.testing.assert_array_equal(np.stack([*steps, *stream.run(ids[2:])]), y)


def test_a_frozen_table_takes_integers_of_its_range(rng):
    problem = random_problem(rng, "lstm", 2, 2, 4, 5, np.float32)
    weights = problem.W, problem.R, problem.b
    with pytest.raises(ValueError, match=r"table: expected \(vocabulary, 4\)"):
        functional.freeze("lstm", *weights, table=np.ones((9, 5), np.float32))
    frozen = functional.freeze("lstm", *weights, table=np.ones((9, 4), np.float32))
    stream = frozen.stream(2)
    frozen(np.zeros((2, 2), int))
    for bad, message in (
        (np.full((2, 2), 9), "indices in 0..8, got 9"),
        (np.full((2, 2), -1), "got -1"),
        (problem.x, "integers"),
        (np.ones((2, 2)), "integers"),
        (np.zeros(2, int), "T, B"),
    ):
        with pytest.raises(ValueError, match=f"x: expected .*{message}"):
            frozen(bad)
    for bad in (np.array([0, 9]), np.zeros(3, int), np.zeros((2, 4), np.float32)):
        with pytest.raises(ValueError, match="x: expected"):
            stream.step(bad)


def test_frozen_weights_are_copies(rng):
    problem, frozen = frozen_problem(rng, "lstm", (3, 2, 4, 5), np.float32)
    before = frozen(problem.x)[0].copy()
    for array in (problem.W, problem.R, problem.b):
        array[...] = np.nan
    np.testing.assert_array_equal(frozen(problem.x)[0], before)


@pytest.mark.parametrize("sizes", [(7, 1, 4, 20), (6, 5, 7, 33), (4, 40, 3, 16)], ids=str)
def test_a_stream_gives_a_runs_results_step_by_step_and_in_chunks(rng, cell, dtype, sizes):
    problem, frozen = frozen_problem(rng, cell, sizes, dtype)
    x, state = problem.x, problem.state
    T, B = sizes[:2]
    y, final = frozen(x, state)
    stream = frozen.stream(B)
    stream.state = state
    steps = [stream.step(x_t).copy() for x_t in x[:2]]
    chunk = stream.run(x[2 : T - 1])
    steps += [*chunk, stream.step(x[T - 1]).copy()]
    # x @ W is made within a step, and before a run of few sequences: sums in another order.
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(np.stack(steps), y, rtol=tolerance, atol=tolerance)
    for ours, wanted in zip(stream.state, final, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=20 * tolerance, atol=20 * tolerance)


@pytest.mark.parametrize("reverse", [False, True])
def test_results_are_the_callers_own(rng, cell, reverse):
    problem, frozen = frozen_problem(rng, cell, (4, 2, 5, 17), np.float32)
    xs = [problem.x, 2 * problem.x, problem.x.swapaxes(0, 1).copy().swapaxes(0, 1)]
    states = [None, problem.state, None, problem.state]
    results = [frozen(x, state, reverse=reverse) for state in states for x in xs]
    calls = [(x, state) for state in states for x in xs]
    for (x, state), (y, final) in zip(calls, results, strict=True):
        wanted, wanted_final, _ = call(
            cell, problem._replace(x=x, state=state), training=False, reverse=reverse
        )
        for ours, theirs in zip((y, *final), (wanted, *wanted_final), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_frozen_weights_serve_many_threads_and_thread_counts(rng):
    problem, frozen = frozen_problem(rng, "lstm", (20, 3, 8, 64), np.float32)
    xs = [(1 + n) * problem.x for n in range(4)]
    wanted = [frozen(x)[0] for x in xs]

    def many(n):
        return all(np.array_equal(frozen(xs[n])[0], wanted[n]) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(many, range(4)))
    before = fastrnn.get_num_threads()
    try:
        for threads in (1, 3):
            fastrnn.set_num_threads(threads)
            np.testing.assert_array_equal(frozen(xs[1])[0], wanted[1])
    finally:
        fastrnn.set_num_threads(before)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_frozen_weights_can_be_copied(rng, copied):
    problem, frozen = frozen_problem(rng, "gru", (3, 2, 4, 5), np.float32)
    wanted = frozen(problem.x)[0]
    np.testing.assert_array_equal(copied(frozen)(problem.x)[0], wanted)


def test_some_streams_start_anew_and_the_others_go_on(rng):
    (x, *_), frozen = frozen_problem(rng, "lstm", (4, 3, 5, 6), np.float32)
    stream, untouched = frozen.stream(3), frozen.stream(3)
    for x_t in x[:2]:
        stream.step(x_t)
        untouched.step(x_t)
    stream.reset([1])
    y, kept = stream.step(x[2]).copy(), untouched.step(x[2]).copy()
    np.testing.assert_array_equal(y[[0, 2]], kept[[0, 2]])
    fresh = frozen.stream(3)
    np.testing.assert_array_equal(y[1], fresh.step(x[2])[1])
    stream.reset()
    np.testing.assert_array_equal(stream.step(x[3]), frozen.stream(3).step(x[3]))


def test_a_step_allocates_nothing(rng):
    (x, *_), frozen = frozen_problem(rng, "gru", (1, 2, 30, 40), np.float32)
    stream = frozen.stream(2)
    step = x[0]
    for _ in range(5):
        stream.step(step)
    tracemalloc.start()
    try:
        stream.step(step)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(100):
            stream.step(step)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after <= before
    assert peak - before < 1024  # less than any array of these sizes: numbers and frames


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 4), np.float64), r"^x: expected \(2, 4\) float32, got \(2, 4\) float64"),
        (np.ones((2, 5), np.float32), r"^x: expected \(2, 4\) float32, got \(2, 5\) float32"),
        (np.ones(4, np.float32), r"^x: expected \(2, 4\) float32, got \(4,\) float32"),
    ],
)
def test_wrong_steps_are_refused(x, message):
    W, R = np.ones((4, 20), np.float32), np.ones((5, 20), np.float32)
    stream = functional.freeze("lstm", W, R).stream(2)
    with pytest.raises(ValueError, match=message):
        stream.step(x)
    with pytest.raises(ValueError, match="^B: expected an int of at least 1, got 0"):
        functional.freeze("lstm", W, R).stream(0)
    with pytest.raises(ValueError, match=r"^state: expected 2 arrays \(h, c\)"):
        stream.state = (np.ones((2, 5), np.float32),)
