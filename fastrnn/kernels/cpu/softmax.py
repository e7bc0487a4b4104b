"""Cross entropy of a softmax over panel-major logits, and its gradient in their place.

Memory (V numbers in a vector, K = 4 V columns in a panel, P = ceil(vocabulary / K) panels):

    logits   (P, N, K)   entry j of row n is column j % K of panel j // K; columns beyond the
                         vocabulary hold anything

For row n with target k and the weight w_n of its loss in the total:

    (1)  loss = log(sum_j exp(z_j - max z)) + max z - z_k      the shift keeps exp in range
    (2)  dz_j = (exp(z_j - max z) / sum - [j = k]) w_n
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastrnn._jit import part, pointwise
from fastrnn.kernels.cpu.task import Floats, Ids, task
from fastrnn.simd.mathematics import exp
from fastrnn.simd.memory import broadcast, is_given, lanes, load, store
from fastrnn.simd.vector import lane_maximum, lane_numbers, lane_sum, maximum, where_less

#: Vectors in a row of a panel.
PANEL_VECTORS = 4


class CrossEntropy(NamedTuple):
    """Arguments of `cross_entropy`; the module's docstring gives the shapes."""

    N: int
    panels: int
    vocabulary: int
    logits: Floats  # in: z; out, if training: dz, and 0 beyond the vocabulary
    targets: Ids  # (N,) in 0..vocabulary-1
    weights: Floats  # (N,), or None for all 1
    scale: float  # w_n = scale * weights[n]
    losses: Floats  # (N,) written, without weights
    training: int


@pointwise
def _keep_first(x, count, other):  # type: ignore[no-untyped-def]
    """Return the first `count` lanes of `x`, and `other` in the lanes beyond."""
    return where_less(lane_numbers(x), count, x, other)


@pointwise
def _place(row, stride, q):  # type: ignore[no-untyped-def]
    """Pointer to vector q of the vocabulary, in the row whose first panel is at `row`."""
    return row + (q // PANEL_VECTORS * stride + q % PANEL_VECTORS * lanes(row))


@part
def _highest(row, stride, vocabulary):  # type: ignore[no-untyped-def]
    """Highest logit of a row."""
    lane = lanes(row)
    whole = vocabulary // lane
    best = broadcast(row, -math.inf)
    for q in range(whole):
        best = maximum(load(_place(row, stride, q)), best)
    if whole * lane < vocabulary:
        x = load(_place(row, stride, whole))
        best = maximum(_keep_first(x, vocabulary - whole * lane, -math.inf), best)
    return lane_maximum(best)


@part
def _exponentiate(row, stride, vocabulary, highest, keeping):  # type: ignore[no-untyped-def]
    """Sum of exp(z - highest) over a row; if `keeping`, each takes the place of its logit."""
    lane = lanes(row)
    total = broadcast(row, 0.0)
    for q in range((vocabulary + lane - 1) // lane):
        place = _place(row, stride, q)
        e = exp(load(place) - highest)
        if vocabulary - q * lane < lane:
            e = _keep_first(e, vocabulary - q * lane, 0.0)
        total = total + e
        if keeping:
            store(place, e)
    return lane_sum(total)


@task
def cross_entropy(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Compute every row's loss and, if training, its gradient.

    args    CrossEntropy; writes losses and, if training, logits

    A worker owns a range of rows.  A row is read three times, the last two times from cache; its
    exponentials wait for their sum where the logits were.
    """
    s = args[0]
    lane = lanes(s.logits)
    width = PANEL_VECTORS * lane
    stride = s.N * width
    vectors = (s.vocabulary + lane - 1) // lane
    for n in range(s.N * worker // workers, s.N * (worker + 1) // workers):
        row = s.logits + n * width
        k = s.targets[n]
        target = row + (k // width * stride + k % width)
        z = target[0]
        highest = _highest(row, stride, s.vocabulary)
        total = _exponentiate(row, stride, s.vocabulary, highest, s.training)
        s.losses[n] = math.log(np.float64(total)) + (np.float64(highest) - z)  # (1)
        if s.training:
            w = s.scale
            if is_given(s.weights):
                w = w * s.weights[n]
            share = w / total
            for q in range(vectors):
                place = _place(row, stride, q)
                store(place, load(place) * share)  # (2)
            target[0] -= w
            for q in range(vectors, s.panels * PANEL_VECTORS):
                store(_place(row, stride, q), broadcast(row, 0.0))
