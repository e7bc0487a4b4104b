"""Rows of unequal sequences: from a user's (T, B, M) array into the order of steps, and back.

Memory in the order of steps holds the rows of step k at `rows[k] .. rows[k + 1]`, the one of
place p being row `rows[k] + p`; see `kernels.cpu.scan`.  In the user's array the same row is at
`origin[p] + k * step`: from one step to the next a place moves by one step of time, forwards or
backwards.  So nothing is stored for each single row.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn._jit import pointwise
from fastrnn.kernels.cpu.task import Floats, Ints, task
from fastrnn.simd.memory import broadcast, lanes, load_edge, store_edge


class Gathering(NamedTuple):
    """Arguments of `gather`; the module's docstring tells where a row is."""

    steps: int
    rows: Ints  # (steps + 1,)
    origin: Ints  # (places,)
    step: int
    M: int
    array: Floats  # the user's, its M numbers side by side
    packed: Floats  # (N, M), written


class Scattering(NamedTuple):
    """Arguments of `scatter`; the module's docstring tells where a row is."""

    steps: int
    rows: Ints  # (steps + 1,)
    origin: Ints  # (places,)
    step: int
    M: int
    packed: Floats  # (N, M)
    packed_row: int
    T: int
    B: int
    lengths: Ints  # (B,) from here on a sequence of the user's is padding
    time: int  # strides of the user's array
    batch: int
    array: Floats  # (T, B, M), its M numbers side by side, written


class Layout(NamedTuple):
    """Arguments of `lay_out`."""

    T: int
    B: int
    lengths: Ints  # (B,) the first one T, falling, at least 1
    rows: Ints  # (T + 1,) written
    final: Ints  # (B,) written: the row of each sequence's last state, behind B initial ones
    taken: Ints  # (N,) written: the row of the same sequence at the mirrored step
    like: Floats  # any array: tells the number format, which is of no effect


@pointwise
def copy_row(source, target, M):  # type: ignore[no-untyped-def]
    """Write M numbers, bit for bit."""
    for i in range(0, M, lanes(source)):
        store_edge(target + i, load_edge(source + i, M - i), M - i)


@task
def lay_out(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Say where the rows of unequal sequences are, in the order of their steps.

    args    Layout; writes rows, final and taken

    One worker does it all: there is little to do.
    """
    s = args[0]
    active = s.B
    s.rows[0] = 0
    for t in range(s.T):
        while s.lengths[active - 1] <= t:
            active -= 1
        s.rows[t + 1] = s.rows[t] + active
    for b in range(s.B):
        s.final[b] = s.B + s.rows[s.lengths[b] - 1] + b
    for t in range(s.T):
        for b in range(s.rows[t + 1] - s.rows[t]):
            s.taken[s.rows[t] + b] = s.rows[s.lengths[b] - 1 - t] + b


@task
def gather(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write the packed rows; the user's padding is not read.

    args    Gathering; writes packed

    A worker owns a range of packed rows.
    """
    s = args[0]
    N = s.rows[s.steps]
    begin = N * worker // workers
    end = N * (worker + 1) // workers
    for k in range(s.steps):
        first = s.rows[k]
        for n in range(max(begin, first), min(end, s.rows[k + 1])):
            copy_row(s.array + (s.origin[n - first] + k * s.step), s.packed + n * s.M, s.M)


@task
def scatter(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write the user's array: packed rows where they belong, 0 where there is padding.

    args    Scattering; writes array

    A worker owns a range of packed rows and the padding of every so-manieth sequence.
    """
    s = args[0]
    N = s.rows[s.steps]
    begin = N * worker // workers
    end = N * (worker + 1) // workers
    for k in range(s.steps):
        first = s.rows[k]
        for n in range(max(begin, first), min(end, s.rows[k + 1])):
            target = s.array + (s.origin[n - first] + k * s.step)
            copy_row(s.packed + n * s.packed_row, target, s.M)
    for b in range(worker, s.B, workers):
        for t in range(s.lengths[b], s.T):
            target = s.array + (t * s.time + b * s.batch)
            for i in range(0, s.M, lanes(target)):
                store_edge(target + i, broadcast(target, 0.0), s.M - i)
