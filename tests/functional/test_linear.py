"""Linear layers against the reference."""

import numpy as np
import pytest
from functional.problems import GRADIENT, OUTPUT, in_records
from tolerances import assert_close

from fastrnn import functional, reference
from fastrnn.kernels.cpu import schedule


def numbers(rng, shape, dtype, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def assert_matches_reference(x, W, b, dy):
    """Run both ways and compare; return the engine's results."""
    y, backward = functional.linear(x, W, b)
    gradients = backward(dy)
    assert_close(y, reference.linear.forward(x, W, 0.0 if b is None else b), OUTPUT[W.dtype], "y")
    desired = reference.linear.backward(x, W, dy)
    assert (gradients.b is None) == (b is None)
    for name in ("x", "W", "b"):
        if name != "b" or b is not None:
            ours, wanted = getattr(gradients, name), getattr(desired, name)
            assert_close(ours, wanted, GRADIENT[W.dtype], f"d{name}")
    return y, *gradients


@pytest.mark.parametrize("shape", [(), (1,), (7,), (33, 2), (5, 6), (2, 3, 4), (1, 1, 9)], ids=str)
@pytest.mark.parametrize(("I", "O"), [(1, 1), (3, 64), (17, 65), (33, 100), (100, 3), (5, 1000)])
def test_products_and_gradients_match_reference(rng, dtype, shape, I, O):
    x, dy = numbers(rng, (*shape, I), dtype), numbers(rng, (*shape, O), dtype)
    W, b = numbers(rng, (I, O), dtype, I**-0.5), numbers(rng, O, dtype)
    assert_matches_reference(x, W, b, dy)
    assert_matches_reference(x, W, None, dy)


@pytest.mark.parametrize("O", [1, 8, 1100])
def test_many_rows_and_columns_match_reference(rng, dtype, O):
    # Several chunks of rows, of panels, and blocks of rows.
    x, dy = numbers(rng, (3, 230, 35), dtype), numbers(rng, (3, 230, O), dtype)
    W, b = numbers(rng, (35, O), dtype), numbers(rng, O, dtype)
    assert_matches_reference(x, W, b, dy)


def test_runs_of_many_rows_match_reference_with_any_number_of_workers(rng, dtype, many_workers):
    rows = 2500  # two runs with sums of their own
    x, dy = numbers(rng, (rows, 19), dtype), numbers(rng, (rows, 33), dtype, rows**-0.5)
    assert schedule.gradient_runs(rows, 19, 2) == 2
    W, b = numbers(rng, (19, 33), dtype), numbers(rng, 33, dtype)
    results = []
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        results.append(assert_matches_reference(x, W, b, dy))
        assert_matches_reference(x, W, None, dy)
    for result in results[1:]:
        for ours, wanted in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("is_gathered", [False, True])
def test_rows_are_multiplied_where_they_are_or_copied_with_the_same_bits(
    rng, dtype, many_workers, monkeypatch, is_gathered
):
    x, dy = numbers(rng, (700, 523), dtype), numbers(rng, (700, 133), dtype, 700**-0.5)
    W, b = numbers(rng, (523, 133), dtype, 523**-0.5), numbers(rng, 133, dtype)
    desired = assert_matches_reference(x, W, b, dy)
    monkeypatch.setattr(schedule, "is_gathered", lambda *sizes: is_gathered)
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        for ours, wanted in zip(assert_matches_reference(x, W, b, dy), desired, strict=True):
            np.testing.assert_array_equal(ours, wanted)


STRIDES = {
    "batch-major view": lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1),
    "all axes turned": lambda a: a.T.copy().T,
    "backwards": lambda a: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "first axis backwards": lambda a: a[::-1].copy()[::-1],
    "every second row": lambda a: a.repeat(2, 1)[:, ::2],
    "every second feature": lambda a: a.repeat(2, 2)[..., ::2],
    "part of wider rows": lambda a: np.concatenate([a, a], -1)[..., : a.shape[-1]],
    "records": in_records,
}


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("shape", [(4, 6), (1, 5), (5, 1)], ids=str)
@pytest.mark.parametrize(("I", "O"), [(1, 21), (19, 21), (19, 3)])
def test_arrays_of_any_strides_give_the_same_bits(rng, dtype, strides, shape, I, O):
    x, dy = numbers(rng, (*shape, I), dtype), numbers(rng, (*shape, O), dtype)
    W, b = numbers(rng, (I, O), dtype), numbers(rng, O, dtype)
    strided = STRIDES[strides]
    y, *_ = assert_matches_reference(strided(x), np.asfortranarray(W), b, strided(dy))
    desired, _ = functional.linear(x, W, b)
    np.testing.assert_array_equal(y, desired)


@pytest.mark.parametrize("O", [3, 21])
def test_broadcast_rows_match_reference(rng, dtype, O):
    x, dy = numbers(rng, (4, 6, 19), dtype), numbers(rng, (4, 6, O), dtype)
    W, b = numbers(rng, (19, O), dtype), numbers(rng, O, dtype)
    for part in (np.s_[:1], np.s_[:, :1], np.s_[:1, :1], np.s_[..., :1]):
        assert_matches_reference(
            np.broadcast_to(x[part], x.shape), W, b, np.broadcast_to(dy[part], dy.shape)
        )


@pytest.mark.parametrize("O", [5, 130])
def test_bits_do_not_depend_on_the_number_of_workers(rng, dtype, many_workers, O):
    x, dy = numbers(rng, (37, 19), dtype), numbers(rng, (37, O), dtype)
    W, b = numbers(rng, (19, O), dtype), numbers(rng, O, dtype)
    results = []
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        results.append(assert_matches_reference(x, W, b, dy))
    for result in results[1:]:
        for ours, wanted in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, wanted)


@pytest.mark.parametrize("O", [7, 21])
def test_nan_stays_in_its_row_and_surroundings_are_not_read(rng, dtype, O):
    outer = np.full((11, 25), np.nan, dtype)
    x = outer[2:-2, 3:-3]
    x[...] = numbers(rng, (7, 19), dtype)
    wide = np.full((25, 27), np.nan, dtype)
    W = wide[3:-3, 3 : 3 + O]
    W[...] = numbers(rng, (19, O), dtype)
    dy = numbers(rng, (7, O), dtype)
    y, dx, *_ = assert_matches_reference(x, W, None, dy)
    x[4, 2] = np.nan
    dirty, _ = functional.linear(x, W)
    assert np.isnan(dirty[4]).all()
    np.testing.assert_array_equal(np.delete(dirty, 4, 0), np.delete(y, 4, 0))
    assert np.isfinite(dx).all()


def test_backward_may_run_again(rng, dtype):
    x, dy = numbers(rng, (5, 3), dtype), numbers(rng, (5, 2), dtype)
    _, backward = functional.linear(x, numbers(rng, (3, 2), dtype))
    np.testing.assert_array_equal(backward(dy).W, backward(dy).W)


def test_python_numbers_are_float32():
    y, _ = functional.linear([[1.0, 2.0], [3, 4]], [[1.0], [0.5]], [0.25])
    assert y.dtype == np.float32
    assert y.tolist() == [[2.25], [5.25]]
    assert functional.linear([[1.0, 2.0]], np.ones((2, 1), np.float32))[0].tolist() == [[3.0]]
