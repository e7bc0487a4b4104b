"""The time loop of `scan.normalised` backwards.

dx is the gradient of x, whole where it is used.  From last to first,

(7) do, dn from dh by the formula `expose_backward`
(6) e = gain_c dn    dc += (e - mean of e - c' mean of (e c')) / sqrt(variance + epsilon)
    dgain_c += c' dn    dbias_c += dn
(5) da from do (or dh) and dc by the formula
(4) dgain_h += v' da
(3) e = gain_h da    dv = (e - mean of e - v' mean of (e v')) / sqrt(variance + epsilon)
(1) dh += dv R^T, at the step before

with the numbers of the forward equations; (2) is in the means of (3).  dv takes the place of v'.

The sums over all rows of (6) and (4) are kept for each sequence by itself, and so do not depend
on who works on which.  Means over a row are taken as forward takes them: each unit's sums over
its gates first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import overload

from fastrnn._jit import POINTWISE, part, pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import gates, has_normal_state, normalised, recurrent_gates
from fastrnn.kernels.cpu.scan.backward import truncate
from fastrnn.kernels.cpu.scan.statistics import first_lanes, row_sum
from fastrnn.kernels.cpu.scan.tile import (
    added,
    as_vectors,
    gate_scratch,
    load_extra,
    load_gates,
    load_recurrent,
    load_states,
    meet_others,
    scaled,
    slices_of,
    subtracted,
    summed,
)
from fastrnn.kernels.cpu.scan.units import backward_rows, gate_place, states_at
from fastrnn.kernels.cpu.task import Floats, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    load,
    load_edge,
    load_first,
    prefetch,
    store,
    store_tuple,
    tile_rows,
    tile_scratch,
    tile_vectors,
)
from fastrnn.simd.microkernel import Left, multiply
from fastrnn.simd.vector import lane_sum


class NormalisedBackwardScan(NamedTuple):
    """Arguments of `backward`; the package's and `normalised`'s docstrings give the shapes."""

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
    R_transposed: Floats
    gain_h: Floats
    gain_c: Floats
    bias_c: Floats
    h: Floats
    h_row: int
    extra: Floats
    mask: Floats
    mask_step: Ints
    mask_row: int
    zone: Floats
    raw: Floats
    dy: Floats
    dy_step: Ints
    dy_row: int
    dextra_steps: Floats
    truncate: int
    begin: Ints
    squares: Floats
    gates: Floats
    v: Floats  # in: v'; out: dv
    scales_h: Floats
    means_c: Floats
    scales_c: Floats
    dh: Floats
    dextra: Floats
    do: Floats  # (B, P * U * V) of the present step, likewise e of (6)
    e: Floats
    unit_sums: Floats  # (B, P * U * V) sums of e over the gates of a unit of the present step
    unit_products: Floats  # and of e v'
    row_sums: Floats  # (members, B) their means, or those of (6)
    row_products: Floats
    gain_h_sums: Floats  # (P, B, r) sums over the steps of each sequence, from 0
    gain_c_sums: Floats  # (B, P * U * V)
    bias_c_sums: Floats


@pointwise
def recurrent_place(cell, s, row, unit, rows):  # type: ignore[no-untyped-def]
    """Offset of the first gate that R feeds of one vector of units, in (P, rows, r)."""
    lane = lanes(s.h)
    panel = unit if s.units == 1 else unit // s.units
    first, last = recurrent_gates(cell)
    width = (last - first) * s.units * lane
    return (panel * rows + row) * width + (unit - panel * s.units) * lane


@pointwise
def sum_gates(cell, s, t, unit, b):  # type: ignore[no-untyped-def]
    """Sum over the gates of one vector of units of one row, (4) and (3), when its da is there."""
    lane = lanes(s.h)
    stride = s.units * lane
    first, _ = recurrent_gates(cell)
    row = s.rows[t] + b
    da = load_recurrent(gate_place(cell, s, row, unit) + first * stride, stride, cell)
    v = load_recurrent(s.v + recurrent_place(cell, s, row, unit, s.N), stride, cell)
    gain = load_recurrent(s.gain_h + recurrent_place(cell, s, 0, unit, 1), stride, cell)
    sums = s.gain_h_sums + recurrent_place(cell, s, b, unit, s.B)
    store_tuple(sums, stride, added(load_recurrent(sums, stride, cell), scaled(da, v)))
    e = scaled(da, gain)
    place = (b * s.panels * s.units + unit) * lane
    store(s.unit_sums + place, summed(e))
    store(s.unit_products + place, summed(scaled(e, v)))


@pointwise
def clear_beyond(place, stride, count, there):  # type: ignore[no-untyped-def]
    """Clear `count` vectors in units beyond H, of which `there` are left.

    Infinite numbers have left NaN there, 0 * inf, for products to spread.
    """
    if there < lanes(place):
        for n in range(count):
            store(place + n * stride, load_first(place + n * stride, there))


@pointwise
def normal_c(s, t, unit, b):  # type: ignore[no-untyped-def]
    """One vector of c' of (6)."""
    lane = lanes(s.h)
    row = s.rows[t] + b
    place = row * s.panels * s.units + unit
    c = s.extra + (s.B * s.panels * s.units + place) * lane
    if is_given(s.zone):
        c = s.raw + (s.N * s.panels * s.units + place) * lane
    return (load(c) - s.means_c[row]) * s.scales_c[row]


def take_dh(cell: Any, s: Any, t: Any, unit: Any, b: Any, dh: Any) -> Any:
    """Use one vector, at dh, of the gradient that arrives at h from step t + 1 (in kernels).

    Undoes the formula or, in a cell with a normalised state, `expose`.
    """
    raise TypeError("take_dh() exists in compiled kernels only")


@overload(take_dh, jit_options=POINTWISE)
def _overload_take_dh(cell, s, t, unit, b, dh):  # type: ignore[no-untyped-def]
    return _undo_expose if "c" in normalised(cell.instance_class) else _undo_formula


def _undo_formula(cell, s, t, unit, b, dh):  # type: ignore[no-untyped-def]
    backward_rows(cell, s, t, unit, b, 1, dh, 0)
    sum_gates(cell, s, t, unit, b)


def _undo_expose(cell, s, t, unit, b, dh):  # type: ignore[no-untyped-def]
    lane = lanes(s.h)
    column = unit * lane
    there = s.H - column
    row = s.rows[t] + b
    place = (b * s.panels * s.units + unit) * lane
    dh = load(dh)
    if is_given(s.dy):
        # dh arrives twice: from y[t] and from step t + 1 through R
        dh = dh + load_edge(s.dy + s.dy_step[t] + b * s.dy_row + column, there)
    if is_given(s.squares):
        s.squares[unit * s.N + row] = lane_sum(dh * dh)
    kept = broadcast(s.h, 0.0)
    if is_given(s.zone):
        dnew = dh * load(s.zone + (row * s.panels * s.units + unit) * lane)
        kept = dh - dnew
        dh = dnew
    store(s.dh + b * ((s.H + lane - 1) // lane * lane) + column, kept)
    gain = load(s.gain_c + column)
    c = normal_c(s, t, unit, b)
    saved = load_gates(gate_place(cell, s, row, unit), s.units * lane, cell)
    n = c * gain + load(s.bias_c + column)
    do, dn = protocol.expose_backward(cell, saved, n, dh)  # (7)
    store(s.do + place, do)
    store(s.e + place, dn * gain)  # (6)
    store(s.gain_c_sums + place, load(s.gain_c_sums + place) + c * dn)
    store(s.bias_c_sums + place, load(s.bias_c_sums + place) + dn)


@part
def arrive(cell, args, t, begin, going_on, count, groups, scratch, zeros):  # type: ignore[no-untyped-def]
    """Take the gradient of h after step t, of some groups of units.

    going_on    sequences from `begin` on that have a step t + 1; the others, up to `count` of
                them, take dh from outside
    groups      (first, last + 1)
    """
    s = args[0]
    lane = lanes(s.h)
    vectors = (s.H + lane - 1) // lane
    all_groups = (vectors + tile_vectors(s.h) - 1) // tile_vectors(s.h)
    first_group, last_group = groups
    tiles = (going_on + tile_rows(s.h) - 1) // tile_rows(s.h)
    for group in range(first_group, last_group):
        low = vectors * group // all_groups
        high = vectors * (group + 1) // all_groups
        size = (high - low) * lane
        for q in range(tiles):
            b = begin + going_on * q // tiles
            rows = begin + going_on * (q + 1) // tiles - b
            if t >= 0:
                prefetch_rows(cell, s, t, low, high, b, rows)
            carried_back(cell, s, t, low, high, b, rows, scratch, zeros)
            if t >= 0 and s.truncate > 0:
                truncate(cell, args, t, low, high, b, rows, scratch)
            for r in range(rows):
                for unit in range(low, high):
                    dh = scratch + r * size + (unit - low) * lane
                    if t >= 0:
                        take_dh(cell, s, t, unit, b + r, dh)
                    else:
                        store(s.dh + ((b + r) * vectors + unit) * lane, load(dh))
        if t >= 0:
            for b in range(begin + going_on, begin + count):
                for unit in range(low, high):
                    take_dh(cell, s, t, unit, b, s.dh + (b * vectors + unit) * lane)


@pointwise
def prefetch_rows(cell, s, t, low, high, b, rows):  # type: ignore[no-untyped-def]
    """Ask for what the formula reads of the last level cache, ahead of a tile's product."""
    lane = lanes(s.h)
    stride = s.units * lane
    first, last = recurrent_gates(cell)
    before = s.B + s.rows[t - 1] if t > 0 else 0
    padded = s.panels * stride
    for unit in range(low, high):
        place = gate_place(cell, s, s.rows[t] + b, unit)
        for g in range(gates(cell)):
            prefetch(place + g * stride, rows, gates(cell) * stride)
        v = s.v + recurrent_place(cell, s, s.rows[t] + b, unit, s.N)
        for g in range(last - first):
            prefetch(v + g * stride, rows, (last - first) * stride)
        prefetch(s.extra + (before + b) * padded + unit * lane, rows, padded)
        if is_given(s.dy):
            prefetch(s.dy + s.dy_step[t] + b * s.dy_row + unit * lane, rows, s.dy_row)


@pointwise
def carried_back(cell, s, t, low, high, b, rows, scratch, zeros):  # type: ignore[no-untyped-def]
    """Write to scratch the gradient of h after step t that comes from step t + 1, (1).

    low, high    vectors of units, a group of R_transposed; rows from sequence b on
    """
    lane = lanes(s.h)
    dh_row = (s.H + lane - 1) // lane * lane
    first, last = recurrent_gates(cell)
    width = (last - first) * s.units * lane
    size = (high - low) * lane
    carried = s.dh + b * dh_row + low * lane
    weights = s.R_transposed + low * lane * s.panels * width
    a = Left(s.v + (s.rows[t + 1] + b) * width, width, 1, width, s.panels, s.N * width)
    if not is_given(s.mask):
        multiply(rows, high - low, a, weights, size, carried, dh_row, scratch, size)
        return
    multiply(rows, high - low, a, weights, size, zeros, 0, scratch, size)
    for r in range(rows):
        mask = s.mask + s.mask_step[t + 1] + (b + r) * s.mask_row
        for i in range(0, size, lane):
            column = low * lane + i
            factor = load_edge(mask + column, s.H - column)
            place = scratch + r * size + i
            store(place, load(carried + r * dh_row + i) + load(place) * factor)


def undo_formulas(
    cell: Any, args: Any, t: Any, begin: Any, count: Any, panels: Any, member: Any
) -> Any:
    """Undo the formula where it had to wait for the means of (6) (in kernels)."""
    raise TypeError("undo_formulas() exists in compiled kernels only")


@overload(undo_formulas, jit_options=POINTWISE)
def _overload_undo_formulas(cell, args, t, begin, count, panels, member):  # type: ignore[no-untyped-def]
    if "c" in normalised(cell.instance_class):
        return _undo_formulas
    return lambda cell, args, t, begin, count, panels, member: None


def _undo_formulas(cell, args, t, begin, count, panels, member):  # type: ignore[no-untyped-def]
    s = args[0]
    lane = lanes(s.h)
    vectors = (s.H + lane - 1) // lane
    for b in range(begin, begin + count):
        e = s.e + b * s.panels * s.units * lane
        products = broadcast(s.h, 0.0)
        for unit in range(vectors):
            product = load(e + unit * lane) * normal_c(s, t, unit, b)
            products = products + first_lanes(product, s.H - unit * lane)
        s.row_sums[member * s.B + b] = row_sum(e, s.H) / s.H
        s.row_products[member * s.B + b] = lane_sum(products) / s.H
    low, high = panels
    for unit in range(low * s.units, min(high * s.units, vectors)):
        for b in range(begin, begin + count):
            e = load(s.e + (b * s.panels * s.units + unit) * lane)
            e = e - s.row_sums[member * s.B + b]
            e = e - normal_c(s, t, unit, b) * s.row_products[member * s.B + b]
            undo_formula(cell, s, t, unit, b, e * s.scales_c[s.rows[t] + b])
            sum_gates(cell, s, t, unit, b)


@pointwise
def undo_formula(cell, s, t, unit, b, dc):  # type: ignore[no-untyped-def]
    """Undo the formula of a cell with a normalised state, for one vector of units of one row.

    dc    what reaches the new c through h, (6)
    Writes the row's gates and dextra, and adds to dh.
    """
    lane = lanes(s.h)
    stride = s.units * lane
    padded = s.panels * stride
    column = unit * lane
    row = s.rows[t] + b
    before = states_at(cell, s, (s.B + s.rows[t - 1] if t > 0 else 0) + b, column)
    after = states_at(cell, s, s.B + row, column)
    extra = s.dextra + b * padded + column
    dextra = load_extra(extra, s.B * padded, cell)
    if is_given(s.dextra_steps):
        from_outside = s.dextra_steps + row * padded + column
        dextra = added(dextra, load_extra(from_outside, s.N * padded, cell))
    dnew = dextra
    if is_given(s.zone):
        after = load_states(s.raw + row * padded + column, s.N * padded, cell)
        dnew = scaled(
            dextra, load_extra(s.zone + (s.N + row) * padded + column, s.N * padded, cell)
        )
    source = gate_place(cell, s, row, unit)
    saved = load_gates(source, stride, cell)
    do = load(s.do + b * padded + column)
    dstate = (do, dnew[0] + dc) + dnew[1:]  # noqa: RUF005
    da, dbefore = protocol.backward(cell, saved, before, after, dstate)  # (5)
    dbefore = as_vectors(s.h, dbefore)
    store_tuple(source, stride, as_vectors(s.h, da))
    clear_beyond(source, stride, gates(cell), s.H - column)
    dh = s.dh + b * ((s.H + lane - 1) // lane * lane) + column
    store(dh, load(dh) + dbefore[0])
    if is_given(s.zone):
        store_tuple(extra, s.B * padded, added(dbefore[1:], subtracted(dextra, dnew)))
    else:
        store_tuple(extra, s.B * padded, dbefore[1:])


@part
def undo_products(cell, args, t, begin, count, panels, member):  # type: ignore[no-untyped-def]
    """Write dv of some panels, (3)."""
    s = args[0]
    lane = lanes(s.h)
    stride = s.units * lane
    padded = s.panels * stride
    first, last = recurrent_gates(cell)
    for b in range(begin, begin + count):
        size = (last - first) * s.H
        s.row_sums[member * s.B + b] = row_sum(s.unit_sums + b * padded, s.H) / size
        s.row_products[member * s.B + b] = row_sum(s.unit_products + b * padded, s.H) / size
    low, high = panels
    for unit in range(low * s.units, high * s.units):
        there = s.H - unit * lane
        gain = load_recurrent(s.gain_h + recurrent_place(cell, s, 0, unit, 1), stride, cell)
        for b in range(begin, begin + count):
            row = s.rows[t] + b
            da = load_recurrent(gate_place(cell, s, row, unit) + first * stride, stride, cell)
            place = s.v + recurrent_place(cell, s, row, unit, s.N)
            v = load_recurrent(place, stride, cell)
            product = broadcast(s.h, s.row_products[member * s.B + b])
            distance = subtracted(scaled(da, gain), broadcast(s.h, s.row_sums[member * s.B + b]))
            scale = broadcast(s.h, s.scales_h[row])
            store_tuple(place, stride, scaled(subtracted(distance, scaled(v, product)), scale))
            clear_beyond(place, stride, last - first, there)


@task
def backward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Walk `normalised.forward` backwards.

    args    NormalisedBackwardScan; writes gates, v, dh, dextra, squares and the sums for gains
    """
    cell = cell[0]
    s = args[0]
    lane = lanes(s.h)
    scratch = gate_scratch(cell, s.h)
    zeros = tile_scratch(s.h)
    for i in range(0, tile_vectors(s.h) * lane, lane):
        store(zeros + i, broadcast(zeros, 0.0))
    vectors = (s.H + lane - 1) // lane
    all_groups = (vectors + tile_vectors(s.h) - 1) // tile_vectors(s.h)
    low_slice, high_slice, member, members = slices_of(s, worker, workers)
    groups = all_groups * member // members, all_groups * (member + 1) // members
    panels = s.panels * member // members, s.panels * (member + 1) // members
    for share in range(low_slice, high_slice):
        begin, end = s.splits[share], s.splits[share + 1]
        for t in range(s.T - 1, -2, -1):
            count = (min(end, s.rows[t + 1] - s.rows[t]) if t >= 0 else end) - begin
            if count <= 0:
                continue
            going_on = 0
            if t + 1 < s.T:
                going_on = max(0, min(end, s.rows[t + 2] - s.rows[t + 1]) - begin)
            arrive(cell, args, t, begin, going_on, count, groups, scratch, zeros)
            if t >= 0:
                meet_others(s, share, member, members)
                if has_normal_state(cell):
                    undo_formulas(cell, args, t, begin, count, panels, member)
                    meet_others(s, share, member, members)
                undo_products(cell, args, t, begin, count, panels, member)
                meet_others(s, share, member, members)
