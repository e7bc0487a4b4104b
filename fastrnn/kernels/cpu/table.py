"""A table of pre-activations, one row for each index of a small vocabulary.

Where fewer indices than rows exist, embedding and input projection together are a look-up:
table = E @ W + bias.  Backwards, the gradients of the rows that looked an index up are summed.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn.kernels.cpu.task import Floats, Ids, task
from fastrnn.simd.memory import broadcast, lanes, load, store


class TableGradient(NamedTuple):
    """Arguments of `add_rows`."""

    ids: Ids  # (N,)
    N: int
    rows: int
    panels: int
    gates: int
    out: Floats  # (P, N, gates * V)
    table: Floats  # (P, rows, gates * V), written


@task
def add_rows(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write table[p, i] = sum of out[p, n] over all n with ids[n] == i, in the order of n."""
    s = args[0]
    lane = lanes(s.out)
    width = s.gates * lane
    vectors = s.panels * s.gates
    begin = vectors * worker // workers
    end = vectors * (worker + 1) // workers
    for panel in range(s.panels):
        low = max(0, begin - panel * s.gates) * lane
        high = min(s.gates, end - panel * s.gates) * lane
        if low < high:
            table = s.table + panel * s.rows * width
            out = s.out + panel * s.N * width
            for row in range(s.rows):
                for v in range(low, high, lane):
                    store(table + row * width + v, broadcast(table, 0.0))
            for n in range(s.N):
                target = table + s.ids[n] * width
                for v in range(low, high, lane):
                    store(target + v, load(target + v) + load(out + n * width + v))
