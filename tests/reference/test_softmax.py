"""The reference of the softmax cross entropy."""

import numeric
import numpy as np
import pytest
from tolerances import (
    FLOAT64_OUTPUT,
    NUMERIC_GRADIENT,
    TORCH_FLOAT64_GRADIENT,
    TORCH_FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn.reference import softmax

TARGETS = np.array([3, 0, 6, 3, 2])


@pytest.fixture(params=[False, True], ids=["unweighted", "weighted"])
def weights(request):
    """No weights, or unequal ones that do not sum to 1, one of them 0."""
    return np.array([1.0, 0.5, 0.0, 3.0, 0.25]) if request.param else None


def test_gradient_matches_central_differences(rng, weights):
    logits = rng.standard_normal((5, 7))
    desired = numeric.gradient(lambda: 1.5 * softmax.forward(logits, TARGETS, weights), logits)
    dlogits = softmax.backward(logits, TARGETS, weights, dloss=1.5)
    assert_close(dlogits, desired, NUMERIC_GRADIENT, "dlogits")


def test_loss_and_gradient_match_torch(rng, weights):
    torch = pytest.importorskip("torch")
    logits = rng.standard_normal((5, 7))
    leaf = torch.tensor(logits, requires_grad=True)
    losses = torch.nn.functional.cross_entropy(leaf, torch.tensor(TARGETS), reduction="none")
    w = torch.ones(5, dtype=torch.float64) if weights is None else torch.tensor(weights)
    loss = (w * losses).sum() / w.sum()
    loss.backward()
    assert_close(
        softmax.forward(logits, TARGETS, weights), loss.item(), TORCH_FLOAT64_OUTPUT, "loss"
    )
    dlogits = softmax.backward(logits, TARGETS, weights)
    assert_close(dlogits, leaf.grad.numpy(), TORCH_FLOAT64_GRADIENT, "dlogits")


def test_loss_matches_scipys_log_sum_exp(rng):
    special = pytest.importorskip("scipy.special")
    logits = 100 * rng.standard_normal((5, 7))
    desired = np.mean(special.logsumexp(logits, axis=1) - logits[np.arange(5), TARGETS])
    assert_close(softmax.forward(logits, TARGETS), desired, FLOAT64_OUTPUT)


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    loss = softmax.forward(np.full((5, 7), 3.0), TARGETS)
    assert_close(loss, np.log(7.0), FLOAT64_OUTPUT)


@pytest.mark.filterwarnings("error")
def test_huge_logits_neither_overflow_nor_lose_the_loss():
    logits = np.array([[1e4, -1e4, 0.0]])
    assert_close(softmax.forward(logits, [0]), 0.0, FLOAT64_OUTPUT)
    assert_close(softmax.forward(logits, [1]), 2e4, FLOAT64_OUTPUT)
    dlogits = softmax.backward(logits, [1])
    assert_close(dlogits, np.array([[1.0, -1.0, 0.0]]), FLOAT64_OUTPUT)


def test_a_row_of_weight_zero_does_not_count(rng):
    logits = rng.standard_normal((5, 7))
    weights = np.array([1.0, 1.0, 0.0, 1.0, 1.0])
    counted = weights > 0
    assert_close(
        softmax.forward(logits, TARGETS, weights),
        softmax.forward(logits[counted], TARGETS[counted]),
        FLOAT64_OUTPUT,
    )
    assert not softmax.backward(logits, TARGETS, weights)[2].any()
