"""Branch-free functions on vectors; the same names work on Python floats and on `Elementwise`.

| function | error | far below 0 | far above 0 |
|---|---|---|---|
| sigmoid | absolute, `ERRORS` | 0 | 1 |
| tanh | absolute, `ERRORS` | -1 | 1 |
| exp | relative, `EXP_ERRORS` | its lowest | its highest |
| expm1 | relative, `EXPM1_ERRORS` | -1 | its highest |
| softplus | relative, `SOFTPLUS_ERRORS` | its lowest | x |
| logsigmoid | relative, `SOFTPLUS_ERRORS` | x | its highest |
| log | relative, `LOG_ERRORS` | NaN; at 0 -inf | inf at inf |
| absolute, maximum, minimum, where_less | none | | |

The argument of `exp`, also within the others, is clamped to `EXP_RANGE`, in which the result is a
normal number, so that it neither overflows nor vanishes.  NaN in is NaN out.

Sources.  exp: reduction by multiples of ln 2 split in two (W. J. Cody and W. Waite, Software
Manual for the Elementary Functions, 1980), then the Taylor polynomial.  tanh in float32:
e / (e + 2) with e = exp(2x) - 1, of which no digits cancel: 2**f - 1 is f times a minimax
polynomial of degree 5 on [-1/2, 1/2] (relative error 1.1e-8); in float64: the rational
approximation of the Cephes library (S. L. Moshier) below 0.625 and 1 - 2 / (exp(2x) + 1) above.
Logarithms: log(m) = 2 atanh(s) with s = (m - 1) / (m + 1) (Cody and Waite), the odd series
interpolated at Chebyshev nodes for s up to 1/3 (relative error 1e-9 and 7e-18).
"""

from __future__ import annotations

import math
from typing import Any

from numba import types
from numba.extending import overload

from fastrnn._jit import POINTWISE, pointwise
from fastrnn.simd import vector
from fastrnn.simd.vector import Vector, exponent, power_of_two, rint, significand

ERRORS = {"float32": 2e-7, "float64": 3e-16}
EXP_ERRORS = {"float32": 3e-7, "float64": 5e-16}
EXPM1_ERRORS = {"float32": 4e-7, "float64": 8e-16}
LOG_ERRORS = {"float32": 3e-7, "float64": 5e-16}
SOFTPLUS_ERRORS = {"float32": 6e-7, "float64": 1e-15}

#: Arguments of exp are clamped to these.
EXP_RANGE = {"float32": (-87.0, 88.0), "float64": (-708.0, 709.0)}

_LOG2_E = 1.4426950408889634
_EXP_MIN_32, _EXP_MAX_32 = EXP_RANGE["float32"]
_EXP_MIN_64, _EXP_MAX_64 = EXP_RANGE["float64"]

# ln 2 = high + low, high short enough for n * high to be exact.
_LN2_HIGH_32, _LN2_LOW_32 = 0.693359375, -2.12194440e-4
_LN2_HIGH_64, _LN2_LOW_64 = 6.93145751953125e-1, 1.42860682030941723212e-6

_PRECISION_32, _PRECISION_64 = 2.0**-21, 2.0**-50

_INFINITY, _NAN = math.inf, math.nan
_SQRT_2 = math.sqrt(2.0)

# The smallest normal number, what turns subnormal numbers into normal ones, and its logarithm.
_NORMAL_32, _LIFT_32, _LIFT_LOG2_32 = 2.0**-126, 2.0**23, 23.0
_NORMAL_64, _LIFT_64, _LIFT_LOG2_64 = 2.0**-1022, 2.0**52, 52.0


class Elementwise:
    """Numbers side by side, with functions of their own.

    A subclass has the methods exp, expm1, log, softplus, sqrt, tanh, maximum, minimum and
    where_less, to which the functions of these names leave the work.
    """

    __slots__ = ()


def _is_elementwise(x: Any) -> bool:
    return isinstance(x, Elementwise)


def exp(x: Any) -> Any:
    """Exponential of a vector or a float."""
    return x.exp() if _is_elementwise(x) else math.exp(x)


def sigmoid(x: Any) -> Any:
    """Logistic function 1 / (1 + exp(-x)) of a vector or a float."""
    return 0.5 + 0.5 * tanh(0.5 * x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of a vector or a float."""
    return x.tanh() if _is_elementwise(x) else math.tanh(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1 of a vector or a float, accurate near 0."""
    return x.expm1() if _is_elementwise(x) else math.expm1(x)


def log(x: Any) -> Any:
    """Natural logarithm of a vector or a positive float."""
    return x.log() if _is_elementwise(x) else math.log(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)) of a vector or a float."""
    if _is_elementwise(x):
        return x.softplus()
    return maximum(x, 0.0) + math.log1p(math.exp(-abs(x)))


def logsigmoid(x: Any) -> Any:
    """log(sigmoid(x)) of a vector or a float."""
    return -softplus(-x)


def absolute(x: Any) -> Any:
    """Absolute value of a vector or a float."""
    return abs(x)


def maximum(x: Any, bound: Any) -> Any:
    """Higher of x and `bound`; NaN in x stays.  If x is a vector, `bound` may be a number."""
    if _is_elementwise(x):
        return x.maximum(bound)
    return bound if x < bound else x


def minimum(x: Any, bound: Any) -> Any:
    """Lower of x and `bound`; NaN in x stays.  If x is a vector, `bound` may be a number."""
    if _is_elementwise(x):
        return x.minimum(bound)
    return bound if x > bound else x


def sqrt(x: Any) -> Any:
    """Square root of a vector or a float."""
    return x.sqrt() if _is_elementwise(x) else math.sqrt(x)


def precision(x: Any) -> Any:
    """Relative error of a few roundings in the format of x, a vector or a float."""
    return _PRECISION_64


def where_less(x: Any, bound: Any, yes: Any, no: Any) -> Any:
    """`yes` where x < bound, else `no`, also where x is NaN; of a vector x, or a float."""
    if _is_elementwise(x):
        return x.where_less(bound, yes, no)
    return yes if x < bound else no


@pointwise
def _exp_parts_32(x):  # type: ignore[no-untyped-def]
    """exp(x) as s * (1 + d), with s a power of two and d exact to a rounding even near 0."""
    x = vector.minimum(vector.maximum(x, _EXP_MIN_32), _EXP_MAX_32)
    n = rint(x * _LOG2_E)
    r = x - n * _LN2_HIGH_32
    r = r - n * _LN2_LOW_32
    p = r * (1.0 / 5040.0) + (1.0 / 720.0)
    p = p * r + (1.0 / 120.0)
    p = p * r + (1.0 / 24.0)
    p = p * r + (1.0 / 6.0)
    p = p * r + 0.5
    p = p * r + 1.0
    return power_of_two(n), p * r


@pointwise
def _exp_parts_64(x):  # type: ignore[no-untyped-def]
    x = vector.minimum(vector.maximum(x, _EXP_MIN_64), _EXP_MAX_64)
    n = rint(x * _LOG2_E)
    r = x - n * _LN2_HIGH_64
    r = r - n * _LN2_LOW_64
    p = r * (1.0 / 6227020800.0) + (1.0 / 479001600.0)
    p = p * r + (1.0 / 39916800.0)
    p = p * r + (1.0 / 3628800.0)
    p = p * r + (1.0 / 362880.0)
    p = p * r + (1.0 / 40320.0)
    p = p * r + (1.0 / 5040.0)
    p = p * r + (1.0 / 720.0)
    p = p * r + (1.0 / 120.0)
    p = p * r + (1.0 / 24.0)
    p = p * r + (1.0 / 6.0)
    p = p * r + 0.5
    p = p * r + 1.0
    return power_of_two(n), p * r


@pointwise
def _exp_32(x):  # type: ignore[no-untyped-def]
    s, d = _exp_parts_32(x)
    return (d + 1.0) * s


@pointwise
def _exp_64(x):  # type: ignore[no-untyped-def]
    s, d = _exp_parts_64(x)
    return (d + 1.0) * s


@pointwise
def _expm1_32(x):  # type: ignore[no-untyped-def]
    s, d = _exp_parts_32(x)
    return d * s + (s - 1.0)


@pointwise
def _expm1_64(x):  # type: ignore[no-untyped-def]
    s, d = _exp_parts_64(x)
    return d * s + (s - 1.0)


@pointwise
def _power_32(t):  # type: ignore[no-untyped-def]
    """2**t as s + d * p, with s a power of two and d * p exact to a rounding even near t = 0."""
    n = rint(t)
    f = t - n
    p = f * 1.540350396e-4 + 1.339073603e-3
    p = p * f + 9.618237523e-3
    p = p * f + 5.550357432e-2
    p = p * f + 2.402264979e-1
    p = p * f + 6.931471879e-1
    s = power_of_two(n)
    return s, s * f, p


@pointwise
def _tanh_32(x):  # type: ignore[no-untyped-def]
    x = vector.minimum(vector.maximum(x, -10.0), 10.0)
    s, d, p = _power_32(x * (2.0 * _LOG2_E))
    e = d * p + (s - 1.0)
    return e / (e + 2.0)


@pointwise
def _tanh_64(x):  # type: ignore[no-untyped-def]
    size = vector.absolute(x)
    z = x * x
    p = z * -9.64399179425052238628e-1 + -9.92877231001918586564e1
    p = p * z + -1.61468768441708447952e3
    q = z + 1.12811678491632931402e2
    q = q * z + 2.23548839060100448583e3
    q = q * z + 4.84406305325125486048e3
    near = x + x * z * p / q
    far = 1.0 - 2.0 / (_exp_64(2.0 * size) + 1.0)
    far = vector.where_less(x, 0.0, -far, far)
    # `near` second: NaN compares false and must come out of it.
    return vector.where_less(-size, -0.625, far, near)


@pointwise
def _sigmoid_32(x):  # type: ignore[no-untyped-def]
    x = vector.minimum(vector.maximum(x, -_EXP_MAX_32), _EXP_MAX_32)
    s, d, p = _power_32(x * -_LOG2_E)
    return 1.0 / (d * p + (s + 1.0))


@pointwise
def _sigmoid_64(x):  # type: ignore[no-untyped-def]
    return 1.0 / (1.0 + _exp_64(-x))


@pointwise
def _log_ratio_32(s):  # type: ignore[no-untyped-def]
    """log((1 + s) / (1 - s)) = 2 atanh(s) for |s| <= 1/3."""
    z = s * s
    p = z * 0.2322432995 + 0.2170657516
    p = p * z + 0.2859235704
    p = p * z + 0.3999970555
    p = p * z + 0.6666666865
    return p * z * s + 2.0 * s


@pointwise
def _log_ratio_64(s):  # type: ignore[no-untyped-def]
    z = s * s
    p = z * 0.1616404561194353 + 0.08800738486144674
    p = p * z + 0.12001072809590713
    p = p * z + 0.13314144209654935
    p = p * z + 0.15385570064958623
    p = p * z + 0.18181789436132859
    p = p * z + 0.22222222717427864
    p = p * z + 0.2857142856710876
    p = p * z + 0.40000000000014585
    p = p * z + 0.6666666666666666
    return p * z * s + 2.0 * s


@pointwise
def _log_parts(x, normal, lift, lift_log2):  # type: ignore[no-untyped-def]
    """Return n, s with log(x) = n * log(2) + 2 * atanh(s), for positive finite x."""
    lifted = vector.where_less(x, normal, x * lift, x)
    m = significand(lifted)
    n = exponent(lifted) - vector.where_less(x, normal, lift_log2, 0.0)
    n = vector.where_less(m, _SQRT_2, n, n + 1.0)
    m = vector.where_less(m, _SQRT_2, m, 0.5 * m)
    return n, (m - 1.0) / (m + 1.0)


@pointwise
def _log_elsewhere(x, y):  # type: ignore[no-untyped-def]
    """Return y where x is positive and finite, else the logarithm of x."""
    y = vector.where_less(-x, 0.0, y, vector.where_less(x, 0.0, _NAN, -_INFINITY))
    # infinity and NaN: themselves
    return vector.where_less(x, _INFINITY, y, x)


@pointwise
def _log_32(x):  # type: ignore[no-untyped-def]
    n, s = _log_parts(x, _NORMAL_32, _LIFT_32, _LIFT_LOG2_32)
    return _log_elsewhere(x, n * _LN2_HIGH_32 + (_log_ratio_32(s) + n * _LN2_LOW_32))


@pointwise
def _log_64(x):  # type: ignore[no-untyped-def]
    n, s = _log_parts(x, _NORMAL_64, _LIFT_64, _LIFT_LOG2_64)
    return _log_elsewhere(x, n * _LN2_HIGH_64 + (_log_ratio_64(s) + n * _LN2_LOW_64))


@pointwise
def _softplus_32(x):  # type: ignore[no-untyped-def]
    # log(1 + e) = 2 atanh(e / (2 + e)) keeps all digits of a small e.
    e = _exp_32(-vector.absolute(x))
    return vector.maximum(x, 0.0) + _log_ratio_32(e / (2.0 + e))


@pointwise
def _softplus_64(x):  # type: ignore[no-untyped-def]
    e = _exp_64(-vector.absolute(x))
    return vector.maximum(x, 0.0) + _log_ratio_64(e / (2.0 + e))


@overload(exp, jit_options=POINTWISE)
def _overload_exp(x):  # type: ignore[no-untyped-def]
    return _choose(x, _exp_32.py_func, _exp_64.py_func)


@overload(sigmoid, jit_options=POINTWISE)
def _overload_sigmoid(x):  # type: ignore[no-untyped-def]
    return _choose(x, _sigmoid_32.py_func, _sigmoid_64.py_func)


@overload(tanh, jit_options=POINTWISE)
def _overload_tanh(x):  # type: ignore[no-untyped-def]
    return _choose(x, _tanh_32.py_func, _tanh_64.py_func)


@overload(expm1, jit_options=POINTWISE)
def _overload_expm1(x):  # type: ignore[no-untyped-def]
    return _choose(x, _expm1_32.py_func, _expm1_64.py_func)


@overload(log, jit_options=POINTWISE)
def _overload_log(x):  # type: ignore[no-untyped-def]
    return _choose(x, _log_32.py_func, _log_64.py_func)


@overload(softplus, jit_options=POINTWISE)
def _overload_softplus(x):  # type: ignore[no-untyped-def]
    return _choose(x, _softplus_32.py_func, _softplus_64.py_func)


@overload(logsigmoid, jit_options=POINTWISE)
def _overload_logsigmoid(x):  # type: ignore[no-untyped-def]
    return _choose(x, lambda x: -_softplus_32(-x), lambda x: -_softplus_64(-x))


def _choose(x: Any, single: Any, double: Any) -> Any:
    if not isinstance(x, Vector):
        return None
    return single if x.dtype == types.float32 else double


@overload(absolute, jit_options=POINTWISE)
def _overload_absolute(x):  # type: ignore[no-untyped-def]
    return (lambda x: vector.absolute(x)) if isinstance(x, Vector) else None


@overload(sqrt, jit_options=POINTWISE)
def _overload_sqrt(x):  # type: ignore[no-untyped-def]
    return (lambda x: vector.sqrt(x)) if isinstance(x, Vector) else None


@overload(precision, jit_options=POINTWISE)
def _overload_precision(x):  # type: ignore[no-untyped-def]
    return _choose(x, lambda x: _PRECISION_32, lambda x: _PRECISION_64)


@overload(maximum, jit_options=POINTWISE)
def _overload_maximum(x, bound):  # type: ignore[no-untyped-def]
    return (lambda x, bound: vector.maximum(x, bound)) if isinstance(x, Vector) else None


@overload(minimum, jit_options=POINTWISE)
def _overload_minimum(x, bound):  # type: ignore[no-untyped-def]
    return (lambda x, bound: vector.minimum(x, bound)) if isinstance(x, Vector) else None


@overload(where_less, jit_options=POINTWISE)
def _overload_where_less(x, bound, yes, no):  # type: ignore[no-untyped-def]
    if not isinstance(x, Vector):
        return None
    return lambda x, bound, yes, no: vector.where_less(x, bound, yes, no)
