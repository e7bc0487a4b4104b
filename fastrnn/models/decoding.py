"""Choosing the next token from a model's logits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray


def sample(
    logits: ArrayLike, *, temperature: float, top_p: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    """Draw one token for each row.

    Parameters
    ----------
    logits
        (B, V) floating point; -inf excludes a token. Computed on in float64.
    temperature
        Divides the logits; below 1 sharpens, above 1 flattens, 0 takes the largest.
    top_p
        Only the most likely tokens that together reach this probability are drawn from.
    rng
        Gives one number a row; none at temperature 0.

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
    scores = np.asarray(logits, np.float64)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"logits: expected shape (B, V), got {scores.shape}")
    if not (math.isfinite(temperature) and temperature >= 0.0):
        raise ValueError(f"temperature: expected a finite number >= 0, got {temperature}")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p: expected a number above 0 and at most 1, got {top_p}")
    if np.isnan(scores).any() or (scores == np.inf).any():
        raise ValueError("logits: expected finite numbers or -inf, got NaN or +inf")
    if (scores == -np.inf).all(axis=1).any():
        raise ValueError("logits: expected a finite number in each row, got -inf only")

    if temperature == 0.0:
        return _int32(scores.argmax(axis=1))

    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the largest to -inf
        weights = np.exp((ranked - ranked[:, :1]) / temperature)
    weights /= weights.sum(axis=1, keepdims=True)
    # A token stays while those before it have not yet reached top_p: the first always does.
    weights[np.cumsum(weights, axis=1) - weights >= top_p] = 0.0
    mass = np.cumsum(weights, axis=1)
    draw = rng.random((len(scores), 1)) * mass[:, -1:]
    rank = (mass <= draw).sum(axis=1)
    # Rounding may lift a draw onto the whole mass: the last possible token takes it.
    rank = np.minimum(rank, np.count_nonzero(weights, axis=1) - 1)
    return _int32(order[np.arange(len(order)), rank])


def _int32(tokens: NDArray[np.intp]) -> NDArray[np.int32]:
    return tokens.astype(np.int32)
