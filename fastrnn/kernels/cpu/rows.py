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


@pointwise
def copy_row(source, target, M):  # type: ignore[no-untyped-def]
    """Write M numbers, bit for bit."""
    for i in range(0, M, lanes(source)):
        store_edge(target + i, load_edge(source + i, M - i), M - i)


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
