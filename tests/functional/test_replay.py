"""Small runs of a kind that comes again give the bits of a first run, whatever came before."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from functional.problems import extra_weights, random_problem
from tolerances import FLOAT32_OUTPUT, assert_close

import fastrnn
from fastrnn import functional

SIZES = [(4, 1, 3, 17), (3, 18, 5, 16)]


@pytest.fixture(autouse=True)
def no_replays(monkeypatch):
    module = sys.modules["fastrnn.functional.rnn"]  # the function of that name hides it
    monkeypatch.setattr(module, "_replays", module.Replays())


def every_array(gradients):
    named = {"x": gradients.x, "W": gradients.W, "R": gradients.R, "b": gradients.b}
    states = {f"state{i}": s for i, s in enumerate(gradients.state)}
    extra = {"norms": gradients.norms, **(gradients.extra or {})}
    return {k: v for k, v in (named | states | extra).items() if v is not None}


def assert_same(results, wanted):
    for (y, final, gradients), (y0, final0, gradients0) in zip(results, wanted, strict=True):
        for ours, theirs in zip((y, *final), (y0, *final0), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        if gradients0 is None:
            continue
        ours, theirs = every_array(gradients), every_array(gradients0)
        assert ours.keys() == theirs.keys()
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def run(problem, cell, *, extra, is_first, reverse, training=True, wants_dx=True, **options):
    """Outputs and gradients, of a run that is the first of its kind to the engine, or not."""
    x = problem.x
    T, B = (x.ids if isinstance(x, functional.Embedded) else x).shape[:2]
    lengths = np.full(B, T) if is_first else None  # as long as all are, but asked for another way
    y, final, backward = functional.rnn(
        cell, problem.x, problem.W, problem.R, problem.b, problem.state, extra=extra,
        lengths=lengths, reverse=reverse, training=training, wants_dx=wants_dx,
    )  # fmt: skip
    gradients = backward(problem.dy, problem.dstate, **options) if training else None
    return y, final, gradients


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_runs_of_a_kind_give_the_bits_of_a_first_run(rng, cell, dtype, sizes, reverse):
    first = random_problem(rng, cell, *sizes, dtype)
    problems = [first, *(random_problem(rng, cell, *sizes, dtype) for _ in range(3))]
    extras = [extra_weights(cell, p) for p in problems]
    kinds = [{}, *({name: False} for name in ("wants_dx", "wants_dstate", "training"))]
    kinds.append({"wants_norms": True})
    calls = [
        (problem._replace(state=state), extra, kind)
        for kind in kinds
        for state in (None, first.state)
        for problem, extra in zip(problems, extras, strict=True)
    ]
    # As below a layer that returns its last output alone.
    calls += [(p._replace(dy=None), e, {}) for p, e in zip(problems, extras, strict=True)]
    results, wanted = (
        [run(p, cell, extra=e, is_first=is_first, reverse=reverse, **kind) for p, e, kind in calls]
        for is_first in (False, True)
    )
    assert_same(results, wanted)


@pytest.mark.parametrize("vocabulary", [1, 7, 15])
@pytest.mark.parametrize("reverse", [False, True])
def test_looked_up_runs_of_a_kind_give_the_bits_of_a_first_run(
    rng, cell, dtype, vocabulary, reverse
):
    problems, extras = [], []
    for _ in range(4):
        problem = random_problem(rng, cell, 5, 3, 17, 33, dtype)
        table = rng.standard_normal((vocabulary, 17)).astype(dtype)
        ids = rng.integers(0, vocabulary, (3, 5)).T
        problems.append(problem._replace(x=functional.Embedded(ids, table)))
        extras.append(extra_weights(cell, problem))
    calls = [
        (problem, extra, kind)
        for kind in ({}, {"wants_dx": False}, {"training": False})
        for problem, extra in zip(problems, extras, strict=True)
    ]
    results, wanted = (
        [run(p, cell, extra=e, is_first=is_first, reverse=reverse, **kind) for p, e, kind in calls]
        for is_first in (False, True)
    )
    assert_same(results, wanted)


def test_ids_are_checked_every_time(rng):
    problem = random_problem(rng, "gru", 5, 3, 4, 6, np.float32)
    table = rng.standard_normal((9, 4)).astype(np.float32)
    for _ in range(3):
        x = functional.Embedded(rng.integers(0, 9, (5, 3)), table)
        _, _, backward = functional.rnn("gru", x, *problem[1:4])
        backward(problem.dy)
    for wrong in (-1, 9):
        x = functional.Embedded(np.full((5, 3), wrong), table)
        with pytest.raises(ValueError, match=rf"x.ids: expected indices in 0..8, got {wrong}"):
            functional.rnn("gru", x, *problem[1:4])
    again = functional.rnn("gru", functional.Embedded(np.zeros((5, 3), int), table), *problem[1:4])
    wanted = functional.rnn("gru", np.tile(table[0], (5, 3, 1)), *problem[1:4])
    assert_close(again[0], wanted[0].astype(np.float64), FLOAT32_OUTPUT)


@pytest.mark.parametrize("recompute", [None, 2])
def test_gradients_of_the_states_are_left_out_where_they_are_not_wanted(rng, recompute):
    problem = random_problem(rng, "lstm", 4, 2, 3, 17, np.float32)
    for wants_dstate in (True, False) * 3:
        _, _, backward = functional.rnn("lstm", *problem[:4], problem.state, recompute=recompute)
        gradients = backward(problem.dy, wants_dstate=wants_dstate)
        assert len(gradients.state) == (2 if wants_dstate else 0)


def test_small_runs_are_kept_from_the_second_time_on(rng):
    problem = random_problem(rng, "lstm", 4, 2, 3, 17, np.float32)
    made = []
    for _ in range(4):
        _, _, backward = functional.rnn("lstm", *problem[:4], problem.state)
        made.append(backward._run)
        backward(problem.dy)
    assert len({id(m) for m in made[1:]}) == 1
    assert made[0] is not made[1]


@pytest.mark.parametrize("end", ["neither", "first", "last", "both"])
def test_several_runs_of_a_kind_may_be_under_way(rng, end):
    problems = [random_problem(rng, "gru", 4, 2, 3, 17, np.float64) for _ in range(6)]
    for _ in range(3):
        open_runs = [functional.rnn("gru", *p[:4], p.state) for p in problems]
        order = {
            "neither": [], "first": range(3), "last": range(5, 2, -1), "both": range(6),
        }[end]  # fmt: skip
        gradients = {n: open_runs[n][2](problems[n].dy, problems[n].dstate) for n in order}
        for n, (y, final, _) in enumerate(open_runs):
            wanted = run(problems[n], "gru", extra=None, is_first=True, reverse=False)
            if n not in gradients:
                wanted = (*wanted[:2], None)
            assert_same([(y, final, gradients.get(n))], [wanted])


def test_states_that_were_asked_for_stay(rng):
    problems = [random_problem(rng, "lstm", 4, 2, 3, 17, np.float32) for _ in range(4)]
    held = []
    for p in problems:
        _, _, backward = functional.rnn("lstm", *p[:4], p.state)
        held.append([s.copy() for s in backward.states()] + list(backward.states()))
        backward(p.dy)
    for p, (h0, c0, h, c) in zip(problems, held, strict=True):
        np.testing.assert_array_equal(h, h0)
        np.testing.assert_array_equal(c, c0)
        wanted = functional.rnn("lstm", *p[:4], p.state, lengths=np.full(2, 4))[2].states()
        np.testing.assert_array_equal(c, wanted[1])


def strided(array):
    larger = np.zeros((*array.shape[:-1], 3 * array.shape[-1]), array.dtype)
    larger[..., ::3] = array
    return larger[..., ::3]


@pytest.mark.parametrize(
    "given",
    [
        lambda a: np.asfortranarray(a),
        strided,
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.broadcast_to(a[:1], a.shape),
    ],
    ids=["fortran", "strided", "backwards", "broadcast"],
)
@pytest.mark.parametrize("which", ["x", "W", "R", "b", "dy"])
def test_memory_order_makes_no_difference(rng, which, given):
    for _ in range(4):
        plain = random_problem(rng, "lstm", 4, 3, 5, 17, np.float32)
        problem = plain._replace(**{which: given(getattr(plain, which))})
        copied = problem._replace(**{which: np.array(getattr(problem, which))})
        ours, theirs = (
            run(p, "lstm", extra=None, is_first=is_first, reverse=False)
            for p, is_first in ((problem, False), (copied, True))
        )
        assert_same([ours], [theirs])


def test_arguments_may_share_memory(rng):
    for _ in range(4):
        memory = rng.standard_normal((3, 2, 16)).astype(np.float32)
        W, R = (rng.uniform(-0.3, 0.3, (n, 32)).astype(np.float32) for n in (8, 8))
        x, dy = memory[..., :8], memory[..., 8:]
        for cotangent in (dy, x, None):
            y, _, backward = functional.rnn("lstm", x, W, R)
            cotangent = y if cotangent is None else cotangent
            wanted = functional.rnn("lstm", x, W, R, lengths=np.full(2, 3))[2](cotangent.copy())
            ours = backward(cotangent)
            for name, array in every_array(ours).items():
                np.testing.assert_array_equal(array, every_array(wanted)[name], err_msg=name)


def test_weights_changed_in_place_are_seen(rng):
    problem = random_problem(rng, "gru", 4, 2, 3, 17, np.float32)
    for _ in range(4):
        for array in (problem.W, problem.R, problem.b):
            array *= 0.9
        ours, theirs = (
            run(problem, "gru", extra=None, is_first=is_first, reverse=False)
            for is_first in (False, True)
        )
        assert_same([ours], [theirs])


def test_wrong_arguments_are_refused_after_right_ones(rng):
    problem = random_problem(rng, "lstm", 4, 2, 3, 17, np.float32)
    for _ in range(3):
        functional.rnn("lstm", *problem[:4], problem.state)[2](problem.dy)
    with pytest.raises(ValueError, match=r"x: expected .*, got \(4, 2, 4\)"):
        functional.rnn("lstm", np.zeros((4, 2, 4), np.float32), problem.W, problem.R)
    with pytest.raises(ValueError, match=r"state\[1\]: expected"):
        functional.rnn("lstm", *problem[:4], (None, np.zeros((2, 16), np.float32)))
    with pytest.raises(ValueError, match="cell: expected one of"):
        functional.rnn("lstn", *problem[:4])
    _, _, backward = functional.rnn("lstm", *problem[:4], problem.state)
    with pytest.raises(ValueError, match="dy: expected"):
        backward(problem.dy[:2])
    backward(problem.dy)
    with pytest.raises(RuntimeError, match="has run already"):
        backward(problem.dy)
    with pytest.raises(RuntimeError, match="training=True"):
        functional.rnn("lstm", *problem[:4], training=False)[2](problem.dy)


def test_many_threads_and_any_number_of_workers(rng):
    problems = [random_problem(rng, "lstm", 12, 3, 8, 64, np.float32) for _ in range(4)]
    wanted = [run(p, "lstm", extra=None, is_first=True, reverse=False) for p in problems]

    def work(n):
        for _ in range(20):
            ours = run(problems[n], "lstm", extra=None, is_first=False, reverse=False)
            assert_same([ours], [wanted[n]])

    before = fastrnn.get_num_threads()
    try:
        for workers in (1, 2, 3):
            fastrnn.set_num_threads(workers)
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(4)))
    finally:
        fastrnn.set_num_threads(before)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("wants_dx", [True, False])
def test_both_ways_at_once_give_the_bits_of_one_after_the_other(rng, cell, training, wants_dx):
    there, back = (random_problem(rng, cell, 5, 1, 4, 17, np.float32) for _ in range(2))
    state = None if rng.random() < 0.5 else [[there.state, back.state]]
    layer = tuple(
        functional.Direction(p.W, p.R, p.b, extra_weights(cell, p)) for p in (there, back)
    )

    def both(x, lengths):
        (y, y_back), final, backward = functional.stack(
            cell, x, [layer], state, lengths=lengths, merge="none", training=training,
            wants_dx=wants_dx,
        )  # fmt: skip
        if not training:
            return [(np.stack([y, y_back]), final[0][0] + final[0][1], None)]
        d = backward((there.dy, back.dy), [[there.dstate, back.dstate]])
        arrays = [a for g in d.layers[0] for a in (g.W, g.R, g.b, *g.state) if a is not None]
        return [(np.stack([y, y_back]), (*final[0][0], *final[0][1], *arrays), None)], d.x

    for n in range(4):
        x = (1 + n) * there.x
        ours, wanted = both(x, None), both(x, np.array([5]))
        if training:
            (ours, dx), (wanted, wanted_dx) = ours, wanted
            if wants_dx:
                np.testing.assert_array_equal(dx, wanted_dx)
        assert_same(ours, wanted)


def test_what_is_kept_has_a_bound(rng, monkeypatch):
    module = sys.modules["fastrnn.functional.replay"]
    monkeypatch.setattr(module, "_MOST_IN_ALL", 100_000)
    monkeypatch.setattr(module, "_MOST_KINDS", 5)
    replays = sys.modules["fastrnn.functional.rnn"]._replays
    for T in range(1, 12):
        problem = random_problem(rng, "lstm", T, 2, 3, 17, np.float32)
        for _ in range(3):
            ours, theirs = (
                run(problem, "lstm", extra=None, is_first=is_first, reverse=False)
                for is_first in (False, True)
            )
            assert_same([ours], [theirs])
        assert len(replays._unused) <= 5
    open_runs = []
    for _ in range(40):  # all at once, each with memory of its own
        open_runs.append(functional.rnn("lstm", *problem[:4], problem.state))
        assert replays._numbers <= 100_000
    for _, _, backward in open_runs:
        backward(problem.dy)
    assert sum(map(len, replays._unused.values())) < 40
