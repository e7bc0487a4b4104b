"""The loss of a language model: a linear layer, a softmax and the cross entropy in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.functional.linear import Affine, Gradients
from fastrnn.kernels.cpu import schedule, softmax

Array = NDArray[Any]


def cross_entropy(
    x: ArrayLike,
    W: ArrayLike,
    b: ArrayLike | None,
    targets: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    training: bool = True,
) -> tuple[float, Callable[[float], Gradients]]:
    """Return the mean cross entropy of softmax(x @ W + b), in nats.

    The logits are the only (N, V) buffer: their gradient takes their place.

    Parameters
    ----------
    x : (..., I) array
        float32 or float64; N rows in all.
    W : (I, V) array
        Weights of the V classes, of the dtype of x.
    b : (V,) array or None
        Bias.
    targets : (...) integers in 0..V-1
        The class of each row.
    weights : (...) array, optional
        Weight of each row in the mean: finite, at least 0 and not all 0; 1 if not given.
    training : bool
        Compute the gradient of the logits at once, for `backward`.

    Returns
    -------
    loss : float
        sum(weights * losses) / sum(weights).
    backward : callable
        `backward(dloss=1.0) -> Gradients(x, W, b)`; it runs once.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Examples
    --------
    >>> x, W = np.zeros((5, 3), np.float32), np.ones((3, 8), np.float32)
    >>> loss, backward = cross_entropy(x, W, None, np.arange(5))
    >>> round(loss, 4), backward().x.shape
    (2.0794, (5, 3))
    """
    product = Affine(x, W, b)
    dtype = product.W.dtype
    classes = product.to_rows(_validate.ids_array("targets", targets, product.shape, product.O))
    row_weights, total = None, float(product.N)
    if weights is not None:
        row_weights = _validate.float_array("weights", weights, product.shape).astype(dtype)
        row_weights = np.ascontiguousarray(product.to_rows(row_weights))
        total = float(row_weights.sum(dtype=np.float64))
        if not (row_weights >= 0).all() or not 0 < total < np.inf:
            raise ValueError(
                "weights: expected finite numbers of at least 0, not all 0, "
                f"got {_validate.describe(weights)}"
            )
    logits = product.forward()
    losses = np.empty(product.N, dtype)
    arguments = softmax.CrossEntropy(
        N=product.N, panels=product.panels.number, vocabulary=product.O, logits=logits,
        targets=np.ascontiguousarray(classes), weights=row_weights, scale=1.0 / total,
        losses=losses, training=int(training),
    )  # fmt: skip
    # exp and its sums cost about as much as 16 multiply-adds a logit.
    softmax.cross_entropy(None, arguments, schedule.workers_for(16 * logits.size, product.N))
    if row_weights is not None:
        losses *= row_weights
    is_spent = not training

    def backward(dloss: float = 1.0) -> Gradients:
        nonlocal is_spent
        if is_spent:
            raise RuntimeError("backward: nothing is saved: training=False, or it has run already")
        is_spent = True
        if dloss != 1.0:
            np.multiply(logits, dtype.type(dloss), out=logits)
        return product.backward(logits)

    return float(losses.sum(dtype=np.float64)) / total, backward
