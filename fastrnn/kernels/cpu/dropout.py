"""Dropout whose mask is computed from a key, never stored.

Whether number i of an array is kept depends on the key and on i alone.  The random bits are
Threefry-2x32 with 20 rounds (J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, Parallel
random numbers: as easy as 1, 2, 3, SC 2011; constants of their Random123 library): a keyed
bijection of 64-bit counters made of 32-bit additions, rotations and exclusive ors.

Numbers are dealt with in blocks of `BLOCK`.  Counter c gives two words: the first is for number
c % (BLOCK / 2) of block c // (BLOCK / 2), the second for the number BLOCK / 2 further on; so
vectors of any width find their words side by side.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrnn.kernels.cpu.task import Floats, task
from fastrnn.simd.memory import lanes, load_edge, store_edge
from fastrnn.simd.vector import native, splat

#: Numbers that share counters; a multiple of twice the lanes of every vector.
BLOCK = 32

_ROUNDS = 20
_ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
_PARITY = 0x1BD11BDA

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


def _threefry(builder: ir.IRBuilder, key: list[ir.Value], x: list[ir.Value]) -> list[ir.Value]:
    """Emit Threefry-2x32 of the counters `x`, two vectors of 32-bit words like the key's."""

    def constant(value: int) -> ir.Constant:
        return ir.Constant(x[0].type, [value] * x[0].type.count)

    parity = builder.xor(builder.xor(key[0], key[1]), constant(_PARITY))
    schedule = [*key, parity]
    a, b = builder.add(x[0], schedule[0]), builder.add(x[1], schedule[1])
    for n in range(_ROUNDS):
        bits = _ROTATIONS[n % 8]
        a = builder.add(a, b)
        high, low = builder.shl(b, constant(bits)), builder.lshr(b, constant(32 - bits))
        b = builder.xor(builder.or_(high, low), a)
        if n % 4 == 3:
            q = n // 4 + 1
            a = builder.add(a, schedule[q % 3])
            b = builder.add(builder.add(b, schedule[(q + 1) % 3]), constant(q))
    return [a, b]


@intrinsic
def keep_factors(context, p, key, counter, threshold, factor):  # type: ignore[no-untyped-def]
    """Two vectors of `factor` where the random word is at least `threshold`, else 0.

    They belong to the first and the second words of the counters from `counter` on, which is a
    multiple of the lanes of `p`'s vectors.
    """
    vector = native(p.dtype)
    words = ir.VectorType(_INT32, vector.lanes)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        _, key, counter, threshold, factor = args

        def halves(value: ir.Value) -> list[ir.Value]:
            shifted = builder.lshr(value, _INT64(32))
            return [splat(builder, builder.trunc(v, _INT32), words) for v in (value, shifted)]

        low, high = halves(counter)
        # No carry into `high`: the lowest bits of `counter` are zero.
        low = builder.add(low, ir.Constant(words, list(range(vector.lanes))))
        random = _threefry(builder, halves(key), [low, high])
        bound = splat(builder, builder.trunc(threshold, _INT32), words)
        yes = splat(builder, context.cast(builder, factor, sig.args[4], vector.dtype), vector.ir)
        no = ir.Constant(vector.ir, [0.0] * vector.lanes)
        factors = [builder.select(builder.icmp_unsigned(">=", w, bound), yes, no) for w in random]
        return context.make_tuple(builder, sig.return_type, factors)

    arguments = (p, types.intp, types.intp, types.intp, types.float64)
    return types.UniTuple(vector, 2)(*arguments), generate


class Dropout(NamedTuple):
    """Arguments of `apply`."""

    size: int
    x: Floats  # (size,)
    y: Floats  # (size,) written; may be x
    key: int  # 64 bits
    threshold: int  # of 2**32 equally likely words, those below drop their number
    factor: float  # of the numbers that are kept


@task
def apply(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Multiply each number by `factor` or by 0; so NaN stays NaN even where it is dropped.

    args    Dropout; writes y

    A worker owns a range of blocks.  Backward is the same with gradients for x.
    """
    s = args[0]
    lane = lanes(s.x)
    half = BLOCK // 2
    blocks = (s.size + BLOCK - 1) // BLOCK
    for block in range(blocks * worker // workers, blocks * (worker + 1) // workers):
        for v in range(0, half, lane):
            i = block * BLOCK + v
            if i < s.size:
                first, second = keep_factors(s.x, s.key, block * half + v, s.threshold, s.factor)
                x = load_edge(s.x + i, s.size - i)
                store_edge(s.y + i, x * first, s.size - i)
                i += half
                if i < s.size:
                    x = load_edge(s.x + i, s.size - i)
                    store_edge(s.y + i, x * second, s.size - i)


class Scaling(NamedTuple):
    """Arguments of `scale`."""

    T: int
    B: int
    I: int
    x: Floats  # (T, B, I), x_step numbers from step to step and x_row from row to row
    x_step: int
    x_row: int
    factors: Floats  # (B, I)
    y: Floats  # (T, B, I) written


@task
def scale(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Multiply all steps by the same factors.

    args    Scaling; writes y

    A worker owns a range of the rows of all steps.
    """
    s = args[0]
    rows = s.T * s.B
    for n in range(rows * worker // workers, rows * (worker + 1) // workers):
        source = s.x + (n // s.B * s.x_step + n % s.B * s.x_row)
        factors = s.factors + n % s.B * s.I
        for i in range(0, s.I, lanes(s.x)):
            x = load_edge(source + i, s.I - i)
            store_edge(s.y + n * s.I + i, x * load_edge(factors + i, s.I - i), s.I - i)
