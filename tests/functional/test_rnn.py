"""Recurrent layers against the reference, for every cell of the registry."""

import re
from itertools import product

import numpy as np
import pytest
from functional.problems import (
    arrays_of,
    assert_results_close,
    assert_same_bits,
    call,
    extra_weights,
    in_records,
    random_problem,
    reference_run,
    run,
)
from structures import STRUCTURES, WITH_EXTRA
from tolerances import FLOAT64_OUTPUT, assert_close

from fastrnn import functional, reference
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import normalised
from fastrnn.functional.steps import even_steps, view
from fastrnn.simd.target import lanes_of

# T, B, I, H: every size is off the register tile in some of them, and on it in others.
SIZES = [
    (1, 1, 1, 1),
    (7, 1, 100, 3),
    (3, 17, 1, 33),
    (5, 33, 3, 17),
    (2, 100, 17, 100),
    (1, 3, 33, 100),
    (4, 16, 16, 64),
]


of_every_structure = pytest.mark.parametrize("cell", [*STRUCTURES, *WITH_EXTRA])


def some_lengths(rng, T, B):
    """Random lengths, among them 0 and T where there is room for them."""
    lengths = rng.integers(0, T + 1, B)
    lengths[B // 2] = T
    lengths[B // 3] = 0
    return lengths


def assert_matches_reference(cell, problem, **options):
    assert_results_close(run(cell, problem, **options), reference_run(cell, problem, **options))


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_outputs_and_all_gradients_match_reference(rng, cell, dtype, sizes, reverse):
    problem = random_problem(rng, cell, *sizes, dtype)
    assert_matches_reference(cell, problem, reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("sizes", [*SIZES[1:6], (9, 7, 5, 20)], ids=str)
def test_unequal_lengths_match_reference(rng, cell, dtype, sizes, reverse):
    problem = random_problem(rng, cell, *sizes, dtype)
    lengths = some_lengths(rng, *sizes[:2])
    assert_matches_reference(cell, problem, lengths=lengths, reverse=reverse)


@pytest.mark.parametrize("is_packed", [False, True])
def test_weight_gradients_of_many_rows_match_reference(rng, dtype, is_packed):
    problem = random_problem(rng, "rnn", 60, 64, 5, 3, dtype)
    # Of the size of those of few rows.
    problem = problem._replace(dy=problem.dy / 60)
    lengths = rng.integers(40, 61, 64) if is_packed else None
    assert_matches_reference("rnn", problem, lengths=lengths)


@pytest.mark.parametrize(
    "lengths",
    [[0] * 5, [3] * 5, [6] * 5, [0, 1, 3, 5, 6], [6, 5, 3, 1, 0], [0, 0, 6, 0, 0], [1, 0, 1, 0, 1]],
    ids=str,
)
@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("kind", [np.int64, np.uint8])
@of_every_structure
def test_lengths_of_any_pattern_match_reference(rng, cell, lengths, reverse, kind):
    problem = random_problem(rng, cell, 6, 5, 4, 19, np.float64)
    assert_matches_reference(cell, problem, lengths=np.array(lengths, kind), reverse=reverse)


@of_every_structure
def test_many_rows_are_summed_over_several_chunks(rng, cell, dtype):
    # 680 rows, of x with few and of h with more than the columns at which chunks grow.
    problem = random_problem(rng, cell, 40, 17, 5, 200, dtype)
    assert_matches_reference(cell, problem)
    assert_matches_reference(cell, problem, lengths=some_lengths(rng, 40, 17))


@of_every_structure
def test_many_units_take_several_chunks_of_panels_and_blocks_of_rows(rng, cell, dtype):
    problem = random_problem(rng, cell, 9, 33, 70, 17 * lanes_of(dtype) + 3, dtype)
    assert_matches_reference(cell, problem)


@pytest.mark.parametrize("lengths", [None, [4, 0, 2, 4, 1, 3]], ids=["full", "ragged"])
def test_all_plans_match_reference_and_give_the_same_bits(rng, cell, dtype, lengths, planned):
    problem = random_problem(rng, cell, 4, 6, 35, 19, dtype)
    for reverse in (False, True):
        wanted = reference_run(cell, problem, lengths=lengths, reverse=reverse)
        results = []
        for is_hoisted, (slices, members) in product(
            (False, True), [(1, 1), (2, 1), (1, 2), (2, 2)]
        ):
            planned(is_hoisted=is_hoisted, slices=slices, members=members)
            results.append(run(cell, problem, lengths=lengths, reverse=reverse))
        assert_results_close(results[0], wanted)
        for other in results[1:]:
            assert_same_bits(other, results[0])


STRIDES = {
    "batch-major": lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1),
    "backwards in time": lambda a: a[::-1].copy()[::-1],
    "backwards in batch": lambda a: a[:, ::-1].copy()[:, ::-1],
    "backwards in features": lambda a: a[..., ::-1].copy()[..., ::-1],
    "every second step": lambda a: a.repeat(2, 0)[::2],
    "every second sequence": lambda a: a.repeat(2, 1)[:, ::2],
    "every second feature": lambda a: a.repeat(2, -1)[..., ::2],
    "Fortran": np.asfortranarray,
    "part of wider rows": lambda a: np.concatenate([a, a], -1)[..., : a.shape[-1]],
    "records": in_records,
}


@pytest.mark.parametrize("B", [1, 6, 33])
@pytest.mark.parametrize("strides", STRIDES)
@of_every_structure
def test_arrays_of_any_strides_match_reference(rng, cell, dtype, strides, B):
    problem = random_problem(rng, cell, 5, B, 19, 21, dtype)
    strided = STRIDES[strides]
    # Matrices have no time axis: "batch" is then their last one.
    arrays = problem._replace(
        x=strided(problem.x),
        dy=strided(problem.dy),
        state=tuple(strided(s) for s in problem.state),
        dstate=tuple(strided(s) for s in problem.dstate),
        W=strided(problem.W),
        R=None if problem.R is None else strided(problem.R),
        extra=tuple(strided(a[None])[0] if a.ndim == 1 else strided(a) for a in problem.extra),
    )
    np.testing.assert_array_equal(arrays.x, problem.x)
    desired = reference_run(cell, problem)
    assert_results_close(run(cell, arrays), desired)
    # One at a time, so that no copy of another hides a wrong stride.
    for field in ("x", "W", "R", "dy", "extra"):
        assert_results_close(
            run(cell, problem._replace(**{field: getattr(arrays, field)})), desired
        )


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@of_every_structure
def test_broadcast_arrays_match_reference(rng, cell, dtype, reverse):
    problem = random_problem(rng, cell, 5, 18, 7, 9, dtype)
    for x in (problem.x[:1], problem.x[:, :1], problem.x[:1, :1], problem.x[..., :1]):
        for dy in (problem.dy[:1], problem.dy[:, :1], problem.dy[:1, :1, :1]):
            broadcast = problem._replace(
                x=np.broadcast_to(x, problem.x.shape),
                dy=np.broadcast_to(dy, problem.dy.shape),
                W=np.broadcast_to(problem.W[:1], problem.W.shape),
                R=None if cell == "indrnn" else np.broadcast_to(problem.R[:, :1], problem.R.shape),
            )
            if normalised(CELLS[cell]):
                # Of equal columns, or equal rows, products may have next to no variance, and
                # normalised they are all rounding.
                broadcast = broadcast._replace(W=problem.W, R=problem.R)
            assert_matches_reference(cell, broadcast, reverse=reverse)


def test_one_sequence_is_evenly_spaced_whatever_its_batch_stride():
    batch_major = np.zeros((1, 5, 3), np.float32)
    rows = view(batch_major.swapaxes(0, 1), even_steps(5, 1), False).rows(even_steps(5, 1))
    assert rows.steps == 1


@pytest.mark.parametrize("sizes", [(4, 5, 3, 20), (2, 17, 9, 16)], ids=str)
@of_every_structure
def test_what_is_not_given_is_zero(rng, cell, dtype, sizes):
    problem = random_problem(rng, cell, *sizes, dtype)
    parts = [None, *([s if n == kept else None for n, s in enumerate(problem.state)]
                     for kept in range(len(problem.state)))]  # fmt: skip
    for part in parts:
        given = None if part is None else tuple(part)
        assert_matches_reference(cell, problem._replace(b=None, state=given))
        assert_matches_reference(cell, problem._replace(dy=None, dstate=given))
        assert_matches_reference(
            cell, problem._replace(dstate=given), lengths=some_lengths(rng, *sizes[:2])
        )
    nothing = run(cell, problem._replace(dy=None, dstate=None))
    gradients = (nothing.dx, nothing.dW, nothing.dR, nothing.db)
    assert not any(a.any() for a in gradients if a is not None)


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
@pytest.mark.parametrize("vocabulary", [1, 11, 500])
@of_every_structure
def test_embedded_input_equals_its_rows(rng, cell, dtype, vocabulary, ragged, reverse):
    T, B, I, H = 7, 9, 18, 21
    problem = random_problem(rng, cell, T, B, I, H, dtype)
    E = rng.standard_normal((vocabulary, I)).astype(dtype)
    ids = rng.integers(0, vocabulary, (T, B))
    options = {"reverse": reverse, "lengths": some_lengths(rng, T, B) if ragged else None}
    desired = reference_run(cell, problem._replace(x=E[ids]), **options)
    dE = reference.embedding.backward(ids, vocabulary, desired.dx)
    for table in (E, np.asfortranarray(E), in_records(E)):
        for indices in (ids, ids.astype(np.uint16), np.asfortranarray(ids.astype(np.int32))):
            embedded = functional.Embedded(indices, table)
            actual = run(cell, problem._replace(x=embedded), **options)
            assert_results_close(actual, desired._replace(dx=dE))


@pytest.mark.parametrize("vocabulary", [10, 500])
@of_every_structure
def test_ids_changed_after_the_call_do_not_reach_backward(rng, cell, vocabulary):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float32)
    E = rng.standard_normal((vocabulary, 3)).astype(np.float32)
    ids = rng.integers(0, vocabulary, (4, 5)).astype(np.int32)
    desired = run(cell, problem._replace(x=functional.Embedded(ids.copy(), E)))
    _, _, backward = call(cell, problem._replace(x=functional.Embedded(ids, E)))
    ids[...] = (ids + 1) % vocabulary
    np.testing.assert_array_equal(backward(problem.dy, problem.dstate).x, desired.dx)


@pytest.mark.parametrize("B", [1, 6, 33])
@pytest.mark.parametrize("kind", ["full", "ragged", "embedded"])
@of_every_structure
def test_inference_gives_the_bits_of_training(rng, cell, dtype, B, kind):
    problem = random_problem(rng, cell, 6, B, 17, 23, dtype)
    lengths = some_lengths(rng, 6, B) if kind == "ragged" else None
    if kind == "embedded":
        table = problem.x[0, :1].repeat(4, 0)
        problem = problem._replace(x=functional.Embedded(rng.integers(0, 4, (6, B)), table))
    for reverse in (False, True):
        options = {"lengths": lengths, "reverse": reverse}
        y, final, _ = call(cell, problem, **options)
        y_inference, final_inference, _ = call(cell, problem, training=False, **options)
        np.testing.assert_array_equal(y_inference, y)
        for ours, wanted in zip(final_inference, final, strict=True):
            np.testing.assert_array_equal(ours, wanted)


@of_every_structure
def test_input_gradient_is_left_out_where_it_is_not_wanted(rng, cell):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float32)
    with_dx = run(cell, problem)
    without = run(cell, problem, wants_dx=False)
    assert without.dx is None
    assert_same_bits(without, with_dx._replace(dx=None))


@pytest.mark.parametrize("sizes", [(6, 5, 18, 37), (9, 40, 3, 20), (3, 1, 40, 70)], ids=str)
@pytest.mark.parametrize("kind", ["full", "ragged", "small vocabulary", "large vocabulary"])
@of_every_structure
def test_bits_do_not_depend_on_the_number_of_workers(rng, cell, dtype, sizes, kind, many_workers):
    T, B, I, _ = sizes
    problem = random_problem(rng, cell, *sizes, dtype)
    options = {"lengths": some_lengths(rng, T, B) if kind == "ragged" else None}
    if "vocabulary" in kind:
        E = rng.standard_normal((3 if kind.startswith("small") else 400, I)).astype(dtype)
        problem = problem._replace(x=functional.Embedded(rng.integers(0, len(E), (T, B)), E))
    many_workers(1)
    desired = run(cell, problem, **options)
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        assert_same_bits(run(cell, problem, **options), desired)


@of_every_structure
def test_bits_do_not_depend_on_the_rest_of_the_batch(rng, cell, dtype):
    # 33 rows are hoisted or not as 16 are: only the tiles differ.
    problem = random_problem(rng, cell, 4, 33, 5, 21, dtype)
    y, _, _ = call(cell, problem)
    for part in (slice(0, 16), slice(3, 20), slice(17, 33)):
        state = tuple(s[part] for s in problem.state)
        y_part, _, _ = call(cell, problem._replace(x=problem.x[:, part], state=state))
        np.testing.assert_array_equal(y_part, y[:, part])


@pytest.mark.parametrize("B", [5, 33])
@of_every_structure
def test_nan_in_one_sequence_stays_in_its_outputs_and_gradients(rng, cell, dtype, B):
    problem = random_problem(rng, cell, 4, B, 5, 19, dtype)
    clean = run(cell, problem)
    problem.x[1, 2, 0] = np.nan
    dirty = run(cell, problem)
    assert np.isnan(dirty.y[1:, 2]).all()
    np.testing.assert_array_equal(dirty.y[0], clean.y[0])
    others = np.arange(B) != 2
    np.testing.assert_array_equal(dirty.y[:, others], clean.y[:, others])
    np.testing.assert_array_equal(dirty.dx[:, others], clean.dx[:, others])
    for ours, wanted in zip(
        (*dirty.state, *dirty.dstate), (*clean.state, *clean.dstate), strict=True
    ):
        assert np.isnan(ours[2]).all()
        np.testing.assert_array_equal(ours[others], wanted[others])
    assert np.isnan(dirty.dW).any()


@pytest.mark.parametrize("where", ["x", "dy"])
def test_nan_in_one_cotangent_or_input_never_vanishes(rng, cell, dtype, where):
    problem = random_problem(rng, cell, 3, 4, 5, 6, dtype)
    getattr(problem, where)[2, 1, 3] = np.nan
    results = run(cell, problem)
    assert np.isnan(results.dx[2, 1]).all()
    assert np.isnan(results.dx[0, 1]).all()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("where", ["x", "state", "dy"])
@pytest.mark.parametrize("H", [1, 8, 16, 17])
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before"])
def test_infinity_spreads_no_further_than_in_the_reference(rng, cell, dtype, H, where):
    problem = random_problem(rng, cell, 3, 4, 5, H, dtype)
    array = problem.state[0] if where == "state" else getattr(problem, where)[1]
    array[2, 0] = np.inf
    actual, desired = run(cell, problem), reference_run(cell, problem)
    for ours, wanted in zip(arrays_of(actual), arrays_of(desired), strict=True):
        # Less far it may: no gate is 0 to the last bit here, and 0 * inf does not arise.
        assert not (~np.isfinite(ours) & np.isfinite(wanted)).any()


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@of_every_structure
def test_padding_is_never_read(rng, cell, dtype, reverse):
    T, B = 6, 20
    problem = random_problem(rng, cell, T, B, 5, 19, dtype)
    lengths = some_lengths(rng, T, B)
    options = {"lengths": lengths, "reverse": reverse}
    clean = run(cell, problem, **options)
    padding = np.arange(T)[:, None] >= lengths
    problem.x[padding] = np.nan
    problem.dy[padding] = np.nan
    dirty = run(cell, problem, **options)
    assert_same_bits(dirty, clean)
    assert not dirty.y[padding].any()
    assert not dirty.dx[padding].any()


@of_every_structure
def test_extreme_inputs_saturate_as_in_the_reference(rng, cell):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float64)
    problem = problem._replace(x=1e6 * problem.x)
    desired = reference_run(cell, problem)
    actual = run(cell, problem)
    assert_close(actual.y, desired.y, FLOAT64_OUTPUT, "y")
    assert all(np.isfinite(a).all() for a in arrays_of(actual))


@pytest.mark.parametrize("sizes", [(3, 5, 7, 19), (4, 33, 18, 37)], ids=str)
@pytest.mark.parametrize("lengths", [False, True], ids=["full", "ragged"])
def test_nothing_around_the_arrays_is_read_into_results_or_changed(
    rng, cell, dtype, sizes, lengths
):
    problem = random_problem(rng, cell, *sizes, dtype)
    options = {"lengths": some_lengths(rng, *sizes[:2]) if lengths else None}
    desired = run(cell, problem, **options)
    surroundings = []

    def surrounded(a):
        """A view of `a` in the middle of an array of NaN."""
        if isinstance(a, tuple):
            return tuple(map(surrounded, a))
        if a is None:
            return None
        outer = np.full([length + 6 for length in a.shape], np.nan, dtype)
        middle = outer[tuple(slice(3, -3) for _ in a.shape)]
        middle[...] = a
        surroundings.append((outer, outer.copy()))
        return middle

    inside = type(problem)(*map(surrounded, problem))
    assert_same_bits(run(cell, inside, **options), desired)
    for outer, before in surroundings:
        np.testing.assert_array_equal(outer, before)


@of_every_structure
def test_arguments_are_left_as_they_were_and_results_are_the_callers(rng, cell, dtype):
    problem = random_problem(rng, cell, 4, 5, 3, 7, dtype)
    before = [a.copy() for a in arrays_of(problem)]
    results = run(cell, problem)
    for a, kept in zip(arrays_of(problem), before, strict=True):
        np.testing.assert_array_equal(a, kept)
    for a in arrays_of(results):
        assert a.flags.writeable
        assert not any(np.shares_memory(a, argument) for argument in arrays_of(problem))


@of_every_structure
def test_output_that_backward_reads_is_read_only(rng, cell):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float32)
    for options in ({}, {"reverse": True}, {"lengths": [4, 2, 0, 1, 3]}):
        y, _, _ = call(cell, problem, **options)
        with pytest.raises(ValueError, match="read-only"):
            y[0] = 0
        y, _, _ = call(cell, problem, training=False, **options)
        y[0] = 0


@of_every_structure
def test_results_of_one_call_are_not_overwritten_by_the_next(rng, cell):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float32)
    y, final, backward = call(cell, problem)
    kept = [a.copy() for a in (y, *final)]
    del backward
    for _ in range(5):
        run(cell, problem._replace(x=-problem.x))
    for ours, wanted in zip((y, *final), kept, strict=True):
        np.testing.assert_array_equal(ours, wanted)


@of_every_structure
def test_backward_runs_once_and_only_after_training(rng, cell):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float32)
    _, _, backward = call(cell, problem)
    dy = problem.dy
    with pytest.raises(ValueError, match=re.escape(f"dy: expected {dy.shape}")):
        backward(dy[:2])
    backward(dy)  # a refused cotangent spends nothing
    with pytest.raises(RuntimeError, match="run already"):
        backward(dy)
    _, _, backward = call(cell, problem, training=False)
    with pytest.raises(RuntimeError, match="training=True"):
        backward(dy)


def test_a_cell_may_be_given_itself(rng, cell):
    problem = random_problem(rng, cell, 4, 5, 3, 7, np.float32)
    by_name, _, _ = call(cell, problem)
    x, W, R, b, state, *_ = problem
    extra = extra_weights(cell, problem)
    by_cell, _, _ = functional.rnn(CELLS[cell](), x, W, R, b, state, extra=extra)
    np.testing.assert_array_equal(by_cell, by_name)
