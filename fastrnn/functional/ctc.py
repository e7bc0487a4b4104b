"""Connectionist temporal classification on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import buffers, schedule
from fastrnn.kernels.cpu import ctc as kernel

Array = NDArray[Any]


def ctc(
    logits: ArrayLike,
    targets: ArrayLike,
    input_lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
    training: bool = True,
) -> tuple[Array, Callable[[ArrayLike], Array]]:
    """Return -log p(labels | input) of every sequence, summed over all alignments.

    An alignment gives each step a label or the blank; repeated labels merge, then blanks go.

    Parameters
    ----------
    logits : (T, B, K) array
        float32 or float64, of any strides over steps and sequences.  Their softmax is taken: of
        log-probabilities it is what they were, so both may be given.
    targets : (B, L) integers in 0..K-1
        Labels, none of them the blank.  Numbers beyond a sequence's length are not looked at.
    input_lengths : (B,) integers in 0..T, optional
        Steps of each sequence; T if not given.
    target_lengths : (B,) integers in 0..L, optional
        Labels of each sequence; L if not given.
    blank : int
        The class that stands for no label.
    zero_infinity : bool
        Give sequences that are too short for their labels the loss 0 and the gradient 0, instead
        of inf and NaN.
    training : bool
        Compute the gradient at once, for `backward`.

    Returns
    -------
    losses : (B,) array
        In nats, of the dtype of the logits; computed in float64.
    backward : callable
        dlogits = backward(dlosses): the gradient (T, B, K) of the logits from dlosses (B,); it
        may run again.  It is 0 beyond a sequence's length.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.
    RuntimeError
        In `backward` after training=False.

    Source
    ------
    A. Graves et al., Connectionist temporal classification: labelling unsegmented sequence data
    with recurrent neural networks, ICML 2006.

    Examples
    --------
    Two steps, three classes, one label: three alignments of probability 1/9 each.

    >>> losses, backward = ctc(np.zeros((2, 1, 3)), [[1]])
    >>> losses.round(4).tolist(), backward(np.ones(1)).shape
    ([1.0986], (2, 1, 3))
    """
    z = _validate.float_array("logits", logits, ("T", "B", "K"))
    T, B, K = z.shape
    if isinstance(blank, bool) or not isinstance(blank, int | np.integer) or not 0 <= blank < K:
        raise ValueError(f"blank: expected an int in 0..{K - 1}, got {blank!r}")
    if z.strides[2] != z.itemsize and K > 1:
        z = np.ascontiguousarray(z)
    steps = _lengths("input_lengths", input_lengths, B, T)
    labels, counts = _labels(targets, target_lengths, B, K, int(blank))
    L = labels.shape[1]

    losses = np.empty(B, np.float64)
    gradient = _zeros_like(z) if training else None
    length = kernel.work_length(T, L)
    # A place of a step costs two sums of three exponentials, a logit two exponentials.
    cost = int(steps.sum()) * (16 * (2 * L + 1) + 8 * K)
    workers = schedule.workers_for(cost * 4, B)
    time, batch, _ = (stride // z.itemsize for stride in z.strides)
    like = z if gradient is None else gradient
    gradient_time, gradient_batch, _ = (stride // z.itemsize for stride in like.strides)
    arguments = kernel.Alignments(
        B=B, T=T, K=K, L=L, W=kernel.row_length(L), blank=int(blank),
        zero_infinity=int(zero_infinity), logits=z, time=time, batch=batch, targets=labels,
        input_lengths=steps, target_lengths=counts, losses=losses, gradient=gradient,
        gradient_time=gradient_time, gradient_batch=gradient_batch,
        work=buffers.empty((workers, length), np.float64), work_length=length,
    )  # fmt: skip
    kernel.ctc(None, arguments, workers)

    def backward(dlosses: ArrayLike) -> Array:
        d = _validate.float_array("dlosses", dlosses, (B,))
        _validate.same_dtype("dlosses", d, "logits", z.dtype)
        if gradient is None:
            raise RuntimeError("backward: nothing is saved: training=False")
        dlogits: Array = gradient * d[:, None]
        return dlogits

    return (losses + 0.0).astype(z.dtype), backward  # 0, not -0, for certainty


def _zeros_like(z: Array) -> Array:
    """Return zeros of the shape of z (T, B, K), in the order of its memory."""
    if abs(z.strides[0]) >= abs(z.strides[1]):
        return buffers.zeros(z.shape, z.dtype)
    T, B, K = z.shape
    turned: Array = buffers.zeros((B, T, K), z.dtype).swapaxes(0, 1)
    return turned


def _lengths(name: str, lengths: ArrayLike | None, B: int, limit: int) -> NDArray[np.int64]:
    """Return lengths (B,) in 0..limit, by default all `limit`."""
    if lengths is None:
        return np.full(B, limit, np.int64)
    wanted = f"({B},) integers in 0..{limit}"
    array = _validate.as_array(name, lengths, wanted)
    if array.dtype.kind not in "iu" or array.shape != (B,):
        raise ValueError(f"{name}: expected {wanted}, got {_validate.describe(array)}")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > limit:
        raise ValueError(f"{name}: expected {wanted}, got {low if low < 0 else high}")
    return array.astype(np.int64)


def _labels(
    targets: ArrayLike, target_lengths: ArrayLike | None, B: int, K: int, blank: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return labels (B, L), 0 beyond their lengths, and the lengths (B,)."""
    wanted = f"({B}, L) integers in 0..{K - 1} other than the blank, {blank}"
    array = _validate.as_array("targets", targets, wanted)
    if array.ndim != 2 or len(array) != B or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"targets: expected {wanted}, got {_validate.describe(array)}")
    L = array.shape[1]
    lengths = _lengths("target_lengths", target_lengths, B, L)
    counts = np.arange(L) < lengths[:, None]
    wrong = counts & ((array < 0) | (array >= K) | (array == blank))
    if wrong.any():
        raise ValueError(f"targets: expected {wanted}, got {array[wrong][0]}")
    return np.where(counts, array, 0).astype(np.int32, order="C"), lengths
