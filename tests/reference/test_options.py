"""What each option of the cells' references means."""

import numpy as np
import pytest
from reference.problems import (
    CASES,
    after,
    assert_same_outputs,
    assert_same_run,
    before,
    joined,
    random_problem,
    run,
)
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn.reference import CELLS

SHAPE = T, B, I, H = 5, 3, 4, 2


@pytest.fixture(params=CASES)
def case(request):
    """A cell, and the options that it runs with."""
    return CASES[request.param]


@pytest.fixture(params=[name for name, (cell, _) in CASES.items() if cell.RECURRENT])
def recurrent_case(request):
    """A cell with recurrent weights, and the options that it runs with."""
    return CASES[request.param]


@pytest.fixture(params=[name for name, (cell, _) in CASES.items() if cell.ACTIVATIONS])
def activated_case(request):
    """A cell whose activations are to be chosen, and the options that it runs with."""
    return CASES[request.param]


def zeros(arrays):
    return tuple(np.zeros_like(a) for a in arrays)


def test_options_that_say_nothing_change_nothing(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, SHAPE)
    plain = run(cell, problem, **options)
    neutral = {
        "resets": np.zeros((T, B), bool),
        "zoneout": tuple(np.ones_like(ds) for ds in problem.dstates),
        "truncate": T,
    }
    if cell.RECURRENT:
        neutral["recurrent_mask"] = np.ones_like(problem.dy)
    if cell.ACTIVATIONS:
        neutral |= {"clip": 1e3, "activations": cell.ACTIVATIONS}
    assert_same_run(run(cell, problem, **(neutral | options)), plain)


def test_a_reset_starts_again_from_zero_states(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, SHAPE)
    resets = np.zeros((T, B), bool)
    resets[2] = True
    late = run(cell, after(problem, 2, zeros(problem.state)), **options)
    early = run(cell, before(problem, 2)._replace(dstate=zeros(problem.state)), **options)
    assert_same_run(run(cell, problem, resets=resets, **options), joined(early, late))


def test_a_reset_lets_nothing_through(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, SHAPE)
    resets = np.zeros((T, B), bool)
    resets[0, 1] = True
    clean = run(cell, problem, resets=resets, **options)
    for ds in clean.gradients.states:
        assert not ds[1].any()
    for s in problem.state:
        s[1] = np.nan
    assert_same_run(run(cell, problem, resets=resets, **options), clean)


def test_recurrent_mask_of_zero_is_a_network_without_recurrent_weights(rng, recurrent_case):
    cell, options = recurrent_case
    problem = random_problem(rng, cell, SHAPE)
    masked = run(cell, problem, recurrent_mask=np.zeros_like(problem.dy), **options)
    without = run(cell, problem._replace(R=0 * problem.R), **options)
    assert_same_outputs(masked, without)
    assert not masked.gradients.R.any()


def test_recurrent_mask_scales_the_rows_of_recurrent_weights(rng, recurrent_case):
    cell, options = recurrent_case
    problem = random_problem(rng, cell, SHAPE)
    factors = rng.uniform(0.5, 2.0, problem.dy.shape[-1])
    mask = np.tile(factors, (B, 1))
    scaled = run(cell, problem._replace(R=factors[:, None] * problem.R), **options)
    assert_same_outputs(run(cell, problem, recurrent_mask=mask, **options), scaled)


def test_one_recurrent_mask_serves_all_steps(rng, recurrent_case):
    cell, options = recurrent_case
    problem = random_problem(rng, cell, SHAPE)
    mask = rng.integers(0, 2, problem.dy.shape[1:]) / 0.5
    every = run(cell, problem, recurrent_mask=np.tile(mask, (T, 1, 1)), **options)
    assert_same_run(run(cell, problem, recurrent_mask=mask, **options), every)


def test_zoneout_of_zero_keeps_all_states(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, SHAPE)
    y, state, *_ = run(cell, problem, zoneout=zeros(problem.dstates), **options)
    for s_T, s in zip(state, problem.state, strict=True):
        np.testing.assert_array_equal(s_T, s)
    np.testing.assert_array_equal(y, np.broadcast_to(problem.state[0], y.shape))


def test_zoneout_is_a_way_between_old_and_new_states(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (1, *SHAPE[1:]))
    factors = [rng.random(ds.shape) for ds in problem.dstates]
    factors[0] = None  # h as it comes
    new = run(cell, problem, **options)
    y, state, *_ = run(cell, problem, zoneout=tuple(factors), **options)
    assert_close(y, new.y, FLOAT64_OUTPUT, "y")
    for s, s_new, s_old, z in list(zip(state, new.state, problem.state, factors, strict=True))[1:]:
        assert_close(s, (1 - z[0]) * s_old + z[0] * s_new, FLOAT64_OUTPUT, "state")


@pytest.mark.parametrize("every", [1, 2, 3])
def test_truncation_leaves_gradients_as_if_each_part_had_constant_initial_states(rng, case, every):
    cell, options = case
    problem = random_problem(rng, cell, SHAPE)
    runs, rest = [], problem
    while len(rest.x):
        last = len(rest.x) <= every
        dstate = problem.dstate if last else zeros(problem.dstate)
        part = run(cell, before(rest, every)._replace(dstate=dstate), **options)
        runs.append(part)
        rest = after(rest, every, part.state)
    whole = runs.pop()
    while runs:
        whole = joined(runs.pop(), whole)
    assert_same_run(run(cell, problem, truncate=every, **options), whole)


def test_truncation_counts_each_rows_steps_and_spares_its_final_states(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, SHAPE)
    lengths = np.array([2, 5, 4])
    short = run(cell, problem, lengths, truncate=2, **options)
    # The first row ends where the gradient is cut; that of its final states arrives all the same.
    alone = run(cell, before(problem, 2), truncate=2, **options)
    for ds, wanted in zip(short.gradients.states, alone.gradients.states, strict=True):
        assert_close(ds[0], wanted[0], FLOAT64_GRADIENT, "gradient of initial state")


def test_clipping_bounds_what_activations_see(rng):
    problem = random_problem(rng, CELLS["rnn"], SHAPE)
    clipped = run(CELLS["rnn"], problem, activations=("linear",), clip=0.25)
    (h,), desired = problem.state, []
    for x in problem.x:
        h = np.clip(x @ problem.W + h @ problem.R + problem.b, -0.25, 0.25)
        desired.append(h)
    assert_close(clipped.y, np.stack(desired), FLOAT64_OUTPUT, "y")
    assert (np.abs(clipped.y) == 0.25).any()


def test_clipping_lets_no_gradient_through_outside(rng, activated_case):
    cell, options = activated_case
    problem = random_problem(rng, cell, (1, *SHAPE[1:]))
    assert run(cell, problem, **options).gradients.x.any()
    assert not run(cell, problem, clip=1e-9, **options).gradients.x.any()


def test_cell_state_is_clipped_before_its_activation_only(rng):
    problem = random_problem(rng, CELLS["lstm"], (1, *SHAPE[1:]))
    problem.b[2:4] = 1e3  # f is sigmoid(1)
    problem.state[1][...] = 100.0
    y, (_, c), *_ = run(CELLS["lstm"], problem, clip=1.0)
    assert (c > 50).all()
    assert (y < np.tanh(1.0)).all()


def test_activations_have_their_places(rng):
    problem = random_problem(rng, CELLS["lstm"], (1, *SHAPE[1:]))
    activations = ("hard_sigmoid", ("affine", 2.0, 1.0), "softsign")
    a = problem.x[0] @ problem.W + problem.state[0] @ problem.R + problem.b
    i, f, g, o = np.split(a, 4, axis=1)
    i, f, o = (np.clip(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
    c = f * problem.state[1] + i * (2 * g + 1)
    y, (h_T, c_T), *_ = run(CELLS["lstm"], problem, activations=activations)
    assert_close(c_T, c, FLOAT64_OUTPUT, "c")
    assert_close(y[0], o * c / (1 + np.abs(c)), FLOAT64_OUTPUT, "h")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lstm", {"activations": ("tanh",)}, "zip"),
        ("rnn", {"activations": ("tanh", "tanh")}, "zip"),
        ("slstm", {"activations": ("tanh",)}, "fixed"),
        ("slstm", {"clip": 1.0}, "fixed"),
        ("indrnn", {"recurrent_mask": np.ones((B, H))}, "no R"),
    ],
)
def test_options_that_the_cell_has_not_are_refused(rng, name, options, message):
    problem = random_problem(rng, CELLS[name], SHAPE)
    with pytest.raises(ValueError, match=message):
        run(CELLS[name], problem, **options)
