"""What both directions of the time loop do with a tile: scratch, gates, states, products."""

from __future__ import annotations

import operator
from typing import Any

from numba.extending import intrinsic, overload

from fastrnn._jit import POINTWISE, pointwise
from fastrnn.kernels.cpu.atomics import meet
from fastrnn.simd.memory import (
    broadcast,
    lanes,
    load_tuple,
    on_stack,
    tile_vectors,
)
from fastrnn.simd.microkernel import multiply
from fastrnn.simd.target import tile
from fastrnn.simd.vector import Vector


@intrinsic
def gate_scratch(context, cell, p):  # type: ignore[no-untyped-def]
    """Scratch for one tile of pre-activations, or of sums over them; see `on_stack`."""
    largest = tile(p.dtype)
    vectors = max(len(cell.instance_class.GATES), largest.vectors)
    return p(cell, p), on_stack(p, largest.rows * vectors * largest.lanes)


def load_gates(cell: Any, p: Any, stride: int) -> Any:
    """Return the vectors of all gates, `stride` numbers apart, at pointer `p` (in kernels)."""
    raise TypeError("load_gates() exists in compiled kernels only")


@overload(load_gates, jit_options=POINTWISE)
def _overload_load_gates(cell, p, stride):  # type: ignore[no-untyped-def]
    count = len(cell.instance_class.GATES)
    return lambda cell, p, stride: load_tuple(p, stride, count)


def load_extra(cell: Any, p: Any, stride: int) -> Any:
    """Return the vectors of all states but h, `stride` numbers apart (in kernels)."""
    raise TypeError("load_extra() exists in compiled kernels only")


@overload(load_extra, jit_options=POINTWISE)
def _overload_load_extra(cell, p, stride):  # type: ignore[no-untyped-def]
    count = len(cell.instance_class.STATES) - 1
    return lambda cell, p, stride: load_tuple(p, stride, count)


def load_states(cell: Any, p: Any, stride: int) -> Any:
    """Return the vectors of all states, `stride` numbers apart (in kernels)."""
    raise TypeError("load_states() exists in compiled kernels only")


@overload(load_states, jit_options=POINTWISE)
def _overload_load_states(cell, p, stride):  # type: ignore[no-untyped-def]
    count = len(cell.instance_class.STATES)
    return lambda cell, p, stride: load_tuple(p, stride, count)


def as_vector(p: Any, value: Any) -> Any:
    """Return `value`, a vector or a scalar, as a vector of what `p` holds (in kernels)."""
    raise TypeError("as_vector() exists in compiled kernels only")


@overload(as_vector, jit_options=POINTWISE)
def _overload_as_vector(p, value):  # type: ignore[no-untyped-def]
    if isinstance(value, Vector):
        return lambda p, value: value
    return lambda p, value: broadcast(p, value)


def as_vectors(p: Any, values: Any) -> Any:
    """Return a tuple of vectors and scalars as vectors of what `p` holds (in kernels)."""
    raise TypeError("as_vectors() exists in compiled kernels only")


@overload(as_vectors, jit_options=POINTWISE)
def _overload_as_vectors(p, values):  # type: ignore[no-untyped-def]
    if len(values) == 0:
        return lambda p, values: ()
    return lambda p, values: (as_vector(p, values[0]),) + as_vectors(p, values[1:])  # noqa: RUF005


def scaled(values: Any, others: Any) -> Any:
    """Return the products of two tuples (in kernels)."""
    raise TypeError("scaled() exists in compiled kernels only")


def added(values: Any, others: Any) -> Any:
    """Return the sums of two tuples (in kernels)."""
    raise TypeError("added() exists in compiled kernels only")


def subtracted(values: Any, others: Any) -> Any:
    """Return the differences of two tuples (in kernels)."""
    raise TypeError("subtracted() exists in compiled kernels only")


def _define_by_element(function: Any, operation: Any) -> None:
    @overload(function, jit_options=POINTWISE)
    def by_element(values, others):  # type: ignore[no-untyped-def]
        if len(values) == 0:
            return lambda values, others: ()
        return lambda values, others: (
            (operation(values[0], others[0]),) + function(values[1:], others[1:])  # noqa: RUF005
        )


_define_by_element(scaled, operator.mul)
_define_by_element(added, operator.add)
_define_by_element(subtracted, operator.sub)


@pointwise
def add_product(rows, first, last, a, panel, c0, c0_row, scratch, width):  # type: ignore[no-untyped-def]
    """Write c0 + a @ panel to the vectors first..last of `rows` rows of scratch, `width` apart.

    c0    vector 0 of what to start from, its rows c0_row apart; may be scratch itself
    """
    lane = lanes(scratch)
    step = tile_vectors(scratch)
    stride = (last - first) * lane
    for v in range(first, last, step):
        right = panel + (v - first) * lane
        start, c = c0 + v * lane, scratch + v * lane
        multiply(rows, min(step, last - v), a, right, stride, start, c0_row, c, width)


@pointwise
def slices_of(s, worker, workers):  # type: ignore[no-untyped-def]
    """Return the slices of the batch that a worker works on, and its place among their workers.

    (first slice, last + 1, its number among the workers that share them, how many they are)
    """
    if workers <= s.slices:
        return worker * s.slices // workers, (worker + 1) * s.slices // workers, 0, 1
    part = worker * s.slices // workers
    first = (part * workers + s.slices - 1) // s.slices
    after = ((part + 1) * workers + s.slices - 1) // s.slices
    return part, part + 1, worker - first, after - first


@pointwise
def meet_others(s, part, member, members):  # type: ignore[no-untyped-def]
    """Wait for all workers of slice `part`: what they wrote before is read after."""
    if members > 1:
        meet(s.barrier + part * 8, members)
