"""Connectionist temporal classification (Graves et al. 2006), in float64 NumPy.

For a sequence of T steps, probabilities y[t, k] = softmax(z[t])_k and labels l, the places l' are
the labels with blanks between and around them, S = 2 L + 1::

    (1)  forward[0, 0] = y[0, blank],  forward[0, 1] = y[0, l_1]
         forward[t, s] = y[t, l'_s] (forward[t-1, s] + forward[t-1, s-1] [+ forward[t-1, s-2]])
    (2)  p = forward[T-1, S-1] + forward[T-1, S-2]

the part in brackets where l'_s is neither the blank nor l'_{s-2}.  The gradient is that of an
expected count: with backward[t, s] the probability of all that follows place s at step t,

    (3)  d(-log p) / dz[t, k] = y[t, k] - sum_{s: l'_s = k} forward[t, s] backward[t, s] / p

Everything is a probability, not a logarithm: right where no number vanishes, for short sequences.
"""

import numpy as np
from numpy.typing import ArrayLike

from fastrnn.reference.float64 import Array, as_float64


def forward(logits: ArrayLike, labels: ArrayLike, blank: int = 0) -> float:
    """Loss -log p of one sequence.

    Parameters
    ----------
    logits : array (T, K)
    labels : integer array (L,)
        In 0..K-1, none the blank.
    blank : int

    Returns
    -------
    float
        inf if there is no alignment.
    """
    _, _, p = _passes(_softmax(logits), np.asarray(labels, int), blank)
    return float(-np.log(p)) if p > 0 else np.inf


def backward(logits: ArrayLike, labels: ArrayLike, blank: int = 0) -> Array:
    """Gradient (T, K) of `forward` from its arguments; there must be an alignment."""
    y = _softmax(logits)
    labels = np.asarray(labels, int)
    reached, remaining, p = _passes(y, labels, blank)
    gradient: Array = y.copy()
    for s, symbol in enumerate(_places(labels, blank)):
        gradient[:, symbol] -= reached[:, s] * remaining[:, s] / p  # (3)
    return gradient


def _softmax(logits: ArrayLike) -> Array:
    z = as_float64(logits)
    e: Array = np.exp(z - z.max(axis=1, keepdims=True))
    y: Array = e / e.sum(axis=1, keepdims=True)
    return y


def _places(labels: ArrayLike, blank: int) -> list[int]:
    places = [blank]
    for label in np.asarray(labels, int):
        places += [int(label), blank]
    return places


def _steps(places: list[int], blank: int) -> Array:
    """Matrix (S, S) of 1 where a step may go from place r to place s."""
    S = len(places)
    allowed: Array = np.eye(S) + np.eye(S, k=1)
    for s in range(2, S):
        if places[s] not in (blank, places[s - 2]):
            allowed[s - 2, s] = 1.0
    return allowed


def _passes(y: Array, labels: ArrayLike, blank: int) -> tuple[Array, Array, float]:
    """Forward and backward probabilities (T, S), and p."""
    places = _places(labels, blank)
    allowed = _steps(places, blank)
    T, S = len(y), len(places)
    reached, remaining = np.zeros((T, S)), np.zeros((T, S))
    if T == 0:
        return reached, remaining, float(S == 1)
    reached[0, :2] = y[0, places[:2]]
    for t in range(1, T):
        reached[t] = y[t, places] * (reached[t - 1] @ allowed)  # (1)
    remaining[T - 1, -2:] = 1.0
    for t in range(T - 2, -1, -1):
        remaining[t] = allowed @ (y[t + 1, places] * remaining[t + 1])
    return reached, remaining, float(reached[T - 1, -2:].sum())  # (2)
