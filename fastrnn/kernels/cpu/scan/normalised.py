"""The time loop forwards for cells with layer normalisation; see the package.

x W is made and normalised before the loop (`kernels.cpu.layer_norm`): u.  Of the K gates k that R
feeds and the H units j of one row at one step,

(1) v = h R
(2) mean = sum of v / (K H)    variance = sum of (v - mean)^2 / (K H)
(3) v' = (v - mean) / sqrt(variance + epsilon)
(4) a = gain_x u + gain_h v' + b
(5) the formula

and for a cell with a normalised state, where c' is c normalised likewise over its H units,

(6) n = gain_c c' + bias_c
(7) h = expose(o, n)

A row is known in parts, panel by panel.  For (2) each unit's mean m_j over its gates and spread
q_j = sum over k of (v_kj - m_j)^2 are taken while its panel is in the first-level cache; then

    mean = sum of m_j / H    variance = (sum of q_j + K sum of (m_j - mean)^2) / (K H)

which is as exact as a second pass over v.  Members of a team, each with some of the panels, all
compute these few sums themselves.

Memory besides the package's, with r and i numbers in a row of a panel for the gates that R and W
feed:

    u           (P, N or vocabulary, i)     normalised x W
    v           (P, N or B, r)      v, then v'
    unit_*      (B, P * U * V)      m and q of the present step
    row_*       (members, B)        mean and 1 / sqrt(...) of the present step
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import overload

from fastrnn._jit import POINTWISE, part, pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import (
    gates,
    has_normal_state,
    input_gates,
    normalised,
    recurrent_gates,
)
from fastrnn.kernels.cpu.scan.forward import apply_mask, first_row
from fastrnn.kernels.cpu.scan.statistics import row_sum, scale_of, spread_about
from fastrnn.kernels.cpu.scan.tile import (
    added,
    as_vectors,
    load_extra,
    load_gates,
    load_input,
    load_recurrent,
    load_states,
    meet_others,
    scaled,
    slices_of,
    subtracted,
    summed,
    with_input,
    with_recurrent,
)
from fastrnn.kernels.cpu.task import Floats, Ids, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    load,
    load_edge,
    prefetch_block,
    store,
    store_edge,
    store_tuple,
    tile_rows,
    tile_scratch,
    tile_vectors,
)
from fastrnn.simd.microkernel import Left, multiply


class NormalisedScan(NamedTuple):
    """Arguments of `forward`; the docstrings of the package and of the module give the shapes."""

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
    ids: Ids  # (N,) row of u, or None
    u: Floats
    u_rows: int
    R: Floats
    gain_x: Floats  # (P, i)
    gain_h: Floats  # (P, r)
    bias: Floats  # (P, w)
    gain_c: Floats  # (P * U * V,), or None, likewise bias_c
    bias_c: Floats
    h: Floats
    h_row: int
    extra: Floats
    gates: Floats  # (P, N, w), or None
    v: Floats
    v_rows: int
    mask: Floats
    mask_step: Ints
    mask_row: int
    masked: Floats
    zone: Floats
    raw: Floats
    unit_means: Floats
    unit_spreads: Floats
    row_means: Floats
    row_scales: Floats
    scales_h: Floats  # (N,) 1 / sqrt(variance + epsilon) of (3), if saving
    means_c: Floats  # (N,) likewise of c
    scales_c: Floats
    saving: int


@part
def products(cell, args, t, begin, count, panels, h, h_row, zeros):  # type: ignore[no-untyped-def]
    """Write v of some panels, and the statistics of their units: (1), and m and q of (2).

    panels    (first, last + 1)
    h         of sequence 0, as R sees it
    """
    s = args[0]
    lane = lanes(s.h)
    first, last = recurrent_gates(cell)
    width = (last - first) * s.units * lane
    padded = s.panels * s.units * lane
    block = tile_vectors(s.h) * lane
    tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
    low, high = panels
    for panel in range(low, high):
        weights = s.R + panel * s.H * width
        for q in range(tiles):
            b = begin + count * q // tiles
            rows = begin + count * (q + 1) // tiles - b
            v = s.v + (panel * s.v_rows + first_row(s, t, s.v_rows) + b) * width
            prefetch_rows(cell, s, t, panel, b, rows)
            a = Left(h + b * h_row, h_row, 1, s.H, 1, 0)
            for i in range(0, width, block):
                vectors = min(tile_vectors(s.h), (width - i) // lane)
                multiply(rows, vectors, a, weights + i, width, zeros, 0, v + i, width)
            for r in range(rows):
                for u in range(s.units):
                    place = (b + r) * padded + (panel * s.units + u) * lane
                    values = load_recurrent(v + r * width + u * lane, s.units * lane, cell)
                    mean = summed(values) * (1.0 / (last - first))
                    distances = subtracted(values, mean)
                    store(s.unit_means + place, mean)
                    store(s.unit_spreads + place, summed(scaled(distances, distances)))


@pointwise
def prefetch_rows(cell, s, t, panel, b, rows):  # type: ignore[no-untyped-def]
    """Ask for what the formula reads and writes of rows that the product is about to make."""
    lane = lanes(s.h)
    width = gates(cell) * s.units * lane
    first, last = input_gates(cell)
    input_width = (last - first) * s.units * lane
    for r in range(s.rows[t] + b, s.rows[t] + b + rows):
        u = s.u + (panel * s.u_rows + (s.ids[r] if is_given(s.ids) else r)) * input_width
        prefetch_block(u, input_width)
        if s.saving:
            prefetch_block(s.gates + (panel * s.N + r) * width, width)


@part
def row_statistics(cell, args, t, begin, count, member):  # type: ignore[no-untyped-def]
    """Write what (3) needs of whole rows, (2)."""
    s = args[0]
    padded = s.panels * s.units * lanes(s.h)
    first, last = recurrent_gates(cell)
    for b in range(begin, begin + count):
        means = s.unit_means + b * padded
        mean = row_sum(means, s.H) / s.H
        spread = row_sum(s.unit_spreads + b * padded, s.H)
        spread += (last - first) * spread_about(means, s.H, mean)
        scale = scale_of(spread / ((last - first) * s.H))
        s.row_means[member * s.B + b] = mean
        s.row_scales[member * s.B + b] = scale
        if s.saving and member == 0:
            s.scales_h[s.rows[t] + b] = scale


@part
def formula_panels(cell, args, t, begin, count, panels, member):  # type: ignore[no-untyped-def]
    """Run the formula on some panels, (3) to (5); write states, and if saving gates and v'."""
    s = args[0]
    lane = lanes(s.h)
    stride = s.units * lane
    padded = s.panels * stride
    first, last = input_gates(cell)
    input_width = (last - first) * stride
    first, last = recurrent_gates(cell)
    recurrent_width = (last - first) * stride
    width = gates(cell) * stride
    before = s.B + s.rows[t - 1] if t > 0 else 0
    after = s.B + s.rows[t]
    extra_before = before if s.saving else 0
    extra_after = after if s.saving else 0
    state_stride = (s.B + s.N if s.saving else s.B) * padded
    low, high = panels
    for unit in range(low * s.units, high * s.units):
        panel = unit if s.units == 1 else unit // s.units
        inside = (unit - panel * s.units) * lane
        column = unit * lane
        there = s.H - column
        gain_x = load_input(s.gain_x + panel * input_width + inside, stride, cell)
        gain_h = load_recurrent(s.gain_h + panel * recurrent_width + inside, stride, cell)
        bias = load_gates(s.bias + panel * width + inside, stride, cell)
        for b in range(begin, begin + count):
            row = s.rows[t] + b
            u_row = s.ids[row] if is_given(s.ids) else row
            place = s.u + (panel * s.u_rows + u_row) * input_width + inside
            a = with_input(bias, scaled(load_input(place, stride, cell), gain_x), cell)
            v_row = first_row(s, t, s.v_rows) + b
            place = s.v + (panel * s.v_rows + v_row) * recurrent_width + inside
            mean = broadcast(s.h, s.row_means[member * s.B + b])
            scale = broadcast(s.h, s.row_scales[member * s.B + b])
            v = scaled(subtracted(load_recurrent(place, stride, cell), mean), scale)
            if s.saving:
                store_tuple(place, stride, v)
            a = with_recurrent(a, scaled(v, gain_h), cell)
            h_before = load_edge(s.h + (before + b) * s.h_row + column, there)
            source = s.extra + (extra_before + b) * padded + column
            state = (h_before,) + load_extra(source, state_stride, cell)  # noqa: RUF005
            saved, new = protocol.forward(cell, a, state)
            new = as_vectors(s.h, new)
            h = new[0]
            if is_given(s.zone):
                offset = row * padded + column
                store_tuple(s.raw + offset, s.N * padded, new)
                zone = load_states(s.zone + offset, s.N * padded, cell)
                new = added(state, scaled(zone, subtracted(new, state)))
                if not has_normal_state(cell):
                    h = new[0]
            store_edge(s.h + (after + b) * s.h_row + column, h, there)
            target = s.extra + (extra_after + b) * padded + column
            store_tuple(target, state_stride, new[1:])
            if s.saving:
                store_tuple(s.gates + (panel * s.N + row) * width + inside, stride, saved)


def expose_rows(
    cell: Any, args: Any, t: Any, begin: Any, count: Any, panels: Any, member: Any
) -> Any:
    """Make h of some panels where it depends on the whole state, (6) and (7) (in kernels)."""
    raise TypeError("expose_rows() exists in compiled kernels only")


@overload(expose_rows, jit_options=POINTWISE)
def _overload_expose_rows(cell, args, t, begin, count, panels, member):  # type: ignore[no-untyped-def]
    if "c" in normalised(cell.instance_class):
        return _expose_rows
    return lambda cell, args, t, begin, count, panels, member: None


def _expose_rows(cell, args, t, begin, count, panels, member):  # type: ignore[no-untyped-def]
    s = args[0]
    lane = lanes(s.h)
    padded = s.panels * s.units * lane
    before = s.B + s.rows[t - 1] if t > 0 else 0
    after = s.B + s.rows[t]
    extra_after = after if s.saving else 0
    low, high = panels
    for b in range(begin, begin + count):
        row = s.rows[t] + b
        c = s.extra + (extra_after + b) * padded
        if is_given(s.zone):
            c = s.raw + (s.N + row) * padded
        mean = row_sum(c, s.H) / s.H
        scale = scale_of(spread_about(c, s.H, mean) / s.H)
        if s.saving and member == 0:
            s.means_c[row] = mean
            s.scales_c[row] = scale
        for column in range(low * s.units * lane, min(high * s.units * lane, s.H), lane):
            there = s.H - column
            n = (load(c + column) - mean) * scale
            n = n * load(s.gain_c + column) + load(s.bias_c + column)
            place = s.h + (after + b) * s.h_row + column
            h = protocol.expose(cell, load_edge(place, there), n)
            if is_given(s.zone):
                h_before = load_edge(s.h + (before + b) * s.h_row + column, there)
                h = h_before + load(s.zone + row * padded + column) * (h - h_before)
            store_edge(place, h, there)


@task
def forward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Run `cell` over time.

    args    NormalisedScan; writes h[B:], extra and v, and, if saving, gates, masked, raw and the
            statistics

    Time is outermost, then panels, then tiles of rows, first for the products and once more for
    the formula.
    """
    cell = cell[0]
    s = args[0]
    lane = lanes(s.h)
    zeros = tile_scratch(s.h)
    for i in range(0, tile_vectors(s.h) * lane, lane):
        store(zeros + i, broadcast(zeros, 0.0))
    low_slice, high_slice, member, members = slices_of(s, worker, workers)
    panels = s.panels * member // members, s.panels * (member + 1) // members
    for share in range(low_slice, high_slice):
        begin = s.splits[share]
        for t in range(s.T):
            count = min(s.splits[share + 1], s.rows[t + 1] - s.rows[t]) - begin
            if count <= 0:
                break
            before = s.B + s.rows[t - 1] if t > 0 else 0
            h, h_row = s.h + before * s.h_row, s.h_row
            if is_given(s.mask):
                apply_mask(args, t, h, begin, count, member, members)
                meet_others(s, share, member, members)
                h, h_row = s.masked + (s.rows[t] if s.saving else 0) * s.H, s.H
            products(cell, args, t, begin, count, panels, h, h_row, zeros)
            meet_others(s, share, member, members)
            row_statistics(cell, args, t, begin, count, member)
            formula_panels(cell, args, t, begin, count, panels, member)
            meet_others(s, share, member, members)
            if has_normal_state(cell):
                expose_rows(cell, args, t, begin, count, panels, member)
                meet_others(s, share, member, members)
