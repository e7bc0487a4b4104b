"""Alignments on bare memory: nothing but what is to be written changes."""

import numpy as np
import pytest

from fastrnn.kernels.cpu import ctc as kernel

EDGE = 64


def surrounded(shape, dtype, inside):
    """An array within memory of 7s, and that memory."""
    size = int(np.prod(shape))
    memory = np.full(size + 2 * EDGE, 7, dtype)
    memory[EDGE : EDGE + size] = inside
    return memory[EDGE : EDGE + size].reshape(shape), memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("L", [0, 1, 3, 4, 5, 7, 8, 12])
@pytest.mark.parametrize("workers", [1, 3])
def test_working_memory_and_gradients_are_kept_to(rng, dtype, L, workers):
    T, B, K = 11, 4, 5
    z = rng.standard_normal((T, B, K)).astype(dtype)
    target_lengths = np.array([L, 0, L // 2, L])
    input_lengths = np.array([T, T, 1, 0])
    length = kernel.work_length(T, L)
    # NaN: whatever is read before it is written shows.
    work, work_memory = surrounded((workers, length), np.float64, np.nan)
    gradient, gradient_memory = surrounded((T, B, K), dtype, 0)
    losses, losses_memory = surrounded((B,), np.float64, np.nan)
    kernel.ctc(
        None,
        kernel.Alignments(
            B, T, K, L, kernel.row_length(L), 0, 0, z, B * K, K,
            rng.integers(1, K, (B, L)).astype(np.int32), input_lengths, target_lengths,
            losses, gradient, B * K, K, work, length,
        ),
        workers,
    )  # fmt: skip
    for memory in (work_memory, gradient_memory, losses_memory):
        np.testing.assert_array_equal(memory[:EDGE], 7)
        np.testing.assert_array_equal(memory[-EDGE:], 7)
    assert not np.isnan(losses).any()
    is_possible = np.isfinite(losses)
    assert is_possible[1]
    assert np.isfinite(gradient[:, is_possible]).all()
    np.testing.assert_allclose(gradient[:, is_possible].sum(axis=2), 0, atol=1e-6)
    np.testing.assert_array_equal(gradient[1:, 2], 0)
    np.testing.assert_array_equal(gradient[:, 3], 0)


def test_no_sequences_are_no_work():
    losses = np.zeros(0)
    z = np.zeros((3, 0, 4))
    none = np.zeros(0, np.int64)
    kernel.ctc(
        None,
        kernel.Alignments(
            0, 3, 4, 2, kernel.row_length(2), 0, 0, z, 0, 4, np.zeros((0, 2), np.int32), none, none,
            losses, None, 0, 0, np.zeros(kernel.work_length(3, 2)), kernel.work_length(3, 2),
        ),
        1,
    )  # fmt: skip
    assert losses.size == 0
