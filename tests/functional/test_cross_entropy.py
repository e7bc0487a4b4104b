"""The loss of a language model against the reference: linear layer, then softmax."""

import numpy as np
import pytest
from functional.problems import GRADIENT, OUTPUT
from tolerances import assert_close

from fastrnn import functional, reference


def random_problem(rng, shape, I, V, dtype):
    x = rng.standard_normal((*shape, I)).astype(dtype)
    W = (2.0 * rng.standard_normal((I, V)) / np.sqrt(I)).astype(dtype)
    b = rng.standard_normal(V).astype(dtype)
    return x, W, b, rng.integers(0, V, shape)


def reference_run(x, W, b, targets, weights=None, dloss=1.0):
    """Loss, dx, dW, db."""
    logits = reference.linear.forward(x, W, 0.0 if b is None else b).reshape(-1, W.shape[1])
    flat = np.asarray(targets).reshape(-1)
    w = None if weights is None else np.asarray(weights).reshape(-1)
    loss = reference.softmax.forward(logits, flat, w)
    dlogits = reference.softmax.backward(logits, flat, w, dloss)
    return loss, *reference.linear.backward(x, W, dlogits.reshape(*x.shape[:-1], -1))


def assert_matches_reference(x, W, b, targets, weights=None, dloss=1.0):
    loss, backward = functional.cross_entropy(x, W, b, targets, weights=weights)
    gradients = backward(dloss)
    wanted_loss, *wanted = reference_run(x, W, b, targets, weights, dloss)
    assert isinstance(loss, float)
    assert_close(np.array(loss, W.dtype), np.array(wanted_loss), OUTPUT[W.dtype], "loss")
    assert (gradients.b is None) == (b is None)
    for name, desired in zip(("x", "W", "b"), wanted, strict=True):
        if name != "b" or b is not None:
            assert_close(getattr(gradients, name), desired, GRADIENT[W.dtype], f"d{name}")
    return loss, gradients


@pytest.mark.parametrize("shape", [(), (1,), (17,), (5, 6), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("V", [1, 3, 63, 64, 65, 100, 1000])
def test_loss_and_gradients_match_reference(rng, dtype, shape, V):
    x, W, b, targets = random_problem(rng, shape, 19, V, dtype)
    assert_matches_reference(x, W, b, targets)
    assert_matches_reference(x, W, None, targets, dloss=-2.5)


@pytest.mark.parametrize("I", [1, 33, 130])
def test_any_number_of_features_matches_reference(rng, dtype, I):
    assert_matches_reference(*random_problem(rng, (40,), I, 70, dtype))


def test_batch_major_view_of_time_major_memory_matches_reference(rng, dtype):
    x, W, b, targets = random_problem(rng, (6, 5), 19, 70, dtype)
    weights = rng.random((6, 5)).astype(dtype)
    turned = x.swapaxes(0, 1), np.asfortranarray(W), b, targets.T
    assert not turned[0].flags.c_contiguous
    loss, gradients = assert_matches_reference(*turned, weights.T)
    straight, desired = assert_matches_reference(x, W, b, targets, weights)
    assert loss == straight
    np.testing.assert_array_equal(gradients.x.swapaxes(0, 1), desired.x)
    np.testing.assert_array_equal(gradients.W, desired.W)


def test_weights_match_reference(rng, dtype):
    x, W, b, targets = random_problem(rng, (5, 6), 19, 70, dtype)
    weights = rng.random((5, 6))
    weights[0] = 0
    for given in (weights, weights.astype(np.float32), weights * 1000, weights > 0.5):
        loss, gradients = assert_matches_reference(x, W, b, targets, given.astype(given.dtype))
        assert not gradients.x[given == 0].any()
    ones, _ = functional.cross_entropy(x, W, b, targets, weights=np.ones((5, 6), np.int64))
    loss, _ = functional.cross_entropy(x, W, b, targets)
    assert ones == pytest.approx(loss, rel=1e-6)


def test_loss_does_not_depend_on_training(rng, dtype):
    problem = random_problem(rng, (5, 6), 19, 70, dtype)
    loss, _ = functional.cross_entropy(*problem)
    assert functional.cross_entropy(*problem, training=False)[0] == loss


def test_backward_runs_once_and_only_after_training(rng, dtype):
    problem = random_problem(rng, (5, 6), 19, 70, dtype)
    _, backward = functional.cross_entropy(*problem)
    backward()
    with pytest.raises(RuntimeError, match="run already"):
        backward()
    _, backward = functional.cross_entropy(*problem, training=False)
    with pytest.raises(RuntimeError, match="training=False"):
        backward()


def test_large_logits_neither_overflow_nor_vanish(rng, dtype):
    x, W, b, targets = random_problem(rng, (30,), 5, 70, dtype)
    assert_matches_reference(x * dtype.type(1e3), W, b, targets)
    _, b_shifted = b, b + dtype.type(64)
    loss, _ = functional.cross_entropy(x, W, b, targets)
    shifted, _ = functional.cross_entropy(x, W, b_shifted, targets)
    assert shifted == pytest.approx(loss, rel=1e-4)


def test_nan_gives_a_nan_loss_and_stays_in_its_row(rng, dtype):
    x, W, b, targets = random_problem(rng, (30,), 5, 70, dtype)
    _, backward = functional.cross_entropy(x, W, b, targets)
    clean = backward()
    x[7, 1] = np.nan
    loss, backward = functional.cross_entropy(x, W, b, targets)
    assert np.isnan(loss)
    dirty = backward()
    assert np.isnan(dirty.x[7]).all()
    np.testing.assert_array_equal(np.delete(dirty.x, 7, 0), np.delete(clean.x, 7, 0))


def test_targets_of_any_integer_dtype_and_later_changes_to_them_give_the_same(rng, dtype):
    x, W, b, targets = random_problem(rng, (5, 6), 19, 70, dtype)
    desired, _ = functional.cross_entropy(x, W, b, targets)
    for kind in (np.uint8, np.int16, np.int32, np.uint64):
        given = np.asfortranarray(targets.astype(kind))
        loss, backward = functional.cross_entropy(x, W, b, given)
        given[...] = 0
        backward()
        assert loss == desired


def test_bits_do_not_depend_on_the_number_of_workers(rng, dtype, many_workers):
    problem = random_problem(rng, (37,), 19, 130, dtype)
    results = []
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        loss, backward = functional.cross_entropy(*problem)
        results.append((loss, *backward()))
    for result in results[1:]:
        for ours, wanted in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(ours, wanted)
