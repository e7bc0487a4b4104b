"""The vector type: a Numba type over an LLVM vector, so that a formula runs on whole registers.

`Vector(float32, 16)` has + - * / and unary minus, with other vectors and with scalars.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from fastrnn.simd.target import tile

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)


class Vector(types.Type):  # type: ignore[misc]
    """`lanes` numbers of Numba type `dtype` in one vector."""

    def __init__(self, dtype: types.Float, lanes: int) -> None:
        self.dtype = dtype
        self.lanes = lanes
        super().__init__(name=f"Vector({dtype} x {lanes})")

    @property
    def ir(self) -> ir.VectorType:
        """The vector type of LLVM."""
        scalar = ir.FloatType() if self.dtype == types.float32 else ir.DoubleType()
        return ir.VectorType(scalar, self.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.ir)


def native(dtype: types.Float) -> Vector:
    """Return the vector type that fills one register of this processor."""
    return Vector(dtype, tile(dtype).lanes)


# Code generation shared with the micro-kernel.


def splat(builder: ir.IRBuilder, scalar: ir.Value, vector: ir.VectorType) -> ir.Value:
    """Return a vector with `scalar` in every lane."""
    empty = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(empty, scalar, _INT32(0))
    return builder.shuffle_vector(
        first, empty, ir.Constant(ir.VectorType(_INT32, vector.count), [0] * vector.count)
    )


def opaque(builder: ir.IRBuilder, integer: ir.Value) -> ir.Value:
    """Return `integer` unchanged, in a way that the optimizer cannot see through."""
    kind = ir.FunctionType(integer.type, [integer.type])
    return builder.asm(kind, "", "=r,0", [integer], False)


def call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Value]) -> ir.Value:
    """Call LLVM's intrinsic `name` overloaded for the type of `result`."""
    suffix = ""
    if isinstance(result, ir.VectorType):
        width = {"float": 32, "double": 64}[str(result.element)]
        suffix = f".v{result.count}f{width}"
    function_type = ir.FunctionType(result, [a.type for a in arguments])
    full_name = f"llvm.{name}{suffix}"
    function = builder.module.globals.get(full_name)
    if function is None:
        function = ir.Function(builder.module, function_type, full_name)
    return builder.call(function, arguments)


# Arithmetic


def _as_vector(context: Any, builder: ir.IRBuilder, value: Any, source: Any, to: Vector) -> Any:
    if isinstance(source, Vector):
        return value
    return splat(builder, context.cast(builder, value, source, to.dtype), to.ir)


def _binary_result(a: Any, b: Any) -> Vector | None:
    vectors = [t for t in (a, b) if isinstance(t, Vector)]
    if not vectors or not all(isinstance(t, Vector | types.Number) for t in (a, b)):
        return None
    return vectors[0] if len(set(vectors)) == 1 else None


def _define_binary(symbol: Any, instruction: str) -> None:
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            result = _binary_result(*args) if len(args) == 2 else None
            return result and signature(result, *args)

    infer_global(symbol)(Typing)

    def lower(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        a, b = (
            _as_vector(context, builder, value, source, sig.return_type)
            for value, source in zip(args, sig.args, strict=True)
        )
        # "contract" lets a * b + c become one FMA and changes nothing else.
        return getattr(builder, instruction)(a, b, flags=("contract",))

    for left, right in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(symbol, left, right)(lower)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_binary(_symbol, _instruction)


@infer_global(operator.neg)
class _NegationTyping(AbstractTemplate):  # type: ignore[misc]
    def generic(self, args: Any, kws: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], Vector):
            return signature(args[0], *args)
        return None


@lower_builtin(operator.neg, Vector)
def _negate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
    return builder.fneg(args[0])


def _select(order: str) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        bound = _as_vector(context, builder, args[1], sig.args[1], sig.args[0])
        # Unordered comparison: a NaN in the first operand is kept.
        return builder.select(builder.fcmp_unordered(order, args[0], bound), args[0], bound)

    return generate


@intrinsic
def minimum(context, x, bound):  # type: ignore[no-untyped-def]
    """Lower of vector `x` and `bound` (vector or scalar); NaN in `x` stays."""
    return x(x, bound), _select("<")


@intrinsic
def maximum(context, x, bound):  # type: ignore[no-untyped-def]
    """Higher of vector `x` and `bound` (vector or scalar); NaN in `x` stays."""
    return x(x, bound), _select(">")


@intrinsic
def where_less(context, x, bound, yes, no):  # type: ignore[no-untyped-def]
    """Lanes of `yes` where x < bound, else of `no` (also where x is NaN)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        vector = sig.return_type
        x, bound, yes, no = (
            _as_vector(context, builder, value, source, vector)
            for value, source in zip(args, sig.args, strict=True)
        )
        return builder.select(builder.fcmp_ordered("<", x, bound), yes, no)

    return x(x, bound, yes, no), generate


def _unary(name: str) -> Any:
    def typing(context: Any, x: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
            return call(builder, name, sig.return_type.ir, args)

        return (x(x), generate) if isinstance(x, Vector) else None

    return typing


@intrinsic
def rint(context, x):  # type: ignore[no-untyped-def]
    """Nearest whole numbers, ties to even."""
    return _unary("rint")(context, x)


@intrinsic
def sqrt(context, x):  # type: ignore[no-untyped-def]
    """Square roots, correctly rounded."""
    return _unary("sqrt")(context, x)


@intrinsic
def absolute(context, x):  # type: ignore[no-untyped-def]
    """Absolute values."""
    return _unary("fabs")(context, x)


@intrinsic
def power_of_two(context, n):  # type: ignore[no-untyped-def]
    """2**n for whole numbers n within the normal range of the exponent."""
    bits, mantissa = (32, 23) if n.dtype == types.float32 else (64, 52)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        # Adding 1.5 * 2**mantissa leaves n in the low bits, without the float-to-integer
        # conversion that is undefined for NaN.
        integers = ir.VectorType(ir.IntType(bits), n.lanes)

        def constant(value: int) -> ir.Constant:
            return ir.Constant(integers, [value] * n.lanes)

        magic = ir.Constant(n.ir, [1.5 * 2.0**mantissa] * n.lanes)
        shifted = builder.bitcast(builder.fadd(args[0], magic), integers)
        one = ((1 << (bits - mantissa - 2)) - 1) << mantissa
        exponent = builder.shl(shifted, constant(mantissa))
        return builder.bitcast(builder.add(exponent, constant(one)), n.ir)

    return n(n), generate


@intrinsic
def exponent(context, x):  # type: ignore[no-untyped-def]
    """Whole numbers n with 2**n <= x < 2**(n + 1), for positive normal numbers x."""
    bits, mantissa = (32, 23) if x.dtype == types.float32 else (64, 52)
    bias = (1 << (bits - mantissa - 2)) - 1

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        # As the low bits of 2**mantissa, whose next number is 1 higher: see `power_of_two`.
        integers = ir.VectorType(ir.IntType(bits), x.lanes)
        biased = builder.lshr(
            builder.bitcast(args[0], integers), ir.Constant(integers, [mantissa] * x.lanes)
        )
        magic = ir.Constant(integers, [(bias + mantissa) << mantissa] * x.lanes)
        shifted = builder.bitcast(builder.or_(biased, magic), x.ir)
        return builder.fsub(shifted, ir.Constant(x.ir, [2.0**mantissa + bias] * x.lanes))

    return x(x), generate


@intrinsic
def significand(context, x):  # type: ignore[no-untyped-def]
    """Numbers x / 2**exponent(x), in 1..2, for positive normal numbers x."""
    bits, mantissa = (32, 23) if x.dtype == types.float32 else (64, 52)
    one = ((1 << (bits - mantissa - 2)) - 1) << mantissa

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        integers = ir.VectorType(ir.IntType(bits), x.lanes)
        fraction = builder.and_(
            builder.bitcast(args[0], integers),
            ir.Constant(integers, [(1 << mantissa) - 1] * x.lanes),
        )
        whole = builder.or_(fraction, ir.Constant(integers, [one] * x.lanes))
        return builder.bitcast(whole, x.ir)

    return x(x), generate


def _fold(builder: ir.IRBuilder, value: ir.Value, join: Any) -> ir.Value:
    """Join the halves of a vector until one number is left."""
    lanes = value.type.count
    while lanes > 1:
        lanes //= 2
        indices = ir.VectorType(_INT32, lanes)
        low, high = (
            builder.shuffle_vector(
                value, value, ir.Constant(indices, list(range(start, start + lanes)))
            )
            for start in (0, lanes)
        )
        value = join(low, high)
    return builder.extract_element(value, _INT32(0))


@intrinsic
def lane_sum(context, x):  # type: ignore[no-untyped-def]
    """Sum of all lanes, halving the vector each time: one fixed order."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return _fold(builder, args[0], builder.fadd)

    return x.dtype(x), generate


@intrinsic
def lane_maximum(context, x):  # type: ignore[no-untyped-def]
    """Highest lane; NaN where a lane is NaN."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        def higher(low: ir.Value, high: ir.Value) -> ir.Value:
            # Unordered comparisons are true for NaN: the first keeps one in `low`.
            kept = builder.select(builder.fcmp_unordered(">", low, high), low, high)
            return builder.select(builder.fcmp_unordered("uno", high, high), high, kept)

        return _fold(builder, args[0], higher)

    return x.dtype(x), generate


@intrinsic
def lane_numbers(context, x):  # type: ignore[no-untyped-def]
    """0, 1, 2, ... in a vector like `x`."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return ir.Constant(x.ir, [float(lane) for lane in range(x.lanes)])

    return x(x), generate


@intrinsic
def double(context, x):  # type: ignore[no-untyped-def]
    """Numbers of `x` in float64, in a vector of as many lanes."""
    result = Vector(types.float64, x.lanes)

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return args[0] if x == result else builder.fpext(args[0], result.ir)

    return result(x), generate
