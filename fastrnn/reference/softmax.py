"""Cross entropy of a softmax, in float64 NumPy.

With weights w (1 when not given), for row n of the logits z and its target k::

    (1)  log p = z - log(sum(exp(z)))       shifted by max(z), so that exp cannot overflow
    (2)  loss = sum_n w_n (-log p_nk) / sum_n w_n
"""

import numpy as np
from numpy.typing import ArrayLike

from fastrnn.reference.float64 import Array, as_float64


def forward(logits: ArrayLike, targets: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Weighted mean cross entropy.

    Parameters
    ----------
    logits : array (N, V)
        Unnormalised log-probabilities.
    targets : integer array (N,)
        Right class of each row, in 0..V-1.
    weights : array (N,), optional
        Not negative, with a positive sum; ones by default.

    Returns
    -------
    float
        The loss, equation (2).
    """
    log_p = _log_softmax(as_float64(logits))  # (1)
    losses = -log_p[np.arange(len(log_p)), np.asarray(targets)]
    return float(np.sum(_shares(weights, len(log_p)) * losses))  # (2)


def backward(
    logits: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    dloss: float = 1.0,
) -> Array:
    """Gradient dlogits (N, V) of `forward`, from its arguments and the gradient of its result."""
    dlogits = np.exp(_log_softmax(as_float64(logits)))  # (1)
    N = len(dlogits)
    dlogits[np.arange(N), np.asarray(targets)] -= 1.0  # (1)
    return dlogits * _shares(weights, N)[:, None] * dloss  # (2)


def _log_softmax(logits: Array) -> Array:
    """Logarithm of the softmax over the last axis of (N, V)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_p


def _shares(weights: ArrayLike | None, N: int) -> Array:
    """Each row's share (N,) of the mean; they sum to 1."""
    w = np.ones(N) if weights is None else as_float64(weights)
    shares: Array = w / w.sum()
    return shares
