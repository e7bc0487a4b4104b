"""Texts token by token: the most likely one each time, or drawn ones."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.models.decoding.sampling import (
    as_scores,
    check_options,
    draw,
    log_probabilities,
)
from fastrnn.models.decoding.steps import Step, positive, read, select, stop_tokens


class Texts(NamedTuple):
    """What `generate` returns.

    tokens              (N, length) int32; after its end a row repeats the token that ended it
    lengths             (N,) tokens of each row, with the one that ended it
    log_probabilities   (N,) of a row's tokens under the model: at temperature 1, of all tokens
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]
    log_probabilities: NDArray[np.float64]


def generate(
    step: Step,
    tokens: ArrayLike,
    state: Any,
    *,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    stop: int | Collection[int] | None = None,
    seed: int | None = None,
) -> Texts:
    """Continue N texts by up to `length` tokens each.

    Rows that have ended are not computed any further.  What is drawn for a row depends on the
    seed, the row's number and its logits alone.

    Parameters
    ----------
    step : callable
        `step(tokens (N,), state) -> (logits (N, V), state)`; states are tuples, lists, dicts and
        arrays whose first axis is that of the rows.
    tokens : (N,) or (N, P) integers
        What the texts start with; not repeated in the result.
    state : nested arrays
        Before the first of `tokens`.
    length : int
        The most tokens of a text.
    temperature, top_k, top_p
        See `sample`; temperature 0 takes the most likely token.
    stop : int or collection of ints, optional
        Tokens that end a text.
    seed : int, optional
        The same seed gives the same texts; a fresh one if not given.

    Returns
    -------
    Texts

    Raises
    ------
    ValueError
        If an argument is out of range, or logits are not finite.

    Examples
    --------
    A model that counts up, modulo 5:

    >>> def step(tokens, state):
    ...     return np.eye(5)[(tokens + 1) % 5], state
    >>> generate(step, [0, 3], (), length=3, temperature=0, stop=4).tokens.tolist()
    [[1, 2, 3], [4, 4, 4]]
    """
    check_options(temperature, top_p, top_k)
    length, ends = positive("length", length), stop_tokens(stop)
    N = len(np.atleast_1d(np.asarray(tokens)))
    logits, state = read(step, tokens, state)
    uniform = np.random.default_rng(seed).random((N, length) if temperature else (N, 0))
    chosen = np.zeros((N, length), np.int32)
    lengths = np.full(N, length, np.int64)
    log_p = np.zeros(N)
    rows = np.arange(N)  # those that have not ended
    for t in range(length):
        scores = as_scores(logits)
        if len(scores) != len(rows):
            raise ValueError(f"logits: expected {len(rows)} rows, got {len(scores)}")
        if temperature:
            new = draw(scores, uniform[rows, t, None], temperature, top_p, top_k)
        else:
            new = scores.argmax(axis=1).astype(np.int32)
        chosen[rows, t:] = new[:, None]
        log_p[rows] += log_probabilities(scores, new)
        goes_on = ~np.isin(new, ends)
        lengths[rows[~goes_on]] = t + 1
        if t + 1 == length or not goes_on.any():
            break
        if not goes_on.all():
            rows, new = rows[goes_on], new[goes_on]
            state = select(state, np.flatnonzero(goes_on))
        logits, state = step(new, state)
    return Texts(chosen, lengths, log_p)
