"""Rows of a table looked up by id, and their gradients added up."""

from __future__ import annotations

from typing import NamedTuple

from fastrnn.kernels.cpu.task import Floats, Ids, Ints, task
from fastrnn.simd.memory import broadcast, is_given, lanes, load_edge, store_edge


class Embedding(NamedTuple):
    """Arguments of `gather` and `scatter_add`."""

    N: int
    D: int
    ids: Ids  # (N,)
    rows: Floats  # (N, D) one for each id
    table: Floats  # (V, D)
    factors: Floats = None  # (B, D) of row n those of n % B; None for all 1
    B: int = 1
    cleared: int = 0  # rows of the table that `scatter_add` sets to 0 first


@task
def gather(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Copy the rows of a table that ids name, times their factors.

    args    Embedding; writes rows

    A worker owns a range of positions.
    """
    s = args[0]
    for n in range(s.N * worker // workers, s.N * (worker + 1) // workers):
        source = s.table + s.ids[n] * s.D
        target = s.rows + n * s.D
        factors = s.factors + n % s.B * s.D
        for i in range(0, s.D, lanes(s.rows)):
            x = load_edge(source + i, s.D - i)
            if is_given(s.factors):
                x = x * load_edge(factors + i, s.D - i)
            store_edge(target + i, x, s.D - i)


@task
def scatter_add(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Add each row, times its factors, to the row of the table that its id names.

    args    Embedding; adds to table, touching only rows that are named or cleared

    A worker owns a range of columns and goes over all positions in their order: nothing is
    sorted, and every sum has one order.
    """
    s = args[0]
    lane = lanes(s.rows)
    vectors = (s.D + lane - 1) // lane
    first = vectors * worker // workers * lane
    last = min(s.D, vectors * (worker + 1) // workers * lane)
    for row in range(s.cleared):
        for i in range(first, last, lane):
            store_edge(s.table + row * s.D + i, broadcast(s.table, 0.0), s.D - i)
    for n in range(s.N):
        source = s.rows + n * s.D
        target = s.table + s.ids[n] * s.D
        factors = s.factors + n % s.B * s.D
        for i in range(first, last, lane):
            x = load_edge(source + i, s.D - i)
            if is_given(s.factors):
                x = x * load_edge(factors + i, s.D - i)
            store_edge(target + i, load_edge(target + i, s.D - i) + x, s.D - i)


class Numbering(NamedTuple):
    """Arguments of `number`."""

    N: int
    V: int
    ids: Ids  # (N,)
    numbers: Ids  # (V,)
    places: Ids  # (N,)
    rows: Ints  # (V + 1,)
    like: Floats  # any array: tells the number format, which is of no effect


@task
def number(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Find which rows ids name, and number these in their order.

    args    Numbering; writes places: the number of each id's row; rows: those that are named, in
            front, and at the end how many these are; and scratch in numbers

    One worker does it all: there is little to do.
    """
    s = args[0]
    for row in range(s.V):
        s.numbers[row] = 0
    for n in range(s.N):
        s.numbers[s.ids[n]] = 1
    count = 0
    for row in range(s.V):
        s.rows[count] = row
        is_named = s.numbers[row]
        s.numbers[row] = count
        count += is_named
    for n in range(s.N):
        s.places[n] = s.numbers[s.ids[n]]
    s.rows[s.V] = count
