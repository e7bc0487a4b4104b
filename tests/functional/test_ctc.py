"""Connectionist temporal classification: alignments counted one by one, the reference, torch."""

import itertools

import numpy as np
import pytest
from functional.guarded import guarded, guarded_in_any_order
from functional.problems import GRADIENT, OUTPUT
from numeric import gradient
from tolerances import (
    FLOAT64_OUTPUT,
    NUMERIC_GRADIENT,
    TORCH_FLOAT64_GRADIENT,
    TORCH_FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn import functional
from fastrnn.reference import ctc as reference

SIZES = [(1, 1, 2, 1), (2, 3, 3, 1), (9, 4, 6, 4), (40, 3, 17, 9), (60, 2, 70, 25)]


def problem(rng, T, B, K, L, dtype=np.float64, blank=0):
    logits = (2 * rng.standard_normal((T, B, K))).astype(dtype)
    labels = np.array([k for k in range(K) if k != blank])
    targets = rng.choice(labels, (B, L))
    input_lengths = rng.integers(-(-T // 2), T + 1, B)
    input_lengths[0] = T
    target_lengths = rng.integers(0, L + 1, B)
    target_lengths[-1] = L
    return logits, targets, input_lengths, target_lengths


def reference_run(logits, targets, input_lengths, target_lengths, dlosses, blank=0):
    """Losses (B,), dlogits (T, B, K)."""
    losses, dlogits = np.zeros(len(targets)), np.zeros(logits.shape)
    for b, (T, L) in enumerate(zip(input_lengths, target_lengths, strict=True)):
        arguments = logits[:T, b], targets[b, :L], blank
        losses[b] = reference.forward(*arguments)
        if np.isfinite(losses[b]):
            dlogits[:T, b] = dlosses[b] * reference.backward(*arguments)
        else:
            dlogits[:T, b] = np.nan
    return losses, dlogits


def merged(path, blank):
    """The labels of an alignment."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


@pytest.mark.parametrize("T", [1, 2, 3, 5])
@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 2], [2, 1, 2]], ids=str)
@pytest.mark.parametrize("blank", [0, 2])
def test_losses_count_every_alignment(rng, T, labels, blank):
    labels = [k for k in labels if k != blank]
    z = rng.standard_normal((T, 3))
    y = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    p = sum(
        np.prod(y[np.arange(T), path])
        for path in itertools.product(range(3), repeat=T)
        if merged(path, blank) == labels
    )
    desired = np.array([-np.log(p)]) if p else np.array([np.inf])
    targets = np.array([labels], int).reshape(1, -1)
    found, _ = functional.ctc(z[:, None], targets, blank=blank)
    assert_close(found, desired, FLOAT64_OUTPUT)
    assert_close(np.array([reference.forward(z, labels, blank)]), desired, FLOAT64_OUTPUT)


@pytest.mark.parametrize("blank", [0, 1])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_losses_and_gradients_match_reference(rng, dtype, size, blank):
    arguments = problem(rng, *size, dtype=dtype, blank=blank)
    losses, backward = functional.ctc(*arguments, blank=blank)
    dlosses = rng.standard_normal(size[1]).astype(dtype)
    wanted, dlogits = reference_run(*arguments, dlosses, blank)
    assert_close(losses, wanted, OUTPUT[dtype], "losses")
    assert_close(backward(dlosses), dlogits, GRADIENT[dtype], "dlogits")
    np.testing.assert_array_equal(backward(dlosses), backward(dlosses))


def test_gradients_are_central_differences(rng):
    arguments = problem(rng, 6, 3, 4, 2)
    dlosses = rng.standard_normal(3)
    _, backward = functional.ctc(*arguments)
    desired = gradient(lambda: float(functional.ctc(*arguments)[0] @ dlosses), arguments[0])
    assert_close(backward(dlosses), desired, NUMERIC_GRADIENT)


@pytest.mark.parametrize("blank", [0, 4])
def test_log_probabilities_match_torch(rng, blank):
    torch = pytest.importorskip("torch")
    logits, targets, input_lengths, target_lengths = problem(rng, 30, 4, 5, 8, blank=blank)
    log_p = torch.log_softmax(torch.tensor(logits), -1).detach().requires_grad_()
    theirs = torch.nn.functional.ctc_loss(
        log_p,
        *map(torch.tensor, (targets, input_lengths, target_lengths)),
        blank=blank,
        reduction="none",
    )
    dlosses = rng.standard_normal(4)
    theirs.backward(torch.tensor(dlosses))
    for given in (logits, log_p.detach().numpy()):
        losses, backward = functional.ctc(
            given, targets, input_lengths, target_lengths, blank=blank
        )
        assert_close(losses, theirs.detach().numpy(), TORCH_FLOAT64_OUTPUT, "losses")
        assert_close(backward(dlosses), log_p.grad.numpy(), TORCH_FLOAT64_GRADIENT, "dlogits")


def test_sequences_that_are_too_short_are_impossible(rng, dtype):
    logits = rng.standard_normal((3, 4, 3)).astype(dtype)
    # Two equal labels take three steps; no label takes none.
    targets, counts = [[1, 1], [1, 1], [1, 2], [1, 1]], [2, 2, 2, 0]
    lengths = [3, 2, 1, 0]
    losses, backward = functional.ctc(logits, targets, lengths, counts)
    np.testing.assert_array_equal(np.isinf(losses), [False, True, True, False])
    assert losses[3] == 0
    dlogits = backward(np.ones(4, dtype))
    np.testing.assert_array_equal(np.isnan(dlogits).all(axis=2).sum(axis=0), [0, 2, 1, 0])
    zeroed, backward = functional.ctc(logits, targets, lengths, counts, zero_infinity=True)
    np.testing.assert_array_equal(zeroed, np.where(np.isinf(losses), 0, losses))
    np.testing.assert_array_equal(backward(np.ones(4, dtype)), np.nan_to_num(dlogits))


def test_impossible_classes_and_sharp_distributions_stay_exact(dtype):
    z = np.full((4, 3, 4), -np.inf, dtype)
    # One alignment alone is possible: blank 1 1 2.
    for t, k in enumerate([0, 1, 1, 2]):
        z[t, :, k] = 0
    z[2, 1, 1] = -np.inf
    z[2, 1, 3] = 0
    z[:, 2] = np.where(z[:, 2] == 0, 1e4, -1e4)
    losses, backward = functional.ctc(z, [[1, 2]] * 3)
    np.testing.assert_array_equal(losses, [0, np.inf, 0])
    dlogits = backward(np.ones(3, dtype))
    np.testing.assert_allclose(dlogits[:, [0, 2]], 0, atol=1e-12)
    assert np.isnan(dlogits[:, 1]).all()


def test_long_sequences_do_not_underflow(rng, dtype):
    T = 3000
    z = rng.standard_normal((T, 1, 5)).astype(dtype)
    targets = np.tile([1, 2, 1, 1, 3, 4], 100)[None]
    losses, backward = functional.ctc(z, targets)
    assert 1000 < losses[0] < 10_000
    dlogits = backward(np.ones(1, dtype))
    # Softmax and the expected counts each sum to 1 at a step.
    np.testing.assert_allclose(dlogits.sum(axis=2), 0, atol=1e-5)
    assert np.abs(dlogits).max() > 0.5


def test_nan_stays_in_its_sequence(rng, dtype):
    arguments = problem(rng, 9, 3, 6, 2, dtype)
    clean, backward = functional.ctc(*arguments)
    dclean = backward(np.ones(3, dtype))
    for bad in (np.nan, np.inf):
        for k in range(6):
            arguments[0][4, 1, k] = bad
            losses, backward = functional.ctc(*arguments)
            np.testing.assert_array_equal(np.isnan(losses), [False, True, False])
            np.testing.assert_array_equal(losses[[0, 2]], clean[[0, 2]])
            dlogits = backward(np.ones(3, dtype))
            np.testing.assert_array_equal(dlogits[:, [0, 2]], dclean[:, [0, 2]])
            assert np.isnan(dlogits[: arguments[2][1], 1]).any()
            arguments[0][4, 1, k] = 0


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_bits_depend_neither_on_workers_nor_on_memory_nor_on_padding(
    rng, dtype, workers, many_workers
):
    logits, targets, input_lengths, target_lengths = problem(rng, 9, 5, 6, 4, dtype)
    many_workers(1)
    losses, backward = functional.ctc(logits, targets, input_lengths, target_lengths)
    dlogits = backward(np.ones(5, dtype))
    many_workers(workers)
    logits[np.arange(9)[:, None] >= input_lengths] = np.nan
    targets[np.arange(4) >= target_lengths[:, None]] = -7
    batch_major = np.ascontiguousarray(logits.swapaxes(0, 1)).swapaxes(0, 1)
    for given in (logits, batch_major, np.asfortranarray(logits), logits[::-1].copy()[::-1]):
        again, backward = functional.ctc(given, targets, input_lengths, target_lengths)
        np.testing.assert_array_equal(again, losses)
        np.testing.assert_array_equal(backward(np.ones(5, dtype)), dlogits)


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_nothing_outside_the_arguments_is_touched(rng, dtype, size, at_end):
    logits, *others = problem(rng, *size, dtype=dtype)
    others = [guarded(array, at_end) for array in others]
    losses, _ = functional.ctc(guarded(logits, at_end), *others)
    again, _ = functional.ctc(guarded_in_any_order(rng, logits, at_end), *others)
    np.testing.assert_array_equal(losses, again)


def test_without_training_there_is_no_gradient(rng):
    arguments = problem(rng, 9, 3, 6, 2)
    losses, backward = functional.ctc(*arguments, training=False)
    np.testing.assert_array_equal(losses, functional.ctc(*arguments)[0])
    with pytest.raises(RuntimeError, match="training=False"):
        backward(np.ones(3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": np.zeros((3, 4))}, r"logits: expected \(T, B, K\)"),
        ({"logits": np.zeros((0, 2, 4))}, "logits"),
        ({"logits": np.zeros((3, 2, 4), complex)}, "logits"),
        ({"targets": [1, 2]}, r"targets: expected \(2, L\)"),
        ({"targets": [[1], [2], [3]]}, "targets"),
        ({"targets": [[1], [4]]}, "got 4"),
        ({"targets": [[1], [-1]]}, "got -1"),
        ({"targets": [[1], [0]]}, "other than the blank, 0, got 0"),
        ({"targets": [[1.0], [2.0]]}, "targets"),
        ({"targets": [[1], [2, 3]]}, "targets"),
        ({"input_lengths": [3]}, r"input_lengths: expected \(2,\) integers in 0\.\.3"),
        ({"input_lengths": [3, 4]}, "input_lengths.*got 4"),
        ({"input_lengths": [3, -1]}, "input_lengths.*got -1"),
        ({"target_lengths": [1, 2]}, r"target_lengths: expected \(2,\) integers in 0\.\.1"),
        ({"target_lengths": [1.0, 1.0]}, "target_lengths"),
        ({"blank": 4}, r"blank: expected an int in 0\.\.3, got 4"),
        ({"blank": -1}, "blank"),
        ({"blank": True}, "blank"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    arguments = {"logits": np.zeros((3, 2, 4)), "targets": [[1], [2]]} | changes
    with pytest.raises(ValueError, match=message):
        functional.ctc(**arguments)


def test_bad_gradients_are_named():
    _, backward = functional.ctc(np.zeros((3, 2, 4)), [[1], [2]])
    with pytest.raises(ValueError, match=r"dlosses: expected \(2,\)"):
        backward(np.ones(3))
    with pytest.raises(TypeError, match="dlosses: expected float64"):
        backward(np.ones(2, np.float32))
