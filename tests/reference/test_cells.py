"""What holds for the reference of every cell; a new entry in `CELLS` is covered as it is."""

from typing import NamedTuple

import numeric
import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn.reference import CELLS

SHAPES = [(1, 1, 1, 1), (3, 2, 3, 1), (4, 3, 5, 3), (5, 4, 2, 7)]  # T, B, I, H


class Problem(NamedTuple):
    """Random inputs of a cell, and cotangents for all that it returns."""

    x: np.ndarray
    W: np.ndarray
    R: np.ndarray
    b: np.ndarray
    state: tuple
    dy: np.ndarray
    dstate: tuple

    @property
    def inputs(self):
        """The arguments of `forward` without lengths."""
        return self[:5]


@pytest.fixture(params=CELLS)
def cell(request):
    return CELLS[request.param]


def random_problem(rng, cell, shape):
    T, B, I, H = shape
    G = len(cell.GATES)
    return Problem(
        x=rng.standard_normal((T, B, I)),
        W=rng.standard_normal((I, G * H)) / np.sqrt(I),
        R=rng.standard_normal((H, G * H)) / np.sqrt(H),
        b=rng.standard_normal(G * H),
        state=tuple(rng.standard_normal((B, H)) for _ in cell.STATES),
        dy=rng.standard_normal((T, B, H)),
        dstate=tuple(rng.standard_normal((B, H)) for _ in cell.STATES),
    )


def unequal_lengths(T, B):
    """0, T and what lies between, in no order."""
    return np.array([T, 0, 1, max(T - 1, 0)] * B)[:B]


def beyond(lengths, T):
    """Mask (T, B) of the steps that rows do not run."""
    return np.arange(T)[:, None] >= lengths


def run(cell, problem, lengths=None):
    """Results of both directions: y, final states, gradients."""
    y, state_T, saved = cell.forward(*problem.inputs, lengths)
    return y, state_T, cell.backward(saved, problem.dy, problem.dstate)


def assert_same_run(actual, desired):
    """Compare two results of `run`."""
    (y, state_T, gradients), (y_desired, state_T_desired, gradients_desired) = actual, desired
    assert_close(y, y_desired, FLOAT64_OUTPUT, "y")
    for s, s_desired in zip(state_T, state_T_desired, strict=True):
        assert_close(s, s_desired, FLOAT64_OUTPUT, "final state")
    for name in ("x", "W", "R", "b"):
        desired_gradient = getattr(gradients_desired, name)
        assert_close(getattr(gradients, name), desired_gradient, FLOAT64_GRADIENT, f"d{name}")
    for ds, ds_desired in zip(gradients.states, gradients_desired.states, strict=True):
        assert_close(ds, ds_desired, FLOAT64_GRADIENT, "gradient of initial state")


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_match_central_differences(rng, cell, shape, ragged):
    problem = random_problem(rng, cell, shape)
    lengths = unequal_lengths(*shape[:2]) if ragged else None

    def objective():
        y, state_T, _ = cell.forward(*problem.inputs, lengths)
        ends = zip(state_T, problem.dstate, strict=True)
        return np.sum(y * problem.dy) + sum(np.sum(s * ds) for s, ds in ends)

    _, _, gradients = run(cell, problem, lengths)
    for name in ("x", "W", "R", "b"):
        desired = numeric.gradient(objective, getattr(problem, name))
        assert_close(getattr(gradients, name), desired, NUMERIC_GRADIENT, f"d{name}")
    for name, ds, s in zip(cell.STATES, gradients.states, problem.state, strict=True):
        assert_close(ds, numeric.gradient(objective, s), NUMERIC_GRADIENT, f"d{name}0")


def test_no_lengths_means_full_lengths(rng, cell):
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    assert_same_run(run(cell, problem, np.full(3, 4)), run(cell, problem))


def test_each_row_of_unequal_length_runs_as_if_alone_and_unpadded(rng, cell):
    problem = random_problem(rng, cell, (6, 5, 4, 3))
    lengths = np.array([6, 0, 3, 1, 5])
    y, state_T, gradients = run(cell, problem, lengths)

    each_row_alone = []
    for n, length in enumerate(lengths):
        row = slice(n, n + 1)
        alone = problem._replace(
            x=problem.x[:length, row],
            state=tuple(s[row] for s in problem.state),
            dy=problem.dy[:length, row],
            dstate=tuple(ds[row] for ds in problem.dstate),
        )
        y_alone, state_T_alone, gradients_alone = run(cell, alone)
        assert_close(y[:length, row], y_alone, FLOAT64_OUTPUT, "y")
        assert_close(gradients.x[:length, row], gradients_alone.x, FLOAT64_GRADIENT, "dx")
        for s, s_alone in zip(state_T, state_T_alone, strict=True):
            assert_close(s[row], s_alone, FLOAT64_OUTPUT, "final state")
        for ds, ds_alone in zip(gradients.states, gradients_alone.states, strict=True):
            assert_close(ds[row], ds_alone, FLOAT64_GRADIENT, "gradient of initial state")
        each_row_alone.append(gradients_alone)
    for name in ("W", "R", "b"):
        total = sum(getattr(gradients_alone, name) for gradients_alone in each_row_alone)
        assert_close(getattr(gradients, name), total, FLOAT64_GRADIENT, f"d{name}")


def test_output_and_input_gradient_are_zero_beyond_a_rows_length(rng, cell):
    T, B = 4, 3
    lengths = unequal_lengths(T, B)
    y, _, gradients = run(cell, random_problem(rng, cell, (T, B, 5, 3)), lengths)
    assert not y[beyond(lengths, T)].any()
    assert not gradients.x[beyond(lengths, T)].any()


def test_a_row_of_length_zero_passes_states_and_their_gradients_through(rng, cell):
    problem = random_problem(rng, cell, (4, 2, 5, 3))
    _, state_T, gradients = run(cell, problem, np.array([0, 4]))
    for s_T, s in zip(state_T, problem.state, strict=True):
        np.testing.assert_array_equal(s_T[0], s[0])
    for ds, ds_T in zip(gradients.states, problem.dstate, strict=True):
        np.testing.assert_array_equal(ds[0], ds_T[0])


def test_padding_is_never_read(rng, cell):
    T, B = 4, 3
    lengths = unequal_lengths(T, B)
    problem = random_problem(rng, cell, (T, B, 5, 3))
    clean = run(cell, problem, lengths)
    problem.x[beyond(lengths, T)] = np.nan
    problem.dy[beyond(lengths, T)] = np.nan
    assert_same_run(run(cell, problem, lengths), clean)


def test_two_halves_joined_by_their_states_equal_the_whole(rng, cell):
    problem = random_problem(rng, cell, (5, 3, 4, 2))
    x, W, R, b, state = problem.inputs
    y_early, state_middle, saved_early = cell.forward(x[:2], W, R, b, state)
    y_late, state_T, saved_late = cell.forward(x[2:], W, R, b, state_middle)
    late = cell.backward(saved_late, problem.dy[2:], problem.dstate)
    early = cell.backward(saved_early, problem.dy[:2], late.states)
    joined = early._replace(
        x=np.concatenate([early.x, late.x]),
        W=early.W + late.W,
        R=early.R + late.R,
        b=early.b + late.b,
    )
    assert_same_run((np.concatenate([y_early, y_late]), state_T, joined), run(cell, problem))


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (3, 0, 3, 4)], ids=["no steps", "no rows"])
def test_nothing_to_run_gives_unchanged_states_and_zero_weight_gradients(rng, cell, shape):
    problem = random_problem(rng, cell, shape)
    y, state_T, gradients = run(cell, problem)
    assert y.shape == problem.dy.shape
    assert gradients.x.shape == problem.x.shape
    assert not any(gradient.any() for gradient in (gradients.W, gradients.R, gradients.b))
    for s_T, s in zip(state_T, problem.state, strict=True):
        np.testing.assert_array_equal(s_T, s)
    for ds, ds_T in zip(gradients.states, problem.dstate, strict=True):
        np.testing.assert_array_equal(ds, ds_T)


def test_float32_inputs_are_computed_in_float64(rng, cell):
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    x, W, R, b, state, dy, dstate = problem
    singles = Problem(
        *(a.astype(np.float32) for a in (x, W, R, b)),
        tuple(s.astype(np.float32) for s in state),
        dy.astype(np.float32),
        tuple(ds.astype(np.float32) for ds in dstate),
    )
    doubles = Problem(
        *(a.astype(np.float64) for a in singles[:4]),
        tuple(s.astype(np.float64) for s in singles.state),
        singles.dy.astype(np.float64),
        tuple(ds.astype(np.float64) for ds in singles.dstate),
    )
    assert_same_run(run(cell, singles), run(cell, doubles))


def test_inputs_are_left_as_they_were(rng, cell):
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    arrays = [*problem[:4], *problem.state, problem.dy, *problem.dstate]
    before = [a.copy() for a in arrays]
    run(cell, problem, unequal_lengths(4, 3))
    for a, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, kept)


@pytest.mark.filterwarnings("error")
def test_huge_inputs_saturate_without_overflow(rng, cell):
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    y, _, gradients = run(cell, problem._replace(x=1e6 * problem.x))
    assert np.isfinite(y).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients[:4])


def test_nan_in_one_row_stays_in_that_row(rng, cell):
    problem = random_problem(rng, cell, (4, 3, 5, 3))
    problem.x[1, 2, 0] = np.nan
    y, _, _ = run(cell, problem)
    assert np.isnan(y[1:, 2]).all()
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[:, :2]).all()
