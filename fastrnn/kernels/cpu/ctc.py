"""Connectionist temporal classification: forward-backward over a sequence's alignments.

A. Graves, S. Fernandez, F. Gomez and J. Schmidhuber, Connectionist temporal classification:
labelling unsegmented sequence data with recurrent neural networks, ICML 2006.

For one sequence with L labels, the S = 2 L + 1 places are its labels with a blank before, between
and after them; e[t, s] is the log-probability of the symbol of place s at step t.  A step moves
on by 0 or 1 places, or by 2 from a label to one that is not the same.

    (1)  a[t, s] = e[t, s] + lse(a[t-1, s], a[t-1, s-1], a[t-1, s-2] if s may be jumped to)
    (2)  log p   = lse(a[T-1, S-1], a[T-1, S-2])
    (3)  b[t, s] = lse(c[s], c[s+1], c[s+2] if s + 2 may be jumped to)
         with c[s] = b[t+1, s] + e[t+1, s]
    (4)  g[t, k] = sum over the places s of symbol k of exp(a[t, s] + b[t, s] - log p)
    (5)  d(-log p) / dz[t, k] = softmax(z[t])_k - g[t, k]

All of (1) to (4) is in float64, on vectors of places.  Log-probabilities of what is impossible
are numbers near `_NEVER`, not -inf: their differences are no NaN.

Working memory of a worker, W = row_length(L):

    alpha            (T, W)   a[t, s] is number PAD + s
    jump             (W,)     0 where place s may be jumped to, `_NEVER` elsewhere
    beta, c, e       (W,)     as alpha
    highest, norm    (T,)     highest logit of a step, and log sum_j exp z_j

Numbers before PAD and from PAD + S on are `_NEVER` wherever they count.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastrnn._jit import part, pointwise
from fastrnn.kernels.cpu.task import Doubles, Floats, Ids, Ints, task
from fastrnn.simd.mathematics import exp, log
from fastrnn.simd.memory import broadcast, is_given, lanes, load, load_edge, store, store_edge
from fastrnn.simd.vector import lane_maximum, lane_numbers, lane_sum, maximum, where_less

#: Numbers before place 0 in a row of places; at least 2.
PAD = 8

# Twice the widest vector: a row is read and written as far beyond its last place.
_BEYOND = 16

_NEVER = -1e300

# What is above it is possible: no sum of logits of real inputs gets there.
_POSSIBLE = -1e290


def row_length(labels: int) -> int:
    """Return the numbers in a row of places of a sequence of up to so many labels."""
    return PAD + -(-(2 * labels + 1 + _BEYOND) // 8) * 8


def work_length(T: int, labels: int) -> int:
    """Return the numbers of working memory of a worker."""
    return (T + 4) * row_length(labels) + 2 * T


class Alignments(NamedTuple):
    """Arguments of `ctc`; the module's docstring describes the working memory."""

    B: int
    T: int
    K: int
    L: int
    W: int
    blank: int
    zero_infinity: int
    logits: Floats  # number k of step t of sequence b is at t * time + b * batch + k
    time: int
    batch: int
    targets: Ids  # (B, L) in 0..K-1
    input_lengths: Ints  # (B,) in 0..T
    target_lengths: Ints  # (B,) in 0..L
    losses: Doubles  # (B,) written
    gradient: Floats  # None, or as the logits: zeros, written up to each length
    gradient_time: int
    gradient_batch: int
    work: Doubles  # (workers, work_length)
    work_length: int


@pointwise
def _sum3(a, b, c):  # type: ignore[no-untyped-def]
    """Logarithm of exp(a) + exp(b) + exp(c)."""
    # Not below _NEVER: the difference of two infinities would be NaN.
    highest = maximum(maximum(maximum(a, b), c), _NEVER)
    return log(exp(a - highest) + exp(b - highest) + exp(c - highest)) + highest


@part
def _highest(row, K):  # type: ignore[no-untyped-def]
    """Highest of K numbers."""
    lane = lanes(row)
    best = broadcast(row, -math.inf)
    for k in range(0, K, lane):
        x = load_edge(row + k, K - k)
        if K - k < lane:
            x = where_less(lane_numbers(x), K - k, x, -math.inf)
        best = maximum(x, best)
    return lane_maximum(best)


@part
def _sum_exp(row, K, highest):  # type: ignore[no-untyped-def]
    """Sum of exp(z - highest) over K numbers."""
    lane = lanes(row)
    total = broadcast(row, 0.0)
    for k in range(0, K, lane):
        y = exp(load_edge(row + k, K - k) - highest)
        if K - k < lane:
            y = where_less(lane_numbers(y), K - k, y, 0.0)
        total = total + y
    return lane_sum(total)


@part
def _softmax(row, K, highest, norm, d):  # type: ignore[no-untyped-def]
    """Write exp(z - norm) for K numbers."""
    share = math.exp(highest - norm)
    for k in range(0, K, lanes(row)):
        store_edge(d + k, exp(load_edge(row + k, K - k) - highest) * share, K - k)


@part
def _emissions(row, norm, labels, S, blank, e):  # type: ignore[no-untyped-def]
    """Write the log-probabilities of all places at one step."""
    of_blank = row[blank] - norm
    for s in range(0, S, 2):
        e[PAD + s] = of_blank
    for s in range(1, S, 2):
        e[PAD + s] = row[labels[s // 2]] - norm


@part
def _never(numbers, count):  # type: ignore[no-untyped-def]
    """Make numbers impossible."""
    for i in range(count):
        numbers[i] = _NEVER


@part
def _forward(s, b, labels, S, work):  # type: ignore[no-untyped-def]
    """Fill alpha, jump, highest and norm; return log p, below _POSSIBLE without an alignment."""
    lane = lanes(work)
    T = s.input_lengths[b]
    jump = work + s.T * s.W
    e = jump + 3 * s.W
    highest = e + s.W
    norm = highest + s.T
    _never(jump, s.W)
    _never(e, s.W)
    for place in range(3, S, 2):
        if labels[place // 2] != labels[place // 2 - 1]:
            jump[PAD + place] = 0.0
    for t in range(T):
        row = s.logits + (t * s.time + b * s.batch)
        z = _highest(row, s.K)
        highest[t] = z
        norm[t] = math.log(np.float64(_sum_exp(row, s.K, z))) + highest[t]
        _emissions(row, norm[t], labels, S, s.blank, e)
        alpha = work + t * s.W
        if t == 0:
            _never(alpha, s.W)
            alpha[PAD] = e[PAD]
            if S > 1:
                alpha[PAD + 1] = e[PAD + 1]
        else:
            _never(alpha, PAD)
            for i in range(PAD, PAD + S, lane):
                before = alpha + (i - s.W)
                third = load(before + (-2)) + load(jump + i)
                total = _sum3(load(before), load(before + (-1)), third)
                store(alpha + i, total + load(e + i))  # (1)
    if T == 0:
        return 0.0 if S == 1 else _NEVER
    last = (T - 1) * s.W + PAD + S - 1
    first, second = work[last], _NEVER
    if S > 1:
        second = work[last - 1]
    best = max(first, second)
    if best > _POSSIBLE:
        return best + math.log(math.exp(first - best) + math.exp(second - best))  # (2)
    return first + second  # NaN, or impossible


@part
def _backward(s, b, labels, S, work, log_p):  # type: ignore[no-untyped-def]
    """Write the gradient of a sequence, from what `_forward` left."""
    lane = lanes(work)
    T = s.input_lengths[b]
    jump = work + s.T * s.W
    beta = jump + s.W
    c = beta + s.W
    e = c + s.W
    highest = e + s.W
    norm = highest + s.T
    _never(beta, s.W)
    _never(c, s.W)
    beta[PAD + S - 1] = 0.0
    if S > 1:
        beta[PAD + S - 2] = 0.0
    for t in range(T - 1, -1, -1):
        row = s.logits + (t * s.time + b * s.batch)
        d = s.gradient + (t * s.gradient_time + b * s.gradient_batch)
        alpha = work + t * s.W
        for i in range(PAD, PAD + S, lane):
            store(c + i, exp(load(alpha + i) + load(beta + i) - log_p))
        _softmax(row, s.K, highest[t], norm[t], d)
        of_blank = 0.0
        for place in range(0, S, 2):
            of_blank += c[PAD + place]  # (4)
        d[s.blank] -= of_blank  # (5)
        for place in range(1, S, 2):
            d[labels[place // 2]] -= c[PAD + place]
        _emissions(row, norm[t], labels, S, s.blank, e)
        for i in range(PAD, PAD + S, lane):
            store(c + i, load(beta + i) + load(e + i))
        _never(c + (PAD + S), _BEYOND)
        for i in range(PAD, PAD + S, lane):
            third = load(c + (i + 2)) + load(jump + (i + 2))
            store(beta + i, _sum3(load(c + i), load(c + (i + 1)), third))  # (3)


@task
def ctc(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Compute -log p for every sequence and, where there is room for it, its gradient.

    args    Alignments; writes losses, gradient and work

    A worker takes every so-manieth sequence.  Without an alignment the loss is inf and its
    gradient NaN, or both 0 with `zero_infinity`.
    """
    s = args[0]
    work = s.work + worker * s.work_length
    for b in range(worker, s.B, workers):
        labels = s.targets + b * s.L
        S = 2 * s.target_lengths[b] + 1
        log_p = _forward(s, b, labels, S, work)
        if log_p < _POSSIBLE:
            s.losses[b] = math.inf
            if s.zero_infinity:
                s.losses[b] = 0.0
            elif is_given(s.gradient):
                for t in range(s.input_lengths[b]):
                    d = s.gradient + (t * s.gradient_time + b * s.gradient_batch)
                    for k in range(s.K):
                        d[k] = math.nan
        else:
            s.losses[b] = -log_p
            if is_given(s.gradient):
                _backward(s, b, labels, S, work, log_p)
