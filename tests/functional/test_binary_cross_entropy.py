"""Cross entropy of single probabilities against the reference."""

import numpy as np
import pytest
from functional.problems import GRADIENT, OUTPUT
from tolerances import assert_close

from fastrnn import functional
from fastrnn.reference import binary_cross_entropy as reference

SHAPES = [(), (1,), (3,), (17,), (33, 1), (100,), (2, 3, 4)]


def problem(rng, dtype, shape, from_logits):
    """Return y, targets that are mostly 0 or 1, and the gradients of the losses."""
    y = 4 * rng.standard_normal(shape) if from_logits else rng.uniform(0.01, 0.99, shape)
    targets = np.where(rng.random(shape) < 0.7, rng.integers(0, 2, shape), rng.random(shape))
    return tuple(np.asarray(a, dtype) for a in (y, targets, rng.standard_normal(shape)))


@pytest.mark.parametrize("from_logits", [False, True], ids=["probabilities", "logits"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_losses_and_gradients_match_reference(rng, dtype, shape, from_logits):
    y, targets, d = problem(rng, dtype, shape, from_logits)
    losses, backward = functional.binary_cross_entropy(y, targets, from_logits=from_logits)
    assert_close(losses, reference.forward(y, targets, from_logits), OUTPUT[dtype], "losses")
    dy = reference.backward(y, targets, d, from_logits)
    assert_close(backward(d), dy, GRADIENT[dtype], "dy")
    np.testing.assert_array_equal(backward(d), backward(d))
    alone, _ = functional.binary_cross_entropy(y, targets, from_logits=from_logits, training=False)
    np.testing.assert_array_equal(alone, losses)


def test_probabilities_beyond_the_bounds_are_clipped(dtype):
    y = np.array([-1.0, 0.0, 5e-8, 1.0, 2.0, 0.5], dtype)
    for targets in np.zeros(6, dtype), np.ones(6, dtype), np.full(6, 0.5, dtype):
        losses, backward = functional.binary_cross_entropy(y, targets)
        # The dtype's own bounds: 1 - 1e-7 is rounded, and 1 - p then has few digits.
        low, high = dtype.type(1e-7), dtype.type(1 - 1e-7)
        inside = np.clip(y, low, high).astype(np.float64)
        assert_close(losses, reference.forward(inside, targets), OUTPUT[dtype], "losses")
        slopes = backward(np.ones(6, dtype))
        np.testing.assert_array_equal(slopes[:5], 0)
        assert slopes[5] == (0.5 - targets[5]) / 0.25


def test_logits_far_from_zero_keep_their_digits(dtype):
    y = np.array([-80.0, -30.0, 30.0, 80.0], dtype)
    losses, backward = functional.binary_cross_entropy(y, np.zeros(4, dtype), from_logits=True)
    exact = y.astype(np.float64)
    for found, logarithm in (
        (losses, np.log(np.logaddexp(0, exact))),
        (backward(np.ones(4, dtype)), -np.logaddexp(0, -exact)),
    ):
        relative = (found / np.exp(logarithm)).astype(dtype)
        assert_close(relative, np.ones(4), OUTPUT[dtype], "share of the exact number")


@pytest.mark.parametrize("from_logits", [False, True], ids=["probabilities", "logits"])
def test_nan_and_infinity_pass_through(dtype, from_logits):
    y = np.array([np.nan, np.inf, 0.5], dtype)
    targets = np.array([0.0, 0.0, np.nan], dtype)
    losses, backward = functional.binary_cross_entropy(y, targets, from_logits=from_logits)
    slopes = backward(np.ones(3, dtype))
    assert np.isnan(losses[[0, 2]]).all() and np.isnan(slopes[[0, 2]]).all()
    if not from_logits:  # clipped
        wanted = -np.log(1 - dtype.type(1 - 1e-7)).astype(np.float64)
        assert_close(losses[1], wanted, OUTPUT[dtype], "losses")
        assert slopes[1] == 0


def test_bits_do_not_depend_on_the_number_of_workers(rng, dtype, many_workers):
    y, targets, d = problem(rng, dtype, (313, 7), False)
    found = []
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        losses, backward = functional.binary_cross_entropy(y, targets)
        found.append((losses, backward(d)))
    for losses, dy in found[1:]:
        np.testing.assert_array_equal(losses, found[0][0])
        np.testing.assert_array_equal(dy, found[0][1])


def test_any_strides_and_no_numbers_will_do(rng, dtype):
    y, targets, d = problem(rng, dtype, (6, 10), True)
    losses, backward = functional.binary_cross_entropy(y, targets, from_logits=True)
    dy = backward(d)
    records = np.zeros((6, 10), [("tag", np.int8), ("number", dtype)])
    records["number"] = y
    for given in (np.asfortranarray(y), y[::-1].copy()[::-1], records["number"]):
        again, backward = functional.binary_cross_entropy(given, targets, from_logits=True)
        np.testing.assert_array_equal(again, losses)
        np.testing.assert_array_equal(backward(np.asfortranarray(d)), dy)
    empty = np.zeros((0, 3), dtype)
    losses, backward = functional.binary_cross_entropy(empty, empty)
    assert losses.shape == backward(empty).shape == (0, 3)


@pytest.mark.parametrize(
    ("y", "targets", "message"),
    [
        (np.zeros(3, int), np.zeros(3), "y: expected float32 or float64"),
        (["a"], np.zeros(1), "y: expected float32 or float64"),
        (np.zeros(3), np.zeros(4), r"targets: expected \(3,\) float64, got \(4,\)"),
        (np.zeros(3), np.zeros(3, np.float32), "targets: .* got .*float32"),
    ],
)
def test_bad_arguments_are_named(y, targets, message):
    with pytest.raises(ValueError, match=message):
        functional.binary_cross_entropy(y, targets)


def test_bad_gradients_are_named():
    y = np.full(3, 0.5)
    _, backward = functional.binary_cross_entropy(y, y)
    with pytest.raises(ValueError, match=r"dlosses: expected \(3,\) float64"):
        backward(np.ones(4))
    _, backward = functional.binary_cross_entropy(y, y, training=False)
    with pytest.raises(RuntimeError, match="training"):
        backward(y)
