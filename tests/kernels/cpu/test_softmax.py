"""Cross entropy on panels: the reference's losses and gradients, padding left out."""

import numpy as np
import pytest
from tolerances import (
    FLOAT32_GRADIENT,
    FLOAT32_OUTPUT,
    FLOAT64_GRADIENT,
    FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn.kernels.cpu.softmax import PANEL_VECTORS, CrossEntropy, cross_entropy
from fastrnn.reference import softmax as reference
from fastrnn.simd.target import lanes_of

DTYPES = [np.float32, np.float64]
OUTPUT = {np.float32: FLOAT32_OUTPUT, np.float64: FLOAT64_OUTPUT}
GRADIENT = {np.float32: FLOAT32_GRADIENT, np.float64: FLOAT64_GRADIENT}
SIZES = [1, 3, 17, 33, 64, 65, 100, 129]
N = 19


def as_panels(z, padding=np.nan):
    """Logits (N, V) as the kernel wants them."""
    K = PANEL_VECTORS * lanes_of(z.dtype)
    V = z.shape[1]
    panels = np.full((-(-V // K), len(z), K), padding, z.dtype)
    for j in range(V):
        panels[j // K, :, j % K] = z[:, j]
    return panels


def run(z, targets, weights=None, scale=1.0, *, training=True, workers=1, padding=np.nan):
    """Losses (N,), and the panels' columns (N, P * K) afterwards."""
    panels = as_panels(z, padding)
    losses = np.full(len(z), np.nan, z.dtype)
    arguments = CrossEntropy(
        len(z), len(panels), z.shape[1], panels, targets.astype(np.int32), weights, scale, losses,
        int(training),
    )  # fmt: skip
    cross_entropy(None, arguments, workers)
    return losses, panels.transpose(1, 0, 2).reshape(len(z), len(panels) * panels.shape[2])


def problem(rng, V, dtype, shift=0.0):
    z = (3 * rng.standard_normal((N, V)) + shift).astype(dtype)
    return z, rng.integers(0, V, N)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", SIZES)
@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_losses_and_gradients_match_the_reference(shift, V, dtype, rng):
    z, targets = problem(rng, V, dtype, shift)
    losses, dz = run(z, targets, scale=1 / N)
    desired = np.array([reference.forward(z[n : n + 1], targets[n : n + 1]) for n in range(N)])
    assert_close(losses, desired, OUTPUT[dtype], "losses")
    assert_close(dz[:, :V], reference.backward(z, targets), GRADIENT[dtype], "dz")
    np.testing.assert_array_equal(dz[:, V:], 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_scale_the_gradients_not_the_losses(dtype, rng):
    z, targets = problem(rng, 65, dtype)
    weights = rng.uniform(0, 2, N).astype(dtype)
    weights[4] = 0
    losses, dz = run(z, targets, weights, 1 / weights.sum(dtype=np.float64))
    np.testing.assert_array_equal(losses, run(z, targets)[0])
    desired = reference.backward(z, targets, weights)
    assert_close(dz[:, :65], desired, GRADIENT[dtype], "dz")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", SIZES)
def test_without_training_logits_stay(V, dtype, rng):
    z, targets = problem(rng, V, dtype)
    losses, after = run(z, targets, training=False)
    np.testing.assert_array_equal(losses, run(z, targets)[0])
    np.testing.assert_array_equal(after[:, :V], z)
    assert np.isnan(after[:, V:]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", [1, 33, 100])
def test_any_number_of_workers_and_any_padding_give_the_same_bits(V, dtype, rng):
    z, targets = problem(rng, V, dtype)
    losses, dz = run(z, targets)
    for workers in (2, 3, 8, 30):
        for padding in (0.0, np.inf, 1e30):
            again = run(z, targets, workers=workers, padding=padding)
            np.testing.assert_array_equal(again[0], losses)
            np.testing.assert_array_equal(again[1], dz)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("V", [3, 33, 100])
def test_nan_in_any_column_reaches_its_own_row_only(V, dtype, rng):
    z, targets = problem(rng, V, dtype)
    for column in range(V):
        spoilt = z.copy()
        spoilt[column % N, column] = np.nan
        losses, dz = run(spoilt, targets)
        wrong = np.arange(N) == column % N
        np.testing.assert_array_equal(np.isnan(losses), wrong)
        np.testing.assert_array_equal(np.isnan(dz[:, :V]).any(axis=1), wrong)


@pytest.mark.parametrize("dtype", DTYPES)
def test_logits_of_minus_infinity_are_impossible_classes(dtype):
    z = np.array([[0, -np.inf, 1, -np.inf]], dtype)
    losses, dz = run(z, np.array([2]))
    assert_close(losses, np.array([np.log1p(np.exp(-1.0))]), OUTPUT[dtype])
    p = 1 / (1 + np.e)
    assert_close(dz[:, :4], np.array([[p, 0, -p, 0]]), GRADIENT[dtype])
    assert run(z, np.array([1]))[0] == np.inf


def test_no_rows_are_no_work():
    losses, _ = run(np.zeros((0, 5), np.float32), np.zeros(0, np.int32))
    assert losses.size == 0
