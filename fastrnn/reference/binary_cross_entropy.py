"""Cross entropy of single probabilities, in float64 NumPy.

With the target t of every number, and p = sigmoid(y) of logits y::

    (1)  loss = -t log p - (1 - t) log(1 - p)       p is clipped to [1e-7, 1 - 1e-7], or
    (2)  loss = max(y, 0) + log(1 + exp(-|y|)) - t y      the same of logits, never clipped
"""

import numpy as np
from numpy.typing import ArrayLike

from fastrnn.reference.float64 import Array, as_float64

_LOWEST, _HIGHEST = 1e-7, 1 - 1e-7


def forward(y: ArrayLike, targets: ArrayLike, from_logits: bool = False) -> Array:
    """Cross entropy (...) of every number.

    Parameters
    ----------
    y : array (...)
        Probabilities, or logits.
    targets : array (...)
        Probabilities.
    from_logits : bool
        Whether y are logits.
    """
    y, t = as_float64(y), as_float64(targets)
    if from_logits:
        return np.maximum(y, 0) + np.log1p(np.exp(-np.abs(y))) - t * y  # (2)
    p = np.clip(y, _LOWEST, _HIGHEST)
    return -t * np.log(p) - (1 - t) * np.log1p(-p)  # (1)


def backward(
    y: ArrayLike, targets: ArrayLike, dlosses: ArrayLike, from_logits: bool = False
) -> Array:
    """Gradient dy (...) of `forward`, from its arguments and the gradient of its result."""
    y, t, d = as_float64(y), as_float64(targets), as_float64(dlosses)
    if from_logits:
        return d * (0.5 * (1 + np.tanh(0.5 * y)) - t)  # (2)
    is_inside = (y >= _LOWEST) & (y <= _HIGHEST)
    p = np.where(is_inside, y, 0.5)
    return d * np.where(is_inside, (1 - t) / (1 - p) - t / p, 0.0)  # (1)
