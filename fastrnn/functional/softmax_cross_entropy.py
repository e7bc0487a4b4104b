"""Cross entropy of the softmax of given logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.functional.panels import Panels, packed, plain_panels, unpack_into
from fastrnn.kernels.cpu import buffers, schedule, softmax

Array = NDArray[Any]

# Logits that are worked on at a time: they go through panels that fit in the second-level cache.
_CHUNK = 1 << 17


def softmax_cross_entropy(
    logits: ArrayLike, targets: ArrayLike
) -> tuple[Array, Callable[[ArrayLike], Array]]:
    """Return the cross entropy of softmax(logits) for every row, in nats.

    No array of the size of the logits is made but their gradient.

    Parameters
    ----------
    logits : (..., V) array
        float32 or float64; -inf makes a class impossible.  They must not change before
        `backward`, which reads them again.
    targets : (...) integers in 0..V-1
        The class of each row.

    Returns
    -------
    losses : (...) array
        log(sum_j exp(z_j)) - z_target, of the dtype of the logits.
    backward : callable
        dlogits = backward(dlosses): the gradient (..., V) from dlosses (...); it may run again.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Examples
    --------
    >>> losses, backward = softmax_cross_entropy(np.zeros((2, 8)), [3, 0])
    >>> losses.round(4).tolist(), backward(np.ones(2)).shape
    ([2.0794, 2.0794], (2, 8))
    """
    wanted = "(..., V) float32 or float64"
    ndim = max(1, _validate.as_array("logits", logits, wanted).ndim)
    z = _validate.float_array("logits", logits, (*["N"] * (ndim - 1), "V"))
    shape, V, dtype = z.shape[:-1], z.shape[-1], z.dtype
    rows = z.reshape(-1, V)
    classes = _validate.ids_array("targets", targets, shape, V).reshape(-1)
    losses = np.empty(len(rows), dtype)
    for part in _parts(rows):
        _run(rows[part], classes[part], None, losses[part])

    def backward(dlosses: ArrayLike) -> Array:
        d = _validate.float_array("dlosses", dlosses, shape)
        weights = np.ascontiguousarray(_validate.same_dtype("dlosses", d, "logits", dtype))
        weights = weights.reshape(-1)
        dz = buffers.empty(rows.shape, dtype)
        unused = np.empty(len(rows), dtype)
        for part in _parts(rows):
            panels, out = _run(rows[part], classes[part], weights[part], unused[part])
            unpack_into(dz[part], out, panels)
        return dz.reshape(z.shape)

    return losses.reshape(shape), backward


def _parts(rows: Array) -> Iterator[slice]:
    """Yield ranges of rows that are worked on one after the other."""
    step = max(1, _CHUNK // rows.shape[1])
    for first in range(0, len(rows), step):
        yield slice(first, min(first + step, len(rows)))


def _run(
    rows: Array, classes: NDArray[np.int32], weights: Array | None, losses: Array
) -> tuple[Panels, Array]:
    """Write the losses of rows (N, V); return panels, of gradients where weights are given."""
    N, V = rows.shape
    panels = plain_panels(V, rows.dtype)
    z = packed(rows, panels)
    arguments = softmax.CrossEntropy(
        N=N, panels=panels.number, vocabulary=V, logits=z, targets=classes, weights=weights,
        scale=1.0, losses=losses, training=int(weights is not None),
    )  # fmt: skip
    softmax.cross_entropy(None, arguments, schedule.workers_for(16 * z.size, N))
    return panels, z
