"""What both directions of the time loop do with a tile: scratch, gates, states, products."""

from __future__ import annotations

from collections import namedtuple
from typing import Any, get_type_hints

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrnn._jit import pointwise
from fastrnn.cells.protocol import gate_range
from fastrnn.kernels.cpu.atomics import meet
from fastrnn.kernels.cpu.schedule import most_units
from fastrnn.simd.memory import lanes, loading, on_stack
from fastrnn.simd.microkernel import multiply, widest
from fastrnn.simd.target import tile
from fastrnn.simd.vector import Vector, native, splat


def extended(arguments: Any, name: str, more: dict[str, Any]) -> Any:
    """Return a NamedTuple class `name`: the fields of another one of the same module, and more.

    Each field of its arguments costs a kernel time to compile, whether or not it is looked at.
    """
    hints = get_type_hints(arguments) | more
    make: Any = namedtuple
    kind = make(name, hints)
    kind.__annotations__, kind.__module__ = hints, arguments.__module__
    return kind


@intrinsic
def gate_scratch(context, cell, p):  # type: ignore[no-untyped-def]
    """Scratch for one tile of pre-activations, or of sums over them; see `on_stack`."""
    largest = tile(p.dtype)
    gates = len(cell.instance_class.GATES)
    vectors = gates * most_units(1, largest.vectors)
    return p(cell, p), on_stack(p, largest.rows * vectors * largest.lanes)


@intrinsic
def load_gates(context, p, stride, cell):  # type: ignore[no-untyped-def]
    """Vectors of all gates, `stride` numbers apart, at pointer `p`."""
    result, generate = loading(p, len(cell.instance_class.GATES))
    return result(p, types.intp, cell), generate


@intrinsic
def load_extra(context, p, stride, cell):  # type: ignore[no-untyped-def]
    """Vectors of all states but h, `stride` numbers apart, at pointer `p`."""
    result, generate = loading(p, len(cell.instance_class.STATES) - 1)
    return result(p, types.intp, cell), generate


@intrinsic
def load_states(context, p, stride, cell):  # type: ignore[no-untyped-def]
    """Vectors of all states, `stride` numbers apart, at pointer `p`."""
    result, generate = loading(p, len(cell.instance_class.STATES))
    return result(p, types.intp, cell), generate


@intrinsic
def load_input(context, p, stride, cell):  # type: ignore[no-untyped-def]
    """Vectors of the gates that W feeds, `stride` numbers apart, at pointer `p`."""
    first, last = gate_range(cell.instance_class, "INPUT")
    result, generate = loading(p, last - first)
    return result(p, types.intp, cell), generate


@intrinsic
def load_recurrent(context, p, stride, cell):  # type: ignore[no-untyped-def]
    """Vectors of the gates that R feeds, `stride` numbers apart, at pointer `p`."""
    first, last = gate_range(cell.instance_class, "RECURRENT")
    result, generate = loading(p, last - first)
    return result(p, types.intp, cell), generate


@intrinsic
def as_vectors(context, p, values):  # type: ignore[no-untyped-def]
    """Tuple of vectors and scalars as vectors of what pointer `p` holds."""
    vector = native(p.dtype)
    result = types.UniTuple(vector, len(values))

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        vectors = []
        for n, kind in enumerate(values):
            value = builder.extract_value(args[1], n)
            if not isinstance(kind, Vector):
                value = splat(builder, context.cast(builder, value, kind, p.dtype), vector.ir)
            vectors.append(value)
        return context.make_tuple(builder, result, vectors)

    return result(p, values), generate


def _by_element(instruction: str) -> Any:
    """Return the typing function of an intrinsic on the vectors of two tuples, or one vector."""

    def typing(context: Any, values: Any, others: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            left, right = args
            vectors = [
                getattr(builder, instruction)(
                    builder.extract_value(left, n),
                    right if isinstance(others, Vector) else builder.extract_value(right, n),
                    flags=("contract",),
                )
                for n in range(len(values))
            ]
            return context.make_tuple(builder, values, vectors)

        return values(values, others), generate

    return typing


@intrinsic
def scaled(context, values, others):  # type: ignore[no-untyped-def]
    """Multiply the vectors of a tuple by those of another, or by one vector."""
    return _by_element("fmul")(context, values, others)


@intrinsic
def added(context, values, others):  # type: ignore[no-untyped-def]
    """Add to the vectors of a tuple those of another, or one vector."""
    return _by_element("fadd")(context, values, others)


@intrinsic
def subtracted(context, values, others):  # type: ignore[no-untyped-def]
    """Subtract from the vectors of a tuple those of another, or one vector."""
    return _by_element("fsub")(context, values, others)


@intrinsic
def summed(context, values):  # type: ignore[no-untyped-def]
    """Add all vectors of a tuple."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        total = builder.extract_value(args[0], 0)
        for n in range(1, len(values)):
            total = builder.fadd(total, builder.extract_value(args[0], n), flags=("contract",))
        return total

    return values.dtype(values), generate


def _added_to_part(name: str) -> Any:
    """Return the typing function of an intrinsic that adds vectors to those of some gates."""

    def typing(context: Any, a: Any, parts: Any, cell: Any) -> Any:
        first, last = gate_range(cell.instance_class, name)

        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            vectors = [builder.extract_value(args[0], n) for n in range(len(a))]
            for n in range(first, last):
                more = builder.extract_value(args[1], n - first)
                vectors[n] = builder.fadd(vectors[n], more, flags=("contract",))
            return context.make_tuple(builder, a, vectors)

        return a(a, parts, cell), generate

    return typing


@intrinsic
def with_input(context, a, parts, cell):  # type: ignore[no-untyped-def]
    """Add the parts of the gates that W feeds to all pre-activations."""
    return _added_to_part("INPUT")(context, a, parts, cell)


@intrinsic
def with_recurrent(context, a, parts, cell):  # type: ignore[no-untyped-def]
    """Add the parts of the gates that R feeds to all pre-activations."""
    return _added_to_part("RECURRENT")(context, a, parts, cell)


@pointwise
def add_product(rows, first, last, a, panel, c0, c0_row, scratch, width):  # type: ignore[no-untyped-def]
    """Write c0 + a @ panel to the vectors first..last of `rows` rows of scratch, `width` apart.

    c0    vector 0 of what to start from, its rows c0_row apart; may be scratch itself
    """
    lane = lanes(scratch)
    step = widest(rows, scratch)
    stride = (last - first) * lane
    for v in range(first, last, step):
        right = panel + (v - first) * lane
        start, c = c0 + v * lane, scratch + v * lane
        multiply(rows, min(step, last - v), a, right, stride, start, c0_row, c, width)


@pointwise
def to_and_fro(place, low, high, t):  # type: ignore[no-untyped-def]
    """Return which of the parts low..high is the one at `place` in step t: they turn at each."""
    return place if t % 2 == 0 else low + high - 1 - place


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
def meet_others(s, share, member, members):  # type: ignore[no-untyped-def]
    """Wait for all workers of slice `share`: what they wrote before is read after."""
    if members > 1:
        meet(s.barrier + share * 8, members)
