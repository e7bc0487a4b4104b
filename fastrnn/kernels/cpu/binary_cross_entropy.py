"""Cross entropy of single probabilities, and its slope, number by number.

For a prediction y with the target t, a probability, mostly 0 or 1:

    (1)  loss = -t log p - (1 - t) log(1 - p)      p is y, clipped to [lowest, highest]
    (2)  slope = (p - t) / (p (1 - p))             0 where y is clipped
    (3)  loss = log(1 + exp(y)) - t y              of a logit y: p = sigmoid(y)
    (4)  slope = sigmoid(y) - t
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn.kernels.cpu.task import Floats, task
from fastrnn.simd.mathematics import log, maximum, minimum, sigmoid, softplus, where_less
from fastrnn.simd.memory import is_given, lanes, load_edge, store_edge


class BinaryCrossEntropy(NamedTuple):
    """Arguments of `binary_cross_entropy`."""

    N: int
    y: Floats  # (N,)
    targets: Floats  # (N,)
    from_logits: int
    lowest: float
    highest: float
    losses: Floats  # (N,)
    slopes: Floats  # (N,), or None where nobody wants them


@task
def binary_cross_entropy(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Compute the loss of every number, and the slopes if they are wanted.

    args    BinaryCrossEntropy; writes losses and slopes

    A worker owns a range of vectors.
    """
    s = args[0]
    vectors = (s.N + lanes(s.y) - 1) // lanes(s.y)
    for v in range(vectors * worker // workers, vectors * (worker + 1) // workers):
        i = v * lanes(s.y)
        count = s.N - i
        y = load_edge(s.y + i, count)
        t = load_edge(s.targets + i, count)
        if s.from_logits:
            loss = softplus(y) - t * y
            slope = sigmoid(y) - t
        else:
            p = minimum(maximum(y, s.lowest), s.highest)
            q = 1.0 - p
            loss = -(t * log(p) + (1.0 - t) * log(q))
            slope = (p - t) / (p * q)
            slope = where_less(y, s.lowest, 0.0, where_less(-y, -s.highest, 0.0, slope))
        store_edge(s.losses + i, loss, count)
        if is_given(s.slopes):
            store_edge(s.slopes + i, slope, count)
