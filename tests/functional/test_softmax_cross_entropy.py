"""Cross entropy of given logits against the reference."""

import sys

import numpy as np
import pytest
from functional.guarded import guarded
from functional.problems import GRADIENT, OUTPUT
from tolerances import assert_close

from fastrnn import functional
from fastrnn.reference import softmax as reference


def reference_run(z, targets, dlosses):
    rows, classes, d = z.reshape(-1, z.shape[-1]), targets.reshape(-1), dlosses.reshape(-1)
    parts = [slice(n, n + 1) for n in range(len(rows))]
    losses = np.array([reference.forward(rows[n], classes[n]) for n in parts])
    dz = [d[n] * reference.backward(rows[n], classes[n]) for n in parts]
    return losses.reshape(targets.shape), np.array(dz).reshape(z.shape)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (5, 6), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("V", [1, 3, 65, 100])
def test_losses_and_gradients_match_reference(rng, dtype, shape, V):
    z = (3 * rng.standard_normal((*shape, V))).astype(dtype)
    targets = np.asarray(rng.integers(0, V, shape))
    losses, backward = functional.softmax_cross_entropy(z, targets)
    dlosses = np.asarray(rng.standard_normal(shape)).astype(dtype)
    wanted, dz = reference_run(z, targets, dlosses)
    assert_close(losses, wanted, OUTPUT[dtype], "losses")
    assert_close(backward(dlosses), dz, GRADIENT[dtype], "dlogits")
    np.testing.assert_array_equal(backward(dlosses), backward(dlosses))


@pytest.mark.parametrize("chunk", [1, 70, 200])
def test_chunks_and_strides_change_no_bit(rng, dtype, monkeypatch, chunk):
    z, targets = rng.standard_normal((11, 70)).astype(dtype), rng.integers(0, 70, 11)
    losses, backward = functional.softmax_cross_entropy(z, targets)
    dz = backward(losses)
    # The function hides its module's name.
    module = sys.modules["fastrnn.functional.softmax_cross_entropy"]
    monkeypatch.setattr(module, "_CHUNK", chunk)
    for given in (z, np.asfortranarray(z), z[::-1].copy()[::-1], guarded(z, True)):
        again, backward = functional.softmax_cross_entropy(given, targets.astype(np.uint8))
        np.testing.assert_array_equal(again, losses)
        np.testing.assert_array_equal(backward(losses), dz)


def test_bits_do_not_depend_on_the_number_of_workers(rng, dtype, many_workers):
    z, targets = rng.standard_normal((37, 130)).astype(dtype), rng.integers(0, 130, 37)
    found = []
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        losses, backward = functional.softmax_cross_entropy(z, targets)
        found.append((losses, backward(losses)))
    for losses, dz in found[1:]:
        np.testing.assert_array_equal(losses, found[0][0])
        np.testing.assert_array_equal(dz, found[0][1])


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (np.zeros(()), 0, "logits"),
        (np.zeros((3, 0)), [0, 0, 0], "logits"),
        (np.zeros((3, 4)), [0, 1], r"targets: expected \(3,\)"),
        (np.zeros((3, 4)), [0, 1, 4], "got 4"),
        (np.zeros((3, 4)), [0, 1, -1], "got -1"),
        (np.zeros((3, 4)), [0.0, 1, 1], "targets"),
    ],
)
def test_bad_arguments_are_named(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        functional.softmax_cross_entropy(logits, targets)


def test_bad_gradients_are_named():
    _, backward = functional.softmax_cross_entropy(np.zeros((3, 4)), [0, 1, 2])
    with pytest.raises(ValueError, match=r"dlosses: expected \(3,\)"):
        backward(np.ones(4))
    with pytest.raises(TypeError, match="dlosses"):
        backward(np.ones(3, np.float32))
