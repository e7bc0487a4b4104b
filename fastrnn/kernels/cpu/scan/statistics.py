"""Statistics of rows for layer normalisation: sums in one order, whoever computes them."""

from __future__ import annotations

import math

from fastrnn._jit import pointwise
from fastrnn.simd.memory import broadcast, lanes, load_edge
from fastrnn.simd.vector import lane_numbers, lane_sum, where_less

#: What is added to the variance.
EPSILON = 1e-5


@pointwise
def first_lanes(x, count):  # type: ignore[no-untyped-def]
    """Return a vector with 0 in all but the first `count` lanes of x."""
    return where_less(lane_numbers(x), count, x, 0.0)


@pointwise
def row_sum(p, H):  # type: ignore[no-untyped-def]
    """Return the sum of the H numbers at `p`."""
    total = broadcast(p, 0.0)
    for i in range(0, H, lanes(p)):
        total = total + load_edge(p + i, H - i)
    return lane_sum(total)


@pointwise
def spread_about(p, H, mean):  # type: ignore[no-untyped-def]
    """Return the sum of the squared distances of the H numbers at `p` from `mean`."""
    total = broadcast(p, 0.0)
    for i in range(0, H, lanes(p)):
        distance = first_lanes(load_edge(p + i, H - i) - mean, H - i)
        total = total + distance * distance
    return lane_sum(total)


@pointwise
def scale_of(variance):  # type: ignore[no-untyped-def]
    """Return what the distances from the mean are multiplied by."""
    return 1.0 / math.sqrt(variance + EPSILON)
