"""One vector of hidden units of one row: where it is in memory, and the formula undone."""

from __future__ import annotations

from fastrnn._jit import pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import gates, is_projected
from fastrnn.kernels.cpu.scan.tile import (
    added,
    as_vectors,
    load_extra,
    load_gates,
    load_states,
    scaled,
    subtracted,
)
from fastrnn.simd.memory import (
    is_given,
    lanes,
    load_edge,
    load_first,
    store,
    store_tuple,
)
from fastrnn.simd.vector import lane_sum


@pointwise
def gate_place(cell, s, row, unit):  # type: ignore[no-untyped-def]
    """Where gate 0 of one vector of units is, in one row of `gates`."""
    lane = lanes(s.h)
    panel = unit if s.units == 1 else unit // s.units
    width = gates(cell) * s.units * lane
    return s.gates + (panel * s.N + row) * width + (unit - panel * s.units) * lane


@pointwise
def states_at(cell, s, place, column):  # type: ignore[no-untyped-def]
    """One vector of all states, of row `place` of the histories; no use where h is projected."""
    padded = s.panels * s.units * lanes(s.h)
    h = load_edge(s.h + place * s.h_row + column, s.features - column)
    extra = s.extra + place * padded + column
    return (h,) + load_extra(extra, (s.B + s.N) * padded, cell)  # noqa: RUF005


@pointwise
def backward_row(cell, s, t, unit, b, dh):  # type: ignore[no-untyped-def]
    """Undo the formula for one vector of units of one row: sequence b of step t.

    dh    gradient that arrives from step t + 1, or from outside where b ends at t; where h is
          projected, the whole gradient of what the formula returned for h
    Writes the row's gates, dh and dextra.
    """
    lane = lanes(s.h)
    stride = s.units * lane
    padded = s.panels * stride
    column = unit * lane
    there = s.H - column
    row = s.rows[t] + b
    if not is_projected(cell):
        if is_given(s.dy):
            # dh arrives twice: from y[t] and from step t + 1 through R
            dh = dh + load_edge(s.dy + s.dy_step[t] + b * s.dy_row + column, there)
        if is_given(s.squares):
            s.squares[unit * s.N + row] = lane_sum(dh * dh)
    state_before = states_at(cell, s, (s.B + s.rows[t - 1] if t > 0 else 0) + b, column)
    state_after = states_at(cell, s, s.B + row, column)
    extra = s.dextra + b * padded + column
    dextra = load_extra(extra, s.B * padded, cell)
    if is_given(s.dextra_steps):
        from_outside = s.dextra_steps + row * padded + column
        dextra = added(dextra, load_extra(from_outside, s.N * padded, cell))
    dnew = dstate = (dh,) + dextra  # noqa: RUF005
    if is_given(s.zone):
        zone = load_states(s.zone + row * padded + column, s.N * padded, cell)
        state_after = load_states(s.raw + row * padded + column, s.N * padded, cell)
        dnew = scaled(dstate, zone)
    source = gate_place(cell, s, row, unit)
    saved = load_gates(source, stride, cell)
    da, dbefore = protocol.backward(cell, saved, state_before, state_after, dnew)
    dbefore = as_vectors(s.dh, dbefore)
    if is_given(s.zone):
        dbefore = added(dbefore, subtracted(dstate, dnew))
    store_tuple(source, stride, as_vectors(s.dh, da))
    if there < lane:
        # Beyond H an infinite input or state has left NaN, 0 * inf, for products to spread.
        for g in range(gates(cell)):
            store(source + g * stride, load_first(source + g * stride, there))
    if not is_projected(cell):
        store(s.dh + b * ((s.features + lane - 1) // lane * lane) + column, dbefore[0])
    store_tuple(extra, s.B * padded, dbefore[1:])
