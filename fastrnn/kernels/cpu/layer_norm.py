"""Layer normalisation of rows of gates, outside the time loop, and its gradients.

    u' = (u - mean of u) / sqrt(variance of u + epsilon)        for each row
    a = gain u' + ...

Rows are panel-major as in `kernels.cpu.scan`: vector v of a panel holds units of hidden units
vector panel * U + v % U, and what is beyond H counts for nothing.

    (1) dgain = sum over rows of da u'
    (2) e = gain da    du = (e - mean of e - u' mean of (e u')) / sqrt(variance of u + epsilon)

A block of rows is one worker's: it stays in the second-level cache from one pass over it to the
next, and its sums for (1) are kept apart, so that they do not depend on the workers.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn._jit import pointwise
from fastrnn.kernels.cpu.scan.statistics import first_lanes, scale_of
from fastrnn.kernels.cpu.task import Floats, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    load,
    load_first,
    store,
    tile_scratch,
)
from fastrnn.simd.vector import lane_sum


class Normalisation(NamedTuple):
    """Arguments of `normalise`."""

    rows: int
    H: int
    units: int  # U
    panels: int
    vectors: int  # of a row of a panel: U for each gate
    block: int  # rows of a block, as many as a register tile has vectors at most
    u: Floats  # (P, rows, vectors * V) in: u; out: u'
    scales: Floats  # (rows,) written: 1 / sqrt(variance + epsilon)


class Gradient(NamedTuple):
    """Arguments of `gradient`."""

    rows: int
    H: int
    units: int
    panels: int
    vectors: int
    block: int
    gates: int  # vectors of a row of a panel of da
    first: int  # vector of da that belongs to vector 0 of u
    da: Floats  # (P, rows, gates * V)
    gain: Floats  # (P, vectors * V)
    scales: Floats  # (rows,)
    u: Floats  # (P, rows, vectors * V) in: u'; out: du
    gain_sums: Floats  # (blocks, P, vectors * V) written: (1) for each block of rows
    bias_sums: Floats  # (blocks, P, gates * V) written: sums of da, or None


@pointwise
def existing(s, panel, v):  # type: ignore[no-untyped-def]
    """How many numbers of vector v of a panel are hidden units."""
    return s.H - (panel * s.units + v % s.units) * lanes(s.u)


@task
def normalise(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write u' and the scales; see the module.

    args    Normalisation
    """
    s = args[0]
    lane = lanes(s.u)
    width = s.vectors * lane
    size = s.vectors // s.units * s.H
    blocks = (s.rows + s.block - 1) // s.block
    # A vector for each row of a block: sums, then means; and sums of squares, then scales.
    means, squares = tile_scratch(s.u), tile_scratch(s.u)
    for block in range(blocks * worker // workers, blocks * (worker + 1) // workers):
        low = s.rows * block // blocks
        count = s.rows * (block + 1) // blocks - low
        for r in range(count):
            store(means + r * lane, broadcast(means, 0.0))
            store(squares + r * lane, broadcast(means, 0.0))
        for panel in range(s.panels):
            for r in range(count):
                total = load(means + r * lane)
                for v in range(s.vectors):
                    u = load(s.u + (panel * s.rows + low + r) * width + v * lane)
                    total = total + u
                store(means + r * lane, total)
        for r in range(count):
            mean = lane_sum(load(means + r * lane)) / size
            store(means + r * lane, broadcast(means, mean))
        for panel in range(s.panels):
            for r in range(count):
                mean = load(means + r * lane)
                total = load(squares + r * lane)
                for v in range(s.vectors):
                    u = load(s.u + (panel * s.rows + low + r) * width + v * lane)
                    u = u - mean
                    there = existing(s, panel, v)
                    if there < lane:
                        u = first_lanes(u, there)
                    total = total + u * u
                store(squares + r * lane, total)
        for r in range(count):
            scale = scale_of(lane_sum(load(squares + r * lane)) / size)
            s.scales[low + r] = scale
            store(squares + r * lane, broadcast(means, scale))
        for panel in range(s.panels):
            for r in range(count):
                mean = load(means + r * lane)
                scale = load(squares + r * lane)
                for v in range(s.vectors):
                    place = s.u + (panel * s.rows + low + r) * width + v * lane
                    store(place, (load(place) - mean) * scale)


@task
def gradient(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write du and the sums for dgain and dbias; see the module.

    args    Gradient
    """
    s = args[0]
    lane = lanes(s.u)
    width = s.vectors * lane
    gates_width = s.gates * lane
    size = s.vectors // s.units * s.H
    blocks = (s.rows + s.block - 1) // s.block
    # A vector for each row of a block: sums of e and of e u', then their means.
    sums, products = tile_scratch(s.u), tile_scratch(s.u)
    for block in range(blocks * worker // workers, blocks * (worker + 1) // workers):
        low = s.rows * block // blocks
        count = s.rows * (block + 1) // blocks - low
        for r in range(count):
            store(sums + r * lane, broadcast(sums, 0.0))
            store(products + r * lane, broadcast(sums, 0.0))
        for panel in range(s.panels):
            da = s.da + (panel * s.rows + low) * gates_width
            for v in range(s.vectors):
                gain = load(s.gain + panel * width + v * lane)
                of_gain = broadcast(sums, 0.0)
                for r in range(count):
                    d = load(da + r * gates_width + (s.first + v) * lane)
                    u = load(s.u + (panel * s.rows + low + r) * width + v * lane)
                    of_gain = of_gain + d * u  # (1)
                    e = d * gain
                    there = existing(s, panel, v)
                    if there < lane:
                        u = first_lanes(u, there)
                    store(sums + r * lane, load(sums + r * lane) + e)
                    store(products + r * lane, load(products + r * lane) + e * u)
                store(s.gain_sums + (block * s.panels + panel) * width + v * lane, of_gain)
            if is_given(s.bias_sums):
                for v in range(s.gates):
                    total = broadcast(sums, 0.0)
                    for r in range(count):
                        total = total + load(da + r * gates_width + v * lane)
                    place = (block * s.panels + panel) * gates_width + v * lane
                    store(s.bias_sums + place, total)
        for r in range(count):
            mean = lane_sum(load(sums + r * lane)) / size
            store(sums + r * lane, broadcast(sums, mean))
            mean = lane_sum(load(products + r * lane)) / size
            store(products + r * lane, broadcast(sums, mean))
        for panel in range(s.panels):
            da = s.da + (panel * s.rows + low) * gates_width
            for v in range(s.vectors):
                gain = load(s.gain + panel * width + v * lane)
                there = existing(s, panel, v)
                for r in range(count):
                    place = s.u + (panel * s.rows + low + r) * width + v * lane
                    e = load(da + r * gates_width + (s.first + v) * lane) * gain
                    d = e - load(sums + r * lane) - load(place) * load(products + r * lane)
                    store(place, d * s.scales[low + r])  # (2)
                    if there < lane:
                        store(place, load_first(place, max(there, 0)))
