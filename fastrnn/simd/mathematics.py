"""Branch-free exp, sigmoid and tanh on vectors; the same names work on Python floats.

| function | float32 absolute error | float64 absolute error | beyond the range |
|---|---|---|---|
| sigmoid, tanh | `ERRORS["float32"]` | `ERRORS["float64"]` | saturate at 0 or -1, and 1 |

`exp` has a relative error of at most `EXP_ERRORS`; its argument is clamped to a range in which
the result is a normal number, so it neither overflows nor underflows.  NaN in is NaN out.

Sources.  exp: reduction by multiples of ln 2 split in two (W. J. Cody and W. Waite, Software
Manual for the Elementary Functions, 1980), then the Taylor polynomial.  tanh in float32:
e / (e + 2) with e = exp(2x) - 1, of which no digits cancel: 2**f - 1 is f times a minimax
polynomial of degree 5 on [-1/2, 1/2] (relative error 1.1e-8); in float64: the rational
approximation of the Cephes library (S. L. Moshier) below 0.625 and 1 - 2 / (exp(2x) + 1) above.
"""

from __future__ import annotations

import math
from typing import Any

from numba import types
from numba.extending import overload

from fastrnn._jit import POINTWISE, pointwise
from fastrnn.simd.vector import (
    Vector,
    absolute,
    maximum,
    minimum,
    power_of_two,
    rint,
    where_less,
)

ERRORS = {"float32": 2e-7, "float64": 3e-16}
EXP_ERRORS = {"float32": 3e-7, "float64": 5e-16}

#: Arguments of exp are clamped to these.
EXP_RANGE = {"float32": (-87.0, 88.0), "float64": (-708.0, 709.0)}

_LOG2_E = 1.4426950408889634
_EXP_MIN_32, _EXP_MAX_32 = EXP_RANGE["float32"]
_EXP_MIN_64, _EXP_MAX_64 = EXP_RANGE["float64"]

# ln 2 = high + low, high short enough for n * high to be exact.
_LN2_HIGH_32, _LN2_LOW_32 = 0.693359375, -2.12194440e-4
_LN2_HIGH_64, _LN2_LOW_64 = 6.93145751953125e-1, 1.42860682030941723212e-6


def exp(x: Any) -> Any:
    """Exponential of a vector or a float."""
    return math.exp(x)


def sigmoid(x: Any) -> Any:
    """Logistic function 1 / (1 + exp(-x)) of a vector or a float."""
    return 0.5 + 0.5 * math.tanh(0.5 * x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent of a vector or a float."""
    return math.tanh(x)


@pointwise
def _exp_32(x):  # type: ignore[no-untyped-def]
    x = minimum(maximum(x, _EXP_MIN_32), _EXP_MAX_32)
    n = rint(x * _LOG2_E)
    r = x - n * _LN2_HIGH_32
    r = r - n * _LN2_LOW_32
    p = r * (1.0 / 5040.0) + (1.0 / 720.0)
    p = p * r + (1.0 / 120.0)
    p = p * r + (1.0 / 24.0)
    p = p * r + (1.0 / 6.0)
    p = p * r + 0.5
    p = p * r + 1.0
    return (p * r + 1.0) * power_of_two(n)


@pointwise
def _exp_64(x):  # type: ignore[no-untyped-def]
    x = minimum(maximum(x, _EXP_MIN_64), _EXP_MAX_64)
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
    return (p * r + 1.0) * power_of_two(n)


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
    x = minimum(maximum(x, -10.0), 10.0)
    s, d, p = _power_32(x * (2.0 * _LOG2_E))
    e = d * p + (s - 1.0)
    return e / (e + 2.0)


@pointwise
def _tanh_64(x):  # type: ignore[no-untyped-def]
    size = absolute(x)
    z = x * x
    p = z * -9.64399179425052238628e-1 + -9.92877231001918586564e1
    p = p * z + -1.61468768441708447952e3
    q = z + 1.12811678491632931402e2
    q = q * z + 2.23548839060100448583e3
    q = q * z + 4.84406305325125486048e3
    near = x + x * z * p / q
    far = 1.0 - 2.0 / (_exp_64(2.0 * size) + 1.0)
    far = where_less(x, 0.0, -far, far)
    # `near` second: NaN compares false and must come out of it.
    return where_less(-size, -0.625, far, near)


@pointwise
def _sigmoid_32(x):  # type: ignore[no-untyped-def]
    x = minimum(maximum(x, -_EXP_MAX_32), _EXP_MAX_32)
    s, d, p = _power_32(x * -_LOG2_E)
    return 1.0 / (d * p + (s + 1.0))


@pointwise
def _sigmoid_64(x):  # type: ignore[no-untyped-def]
    return 1.0 / (1.0 + _exp_64(-x))


@overload(exp, jit_options=POINTWISE)
def _overload_exp(x):  # type: ignore[no-untyped-def]
    return _choose(x, lambda x: _exp_32(x), lambda x: _exp_64(x))


@overload(sigmoid, jit_options=POINTWISE)
def _overload_sigmoid(x):  # type: ignore[no-untyped-def]
    return _choose(x, lambda x: _sigmoid_32(x), lambda x: _sigmoid_64(x))


@overload(tanh, jit_options=POINTWISE)
def _overload_tanh(x):  # type: ignore[no-untyped-def]
    return _choose(x, lambda x: _tanh_32(x), lambda x: _tanh_64(x))


def _choose(x: Any, single: Any, double: Any) -> Any:
    if not isinstance(x, Vector):
        return None
    return single if x.dtype == types.float32 else double
