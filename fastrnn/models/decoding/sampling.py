"""Choosing the next token from a model's logits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def sample(
    logits: ArrayLike,
    *,
    temperature: float,
    top_p: float,
    rng: np.random.Generator,
    top_k: int | None = None,
) -> NDArray[np.int32]:
    """Draw one token for each row.

    Parameters
    ----------
    logits
        (B, V) floating point; -inf excludes a token. Computed on in float64.
    temperature
        Divides the logits; below 1 sharpens, above 1 flattens, 0 takes the largest.
    top_p
        Only the most likely tokens that together reach this probability are drawn from
        (A. Holtzman et al., The curious case of neural text degeneration, ICLR 2020).
    rng
        Gives one number a row; none at temperature 0.
    top_k
        Only so many of the most likely tokens are drawn from, and `top_p` is a share of theirs
        (A. Fan et al., Hierarchical neural story generation, ACL 2018); all if not given.

    Returns
    -------
    NDArray[np.int32]
        (B,) token ids.

    Raises
    ------
    ValueError
        If an argument is out of range, a logit is NaN or +inf, or a row excludes all tokens.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sample(np.array([[0.0, 2.0], [1.0, 0.0]]), temperature=0, top_p=1, rng=rng).tolist()
    [1, 0]
    """
    check_options(temperature, top_p, top_k)
    scores = as_scores(logits)
    if temperature == 0.0:
        return _int32(scores.argmax(axis=1))
    return draw(scores, rng.random((len(scores), 1)), temperature, top_p, top_k)


def draw(
    scores: Array, uniform: Array, temperature: float, top_p: float, top_k: int | None
) -> NDArray[np.int32]:
    """Return the token (B,) of each row that a number (B, 1) in [0, 1) stands for.

    scores (B, V) float64; the temperature is above 0.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    ranked = np.take_along_axis(scores, order, axis=1)
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the largest to -inf
        weights = np.exp((ranked - ranked[:, :1]) / temperature)
    weights /= weights.sum(axis=1, keepdims=True)
    # A token stays while those before it have not yet reached top_p: the first always does.
    weights[np.cumsum(weights, axis=1) - weights >= top_p] = 0.0
    mass = np.cumsum(weights, axis=1)
    rank = (mass <= uniform * mass[:, -1:]).sum(axis=1)
    # Rounding may lift a draw onto the whole mass: the last possible token takes it.
    rank = np.minimum(rank, np.count_nonzero(weights, axis=1) - 1)
    return _int32(order[np.arange(len(order)), rank])


def as_scores(logits: ArrayLike) -> Array:
    """Return logits (B, V) as float64.

    Raises
    ------
    ValueError
        If a logit is NaN or +inf, or a row excludes all tokens.
    """
    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"logits: expected shape (B, V), got {scores.shape}")
    largest = scores.max(axis=1)
    if not np.isfinite(largest).all():
        if (largest == -np.inf).any() and not (np.isnan(largest) | (largest == np.inf)).any():
            raise ValueError("logits: expected a finite number in each row, got -inf only")
        raise ValueError("logits: expected finite numbers or -inf, got NaN or +inf")
    return scores


def log_softmax(scores: Array) -> Array:
    """Return the logarithms of the probabilities of scores (..., V); -inf stays."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    log_p: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return log_p


def log_probabilities(scores: Array, tokens: NDArray[Any]) -> Array:
    """Return the logarithm of the probability (B,) of one token (B,) of each row of scores."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(tokens)), tokens]
    log_p: Array = chosen - np.log(np.exp(shifted, out=shifted).sum(axis=1))
    return log_p


def check_options(temperature: float, top_p: float, top_k: int | None) -> None:
    """Raise ValueError where an option is out of range."""
    if not (math.isfinite(temperature) and temperature >= 0.0):
        raise ValueError(f"temperature: expected a finite number >= 0, got {temperature}")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p: expected a number above 0 and at most 1, got {top_p}")
    if top_k is not None and (not isinstance(top_k, int | np.integer) or top_k < 1):
        raise ValueError(f"top_k: expected an int of at least 1 or None, got {top_k!r}")


def _int32(tokens: NDArray[np.intp]) -> NDArray[np.int32]:
    return tokens.astype(np.int32)
