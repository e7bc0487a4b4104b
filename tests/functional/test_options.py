"""Masks, zoneout, resets, truncation and all states, alone and together, against the reference."""

import numpy as np
import pytest
from functional.problems import (
    GRADIENT,
    OUTPUT,
    assert_results_close,
    assert_same_bits,
    call,
    random_problem,
    reference_results,
    results_of,
    run,
)
from structures import STRUCTURES, WITH_EXTRA
from tolerances import assert_close

from fastrnn import functional
from fastrnn.cells import CELLS

# T, B, I, H
SIZES = [(1, 1, 3, 5), (6, 1, 4, 17), (5, 7, 9, 33), (7, 18, 3, 8)]


def random_options(rng, cell, problem, names):
    """Values for the options of these names; cells without R have no mask."""
    T, B, S = problem.dy.shape
    dtype = problem.dy.dtype
    kind = CELLS[cell]

    def mask(*shape):
        return ((rng.random(shape) < 0.7) / 0.7).astype(dtype)

    # Not every state has a zone.
    zones = tuple(
        mask(T, *state.shape) if s != "c" else None
        for s, state in zip(kind.STATES, problem.state, strict=True)
    )
    values = {
        "mask of each step": ("recurrent_mask", mask(T, B, S)),
        "mask of all steps": ("recurrent_mask", mask(B, S)),
        "zoneout": ("zoneout", zones),
        "resets": ("resets", rng.random((T, B)) < 0.3),
        "truncate": ("truncate", 2),
        "lengths": ("lengths", rng.integers(0, T + 1, B)),
        "reverse": ("reverse", True),
    }
    chosen = dict(values[name] for name in names)
    if not getattr(kind, "RECURRENT", True):
        chosen.pop("recurrent_mask", None)
    return chosen


def run_all(cell, problem, options, dstates, *, training=True):
    """Results, all states and norms of the engine."""
    y, final, backward = call(cell, problem, **options)
    y = y.copy()
    states = tuple(s.copy() for s in backward.states())
    d = backward(problem.dy, problem.dstate, dstates=dstates, wants_norms=True)
    return results_of(y, final, d), states, d.norms


def assert_matches(rng, cell, sizes, dtype, names):
    problem = random_problem(rng, cell, *sizes, dtype)
    options = random_options(rng, cell, problem, names)
    dstates = tuple(
        rng.standard_normal((sizes[0], *d.shape)).astype(dtype) if s not in ("n", "m") else None
        for s, d in zip(CELLS[cell].STATES, problem.dstate, strict=True)
    )
    results, states, norms = run_all(cell, problem, options, dstates)
    lengths, reverse = options.pop("lengths", None), options.pop("reverse", False)
    desired, all_states, all_norms = reference_results(
        cell, problem, lengths, reverse, options, dstates
    )
    assert_results_close(results, desired)
    for s, wanted in zip(states, all_states, strict=True):
        assert_close(s, wanted, OUTPUT[np.dtype(dtype)], "states")
    assert_close(norms, all_norms, GRADIENT[np.dtype(dtype)], "norms")


ALONE = [
    "mask of each step", "mask of all steps", "zoneout", "resets", "truncate", "lengths", "reverse",
]  # fmt: skip
TOGETHER = [
    ("mask of each step", "lengths", "reverse"),
    ("mask of all steps", "resets", "reverse"),
    ("zoneout", "truncate"),
    ("zoneout", "resets", "lengths"),
    ("truncate", "resets"),
    ("mask of each step", "zoneout", "resets", "truncate", "lengths", "reverse"),
]


@pytest.mark.parametrize("option", ALONE)
def test_each_option_matches_reference_for_every_cell(rng, cell, dtype, option):
    for sizes in SIZES:
        assert_matches(rng, cell, sizes, dtype, [option])


@pytest.mark.parametrize("cell", [*STRUCTURES, *WITH_EXTRA])
@pytest.mark.parametrize("options", TOGETHER, ids=" and ".join)
def test_options_together_match_reference(rng, cell, dtype, options):
    for sizes in SIZES:
        assert_matches(rng, cell, sizes, dtype, options)


@pytest.mark.parametrize("cell", [*STRUCTURES, *WITH_EXTRA])
@pytest.mark.parametrize("options", [*TOGETHER, ("resets",)], ids=" and ".join)
def test_inference_gives_the_bits_of_training(rng, cell, options):
    for sizes in SIZES:
        problem = random_problem(rng, cell, *sizes, np.float32)
        chosen = random_options(rng, cell, problem, options)
        y, final, _ = call(cell, problem, **chosen)
        y_inference, final_inference, _ = call(cell, problem, training=False, **chosen)
        for ours, wanted in zip((y_inference, *final_inference), (y, *final), strict=True):
            np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("cell", [*STRUCTURES, *WITH_EXTRA])
@pytest.mark.parametrize("options", TOGETHER, ids=" and ".join)
def test_bits_do_not_depend_on_the_number_of_workers(rng, cell, options, many_workers):
    sizes = (6, 11, 5, 70)
    problem = random_problem(rng, cell, *sizes, np.float32)
    chosen = random_options(rng, cell, problem, options)
    many_workers(1)
    desired, *_ = run_all(cell, problem, chosen, None)
    for workers in (2, 3, 7):
        many_workers(workers)
        actual, *_ = run_all(cell, problem, chosen, None)
        assert_same_bits(actual, desired)


@pytest.mark.parametrize("cell", [*STRUCTURES, *WITH_EXTRA])
@pytest.mark.parametrize("options", [(), *TOGETHER], ids=" and ".join)
@pytest.mark.parametrize("every", [1, 3, 100])
def test_recomputed_steps_give_the_same_gradients(rng, cell, options, every):
    for sizes in SIZES:
        problem = random_problem(rng, cell, *sizes, np.float64)
        chosen = random_options(rng, cell, problem, options)
        dstates = tuple(rng.standard_normal((sizes[0], *d.shape)) for d in problem.dstate)
        desired, states, norms = run_all(cell, problem, chosen, dstates)
        again = run_all(cell, problem, {**chosen, "recompute": every}, dstates)
        assert_results_close(again[0], desired)
        for s, wanted in zip(again[1], states, strict=True):
            np.testing.assert_array_equal(s, wanted)
        assert_close(again[2], norms, GRADIENT[np.dtype(np.float64)], "norms")


def test_recomputing_embedded_input_sums_the_gradient_of_the_table(rng):
    problem = random_problem(rng, "gru", 7, 3, 4, 5, np.float64)
    for vocabulary in (3, 100):
        ids, E = rng.integers(0, vocabulary, (7, 3)), rng.standard_normal((vocabulary, 4))
        embedded = problem._replace(x=functional.Embedded(ids, E))
        assert_results_close(run("gru", embedded, recompute=2), run("gru", embedded))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"recurrent_mask": np.ones((4, 5), np.float32)}, r"^recurrent_mask: expected \(3, 5\)"),
        ({"recurrent_mask": np.ones((2, 3, 4), np.float32)}, r"^recurrent_mask: expected \(2, 3,"),
        ({"zoneout": (None,)}, r"^zoneout: expected 2 arrays \(h, c\)"),
        ({"zoneout": (np.ones((3, 5), np.float32), None)}, r"^zoneout\[0\]: expected \(2, 3, 5\)"),
        ({"resets": np.zeros((2, 3))}, r"^resets: expected \(2, 3\) bools, got"),
        ({"resets": np.zeros((3, 2), bool)}, r"^resets: expected \(2, 3\) bools, got"),
        ({"truncate": -1}, "^truncate: expected an int of at least 0, got -1"),
        ({"recompute": 0}, "^recompute: expected an int of at least 1, got 0"),
        ({"truncate": 2.0}, "^truncate: expected an int of at least 0, got 2.0"),
    ],
)
def test_wrong_options_are_named(rng, option, message):
    x, W, R, b, state, *_ = random_problem(rng, "lstm", 2, 3, 4, 5, np.float32)
    with pytest.raises(ValueError, match=message):
        functional.rnn("lstm", x, W, R, b, state, **option)


def test_a_cell_without_R_takes_none_and_no_mask(rng):
    x, W, _, b, state, *_ = random_problem(rng, "indrnn", 2, 3, 4, 5, np.float32)
    with pytest.raises(ValueError, match="^R: expected None for this cell"):
        functional.rnn("indrnn", x, W, np.ones((5, 5), np.float32), b, state)
    with pytest.raises(ValueError, match="^recurrent_mask: expected None for this cell"):
        mask = np.ones((3, 5), np.float32)
        functional.rnn("indrnn", x, W, None, b, state, recurrent_mask=mask)
