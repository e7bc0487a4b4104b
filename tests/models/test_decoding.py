"""Sampling from logits."""

import numpy as np
import pytest

from fastrnn.models.decoding import sample


def test_zero_temperature_takes_the_largest(rng):
    logits = rng.normal(size=(20, 9)).astype(np.float32)
    tokens = sample(logits, temperature=0, top_p=0.5, rng=rng)
    assert tokens.dtype == np.int32
    np.testing.assert_array_equal(tokens, logits.argmax(axis=1))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_p", [0.3, 0.8, 1.0])
def test_frequencies_match_the_distribution(rng, temperature, top_p):
    logits = np.array([2.0, -1.0, 0.5, 0.0, -np.inf, 1.5])
    probabilities = np.exp(logits / temperature)
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities)
    kept = order[: 1 + np.searchsorted(np.cumsum(probabilities[order]), top_p - 1e-12)]
    expected = np.zeros(6)
    expected[kept] = probabilities[kept] / probabilities[kept].sum()

    draws = sample(np.tile(logits, (40_000, 1)), temperature=temperature, top_p=top_p, rng=rng)
    found = np.bincount(draws, minlength=6) / len(draws)
    np.testing.assert_allclose(found, expected, atol=0.015)
    assert not found[expected == 0.0].any()


@pytest.mark.parametrize("top_k", [1, 3, 6, 100])
@pytest.mark.parametrize("top_p", [0.6, 1.0])
def test_only_the_first_k_are_drawn(rng, top_k, top_p):
    logits = np.array([2.0, -1.0, 0.5, 0.0, -np.inf, 1.5])
    probabilities = np.exp(logits)
    order = np.argsort(-probabilities)[:top_k]
    expected = np.zeros(6)
    expected[order] = probabilities[order] / probabilities[order].sum()
    kept = order[: 1 + np.searchsorted(np.cumsum(expected[order]), top_p - 1e-12)]
    share = np.zeros(6)
    share[kept] = expected[kept] / expected[kept].sum()

    draws = sample(np.tile(logits, (40_000, 1)), temperature=1, top_p=top_p, top_k=top_k, rng=rng)
    found = np.bincount(draws, minlength=6) / len(draws)
    np.testing.assert_allclose(found, share, atol=0.015)
    assert not found[share == 0.0].any()


def test_rows_are_independent(rng):
    logits = np.full((3, 4), -np.inf)
    logits[[0, 1, 2], [3, 0, 2]] = [-1e30, 1e30, 0.0]
    assert sample(logits, temperature=1, top_p=1, rng=rng).tolist() == [3, 0, 2]


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e300])
def test_extreme_temperatures_stay_exact(rng, temperature):
    logits = np.array([[1.0, 3.0, -np.inf, 2.0]] * 200)
    tokens = sample(logits, temperature=temperature, top_p=1, rng=rng)
    assert set(tokens.tolist()) == ({1} if temperature < 1 else {0, 1, 3})


def test_the_last_draw_stays_inside():
    class One:
        def random(self, shape):
            return np.full(shape, 1.0)

    logits = np.array([[0.1, 0.2, -np.inf, -np.inf]])
    assert sample(logits, temperature=1, top_p=1, rng=One()).tolist() == [0]


def test_the_same_generator_gives_the_same_tokens():
    logits = np.random.default_rng(0).normal(size=(50, 30))
    first, again = (
        sample(logits, temperature=0.9, top_p=0.9, rng=np.random.default_rng(3)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("logits", "temperature", "top_p", "argument"),
    [
        ([1.0, 2.0], 1, 1, "logits"),
        (np.zeros((2, 0)), 1, 1, "logits"),
        ([[0.0, np.nan]], 1, 1, "logits"),
        ([[0.0, np.inf]], 1, 1, "logits"),
        ([[0.0, 1.0], [-np.inf, -np.inf]], 0, 1, "logits"),
        ([[0.0]], -0.1, 1, "temperature"),
        ([[0.0]], np.nan, 1, "temperature"),
        ([[0.0]], np.inf, 1, "temperature"),
        ([[0.0]], 1, 0, "top_p"),
        ([[0.0]], 1, 1.01, "top_p"),
        ([[0.0]], 1, np.nan, "top_p"),
    ],
)
def test_impossible_arguments_are_named(rng, logits, temperature, top_p, argument):
    with pytest.raises(ValueError, match=argument):
        sample(np.asarray(logits), temperature=temperature, top_p=top_p, rng=rng)


@pytest.mark.parametrize("top_k", [0, -1, 1.5])
def test_impossible_numbers_of_tokens_are_named(rng, top_k):
    with pytest.raises(ValueError, match="top_k"):
        sample(np.zeros((1, 3)), temperature=1, top_p=1, top_k=top_k, rng=rng)
