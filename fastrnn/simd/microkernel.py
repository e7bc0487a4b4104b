"""The register-tile micro-kernel: every matrix product of the package is made of it.

    C[m, n] = C0[m, n] + sum over k of A[m, k] * P[k, n]      m < rows, n < vectors * lanes

The block of C stays in vector registers over the whole sum.  `A` is read one number at a time
through any two strides, so activations, transposed activations and gate panels need no copy.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastrnn._jit import kernel, machine_address, pointwise
from fastrnn.simd.memory import few_vectors, tile_vectors
from fastrnn.simd.target import tile
from fastrnn.simd.vector import call, native, opaque, splat

_INT64 = ir.IntType(64)

# Tiles of so few rows wait for memory.  Their loop is not to be unrolled: eight steps in one are
# as many loads with strides of kilobytes, which the processor does not fetch ahead.  1 x 4 vectors
# of float32 over 256 KB in the second-level cache: 124 GB/s unrolled, 176 GB/s as it is.
_ROWS_THAT_WAIT = 3


class Left(NamedTuple):
    """Operand A: number (m, k) of block q is at `start + m * row + k * step + q * block`.

    Strides in numbers.  The sum runs over `depth` numbers in each of `blocks` blocks; depth and
    blocks are at least 1.
    """

    start: Any
    row: int
    step: int
    depth: int
    blocks: int
    block: int


@intrinsic
def _multiply_tile(  # type: ignore[no-untyped-def]
    context, rows, vectors, start, row, step, depth, blocks, block,
    panel, stride, c0, c0_row, c, c_row,
):  # fmt: skip
    """`multiply` for every size of tile: a switch over straight-line code for each."""
    vector = native(panel.dtype)
    largest = tile(panel.dtype)
    pointer = vector.ir.as_pointer()
    bytes_aligned = int(vector.dtype.bitwidth) // 8

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        (
            rows, vectors, start, a_row, a_step, depth, blocks, a_block,
            panel, stride, c0, c0_row, c, c_row,
        ) = args  # fmt: skip

        def at(base: ir.Value, *offsets: ir.Value) -> ir.Value:
            for offset in offsets:
                base = builder.gep(base, [offset])
            return base

        def load(address: ir.Value) -> ir.Value:
            return builder.load(builder.bitcast(address, pointer), align=bytes_aligned)

        def emit(row_count: int, vector_count: int) -> None:
            columns = [_INT64(n * vector.lanes) for n in range(vector_count)]
            places = [
                (builder.mul(_INT64(m), c0_row), builder.mul(_INT64(m), c_row), column)
                for m in range(row_count)
                for column in columns
            ]
            before = builder.block
            sums = [load(at(c0, row, column)) for row, _, column in places]
            outer = builder.append_basic_block("block")
            inner = builder.append_basic_block("step")
            after = builder.append_basic_block("block.end")
            done = builder.append_basic_block("done")
            builder.branch(outer)

            builder.position_at_end(outer)
            q = builder.phi(_INT64)
            a_outer = builder.phi(start.type)
            p_outer = builder.phi(panel.type)
            sums_outer = [builder.phi(vector.ir) for _ in sums]
            builder.branch(inner)

            builder.position_at_end(inner)
            k = builder.phi(_INT64)
            a_k = builder.phi(start.type)
            p_k = builder.phi(panel.type)
            sums_inner = [builder.phi(vector.ir) for _ in sums]
            row_of_p = [load(at(p_k, column)) for column in columns]
            new = []
            for m in range(row_count):
                number = builder.load(at(a_k, builder.mul(_INT64(m), a_row)), align=bytes_aligned)
                left = splat(builder, number, vector.ir)
                for n, right in enumerate(row_of_p):
                    total = sums_inner[m * vector_count + n]
                    new.append(call(builder, "fma", vector.ir, [left, right, total]))
            k_next = builder.add(k, _INT64(1))
            if row_count <= _ROWS_THAT_WAIT:
                k_next = opaque(builder, k_next)
            a_next = at(a_k, a_step)
            p_next = at(p_k, stride)
            builder.cbranch(builder.icmp_signed("<", k_next, depth), inner, after)

            builder.position_at_end(after)
            q_next = builder.add(q, _INT64(1))
            a_block_next = at(a_outer, a_block)
            builder.cbranch(builder.icmp_signed("<", q_next, blocks), outer, done)

            def join(phi: ir.PhiInstr, first: Any, first_block: Any, again: Any, back: Any) -> None:
                phi.add_incoming(first, first_block)
                phi.add_incoming(again, back)

            join(q, _INT64(0), before, q_next, after)
            join(a_outer, start, before, a_block_next, after)
            join(p_outer, panel, before, p_next, after)
            join(k, _INT64(0), outer, k_next, inner)
            join(a_k, a_outer, outer, a_next, inner)
            join(p_k, p_outer, outer, p_next, inner)
            for phi_outer, phi_inner, first, again in zip(
                sums_outer, sums_inner, sums, new, strict=True
            ):
                join(phi_outer, first, before, again, after)
                join(phi_inner, phi_outer, outer, again, inner)

            builder.position_at_end(done)
            for (_, row, column), total in zip(places, new, strict=True):
                address = builder.bitcast(at(c, row, column), pointer)
                builder.store(total, address, align=bytes_aligned)

        size = builder.add(builder.mul(vectors, _INT64(largest.rows + 1)), rows)
        finished = builder.append_basic_block("finished")
        switch = builder.switch(size, finished)
        for row_count in range(1, largest.rows + 1):
            most = largest.few[row_count - 1] if row_count <= 2 else largest.vectors
            for vector_count in range(1, most + 1):
                case = builder.append_basic_block(f"tile.{row_count}x{vector_count}")
                switch.add_case(_INT64(vector_count * (largest.rows + 1) + row_count), case)
                builder.position_at_end(case)
                emit(row_count, vector_count)
                builder.branch(finished)
        builder.position_at_end(finished)
        return context.get_dummy_value()

    n = types.intp
    return types.void(n, n, start, n, n, n, n, n, panel, n, c0, n, c, n), generate


@kernel
def _multiply(  # type: ignore[no-untyped-def]
    rows, vectors, start, row, step, depth, blocks, block, panel, stride, c0, c0_row, c, c_row
):
    """`multiply` with the fields of Left one by one."""
    _multiply_tile(
        rows, vectors, start, row, step, depth, blocks, block, panel, stride, c0, c0_row, c, c_row
    )


def _symbol(dtype: types.Float) -> str:
    return f"fastrnn_multiply_{dtype}"


@cache
def load(dtype: types.Float) -> None:
    """Compile the micro-kernel for `dtype` and make it known to the kernels that call it.

    They are linked to it by name: each has some twenty sizes of tile, half a second of
    compilation, which would otherwise be part of every kernel.

    They call it as Numba's functions call each other.  Its C function would read by the vector
    arguments that have been written one by one, for which a processor waits until all before is
    done: 32.4 instead of 36.3 GFLOP/s in tiles of depth 32 on one thread of an AMD Zen 1, 37.6
    instead of 38.1 at 128.
    """
    llvm.add_symbol(_symbol(dtype), machine_address(_multiply, _signature(dtype), is_bare=True))


def _signature(dtype: types.Float) -> Any:
    """Return the signature of `_multiply` for numbers of Numba type `dtype`."""
    p = types.CPointer(dtype)
    n = types.intp
    return types.void(n, n, p, n, n, n, n, n, p, n, p, n, p, n)


@pointwise
def widest(rows, p):  # type: ignore[no-untyped-def]
    """Return how many vectors a row of a tile of so many rows can have for pointer `p`."""
    if rows > 2:
        return tile_vectors(p)
    of_one, of_two = few_vectors(p)
    return of_one if rows == 1 else of_two


@intrinsic
def multiply(context, rows, vectors, a, panel, stride, c0, c0_row, c, c_row):  # type: ignore[no-untyped-def]
    """Compute one tile: C = C0 + A P.

    rows, vectors   size of the tile, 1..tile_rows and 1..widest(rows); any other does nothing
    a               Left
    panel, stride   P, `a.depth * a.blocks` rows of `vectors` vectors, `stride` numbers apart
    c0, c0_row      what to start from; row stride 0 for a bias, c0 == c to accumulate
    c, c_row        written
    """

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        rows, vectors, a, *rest = args
        left = [builder.extract_value(a, field) for field in range(len(Left._fields))]
        values = [rows, vectors, *left, *rest]
        signature = _signature(panel.dtype)
        shape = context.call_conv.get_function_type(types.void, signature.args)
        function = cgutils.get_or_insert_function(builder.module, shape, _symbol(panel.dtype))
        context.call_conv.call_function(builder, function, types.void, signature.args, values)
        return context.get_dummy_value()

    n = types.intp
    return types.void(n, n, a, panel, n, c0, n, c, n), generate
