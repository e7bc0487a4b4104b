"""The fused time loop, forward and backward, for any cell.

A worker owns a slice of the batch and walks all time steps alone: threads never meet between
steps, and a row's arithmetic does not depend on how the batch is split.  Hidden units are worked
on in panels of one vector: a tile holds all gates of a panel's units for a few rows, and the
cell's formula runs on it while it is in the first-level cache.

Memory (V numbers in a vector, G gates, P = ceil(H / V) panels, N rows in all steps together):

    gates    (P, N, G * V)      panel-major: the formula stores a row of it at once, and it is
                                already the packed operand of every product in the backward pass
    h        (B + N, H)         the B initial rows, then the rows of step 0, 1, ...; `h_row` apart
    extra    (S - 1, B + N, P * V)   the other states, likewise; (S - 1, B, P * V) in place when
                                nothing is saved
    W, R     (P, I or H, gates * V)  only the gates that the input or the state reaches
    bias     (P, G * V)

The rows of step t are `rows[t] .. rows[t + 1]`; sequences are in order of falling length, so that
sequence b is row `rows[t] + b` of every step that it reaches.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import intrinsic, overload

from fastrnn._jit import POINTWISE, pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import gates, input_gates, recurrent_gates
from fastrnn.kernels.cpu.task import Floats, Ids, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    load,
    load_edge,
    load_first,
    load_tuple,
    on_stack,
    prefetch,
    store,
    store_edge,
    store_tuple,
    tile_rows,
    tile_vectors,
)
from fastrnn.simd.microkernel import Left, multiply
from fastrnn.simd.target import tile
from fastrnn.simd.vector import Vector


class Scan(NamedTuple):
    """Arguments of `forward` and `backward`; the module's docstring gives the shapes."""

    T: int
    B: int
    I: int
    H: int
    panels: int
    N: int
    rows: Ints  # (T + 1,)
    splits: Ints  # (workers + 1,) first sequence of each worker
    x: Floats  # sequence b of step t at x + x_step[t] + b * x_row; None: see `ids`, `gates`
    x_step: Ints  # (T,)
    x_row: int
    ids: Ids  # (N,) row of `table` that replaces x @ W + bias, or None
    table: Floats  # (P, table_rows, G * V)
    table_rows: int
    W: Floats
    R: Floats
    bias: Floats
    h: Floats
    h_row: int
    extra: Floats
    gates: Floats
    saving: int  # 0: keep no gates and only the latest extra states


class BackwardScan(NamedTuple):
    """Arguments of `backward`; the module's docstring gives the shapes."""

    T: int
    B: int
    H: int
    panels: int
    N: int
    rows: Ints
    splits: Ints
    R_transposed: Floats  # tiles of panels: (P * recurrent gates * V, panels in the tile * V)
    h: Floats
    h_row: int
    extra: Floats
    dy: Floats  # sequence b of step t at dy + dy_step[t] + b * dy_row, or None
    dy_step: Ints  # (T,)
    dy_row: int
    gates: Floats  # in: what forward saved; out: gradients of the pre-activations
    dh: Floats  # (B, P * V) in: gradient of the last h; out: of the initial h
    dextra: Floats  # (S - 1, B, P * V) likewise


@intrinsic
def gate_scratch(context, cell, p):  # type: ignore[no-untyped-def]
    """Scratch for one tile of pre-activations, or of sums over them; see `on_stack`."""
    largest = tile(p.dtype)
    vectors = max(len(cell.instance_class.GATES), largest.vectors)
    return p(cell, p), on_stack(p, largest.rows * vectors * largest.lanes)


def load_gates(cell: Any, p: Any) -> Any:
    """Return the vectors of all gates at pointer `p` (in kernels)."""
    raise TypeError("load_gates() exists in compiled kernels only")


@overload(load_gates, jit_options=POINTWISE)
def _overload_load_gates(cell, p):  # type: ignore[no-untyped-def]
    count, stride = len(cell.instance_class.GATES), tile(p.dtype).lanes
    return lambda cell, p: load_tuple(p, stride, count)


def load_extra(cell: Any, p: Any, stride: int) -> Any:
    """Return the vectors of all states but h, `stride` numbers apart (in kernels)."""
    raise TypeError("load_extra() exists in compiled kernels only")


@overload(load_extra, jit_options=POINTWISE)
def _overload_load_extra(cell, p, stride):  # type: ignore[no-untyped-def]
    count = len(cell.instance_class.STATES) - 1
    return lambda cell, p, stride: load_tuple(p, stride, count)


def as_vector(p: Any, value: Any) -> Any:
    """Return `value`, a vector or a scalar, as a vector of what `p` holds (in kernels)."""
    raise TypeError("as_vector() exists in compiled kernels only")


@overload(as_vector, jit_options=POINTWISE)
def _overload_as_vector(p, value):  # type: ignore[no-untyped-def]
    if isinstance(value, Vector):
        return lambda p, value: value
    return lambda p, value: broadcast(p, value)


@pointwise
def add_product(rows, first, last, a, panel, c0, c0_row, scratch, width):  # type: ignore[no-untyped-def]
    """Write c0 + a @ panel to the gates first..last of `rows` rows of scratch, `width` apart.

    c0    gate 0 of what to start from, its rows c0_row apart; may be scratch itself
    """
    lane = lanes(scratch)
    step = tile_vectors(scratch)
    stride = (last - first) * lane
    for v in range(first, last, step):
        right = panel + (v - first) * lane
        start, c = c0 + v * lane, scratch + v * lane
        multiply(rows, min(step, last - v), a, right, stride, start, c0_row, c, width)


@pointwise
def input_tile(cell, s, t, panel, b, rows, scratch):  # type: ignore[no-untyped-def]
    """Write the part of the pre-activations that does not depend on the state.

    rows rows of step t from sequence b on; writes scratch (rows, G * V)
    """
    lane = lanes(scratch)
    width = gates(cell) * lane
    first, last = input_gates(cell)
    if is_given(s.x):
        bias = s.bias + panel * width
        for v in range(gates(cell)):
            if v < first or v >= last:
                for r in range(rows):
                    store(scratch + r * width + v * lane, load(bias + v * lane))
        x = s.x + s.x_step[t] + b * s.x_row
        weights = s.W + panel * s.I * (last - first) * lane
        a = Left(x, s.x_row, 1, s.I, 1, 0)
        add_product(rows, first, last, a, weights, bias, 0, scratch, width)
        return
    for r in range(rows):
        row = s.rows[t] + b + r
        if is_given(s.ids):
            source = s.table + (panel * s.table_rows + s.ids[row]) * width
        else:
            source = s.gates + (panel * s.N + row) * width
        store_tuple(scratch + r * width, lane, load_gates(cell, source))


@task
def forward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Run `cell` over time.

    args    Scan; writes h[B:], extra and, if saving, gates

    Time is outermost, then panels, then tiles of rows: a panel's weights are read once a step and
    used for all rows of the worker.
    """
    cell = cell[0]
    s = args[0]
    lane = lanes(s.h)
    width = gates(cell) * lane
    padded = s.panels * lane
    first, last = recurrent_gates(cell)
    begin = s.splits[worker]
    scratch = gate_scratch(cell, s.h)
    state_stride = (s.B + s.N if s.saving else s.B) * padded
    for t in range(s.T):
        count = min(s.splits[worker + 1], s.rows[t + 1] - s.rows[t]) - begin
        if count <= 0:
            break
        before = s.B + s.rows[t - 1] if t > 0 else 0
        after = s.B + s.rows[t]
        extra_before = before if s.saving else 0
        extra_after = after if s.saving else 0
        tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
        for panel in range(s.panels):
            units = s.H - panel * lane
            weights = s.R + panel * s.H * (last - first) * lane
            column = panel * lane
            for q in range(tiles):
                b = begin + count * q // tiles
                rows = begin + count * (q + 1) // tiles - b
                if s.saving:
                    # What the formula writes, else waited for by its stores.
                    for r in range(b, b + rows):
                        row = s.gates + (panel * s.N + s.rows[t] + r) * width
                        for v in range(0, width, lane):
                            prefetch(row + v)
                        prefetch(s.extra + (after + r) * padded + column)
                input_tile(cell, s, t, panel, b, rows, scratch)
                h_before = s.h + (before + b) * s.h_row
                a = Left(h_before, s.h_row, 1, s.H, 1, 0)
                add_product(rows, first, last, a, weights, scratch, width, scratch, width)
                for r in range(rows):
                    h = load_edge(h_before + r * s.h_row + column, units)
                    source = s.extra + (extra_before + b + r) * padded + column
                    state = (h,) + load_extra(cell, source, state_stride)  # noqa: RUF005
                    pre = load_gates(cell, scratch + r * width)
                    saved, state = protocol.forward(cell, pre, state)
                    store_edge(s.h + (after + b + r) * s.h_row + column, state[0], units)
                    target = s.extra + (extra_after + b + r) * padded + column
                    store_tuple(target, state_stride, state[1:])
                    if s.saving:
                        row = panel * s.N + s.rows[t] + b + r
                        store_tuple(s.gates + row * width, lane, saved)


@pointwise
def backward_row(cell, s, t, panel, b, dh):  # type: ignore[no-untyped-def]
    """Undo the formula for one row: sequence b of step t.

    dh    gradient that arrives from step t + 1, or from outside where b ends at t
    Writes the row's gates, dh and dextra.
    """
    lane = lanes(s.h)
    width = gates(cell) * lane
    padded = s.panels * lane
    column = panel * lane
    units = s.H - column
    before = (s.B + s.rows[t - 1] if t > 0 else 0) + b
    after = s.B + s.rows[t] + b
    if is_given(s.dy):
        # dh arrives twice: from y[t] and from step t + 1 through R
        dh = dh + load_edge(s.dy + s.dy_step[t] + b * s.dy_row + column, units)
    stride = (s.B + s.N) * padded
    state_before = (load_edge(s.h + before * s.h_row + column, units),) + load_extra(  # noqa: RUF005
        cell, s.extra + before * padded + column, stride
    )
    state_after = (load_edge(s.h + after * s.h_row + column, units),) + load_extra(  # noqa: RUF005
        cell, s.extra + after * padded + column, stride
    )
    place = b * padded + column
    dextra = load_extra(cell, s.dextra + place, s.B * padded)
    row = s.gates + (panel * s.N + s.rows[t] + b) * width
    saved = load_gates(cell, row)
    da, dstate = protocol.backward(cell, saved, state_before, state_after, (dh,) + dextra)  # noqa: RUF005
    store_tuple(row, lane, da)
    if units < lane:
        # Beyond H an infinite input or state has left NaN, 0 * inf, for products to spread.
        for v in range(0, width, lane):
            store(row + v, load_first(row + v, units))
    store(s.dh + place, as_vector(s.dh, dstate[0]))
    store_tuple(s.dextra + place, s.B * padded, dstate[1:])


@pointwise
def prefetch_tile(s, t, low, high, b, rows, width):  # type: ignore[no-untyped-def]
    """Ask for what `backward_row` reads of the last level cache, ahead of a tile's product."""
    lane = lanes(s.h)
    padded = s.panels * lane
    before = s.B + s.rows[t - 1] if t > 0 else 0
    for r in range(b, b + rows):
        for panel in range(low, high):
            row = s.gates + (panel * s.N + s.rows[t] + r) * width
            for v in range(0, width, lane):
                prefetch(row + v)
            # The states after the step were read as those before the next one.
            prefetch(s.extra + (before + r) * padded + panel * lane)
            if is_given(s.dy):
                prefetch(s.dy + s.dy_step[t] + r * s.dy_row + panel * lane)


@task
def backward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Walk `forward` backwards.

    args    BackwardScan; writes gates, dh and dextra

    Per step first what flows back through R, dh = da[t + 1] @ R^T, a few panels of units at a
    time, then the formula on those panels.  Sequences that end at this step take dh from outside.
    """
    cell = cell[0]
    s = args[0]
    lane = lanes(s.h)
    width = gates(cell) * lane
    padded = s.panels * lane
    first, last = recurrent_gates(cell)
    depth = (last - first) * lane
    begin, end = s.splits[worker], s.splits[worker + 1]
    scratch = gate_scratch(cell, s.h)
    groups = (s.panels + tile_vectors(s.h) - 1) // tile_vectors(s.h)
    for t in range(s.T - 1, -2, -1):
        count = (min(end, s.rows[t + 1] - s.rows[t]) if t >= 0 else end) - begin
        if count <= 0:
            continue
        going_on = 0
        if t + 1 < s.T:
            going_on = max(0, min(end, s.rows[t + 2] - s.rows[t + 1]) - begin)
        tiles = (going_on + tile_rows(s.h) - 1) // tile_rows(s.h)
        for group in range(groups):
            low = s.panels * group // groups
            high = s.panels * (group + 1) // groups
            weights = s.R_transposed + low * lane * s.panels * depth
            size = (high - low) * lane
            for q in range(tiles):
                b = begin + going_on * q // tiles
                rows = begin + going_on * (q + 1) // tiles - b
                if t >= 0:
                    prefetch_tile(s, t, low, high, b, rows, width)
                start = s.gates + (s.rows[t + 1] + b) * width + first * lane
                a = Left(start, width, 1, depth, s.panels, s.N * width)
                carried = s.dh + b * padded + low * lane
                multiply(rows, high - low, a, weights, size, carried, padded, scratch, size)
                for r in range(rows):
                    for panel in range(low, high):
                        dh = load(scratch + r * size + (panel - low) * lane)
                        if t >= 0:
                            backward_row(cell, s, t, panel, b + r, dh)
                        else:
                            store(s.dh + (b + r) * padded + panel * lane, dh)
            if t >= 0:
                for b in range(begin + going_on, begin + count):
                    for panel in range(low, high):
                        dh = load(s.dh + b * padded + panel * lane)
                        backward_row(cell, s, t, panel, b, dh)
