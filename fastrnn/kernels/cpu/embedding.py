"""Rows of a table looked up by id, and their gradients added up."""

from __future__ import annotations

from typing import NamedTuple

from fastrnn.kernels.cpu.task import Floats, Ids, task
from fastrnn.simd.memory import lanes, load_edge, store_edge


class Embedding(NamedTuple):
    """Arguments of `gather` and `scatter_add`."""

    N: int
    D: int
    ids: Ids  # (N,)
    rows: Floats  # (N, D) one for each id
    table: Floats  # (V, D)


@task
def gather(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Copy the rows of a table that ids name.

    args    Embedding; writes rows

    A worker owns a range of positions.
    """
    s = args[0]
    for n in range(s.N * worker // workers, s.N * (worker + 1) // workers):
        source = s.table + s.ids[n] * s.D
        target = s.rows + n * s.D
        for i in range(0, s.D, lanes(s.rows)):
            store_edge(target + i, load_edge(source + i, s.D - i), s.D - i)


@task
def scatter_add(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Add each row to the row of the table that its id names.

    args    Embedding; adds to table, touching only rows that are named

    A worker owns a range of columns and goes over all positions in their order: nothing is
    sorted, and every sum has one order.
    """
    s = args[0]
    lane = lanes(s.rows)
    vectors = (s.D + lane - 1) // lane
    first = vectors * worker // workers * lane
    last = min(s.D, vectors * (worker + 1) // workers * lane)
    for n in range(s.N):
        source = s.rows + n * s.D
        target = s.table + s.ids[n] * s.D
        for i in range(first, last, lane):
            total = load_edge(target + i, s.D - i) + load_edge(source + i, s.D - i)
            store_edge(target + i, total, s.D - i)
