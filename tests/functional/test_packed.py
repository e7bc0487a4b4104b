"""Unequal sequences that come without their padding, beside the same ones with it."""

import numpy as np
import pytest
from functional.problems import arrays_of, assert_same_bits, call, random_problem, results_of

from fastrnn import functional
from fastrnn.cells import CELLS
from fastrnn.functional import sequences

LENGTHS = [5, 4, 4, 1, 1, 1]


def are_there(lengths):
    """Which of (T, B) are no padding: row by row the order of packed ones."""
    return np.arange(max(lengths))[:, None] < np.asarray(lengths)


def packed_results(cell, problem, lengths, reverse):
    there = are_there(lengths)
    packed = problem._replace(x=functional.Packed(problem.x[there], lengths))
    y, final, backward = call(cell, packed, reverse=reverse)
    y = y.copy()
    return results_of(y, final, backward(problem.dy[there], problem.dstate)), backward


@pytest.mark.parametrize("lengths", [LENGTHS, [3, 3, 3], [1], [2, 1]], ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_packed_rows_give_what_padded_ones_give(rng, dtype, cell, reverse, lengths):
    problem = random_problem(rng, cell, max(lengths), len(lengths), 7, 19, dtype)
    actual, _ = packed_results(cell, problem, lengths, reverse)
    y, final, backward = call(cell, problem, reverse=reverse, lengths=lengths)
    y = y.copy()
    desired = results_of(y, final, backward(problem.dy, problem.dstate))
    there = are_there(lengths)
    assert_same_bits(actual, desired._replace(y=desired.y[there], dx=desired.dx[there]))


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_may_be_parts_of_wider_ones(rng, dtype, reverse):
    problem = random_problem(rng, "lstm", 5, 6, 7, 19, dtype)
    there = are_there(LENGTHS)
    x, dy = (np.repeat(a[there], 2, axis=1) for a in (problem.x, problem.dy))
    wide = problem._replace(x=functional.Packed(x[:, ::2], LENGTHS))
    y, final, backward = call("lstm", wide, reverse=reverse)
    d = backward(np.concatenate([dy[:, ::2], dy], axis=1)[:, :19], problem.dstate)
    desired, _ = packed_results("lstm", problem, LENGTHS, reverse)
    assert_same_bits(results_of(y, final, d), desired)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_all_states_and_their_norms_are_packed_too(rng, dtype, reverse):
    problem = random_problem(rng, "lstm", 5, 6, 7, 19, dtype)
    there = are_there(LENGTHS)
    x = functional.Packed(problem.x[there], LENGTHS)
    _, _, backward = call("lstm", problem._replace(x=x), reverse=reverse)
    _, _, padded = call("lstm", problem, reverse=reverse, lengths=LENGTHS)
    for states, desired in zip(backward.states(), padded.states(), strict=True):
        np.testing.assert_array_equal(states, desired[there])
    dstates = (None, problem.dy)
    found = backward(dstates=(None, problem.dy[there]), wants_norms=True)
    desired = padded(dstates=dstates, wants_norms=True)
    np.testing.assert_array_equal(found.norms, desired.norms[there])
    for a, d in zip(arrays_of(found[1:4]), arrays_of(desired[1:4]), strict=True):
        np.testing.assert_array_equal(a, d)


@pytest.mark.parametrize(
    ("lengths", "rows", "message"),
    [
        ([2, 3], 5, "x.lengths: expected numbers of at least 1, the highest first"),
        ([2, 0], 2, "x.lengths: expected numbers of at least 1, the highest first"),
        ([2, 2], 5, "x.rows: expected 4 rows, as many as the lengths add up to, got 5"),
        ([9], 5, "lengths: expected"),
        ([], 5, "lengths: expected"),
        ([2.0, 1.0], 3, "lengths: expected"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_an_error(rng, lengths, rows, message):
    problem = random_problem(rng, "gru", 5, 2, 3, 4, np.float32)
    x = functional.Packed(rng.standard_normal((rows, 3)).astype(np.float32), lengths)
    with pytest.raises(ValueError, match=message):
        call("gru", problem._replace(x=x, state=None))


@pytest.mark.parametrize(
    ("name", "value"), [("lengths", [2, 1]), ("resets", np.ones((2, 2), bool)), ("recompute", 2)]
)
def test_other_ways_to_say_who_ends_where_are_an_error(rng, name, value):
    problem = random_problem(rng, "gru", 5, 2, 3, 4, np.float32)
    x = functional.Packed(rng.standard_normal((3, 3)).astype(np.float32), [2, 1])
    with pytest.raises(ValueError, match=f"{name}: expected None for packed input"):
        call("gru", problem._replace(x=x), **{name: value})


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gradients_are_laid_out_as_their_weights(rng, dtype, cell):
    for order in "CF":
        made = []
        for _ in range(3):  # the third time it is a recording that runs again
            problem = random_problem(np.random.default_rng(3), cell, 3, 2, 7, 19, dtype)
            W, R = (np.asarray(a, order=order) for a in (problem.W, problem.R))
            _, _, backward = call(cell, problem._replace(W=W, R=R))
            made.append(backward(problem.dy, problem.dstate))
        for gradients in made:
            assert gradients.W.strides == W.strides
            assert gradients.R.strides == R.strides
            np.testing.assert_array_equal(gradients.W, made[0].W)
            np.testing.assert_array_equal(gradients.R, made[0].R)


@pytest.mark.parametrize("reverse", [False, True])
def test_packed_rows_lie_where_those_of_padded_sequences_do(rng, reverse):
    for B in (1, 2, 9, 30):
        lengths = np.sort(rng.integers(1, 40, B))[::-1]
        packed = sequences.flat_steps(lengths.tolist(), lengths.sum(), reverse)
        padded = sequences.packed_steps(lengths, reverse)
        assert packed[:3] == padded[:3]
        np.testing.assert_array_equal(packed.rows, padded.rows)
        for name in ("order", "begin", "start", "falling", "final", "first", "last", "is_cut"):
            actual, desired = (getattr(s.packing, name) for s in (packed, padded))
            np.testing.assert_array_equal(actual, desired)
        numbers = np.zeros((lengths[0], B), int)
        numbers[are_there(lengths)] = np.arange(packed.N)
        if reverse:
            of_places = [numbers[:n, b][::-1] for b, n in enumerate(lengths)]
            desired = [rows[t] for t in range(lengths[0]) for rows in of_places if t < len(rows)]
            assert packed.packing.taken.tolist() == desired
        else:
            assert packed.packing.taken is None
