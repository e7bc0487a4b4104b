"""Pointers and what moves between memory and vectors.

A pointer is Numba's `CPointer(float32)`; `p + n` moves it by n numbers, `p[n]` is one number.
Vectors are loaded from and stored to any address that is aligned to its numbers.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin

from fastrnn._jit import pointwise
from fastrnn.simd.constant import define_constant
from fastrnn.simd.target import tile
from fastrnn.simd.vector import Vector, native, splat

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)

_LINE_BYTES = 64  # 128 on some processors of Apple's: there every second line is asked for twice


def _itemsize(vector: Vector) -> int:
    """Return the bytes of one number; also the alignment that loads and stores assume."""
    return int(vector.dtype.bitwidth) // 8


def _lane_mask(builder: ir.IRBuilder, count: ir.Value, vector: Vector) -> ir.Value:
    """Return a mask that is true in the first `count` lanes."""
    whole = _INT64(vector.lanes)
    count = builder.select(builder.icmp_signed("<", count, whole), count, whole)
    # Of the width of the lanes: what is compared is what the mask is for.
    number = ir.IntType(int(vector.dtype.bitwidth))
    if number.width < _INT64.width:
        count = builder.trunc(count, number)
    indices = ir.VectorType(number, vector.lanes)
    return builder.icmp_signed(
        "<", ir.Constant(indices, list(range(vector.lanes))), splat(builder, count, indices)
    )


def _masked(builder: ir.IRBuilder, verb: str, vector: Vector) -> ir.Function:
    """Declare LLVM's masked load or store of `vector`."""
    mask = ir.VectorType(ir.IntType(1), vector.lanes)
    pointer = vector.ir.as_pointer()
    suffix = f"v{vector.lanes}f{vector.dtype.bitwidth}.p0"
    if verb == "load":
        shape = ir.FunctionType(vector.ir, [pointer, _INT32, mask, vector.ir])
    else:
        shape = ir.FunctionType(ir.VoidType(), [vector.ir, pointer, _INT32, mask])
    name = f"llvm.masked.{verb}.{suffix}"
    return builder.module.globals.get(name) or ir.Function(builder.module, shape, name)


@infer_global(operator.add)
class _PointerMove(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 2 and isinstance(args[0], types.CPointer):
            if isinstance(args[1], types.Integer):
                return signature(args[0], args[0], types.intp)
        return None


@lower_builtin(operator.add, types.CPointer, types.Integer)
def _move(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.gep(args[0], [args[1]])


def lanes(p: Any) -> int:
    """Return the lanes of a vector of the numbers that pointer `p` holds (in kernels)."""
    raise TypeError("lanes() is known in compiled kernels only")


def line(p: Any) -> int:
    """Return how many of the numbers that pointer `p` holds a cache line has (in kernels)."""
    raise TypeError("line() is known in compiled kernels only")


def tile_rows(p: Any) -> int:
    """Return the rows of a register tile of the numbers that pointer `p` holds (in kernels)."""
    raise TypeError("tile_rows() is known in compiled kernels only")


def tile_vectors(p: Any) -> int:
    """Return the vectors in a row of a register tile for pointer `p` (in kernels)."""
    raise TypeError("tile_vectors() is known in compiled kernels only")


def few_vectors(p: Any) -> tuple[int, int]:
    """Return the vectors in a row of a tile of one row, and of one of two rows (in kernels)."""
    raise TypeError("few_vectors() is known in compiled kernels only")


define_constant(lanes, lambda p: tile(p.dtype).lanes)
define_constant(line, lambda p: _LINE_BYTES * 8 // int(p.dtype.bitwidth))
define_constant(tile_rows, lambda p: tile(p.dtype).rows)
define_constant(tile_vectors, lambda p: tile(p.dtype).vectors)
define_constant(few_vectors, lambda p: tile(p.dtype).few)


@intrinsic
def is_given(context, p):  # type: ignore[no-untyped-def]
    """Whether pointer `p` points anywhere."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.icmp_unsigned("!=", builder.ptrtoint(args[0], _INT64), _INT64(0))

    return types.boolean(p), generate


@intrinsic
def load(context, p):  # type: ignore[no-untyped-def]
    """Vector at pointer `p`."""
    vector = native(p.dtype)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = builder.bitcast(args[0], vector.ir.as_pointer())
        return builder.load(address, align=_itemsize(vector))

    return vector(p), generate


@intrinsic
def store(context, p, x):  # type: ignore[no-untyped-def]
    """Write vector `x` at pointer `p`."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = builder.bitcast(args[0], args[1].type.as_pointer())
        builder.store(args[1], address, align=_itemsize(x))
        return context.get_dummy_value()

    return types.void(p, x), generate


@intrinsic
def load_first(context, p, count):  # type: ignore[no-untyped-def]
    """Vector whose first `count` lanes come from pointer `p`; the others are 0 and not read."""
    vector = native(p.dtype)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = builder.bitcast(args[0], vector.ir.as_pointer())
        mask = _lane_mask(builder, args[1], vector)
        zero = ir.Constant(vector.ir, [0.0] * vector.lanes)
        function = _masked(builder, "load", vector)
        return builder.call(function, [address, _INT32(_itemsize(vector)), mask, zero])

    return vector(p, types.intp), generate


@intrinsic
def store_first(context, p, x, count):  # type: ignore[no-untyped-def]
    """Write the first `count` lanes of `x` at pointer `p`; nothing else is touched."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address = builder.bitcast(args[0], x.ir.as_pointer())
        mask = _lane_mask(builder, args[2], x)
        function = _masked(builder, "store", x)
        builder.call(function, [args[1], address, _INT32(_itemsize(x)), mask])
        return context.get_dummy_value()

    return types.void(p, x, types.intp), generate


@pointwise
def load_edge(p, count):  # type: ignore[no-untyped-def]
    """Vector at `p` of which only the first `count` lanes may exist."""
    if count >= lanes(p):
        return load(p)
    return load_first(p, count)


@pointwise
def store_edge(p, x, count):  # type: ignore[no-untyped-def]
    """Write `x` at `p`, where only the first `count` lanes may exist."""
    if count >= lanes(p):
        store(p, x)
    else:
        store_first(p, x, count)


@intrinsic
def broadcast(context, p, scalar):  # type: ignore[no-untyped-def]
    """Vector with `scalar` in every lane, of the type that pointer `p` holds."""
    vector = native(p.dtype)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        value = context.cast(builder, args[1], sig.args[1], vector.dtype)
        return splat(builder, value, vector.ir)

    return vector(p, scalar), generate


@intrinsic
def load_tuple(context, p, stride, count):  # type: ignore[no-untyped-def]
    """`count` (a literal) vectors, the n-th at pointer `p` + n * `stride`."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    result, generate = loading(p, count.literal_value)
    return result(p, types.intp, count), generate


def loading(p: types.CPointer, count: int) -> tuple[types.UniTuple, Any]:
    """Return the type of `count` vectors, and the code of an intrinsic that loads them.

    The intrinsic's first arguments are pointer and stride.
    """
    vector = native(p.dtype)
    result = types.UniTuple(vector, count)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        vectors = []
        for n in range(result.count):
            place = builder.gep(args[0], [builder.mul(args[1], _INT64(n))])
            address = builder.bitcast(place, vector.ir.as_pointer())
            vectors.append(builder.load(address, align=_itemsize(vector)))
        return context.make_tuple(builder, result, vectors)

    return result, generate


@intrinsic
def store_tuple(context, p, stride, xs):  # type: ignore[no-untyped-def]
    """Write the vectors of the tuple `xs`, the n-th at pointer `p` + n * `stride`."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        for n in range(len(xs)):
            place = builder.gep(args[0], [builder.mul(args[1], _INT64(n))])
            value = builder.extract_value(args[2], n)
            address = builder.bitcast(place, value.type.as_pointer())
            builder.store(value, address, align=_itemsize(xs[n]))
        return context.get_dummy_value()

    return types.void(p, types.intp, xs), generate


@intrinsic
def store_tuple_first(context, p, stride, xs, count):  # type: ignore[no-untyped-def]
    """Write the first `count` lanes of vectors as `store_tuple` does; nothing else is touched."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        for n, x in enumerate(xs):
            place = builder.gep(args[0], [builder.mul(args[1], _INT64(n))])
            value = builder.extract_value(args[2], n)
            address = builder.bitcast(place, value.type.as_pointer())
            mask = _lane_mask(builder, args[3], x)
            builder.call(_masked(builder, "store", x), [value, address, _INT32(_itemsize(x)), mask])
        return context.get_dummy_value()

    return types.void(p, types.intp, xs, types.intp), generate


@intrinsic
def prefetch(context, p, count, step):  # type: ignore[no-untyped-def]
    """Ask for `count` cache lines, from pointer `p` on and `step` numbers apart; never faults."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        start, count, step = args
        byte = ir.IntType(8).as_pointer()
        shape = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
        name = "llvm.prefetch.p0"
        function = builder.module.globals.get(name) or ir.Function(builder.module, shape, name)
        with cgutils.for_range(builder, count) as loop:
            place = builder.gep(start, [builder.mul(loop.index, step)])
            address = builder.bitcast(place, byte)
            builder.call(function, [address, _INT32(0), _INT32(3), _INT32(1)])
        return context.get_dummy_value()

    return types.void(p, types.intp, types.intp), generate


@pointwise
def prefetch_block(p, numbers):  # type: ignore[no-untyped-def]
    """Ask for so many numbers side by side, from pointer `p` on; never faults."""
    prefetch(p, (numbers + line(p) - 1) // line(p), line(p))


def on_stack(p: types.CPointer, count: int) -> Any:
    """Return code generation that yields scratch for `count` numbers of what `p` holds.

    The scratch is 64-byte aligned and lives until the function returns that the intrinsic is used
    in.  That must be the kernel itself: memory of an inlined function ends with it, and LLVM
    would drop what is stored there later.
    """
    scalar = ir.FloatType() if p.dtype == types.float32 else ir.DoubleType()

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        with builder.goto_entry_block():
            memory = builder.alloca(ir.ArrayType(scalar, count))
            memory.align = 64
        return builder.bitcast(memory, scalar.as_pointer())

    return generate


@intrinsic
def tile_scratch(context, p):  # type: ignore[no-untyped-def]
    """Scratch for one register tile of what pointer `p` holds; see `on_stack`."""
    largest = tile(p.dtype)
    return p(p), on_stack(p, largest.rows * largest.vectors * largest.lanes)


@intrinsic
def copy_transposed(context, source, source_row, rows, columns, target, target_row):  # type: ignore[no-untyped-def]
    """Write target[c, r] = source[r, c] for one square of `lanes` by `lanes` numbers.

    rows, columns    how much of `source` is there, each up to `lanes`; the rest is not read
    target           `columns` rows of a whole vector, `target_row` numbers apart; where
                     r >= rows it is set to 0
    """
    vector = native(source.dtype)
    lanes = vector.lanes

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        source, source_row, rows, columns, target, target_row = args
        pointer = vector.ir.as_pointer()
        align = _INT32(_itemsize(vector))
        zero = ir.Constant(vector.ir, [0.0] * lanes)
        mask = _lane_mask(builder, columns, vector)
        nothing = ir.Constant(mask.type, [0] * lanes)
        load = _masked(builder, "load", vector)
        square = []
        for r in range(lanes):
            there = builder.icmp_signed("<", _INT64(r), rows)
            address = builder.gep(source, [builder.mul(_INT64(r), source_row)])
            row_mask = builder.select(there, mask, nothing)
            square.append(
                builder.call(load, [builder.bitcast(address, pointer), align, row_mask, zero])
            )
        # Exchange ever smaller sub-squares across the diagonal.
        indices = ir.VectorType(_INT32, lanes)
        half = lanes // 2
        while half:
            low = [i if not i & half else lanes + (i ^ half) for i in range(lanes)]
            high = [i | half if not i & half else lanes + i for i in range(lanes)]
            for r in range(lanes):
                if not r & half:
                    upper, lower = square[r], square[r + half]
                    square[r] = builder.shuffle_vector(upper, lower, ir.Constant(indices, low))
                    square[r + half] = builder.shuffle_vector(
                        upper, lower, ir.Constant(indices, high)
                    )
            half //= 2
        for c in range(lanes):
            with builder.if_then(builder.icmp_signed("<", _INT64(c), columns)):
                address = builder.gep(target, [builder.mul(_INT64(c), target_row)])
                builder.store(square[c], builder.bitcast(address, pointer), align=_itemsize(vector))
        return context.get_dummy_value()

    signature = types.void(source, types.intp, types.intp, types.intp, target, types.intp)
    return signature, generate
