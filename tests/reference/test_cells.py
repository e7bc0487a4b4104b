"""What holds for the reference of every cell; a new entry in `CELLS` is covered as it is."""

import numeric
import numpy as np
import pytest
from reference.problems import (
    CASES,
    Run,
    after,
    all_options,
    assert_same_run,
    before,
    beyond,
    joined,
    options_of,
    options_within,
    random_option,
    random_problem,
    run,
    unequal_lengths,
    weight_gradients,
)
from tolerances import FLOAT64_GRADIENT, NUMERIC_GRADIENT, assert_close

SHAPES = [(1, 1, 1, 1), (3, 2, 3, 1), (4, 3, 2, 2)]  # T, B, I, H


@pytest.fixture(params=CASES)
def case(request):
    """A cell, and the options that it runs with."""
    return CASES[request.param]


@pytest.fixture
def smooth(monkeypatch):
    """Bound how sharply layer normalisation bends where a row has little spread.

    Central differences need it. Its own epsilon is for PyTorch to witness.
    """
    monkeypatch.setattr("fastrnn.reference.layer_norm.EPSILON", 1.0)


def assert_gradients_match_central_differences(cell, problem, lengths=None, **options):
    """Every element of every input's gradient; all results have a part in the objective."""
    x, W, R, b, state, extra, dy, dstate, dstates = problem

    def objective():
        y, state_T, saved = cell.forward(x, W, R, b, state, lengths, extra=extra, **options)
        results = (y, *state_T, *saved.states)
        pairs = zip(results, (dy, *dstate, *dstates), strict=True)
        return sum(np.sum(result * d) for result, d in pairs)

    gradients = run(cell, problem, lengths, **options).gradients
    assert_close(gradients.x, numeric.gradient(objective, x), NUMERIC_GRADIENT, "dx")
    for name, gradient in weight_gradients(gradients).items():
        weight = extra[name] if name in extra else getattr(problem, name)
        desired = numeric.gradient(objective, weight)
        assert_close(gradient, desired, NUMERIC_GRADIENT, f"d{name}")
    for name, ds, s in zip(cell.STATES, gradients.states, state, strict=True):
        assert_close(ds, numeric.gradient(objective, s), NUMERIC_GRADIENT, f"d{name}0")


@pytest.mark.usefixtures("smooth")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_match_central_differences(rng, case, shape, ragged):
    cell, options = case
    problem = random_problem(rng, cell, shape)
    lengths = unequal_lengths(*shape[:2]) if ragged else None
    assert_gradients_match_central_differences(cell, problem, lengths, **options)


@pytest.mark.usefixtures("smooth")
@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, (cell, _) in CASES.items() for option in options_of(cell)],
)
def test_gradients_match_central_differences_with_each_option(rng, name, option):
    cell, options = CASES[name]
    problem = random_problem(rng, cell, (3, 2, 1, 2))
    options = options | random_option(rng, option, cell, problem)
    assert_gradients_match_central_differences(cell, problem, **options)


@pytest.mark.usefixtures("smooth")
def test_gradients_match_central_differences_with_all_options(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (4, 2, 2, 2))
    # A truncated gradient is not that of any function.
    options = options | all_options(rng, cell, problem) | {"truncate": None}
    assert_gradients_match_central_differences(cell, problem, np.array([4, 3]), **options)


def test_weights_have_the_sizes_that_the_names_of_the_gates_say(rng, case):
    cell, options = case
    assert set(cell.INPUT) | set(cell.RECURRENT) <= set(cell.BIAS) == set(cell.GATES)
    assert cell.STATES[0] == "h"
    gradients = run(cell, random_problem(rng, cell, (2, 3, 5, 4)), **options).gradients
    assert gradients.W.shape == (5, len(cell.INPUT) * 4)
    assert gradients.b.shape == (len(cell.BIAS) * 4,)
    assert (gradients.R is None) == (not cell.RECURRENT)
    assert tuple(gradients.extra) == cell.EXTRA


def test_states_after_every_step_hold_the_output_and_the_final_states(rng, case):
    cell, options = case
    y, state, states, _, _ = run(cell, random_problem(rng, cell, (4, 3, 5, 3)), **options)
    np.testing.assert_array_equal(states[0], y)
    for s_T, s in zip(state, states, strict=True):
        np.testing.assert_array_equal(s[-1], s_T)


def test_no_lengths_means_full_lengths(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    assert_same_run(run(cell, problem, np.full(3, 4), **options), run(cell, problem, **options))


@pytest.mark.parametrize("optional", [False, True], ids=["plain", "all options"])
def test_each_row_of_unequal_length_runs_as_if_alone_and_unpadded(rng, case, optional):
    cell, options = case
    problem = random_problem(rng, cell, (6, 5, 4, 3))
    if optional:
        options = options | all_options(rng, cell, problem)
    lengths = np.array([6, 0, 3, 1, 5])
    y, state_T, states, gradients, norms = run(cell, problem, lengths, **options)

    totals = dict.fromkeys(weight_gradients(gradients), 0.0)
    for n, length in enumerate(lengths):
        row, steps = slice(n, n + 1), (slice(0, length), slice(n, n + 1))
        alone = problem._replace(
            x=problem.x[steps],
            state=tuple(s[row] for s in problem.state),
            dy=problem.dy[steps],
            dstate=tuple(ds[row] for ds in problem.dstate),
            dstates=tuple(ds[steps] for ds in problem.dstates),
        )
        own = run(cell, alone, **options_within(steps, options))
        part = Run(
            y[steps],
            tuple(s[row] for s in state_T),
            tuple(s[steps] for s in states),
            own.gradients._replace(
                x=gradients.x[steps], states=tuple(ds[row] for ds in gradients.states)
            ),
            norms[steps],
        )
        assert_same_run(part, own)
        for name, gradient in weight_gradients(own.gradients).items():
            totals[name] = totals[name] + gradient
    for name, gradient in weight_gradients(gradients).items():
        assert_close(gradient, totals[name], FLOAT64_GRADIENT, f"d{name}")


def test_results_are_zero_beyond_a_rows_length(rng, case):
    cell, options = case
    T, B = 4, 3
    lengths = unequal_lengths(T, B)
    problem = random_problem(rng, cell, (T, B, 5, 3))
    y, _, states, gradients, norms = run(cell, problem, lengths, **options)
    for result in (y, *states, gradients.x, norms):
        assert not result[beyond(lengths, T)].any()


def test_a_row_of_length_zero_passes_states_and_their_gradients_through(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (4, 2, 5, 3))
    _, state_T, _, gradients, _ = run(cell, problem, np.array([0, 4]), **options)
    for s_T, s in zip(state_T, problem.state, strict=True):
        np.testing.assert_array_equal(s_T[0], s[0])
    for ds, ds_T in zip(gradients.states, problem.dstate, strict=True):
        np.testing.assert_array_equal(ds[0], ds_T[0])


def test_padding_is_never_read(rng, case):
    cell, options = case
    T, B = 4, 3
    lengths = unequal_lengths(T, B)
    problem = random_problem(rng, cell, (T, B, 5, 3))
    options = options | all_options(rng, cell, problem)
    clean = run(cell, problem, lengths, **options)
    padded = [problem.x, problem.dy, *problem.dstates, *options["zoneout"]]
    if cell.RECURRENT:
        padded.append(options["recurrent_mask"])
    for array in padded:
        array[beyond(lengths, T)] = np.nan
    options["resets"][beyond(lengths, T)] = True
    assert_same_run(run(cell, problem, lengths, **options), clean)


def test_two_halves_joined_by_their_states_equal_the_whole(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (5, 3, 4, 2))
    state = run(cell, before(problem, 2), **options).state
    late = run(cell, after(problem, 2, state), **options)
    early = run(cell, before(problem, 2)._replace(dstate=late.gradients.states), **options)
    assert_same_run(joined(early, late), run(cell, problem, **options))


@pytest.mark.parametrize("optional", [False, True], ids=["plain", "all options"])
def test_norms_are_those_of_all_that_reaches_h(rng, case, optional):
    cell, options = case
    problem = random_problem(rng, cell, (4, 3, 2, 3))
    if optional:
        options = options | all_options(rng, cell, problem) | {"truncate": None}
    norms = run(cell, problem, **options).norms
    reaching = problem.dy + problem.dstates[0]
    reaching[-1] += problem.dstate[0]
    for t in range(1, 4):
        early, late = slice(0, t), slice(t, 4)
        state = run(cell, before(problem, t), **options_within((early,), options)).state
        options_late = options_within((late,), options)
        # What flows back into step t-1 is the gradient of the initial h of what follows.
        reaching[t - 1] += run(cell, after(problem, t, state), **options_late).gradients.states[0]
    assert_close(norms, np.sqrt((reaching**2).sum(axis=-1)), FLOAT64_GRADIENT, "norms")


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (3, 0, 3, 4)], ids=["no steps", "no rows"])
def test_nothing_to_run_gives_unchanged_states_and_zero_weight_gradients(rng, case, shape):
    cell, options = case
    problem = random_problem(rng, cell, shape)
    y, state_T, states, gradients, norms = run(cell, problem, **options)
    assert y.shape == states[0].shape == problem.dy.shape
    assert norms.shape == shape[:2]
    assert gradients.x.shape == problem.x.shape
    assert not any(gradient.any() for gradient in weight_gradients(gradients).values())
    for s_T, s in zip(state_T, problem.state, strict=True):
        np.testing.assert_array_equal(s_T, s)
    for ds, ds_T in zip(gradients.states, problem.dstate, strict=True):
        np.testing.assert_array_equal(ds, ds_T)


def converted(arguments, dtype):
    """All arrays of a tuple or mapping, however deep, in another dtype."""
    if isinstance(arguments, np.ndarray):
        return arguments.astype(dtype)
    if isinstance(arguments, dict):
        return {name: converted(value, dtype) for name, value in arguments.items()}
    return arguments and tuple(converted(value, dtype) for value in arguments)


def test_float32_inputs_are_computed_in_float64(rng, case):
    cell, options = case
    singles = converted(random_problem(rng, cell, (4, 3, 5, 3)), np.float32)
    doubles = converted(singles, np.float64)
    assert_same_run(run(cell, singles, **options), run(cell, doubles, **options))


def arrays_of(arguments):
    """All arrays in tuples and mappings, however deep."""
    if isinstance(arguments, np.ndarray):
        return [arguments]
    if isinstance(arguments, dict):
        arguments = tuple(arguments.values())
    parts = arguments if isinstance(arguments, tuple) else ()
    return [array for part in parts for array in arrays_of(part)]


def test_inputs_are_left_as_they_were(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    options = options | all_options(rng, cell, problem)
    arrays = arrays_of((problem, options))
    copies = [a.copy() for a in arrays]
    results = run(cell, problem, unequal_lengths(4, 3), **options)
    for result in arrays_of(results):
        result[...] = 7.0
    for a, kept in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(a, kept)


@pytest.mark.filterwarnings("error")
def test_huge_inputs_saturate_without_overflow(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    results = run(cell, problem._replace(x=1e6 * problem.x), **options)
    assert all(np.isfinite(result).all() for result in arrays_of(results))


def test_nan_in_one_row_stays_in_that_row(rng, case):
    cell, options = case
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    problem.x[1, 2, 0] = np.nan
    y = run(cell, problem, **options).y
    assert np.isnan(y[1:, 2]).all()
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[:, :2]).all()
