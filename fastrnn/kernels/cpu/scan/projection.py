"""The product h = m P of cells whose output is projected, and its mirror image; see the package.

P, P_transposed         as `functional.panels` packs them: panels as wide as a register tile
feature_panels, feature_vectors
                        panels of P, and vectors in each
operand (N or B, H)     m, what the formula returns for h
dprojected (panels, N, vectors * V)
                        gradient of m P: panel-major as `gates`, and so the operand of both
                        products in the backward pass
zone_h (N, S)           likewise `zone`, in which h has 1
"""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from fastrnn._jit import POINTWISE, pointwise
from fastrnn.cells.protocol import projects, states
from fastrnn.kernels.cpu.scan.tile import meet_others
from fastrnn.kernels.cpu.scan.units import undo_formula
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    load,
    load_edge,
    load_first,
    store,
    store_edge,
    tile_rows,
    tile_vectors,
)
from fastrnn.simd.microkernel import Left, multiply
from fastrnn.simd.vector import lane_sum


def project(cell, s, t, begin, count, share, team, scratch):  # type: ignore[no-untyped-def]
    """Make h of all that the formula returned; see `forward.second_stage`."""
    lane = lanes(s.h)
    width = s.feature_vectors * lane
    tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
    before = s.B + s.rows[t - 1] if t > 0 else 0
    start = s.rows[t] if s.saving else 0
    member, members = team
    low = s.feature_panels * member // members
    high = s.feature_panels * (member + 1) // members
    for panel in range(low, high):
        weights = s.P + panel * s.H * width
        for q in range(tiles):
            b = begin + count * q // tiles
            rows = begin + count * (q + 1) // tiles - b
            for i in range(0, rows * width, lane):
                store(scratch + i, broadcast(scratch, 0.0))
            a = Left(s.operand + (start + b) * s.H, s.H, 1, s.H, 1, 0)
            multiply(rows, s.feature_vectors, a, weights, width, scratch, width, scratch, width)
            for r in range(rows):
                for v in range(0, width, lane):
                    column = panel * width + v
                    there = s.features - column
                    if there > 0:
                        h = load(scratch + r * width + v)
                        if is_given(s.zone_h):
                            old = load_edge(s.h + (before + b + r) * s.h_row + column, there)
                            row = s.rows[t] + b + r
                            zone = load_edge(s.zone_h + row * s.features + column, there)
                            h = old + zone * (h - old)
                        store_edge(s.h + (s.B + s.rows[t] + b + r) * s.h_row + column, h, there)
    meet_others(s, share, member, members)


def keep_dprojected(cell: Any, s: Any, t: Any, unit: Any, b: Any, dh: Any) -> Any:
    """Write one vector of the gradient of the projection, if any, for `unproject` (in kernels).

    dh    gradient that arrives from step t + 1, or from outside where b ends at t
    """
    raise TypeError("keep_dprojected() exists in compiled kernels only")


@overload(keep_dprojected, jit_options=POINTWISE)
def _overload_keep_dprojected(cell, s, t, unit, b, dh):  # type: ignore[no-untyped-def]
    if projects(cell.instance_class):
        return _keep_dprojected
    return lambda cell, s, t, unit, b, dh: None


def _keep_dprojected(cell, s, t, unit, b, dh):  # type: ignore[no-untyped-def]
    lane = lanes(s.h)
    column = unit * lane
    there = s.features - column
    row = s.rows[t] + b
    if is_given(s.dy):
        dh = dh + load_edge(s.dy + s.dy_step[t] + b * s.dy_row + column, there)
    if is_given(s.squares):
        s.squares[unit * s.N + row] = lane_sum(dh * dh)
    kept = broadcast(s.h, 0.0)
    if is_given(s.zone_h):
        dnew = dh * load_edge(s.zone_h + row * s.features + column, there)
        kept = dh - dnew
        dh = dnew
    store(s.dh + b * ((s.features + lane - 1) // lane * lane) + column, kept)
    panel = unit // s.feature_vectors
    place = (panel * s.N + row) * s.feature_vectors + unit - panel * s.feature_vectors
    target = s.dprojected + place * lane
    store(target, dh)
    if there < lane:
        store(target, load_first(target, there))


@pointwise
def truncate_extra(cell, s, t, unit, b):  # type: ignore[no-untyped-def]
    """Let no gradient of the states but h through from step t + 1 of sequence b if it is cut."""
    if s.truncate == 0 or t + 1 == s.T or b >= s.rows[t + 2] - s.rows[t + 1]:
        return
    before = s.begin[b] if is_given(s.begin) else 0
    if (before + t + 1) % s.truncate == 0:
        padded = s.panels * s.units * lanes(s.h)
        for n in range(states(cell) - 1):
            place = s.dextra + (n * s.B + b) * padded + unit * lanes(s.h)
            store(place, broadcast(place, 0.0))


def unproject(cell, s, t, begin, count, share, team, scratch, zeros):  # type: ignore[no-untyped-def]
    """Undo the projection of a step, and then the formula; see `backward.second_stage`."""
    lane = lanes(s.h)
    width = s.feature_vectors * lane
    vectors = (s.H + lane - 1) // lane
    groups = (vectors + tile_vectors(s.h) - 1) // tile_vectors(s.h)
    tiles = (count + tile_rows(s.h) - 1) // tile_rows(s.h)
    member, members = team
    for group in range(groups * member // members, groups * (member + 1) // members):
        low = vectors * group // groups
        high = vectors * (group + 1) // groups
        size = (high - low) * lane
        weights = s.P_transposed + low * lane * s.feature_panels * width
        for q in range(tiles):
            b = begin + count * q // tiles
            rows = begin + count * (q + 1) // tiles - b
            start = s.dprojected + (s.rows[t] + b) * width
            a = Left(start, width, 1, width, s.feature_panels, s.N * width)
            multiply(rows, high - low, a, weights, size, zeros, 0, scratch, size)
            for r in range(rows):
                for unit in range(low, high):
                    truncate_extra(cell, s, t, unit, b + r)
            undo_formula(cell, s, t, low, high, b, rows, scratch, size)
    meet_others(s, share, member, members)
