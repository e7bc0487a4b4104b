"""The time loop forwards; see the package."""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import overload

from fastrnn._jit import POINTWISE, part, pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import (
    gate_names,
    gates,
    inner_gates,
    input_gates,
    is_projected,
    projects,
    recurrent_gates,
    states,
)
from fastrnn.kernels.cpu.scan.projection import project
from fastrnn.kernels.cpu.scan.tile import (
    add_product,
    added,
    as_vectors,
    extended,
    gate_scratch,
    load_extra,
    load_gates,
    load_states,
    meet_others,
    scaled,
    slices_of,
    subtracted,
    to_and_fro,
)
from fastrnn.kernels.cpu.task import Floats, Ids, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    line,
    load,
    load_edge,
    prefetch,
    prefetch_block,
    store,
    store_edge,
    store_tuple,
    tile_rows,
)
from fastrnn.simd.microkernel import Left


class Scan(NamedTuple):
    """Arguments of `forward`; the package's docstring gives the shapes."""

    T: int
    B: int
    I: int
    H: int
    features: int  # numbers in h: S if it is projected, else H
    units: int  # U
    panels: int
    N: int
    rows: Ints  # (T + 1,)
    slices: int
    splits: Ints  # (slices + 1,) first sequence of each slice of the batch
    barrier: Ints  # where the workers of a slice meet, or None where each has one of its own
    x: Floats  # sequence b of step t at x + x_step[t] + b * x_row; None: see `ids`, `gates`
    x_step: Ints  # (T,)
    x_row: int
    ids: Ids  # (N,) row of `table` that replaces x @ W + bias, or None
    table: Floats  # (P, table_rows, w)
    table_rows: int
    W: Floats
    R: Floats  # None for one step from zeros: h @ R is left out
    inner: Floats  # the gates of R that take the cell's own operand
    bias: Floats
    h: Floats
    h_row: int
    extra: Floats
    gates: Floats
    gates_rows: int  # N, or B where only the latest step's are kept
    operand: Floats  # (N or B, H) what `inner`, or a projection, multiplies
    mask: Floats  # factors of h before R: sequence b of step t at mask_step[t] + b * mask_row
    mask_step: Ints
    mask_row: int
    masked: Floats  # (N or B, H) h times the mask
    zone: Floats  # (S, N, P * U * V) how much of the new states to take, or None
    raw: Floats  # (S, N, P * U * V) the new states themselves where there is a zone
    saving: int  # 0: keep no gates and only the latest extra states


#: With what `scan.projection` needs besides.
ProjectedScan = extended(
    Scan,
    "ProjectedScan",
    {"feature_panels": int, "feature_vectors": int, "zone_h": Floats, "P": Floats},
)


@pointwise
def input_tile(cell, s, t, panel, b, rows, scratch):  # type: ignore[no-untyped-def]
    """Write the part of the pre-activations that does not depend on the state.

    rows rows of step t from sequence b on; writes scratch (rows, w)
    """
    lane = lanes(scratch)
    width = gates(cell) * s.units * lane
    first, last = input_gates(cell)
    first, last = first * s.units, last * s.units
    if is_given(s.x):
        bias = s.bias + panel * width
        for v in range(gates(cell) * s.units):
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
        for v in range(0, width, lane):
            store(scratch + r * width + v, load(source + v))


@pointwise
def first_row(s, t, count):  # type: ignore[no-untyped-def]
    """Row of step t's first sequence in an array of `count` rows: all steps', or one step's."""
    return s.rows[t] if count == s.N else 0


@part
def apply_mask(args, t, h_before, begin, count, member, members):  # type: ignore[no-untyped-def]
    """Write h times the mask, for sequences from `begin` on and an even share of the features."""
    s = args[0]
    lane = lanes(s.h)
    start = s.rows[t] if s.saving else 0
    vectors = (s.features + lane - 1) // lane
    for b in range(begin, begin + count):
        for v in range(vectors * member // members, vectors * (member + 1) // members):
            column = v * lane
            there = s.features - column
            factor = load_edge(s.mask + s.mask_step[t] + b * s.mask_row + column, there)
            h = load_edge(h_before + b * s.h_row + column, there)
            store_edge(s.masked + (start + b) * s.features + column, h * factor, there)


def _operand_tile(cell, s, t, panel, b, rows, scratch, h, h_row):  # type: ignore[no-untyped-def]
    """Make the cell's own operand of some rows, and leave all pre-activations in `gates`.

    h    of sequence b, as R sees it
    """
    lane = lanes(s.h)
    stride = s.units * lane
    width = gates(cell) * stride
    gate_row = panel * s.gates_rows + first_row(s, t, s.gates_rows) + b
    start = s.rows[t] if s.saving else 0
    for r in range(rows):
        for u in range(s.units):
            column = (panel * s.units + u) * lane
            place = scratch + r * width + u * lane
            here = load_edge(h + r * h_row + column, s.H - column)
            a, operand = protocol.operand(cell, load_gates(place, stride, cell), here)
            store_tuple(s.gates + (gate_row + r) * width + u * lane, stride, a)
            target = s.operand + (start + b + r) * s.H + column
            store_edge(target, operand, s.H - column)


def _formula_tile(cell, s, t, panel, b, rows, scratch, h, h_row):  # type: ignore[no-untyped-def]
    """Run the formula on a tile of pre-activations; write states, and gates if saving."""
    lane = lanes(s.h)
    stride = s.units * lane
    width = gates(cell) * stride
    padded = s.panels * stride
    before = s.B + s.rows[t - 1] if t > 0 else 0
    after = s.B + s.rows[t]
    extra_before = before if s.saving else 0
    extra_after = after if s.saving else 0
    operand_row = s.rows[t] if s.saving else 0
    state_stride = (s.B + s.N if s.saving else s.B) * padded
    for r in range(rows):
        row = panel * s.N + s.rows[t] + b + r
        for u in range(s.units):
            column = (panel * s.units + u) * lane
            there = s.H - column
            if there <= 0:
                if s.saving:
                    for g in range(gates(cell)):
                        place = s.gates + row * width + u * lane + g * stride
                        store(place, broadcast(place, 0.0))
                continue
            h_before = broadcast(s.h, 0.0)
            if not is_projected(cell):
                h_before = load_edge(s.h + (before + b + r) * s.h_row + column, there)
            source = s.extra + (extra_before + b + r) * padded + column
            state = (h_before,) + load_extra(source, state_stride, cell)  # noqa: RUF005
            pre = load_gates(scratch + r * width + u * lane, stride, cell)
            saved, new = protocol.forward(cell, pre, state)
            new = as_vectors(s.h, new)
            if is_given(s.zone):
                place = (s.rows[t] + b + r) * padded + column
                store_tuple(s.raw + place, s.N * padded, new)
                zone = load_states(s.zone + place, s.N * padded, cell)
                new = added(state, scaled(zone, subtracted(new, state)))
            target = s.h + (after + b + r) * s.h_row + column
            if is_projected(cell):
                target = s.operand + (operand_row + b + r) * s.H + column
            store_edge(target, new[0], there)
            target = s.extra + (extra_after + b + r) * padded + column
            store_tuple(target, state_stride, new[1:])
            if s.saving:
                store_tuple(s.gates + row * width + u * lane, stride, saved)


formula_tile = pointwise(_formula_tile)


def finish_tile(
    cell: Any, s: Any, t: Any, panel: Any, b: Any, rows: Any, scratch: Any, h: Any, h_row: Any
) -> Any:
    """Run the formula on a tile, or first make the operand of inner gates (in kernels)."""
    raise TypeError("finish_tile() exists in compiled kernels only")


@overload(finish_tile, jit_options=POINTWISE)
def _overload_finish_tile(cell, s, t, panel, b, rows, scratch, h, h_row):  # type: ignore[no-untyped-def]
    if gate_names(cell.instance_class, "INNER"):
        return _operand_tile
    return _formula_tile


def second_stage(
    cell: Any, s: Any, t: Any, begin: Any, count: Any, share: Any, team: Any, scratch: Any
) -> Any:
    """Do what takes the first results of the whole step, if anything (in kernels).

    For inner gates: the product with their operand, and the formula.  For a projected h: the
    projection.

    share    the slice of the batch
    team     (member, members) who work on it
    """
    raise TypeError("second_stage() exists in compiled kernels only")


@overload(second_stage, jit_options=POINTWISE)
def _overload_second_stage(cell, s, t, begin, count, share, team, scratch):  # type: ignore[no-untyped-def]
    if gate_names(cell.instance_class, "INNER"):
        return _inner_panels
    if projects(cell.instance_class):
        return project
    return lambda cell, s, t, begin, count, share, team, scratch: None


def _inner_panels(cell, s, t, begin, count, share, team, scratch):  # type: ignore[no-untyped-def]
    member, members = team
    lane = lanes(s.h)
    width = gates(cell) * s.units * lane
    first, last = inner_gates(cell)
    first, last = first * s.units, last * s.units
    tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
    start = s.rows[t] if s.saving else 0
    for panel in range(s.panels * member // members, s.panels * (member + 1) // members):
        weights = s.inner + panel * s.H * (last - first) * lane
        for q in range(tiles):
            b = begin + count * q // tiles
            rows = begin + count * (q + 1) // tiles - b
            source = panel * s.gates_rows + first_row(s, t, s.gates_rows) + b
            for i in range(0, rows * width, lane):
                store(scratch + i, load(s.gates + source * width + i))
            a = Left(s.operand + (start + b) * s.H, s.H, 1, s.H, 1, 0)
            add_product(rows, first, last, a, weights, scratch, width, scratch, width)
            formula_tile(cell, s, t, panel, b, rows, scratch, s.h, 0)
    meet_others(s, share, member, members)


@pointwise
def prefetch_tile(cell, s, t, panel, b, rows):  # type: ignore[no-untyped-def]
    """Ask for what the formula writes, else waited for by its stores."""
    lane = lanes(s.h)
    width = gates(cell) * s.units * lane
    padded = s.panels * s.units * lane
    row = s.rows[t] + b
    after = s.B + row
    for column in range(panel * s.units * lane, (panel + 1) * s.units * lane, line(s.h)):
        prefetch(s.h + after * s.h_row + column, rows, s.h_row)
        if s.saving and states(cell) > 1:
            prefetch(s.extra + after * padded + column, rows, padded)
    if s.saving:
        prefetch_block(s.gates + (panel * s.N + row) * width, rows * width)


@pointwise
def prefetch_input(s, t, b, end):  # type: ignore[no-untyped-def]
    """Ask for the input of the tile from sequence b on, which the first panel reads first."""
    for r in range(b, min(b + tile_rows(s.x), end)):
        prefetch_block(s.x + s.x_step[t] + r * s.x_row, s.I)


@task
def forward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Run `cell` over time.

    args    Scan; writes h[B:], extra and, if saving, gates, masked, operand and raw

    Time is outermost, then panels, then tiles of rows: a panel's weights are read once a step and
    used for all rows of the worker.  Panels run to and fro: a step begins with the weights that the
    step before ended with, and finds them in a nearer cache.
    """
    cell = cell[0]
    s = args[0]
    lane = lanes(s.h)
    stride = s.units * lane
    width = gates(cell) * stride
    first, last = recurrent_gates(cell)
    first, last = first * s.units, last * s.units
    scratch = gate_scratch(cell, s.h)
    low_slice, high_slice, member, members = slices_of(s, worker, workers)
    low = s.panels * member // members
    high = s.panels * (member + 1) // members
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
                h_row = s.features
                h = s.masked + (s.rows[t] if s.saving else 0) * h_row
            tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
            for place in range(low, high):
                panel = to_and_fro(place, low, high, t)
                weights = s.R + panel * s.features * (last - first) * lane
                for q in range(tiles):
                    b = begin + count * q // tiles
                    rows = begin + count * (q + 1) // tiles - b
                    prefetch_tile(cell, s, t, panel, b, rows)
                    if place == low and is_given(s.x):
                        prefetch_input(s, t, b + rows, begin + count)
                    input_tile(cell, s, t, panel, b, rows, scratch)
                    if last > first and is_given(s.R):
                        a = Left(h + b * h_row, h_row, 1, s.features, 1, 0)
                        add_product(rows, first, last, a, weights, scratch, width, scratch, width)
                    finish_tile(cell, s, t, panel, b, rows, scratch, h + b * h_row, h_row)
            meet_others(s, share, member, members)
            second_stage(cell, s, t, begin, count, share, (member, members), scratch)
