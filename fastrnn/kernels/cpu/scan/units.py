"""One vector of hidden units of one row: where it is in memory, and the formula undone."""

from __future__ import annotations

from fastrnn._jit import pointwise
from fastrnn.cells import protocol
from fastrnn.cells.protocol import gates, is_projected, states
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
    load,
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
def backward_rows(cell, s, t, unit, b, rows, dh, dh_row):  # type: ignore[no-untyped-def]
    """Undo the formula for one vector of units of some rows: sequences from b on of step t.

    dh    of each row, dh_row apart: the gradient that arrives from step t + 1, or from outside
          where the sequence ends at t; where h is projected, the whole gradient of what the
          formula returned for h
    Writes the rows' gates, dh and dextra.
    """
    lane = lanes(s.h)
    stride = s.units * lane
    padded = s.panels * stride
    column = unit * lane
    there = s.H - column
    # Compilers keep apart no memory that may be the same: what holds for all rows is found first.
    row = s.rows[t] + b
    before = (s.B + s.rows[t - 1] if t > 0 else 0) + b
    after = s.B + row
    gates_row = gates(cell) * stride
    source = gate_place(cell, s, row, unit)
    dh_before_row = (s.features + lane - 1) // lane * lane
    dh_before = s.dh + b * dh_before_row + column
    extra = s.dextra + b * padded + column
    dy = s.dy
    if is_given(dy):
        dy = dy + s.dy_step[t] + b * s.dy_row + column
    for r in range(rows):
        d = load(dh + r * dh_row)
        if not is_projected(cell):
            if is_given(dy):
                # dh arrives twice: from y[t] and from step t + 1 through R
                d = d + load_edge(dy + r * s.dy_row, there)
            if is_given(s.squares):
                s.squares[unit * s.N + row + r] = lane_sum(d * d)
        state_before = states_at(cell, s, before + r, column)
        state_after = states_at(cell, s, after + r, column)
        dextra = load_extra(extra + r * padded, s.B * padded, cell)
        if is_given(s.dextra_steps):
            from_outside = s.dextra_steps + (row + r) * padded + column
            dextra = added(dextra, load_extra(from_outside, s.N * padded, cell))
        dnew = dstate = (d,) + dextra  # noqa: RUF005
        if is_given(s.zone):
            place = (row + r) * padded + column
            zone = load_states(s.zone + place, s.N * padded, cell)
            state_after = load_states(s.raw + place, s.N * padded, cell)
            dnew = scaled(dstate, zone)
        place = source + r * gates_row
        saved = load_gates(place, stride, cell)
        da, dbefore = protocol.backward(cell, saved, state_before, state_after, dnew)
        dbefore = as_vectors(s.dh, dbefore)
        if is_given(s.zone):
            dbefore = added(dbefore, subtracted(dstate, dnew))
        store_tuple(place, stride, as_vectors(s.dh, da))
        if there < lane:
            # Beyond H an infinite input or state has left NaN, 0 * inf, for products to spread.
            for g in range(gates(cell)):
                store(place + g * stride, load_first(place + g * stride, there))
        if not is_projected(cell):
            store(dh_before + r * dh_before_row, dbefore[0])
        store_tuple(extra + r * padded, s.B * padded, dbefore[1:])


@pointwise
def undo_formula(cell, s, t, low, high, b, rows, dh, dh_row):  # type: ignore[no-untyped-def]
    """Undo the formula for some rows, as `backward_rows` does, of vectors low..high of units.

    dh    vector `low` of each row
    """
    lane = lanes(s.h)
    if states(cell) == 1:
        # Where rows are is found once for all of them.  64 units on an AMD Zen 4: a simple RNN
        # takes 0.80 instead of 0.87 ms, a GRU 0.51 instead of 0.55.
        for unit in range(low, high):
            backward_rows(cell, s, t, unit, b, rows, dh + (unit - low) * lane, dh_row)
    else:
        # There are too many places for the registers: an LSTM takes 0.75 ms, and 0.83 as above.
        for r in range(rows):
            for unit in range(low, high):
                place = dh + (r * dh_row + (unit - low) * lane)
                backward_rows(cell, s, t, unit, b + r, 1, place, 0)
