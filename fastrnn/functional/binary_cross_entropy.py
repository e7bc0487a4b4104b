"""Cross entropy of single probabilities or their logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import binary_cross_entropy as kernel
from fastrnn.kernels.cpu import schedule

Array = NDArray[Any]

#: Probabilities nearer to 0 or 1 count as if they were so far away.
EPSILON = 1e-7

# A loss and its slope take as long as some 64 multiply-adds of a tile.
_COST = 64


def binary_cross_entropy(
    y: ArrayLike, targets: ArrayLike, *, from_logits: bool = False, training: bool = True
) -> tuple[Array, Callable[[ArrayLike], Array]]:
    """Return -t log p - (1 - t) log(1 - p) of every number, in nats.

    Parameters
    ----------
    y : (...) array
        float32 or float64: probabilities p, which are clipped to [1e-7, 1 - 1e-7], or logits.
    targets : (...) array
        Probabilities t, mostly 0 or 1, of the shape and dtype of y.
    from_logits : bool
        Whether y are logits: p = sigmoid(y).
    training : bool
        Compute the slopes at once, for `backward`.

    Returns
    -------
    losses : (...) array
    backward : callable
        dy = backward(dlosses): the gradient (...) of y from that of the losses; it may run again.
        It is 0 where a probability was clipped.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.
    RuntimeError
        In `backward` after training=False.

    Examples
    --------
    >>> losses, backward = binary_cross_entropy(np.array([0.25, 0.5]), np.array([0.0, 1.0]))
    >>> losses.round(4).tolist(), backward(np.ones(2)).round(4).tolist()
    ([0.2877, 0.6931], [1.3333, -2.0])
    """
    predictions = _validate.as_array("y", y, "float32 or float64")
    if predictions.dtype not in _validate.FLOATS:
        wanted = "float32 or float64"
        raise ValueError(f"y: expected {wanted}, got {_validate.describe(predictions)}")
    shape, dtype = predictions.shape, predictions.dtype
    t = _in_a_row(_validate.exactly("targets", targets, shape, dtype))
    losses = np.empty(shape, dtype)
    slopes = np.empty(shape, dtype) if training else None
    if losses.size:
        arguments = kernel.BinaryCrossEntropy(
            losses.size, _in_a_row(predictions), t, int(from_logits), EPSILON, 1 - EPSILON,
            losses, slopes,
        )  # fmt: skip
        workers = schedule.workers_for(_COST * losses.size, losses.size)
        kernel.binary_cross_entropy(None, arguments, workers)

    def backward(dlosses: ArrayLike) -> Array:
        if slopes is None:
            raise RuntimeError("backward: expected training=True, got training=False")
        d: Array = slopes * _validate.exactly("dlosses", dlosses, shape, dtype)
        return d

    return losses, backward


def _in_a_row(array: Array) -> Array:
    """Return an array whose numbers lie side by side, as kernels read them."""
    flags = array.flags
    if flags.c_contiguous and flags.aligned:
        return array
    return np.require(array, requirements=("C", "A"))
