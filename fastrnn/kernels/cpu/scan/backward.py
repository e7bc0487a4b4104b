"""The time loop backwards; see the package."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import overload

from fastrnn._jit import POINTWISE, part, pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import (
    gate_names,
    gates,
    inner_gates,
    is_projected,
    projects,
    recurrent_gates,
    states,
)
from fastrnn.kernels.cpu.scan.projection import keep_dprojected, unproject
from fastrnn.kernels.cpu.scan.tile import (
    as_vectors,
    extended,
    gate_scratch,
    load_gates,
    meet_others,
    slices_of,
    to_and_fro,
)
from fastrnn.kernels.cpu.scan.units import gate_place, undo_formula
from fastrnn.kernels.cpu.task import Floats, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    line,
    load,
    load_edge,
    load_first,
    prefetch,
    prefetch_block,
    store,
    store_tuple,
    tile_rows,
    tile_scratch,
    tile_vectors,
)
from fastrnn.simd.microkernel import Left, multiply

# Products of so few steps are over before the last-level cache has answered: what the formula reads
# is asked for a group of units earlier.  64 units of a simple RNN on an AMD Zen 4: 0.86 instead of
# 1.04 ms; of a GRU, whose products take three times as long, 0.53 instead of 0.52 ms.
_SHORT = 128


class BackwardScan(NamedTuple):
    """Arguments of `backward`; the package's docstring gives the shapes."""

    T: int
    B: int
    H: int
    features: int
    units: int
    panels: int
    N: int
    rows: Ints
    slices: int
    splits: Ints
    barrier: Ints
    R_transposed: Floats  # groups of units: (P * recurrent gates * U * V, units in the group)
    inner_transposed: Floats  # likewise for the gates that take the cell's own operand
    h: Floats
    h_row: int
    extra: Floats
    mask: Floats
    mask_step: Ints
    mask_row: int
    zone: Floats
    raw: Floats
    dy: Floats  # sequence b of step t at dy + dy_step[t] + b * dy_row, or None
    dy_step: Ints  # (T,)
    dy_row: int
    dextra_steps: Floats  # (S - 1, N, P * U * V) gradients of extra of all steps, or None
    truncate: int  # no gradient flows from step t + 1 to t where truncate divides t + 1; 0: never
    begin: Ints  # (B,) what to add to t for it, or None
    squares: Floats  # (H / V rounded up, N), written: sums of squares of dh; or None
    gates: Floats  # in: what forward saved; out: gradients of the pre-activations
    dh: Floats  # (B, features up to whole vectors) in: gradient of the last h; out: of the initial
    dextra: Floats  # (S - 1, B, P * U * V) likewise


#: With what `scan.projection` needs besides.
ProjectedBackwardScan = extended(
    BackwardScan,
    "ProjectedBackwardScan",
    {
        "feature_panels": int, "feature_vectors": int, "zone_h": Floats,
        "P_transposed": Floats, "dprojected": Floats,
    },
)  # fmt: skip


@pointwise
def prefetch_tile(cell, s, t, low, high, b, rows):  # type: ignore[no-untyped-def]
    """Ask for what the formula reads of the last level cache, ahead of a product."""
    lane = lanes(s.h)
    width = gates(cell) * s.units * lane
    padded = s.panels * s.units * lane
    row = s.rows[t] + b
    for panel in range(low // s.units, (high - 1) // s.units + 1):
        prefetch_block(s.gates + (panel * s.N + row) * width, rows * width)
    before = (s.B + s.rows[t - 1] if t > 0 else 0) + b
    for column in range(low * lane, high * lane, line(s.h)):
        # The states after the step were read as those before the next one.
        if states(cell) > 1:
            prefetch(s.extra + before * padded + column, rows, padded)
        if is_given(s.dy):
            prefetch(s.dy + s.dy_step[t] + b * s.dy_row + column, rows, s.dy_row)


@pointwise
def carried_back(cell, s, t, low, high, b, rows, scratch, zeros):  # type: ignore[no-untyped-def]
    """Write to scratch the gradient of h after step t that comes from step t + 1.

    low, high    vectors of units, a group of R_transposed; rows from sequence b on
    """
    lane = lanes(s.h)
    width = gates(cell) * s.units * lane
    dh_row = (s.features + lane - 1) // lane * lane
    first, last = recurrent_gates(cell)
    size = (high - low) * lane
    carried = s.dh + b * dh_row + low * lane
    if last == first:
        for r in range(rows):
            for i in range(0, size, lane):
                store(scratch + r * size + i, load(carried + r * dh_row + i))
        return
    depth = (last - first) * s.units * lane
    weights = s.R_transposed + low * lane * s.panels * depth
    start = s.gates + (s.rows[t + 1] + b) * width + first * s.units * lane
    a = Left(start, width, 1, depth, s.panels, s.N * width)
    if not is_given(s.mask):
        multiply(rows, high - low, a, weights, size, carried, dh_row, scratch, size)
        return
    multiply(rows, high - low, a, weights, size, zeros, 0, scratch, size)
    for r in range(rows):
        mask = s.mask + s.mask_step[t + 1] + (b + r) * s.mask_row
        for i in range(0, size, lane):
            column = low * lane + i
            factor = load_edge(mask + column, s.features - column)
            place = scratch + r * size + i
            store(place, load(carried + r * dh_row + i) + load(place) * factor)


def second_stage(
    cell: Any,
    s: Any,
    t: Any,
    begin: Any,
    count: Any,
    share: Any,
    team: Any,
    scratch: Any,
    zeros: Any,
) -> Any:
    """Do what takes the first results of the whole step, if anything (in kernels).

    For inner gates: undo the cell's own operand, finish da and add to dh.  For a projected h:
    undo the projection, and the formula.

    share    the slice of the batch
    team     (member, members) who work on it
    """
    raise TypeError("second_stage() exists in compiled kernels only")


@overload(second_stage, jit_options=POINTWISE)
def _overload_second_stage(cell, s, t, begin, count, share, team, scratch, zeros):  # type: ignore[no-untyped-def]
    if gate_names(cell.instance_class, "INNER"):
        return _operand_backward
    if projects(cell.instance_class):
        return unproject
    return lambda cell, s, t, begin, count, share, team, scratch, zeros: None


def _operand_backward(cell, s, t, begin, count, share, team, scratch, zeros):  # type: ignore[no-untyped-def]
    lane = lanes(s.h)
    stride = s.units * lane
    width = gates(cell) * stride
    first, last = inner_gates(cell)
    depth = (last - first) * stride
    before = s.B + s.rows[t - 1] if t > 0 else 0
    vectors = (s.H + lane - 1) // lane
    groups = (vectors + tile_vectors(s.h) - 1) // tile_vectors(s.h)
    tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
    member, members = team
    for group in range(groups * member // members, groups * (member + 1) // members):
        low = vectors * group // groups
        high = vectors * (group + 1) // groups
        size = (high - low) * lane
        weights = s.inner_transposed + low * lane * s.panels * depth
        for q in range(tiles):
            b = begin + count * q // tiles
            rows = begin + count * (q + 1) // tiles - b
            start = s.gates + (s.rows[t] + b) * width + first * stride
            a = Left(start, width, 1, depth, s.panels, s.N * width)
            multiply(rows, high - low, a, weights, size, zeros, 0, scratch, size)
            for r in range(b, b + rows):
                for unit in range(low, high):
                    column = unit * lane
                    there = s.H - column
                    doperand = load(scratch + (r - b) * size + (unit - low) * lane)
                    h = load_edge(s.h + (before + r) * s.h_row + column, there)
                    factor = broadcast(s.dh, 1.0)
                    if is_given(s.mask):
                        mask = s.mask + s.mask_step[t] + r * s.mask_row
                        factor = load_edge(mask + column, there)
                    place = gate_place(cell, s, s.rows[t] + r, unit)
                    da = load_gates(place, stride, cell)
                    da, dh = protocol.operand_backward(cell, da, h * factor, doperand)
                    store_tuple(place, stride, as_vectors(s.dh, da))
                    if there < lane:
                        for g in range(gates(cell)):
                            store(place + g * stride, load_first(place + g * stride, there))
                    carried = s.dh + (r * vectors + unit) * lane
                    (dh,) = as_vectors(s.dh, (dh,))
                    store(carried, load(carried) + dh * factor)
    meet_others(s, share, member, members)


@part
def truncate(cell, args, t, low, high, b, rows, scratch):  # type: ignore[no-untyped-def]
    """Let no gradient through from the next step where it is cut: zeros to scratch and dextra."""
    s = args[0]
    lane = lanes(s.h)
    padded = s.panels * s.units * lane
    size = (high - low) * lane
    zero = broadcast(s.dh, 0.0)
    for r in range(rows):
        before = s.begin[b + r] if is_given(s.begin) else 0
        if (before + t + 1) % s.truncate == 0:
            for i in range(0, size, lane):
                store(scratch + r * size + i, zero)
                if not is_projected(cell):
                    for n in range(states(cell) - 1):
                        store(s.dextra + (n * s.B + b + r) * padded + low * lane + i, zero)


@pointwise
def take_dh(cell, s, t, low, high, b, rows, dh, dh_row):  # type: ignore[no-untyped-def]
    """Use the gradient that arrives at h from step t + 1 or from outside; see `undo_formula`."""
    if is_projected(cell):
        for r in range(rows):
            for unit in range(low, high):
                d = load(dh + (r * dh_row + (unit - low) * lanes(s.h)))
                keep_dprojected(cell, s, t, unit, b + r, d)
    else:
        undo_formula(cell, s, t, low, high, b, rows, dh, dh_row)


@task
def backward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Walk `forward` backwards.

    args    BackwardScan; writes gates, dh, dextra, squares and dprojected

    Per step first what flows back through R, dh = da[t + 1] @ R^T, a few vectors of units at a
    time, then the formula on those units.  Sequences that end at this step take dh from outside.
    """
    cell = cell[0]
    s = args[0]
    lane = lanes(s.h)
    scratch = gate_scratch(cell, s.h)
    zeros = tile_scratch(s.h)
    for v in range(0, tile_vectors(s.h) * lane, lane):
        store(zeros + v, broadcast(zeros, 0.0))
    vectors = (s.features + lane - 1) // lane
    dh_row = vectors * lane
    groups = (vectors + tile_vectors(s.h) - 1) // tile_vectors(s.h)
    first_gate, last_gate = recurrent_gates(cell)
    is_short = s.panels * s.units * lane * (last_gate - first_gate) <= _SHORT
    low_slice, high_slice, member, members = slices_of(s, worker, workers)
    low_group = groups * member // members
    high_group = groups * (member + 1) // members
    for share in range(low_slice, high_slice):
        begin, end = s.splits[share], s.splits[share + 1]
        for t in range(s.T - 1, -2, -1):
            count = (min(end, s.rows[t + 1] - s.rows[t]) if t >= 0 else end) - begin
            if count <= 0:
                continue
            going_on = 0
            if t + 1 < s.T:
                going_on = max(0, min(end, s.rows[t + 2] - s.rows[t + 1]) - begin)
            tiles = (going_on + tile_rows(s.h) - 1) // tile_rows(s.h)
            for place in range(low_group, high_group):
                group = to_and_fro(place, low_group, high_group, t)
                low = vectors * group // groups
                high = vectors * (group + 1) // groups
                size = (high - low) * lane
                step, next_low, next_high = t, low, high
                if is_short:
                    # After this group come others of the step, then the same of the step before.
                    step = t - 1 if place + 1 == high_group else t
                    group = to_and_fro(min(place + 1, high_group - 1), low_group, high_group, t)
                    next_low = vectors * group // groups
                    next_high = vectors * (group + 1) // groups
                for q in range(tiles):
                    b = begin + going_on * q // tiles
                    rows = begin + going_on * (q + 1) // tiles - b
                    if step >= 0:
                        prefetch_tile(cell, s, step, next_low, next_high, b, rows)
                    carried_back(cell, s, t, low, high, b, rows, scratch, zeros)
                    if t >= 0 and s.truncate > 0:
                        truncate(cell, args, t, low, high, b, rows, scratch)
                    if t >= 0:
                        take_dh(cell, s, t, low, high, b, rows, scratch, size)
                    else:
                        for r in range(rows):
                            target = s.dh + ((b + r) * dh_row + low * lane)
                            for i in range(0, size, lane):
                                store(target + i, load(scratch + (r * size + i)))
                if t >= 0:
                    b = begin + going_on
                    dh = s.dh + (b * dh_row + low * lane)
                    take_dh(cell, s, t, low, high, b, count - going_on, dh, dh_row)
            meet_others(s, share, member, members)
            if t >= 0:
                second_stage(cell, s, t, begin, count, share, (member, members), scratch, zeros)
