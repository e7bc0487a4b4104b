"""Beam search: the most likely whole texts, not the most likely next tokens."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.models.decoding.sampling import as_scores, log_softmax
from fastrnn.models.decoding.steps import Step, positive, read, reorder, select, stop_tokens

Array = NDArray[Any]


class Hypotheses(NamedTuple):
    """What `beam_search` returns; each row's hypotheses, the best first.

    tokens              (N, best, length) int32; after its end a hypothesis repeats its last token
    lengths             (N, best) tokens of each, with the one that ended it; 0 for one that does
                        not exist
    scores              (N, best) log-probability / length penalty; -inf for none
    log_probabilities   (N, best)
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]
    scores: NDArray[np.float64]
    log_probabilities: NDArray[np.float64]


def length_penalty(length: Any, alpha: float) -> Any:
    """Return ((5 + length) / 6) ** alpha, equation 14 of Wu et al. 2016."""
    return ((5.0 + length) / 6.0) ** alpha


def beam_search(
    step: Step,
    tokens: ArrayLike,
    state: Any,
    *,
    beams: int,
    length: int,
    stop: int | Collection[int] | None = None,
    alpha: float = 0.6,
    best: int = 1,
) -> Hypotheses:
    """Return the continuations of N texts with the highest scores.

    A score is the log-probability of a hypothesis over `length_penalty(its length, alpha)`.  A
    hypothesis ends with a stop token, or as it is after `length` tokens.  The search is over when
    no open hypothesis can get among the best any more.

    Parameters
    ----------
    step : callable
        `step(tokens (M,), state) -> (logits (M, V), state)`: first for the N rows, then for
        M = N * beams, of which a row's are neighbours.  States are tuples, lists, dicts and
        arrays whose first axis is that of the rows; parts in a `Memory` are not moved when
        beams are.
    tokens : (N,) or (N, P) integers
        What the texts start with; not repeated in the result.
    state : nested arrays
        Before the first of `tokens`.
    beams : int
        Open hypotheses of a row that are followed.
    length : int
        The most tokens of a hypothesis.
    stop : int or collection of ints, optional
        Tokens that end a hypothesis.
    alpha : float
        At least 0: how much longer hypotheses are favoured; 0 not at all.
    best : int
        Hypotheses to return for a row, at most `beams`.

    Returns
    -------
    Hypotheses

    Raises
    ------
    ValueError
        If an argument is out of range, or logits are NaN or +inf.

    Source
    ------
    Y. Wu et al., Google's neural machine translation system: bridging the gap between human and
    machine translation, 2016, section 7, without its coverage penalty.

    Examples
    --------
    After 0 come 1 and 2 with probabilities 0.6 and 0.4; after 1 anything, after 2 nearly surely 0:

    >>> p = np.log([[1e-9, 0.6, 0.4], [1 / 3, 1 / 3, 1 / 3], [0.98, 0.01, 0.01]])
    >>> found = beam_search(lambda tokens, _: (p[tokens], _), [0], (), beams=3, length=2)
    >>> found.tokens[0, 0].tolist(), np.exp(found.log_probabilities[0, 0]).round(3).item()
    ([2, 0], 0.392)
    """
    beams, length, best = (
        positive("beams", beams),
        positive("length", length),
        positive("best", best),
    )
    if best > beams:
        raise ValueError(f"best: expected at most the {beams} beams, got {best}")
    if not (isinstance(alpha, int | float) and 0 <= alpha < np.inf):
        raise ValueError(f"alpha: expected a finite number of at least 0, got {alpha!r}")
    ends = stop_tokens(stop)
    logits, state = read(step, tokens, state)
    scores = as_scores(logits)
    N, V = scores.shape
    if any(token >= V for token in ends):
        raise ValueError(f"stop: expected tokens in 0..{V - 1}, got {stop!r}")
    search = _Search(N, beams, length, alpha)
    everywhere = np.repeat(np.arange(N), beams)
    scores, state = scores[everywhere], select(state, everywhere)
    for t in range(1, length + 1):
        log_p = search.open_log_p[:, :, None] + log_softmax(scores).reshape(N, beams, V)
        if ends:
            search.close(log_p[:, :, ends], t, np.asarray(ends))
            log_p[:, :, ends] = -np.inf
        parents, new = search.follow(log_p, t)
        if t == length or search.is_over(best):
            break
        state = reorder(state, (np.arange(N)[:, None] * beams + parents).reshape(-1))
        logits, state = step(new.reshape(-1), state)
        scores = as_scores(logits)
    search.close_open(t)
    return search.best(best)


class _Search:
    """Hypotheses of N rows: open ones, and the best of those that have ended."""

    def __init__(self, N: int, beams: int, length: int, alpha: float) -> None:
        self.length = length
        self.alpha = alpha
        # All beams of a row start alike: one of them is enough.
        self.open_log_p = np.full((N, beams), -np.inf)
        self.open_log_p[:, 0] = 0.0
        self.open_tokens = np.zeros((N, beams, length), np.int32)
        self.scores = np.full((N, beams), -np.inf)
        self.log_p = np.full((N, beams), -np.inf)
        self.lengths = np.zeros((N, beams), np.int64)
        self.tokens = np.zeros((N, beams, length), np.int32)

    def close(self, log_p: Array, t: int, ends: Array) -> None:
        """Take the hypotheses that end with token t: log_p (N, beams, len(ends))."""
        N, beams, kinds = log_p.shape
        tokens = np.repeat(self.open_tokens, kinds, axis=1)
        tokens[:, :, t - 1 :] = np.tile(ends, beams)[None, :, None]
        self._keep(log_p.reshape(N, beams * kinds), tokens, t)

    def close_open(self, t: int) -> None:
        """Take the open hypotheses as they are, after t tokens, if that is all they may have."""
        if t == self.length:
            self._keep(self.open_log_p, self.open_tokens, t)

    def _keep(self, log_p: Array, tokens: Array, t: int) -> None:
        beams = self.scores.shape[1]
        scores = np.concatenate([self.scores, log_p / length_penalty(t, self.alpha)], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :beams]
        lengths = np.where(log_p > -np.inf, t, 0)
        self.scores = np.take_along_axis(scores, order, axis=1)
        self.log_p = np.take_along_axis(np.concatenate([self.log_p, log_p], axis=1), order, axis=1)
        self.lengths = np.take_along_axis(
            np.concatenate([self.lengths, lengths], axis=1), order, axis=1
        )
        self.tokens = np.take_along_axis(
            np.concatenate([self.tokens, tokens], axis=1), order[:, :, None], axis=1
        )

    def follow(self, log_p: Array, t: int) -> tuple[Array, NDArray[np.int32]]:
        """Keep the likeliest of log_p (N, beams, V); return parents and new tokens (N, beams)."""
        N, beams, V = log_p.shape
        flat = log_p.reshape(N, beams * V)
        places = np.stack([_largest(row, beams) for row in flat])
        self.open_log_p = np.take_along_axis(flat, places, axis=1)
        parents, new = places // V, (places % V).astype(np.int32)
        self.open_tokens = np.take_along_axis(self.open_tokens, parents[:, :, None], axis=1)
        self.open_tokens[:, :, t - 1 :] = new[:, :, None]
        return parents, new

    def is_over(self, best: int) -> bool:
        """Return whether no open hypothesis can get among the best of its row."""
        # What is added to a log-probability is at most 0, and the penalty grows with the length.
        bound = self.open_log_p.max(axis=1) / length_penalty(self.length, self.alpha)
        return bool((self.scores[:, best - 1] >= bound).all())

    def best(self, best: int) -> Hypotheses:
        """Return the best hypotheses that have ended."""
        return Hypotheses(
            self.tokens[:, :best], self.lengths[:, :best], self.scores[:, :best],
            self.log_p[:, :best],
        )  # fmt: skip


def _largest(values: Array, count: int) -> Array:
    """Return the places of the largest values, in descending order, equal ones in ascending."""
    if count < len(values):
        bound = np.partition(values, len(values) - count)[len(values) - count]
        above, equal = np.flatnonzero(values > bound), np.flatnonzero(values == bound)
        places = np.concatenate([above, equal[: count - len(above)]])
    else:
        places = np.arange(len(values))
    order: Array = places[np.lexsort((places, -values[places]))]
    return order
