"""Functions of one array, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastrnn.ops.operation import Result, as_is, operation, without_gradient

_erf = np.frompyfunc(math.erf, 1, 1)


@operation(1, as_is)
def negative(x: Any) -> Result:
    """Return -x."""
    return -x, lambda d: -d


@operation(1, as_is)
def absolute(x: Any) -> Result:
    """Return the absolute value of x; its gradient at 0 is 0."""
    return np.abs(x), lambda d: d * np.sign(x)


abs = absolute


@operation(1, as_is)
def square(x: Any) -> Result:
    """Return x * x."""
    return x * x, lambda d: 2 * d * x


@operation()
def sqrt(x: Any) -> Result:
    """Return the square root of x."""
    y = np.sqrt(x)
    return y, lambda d: 0.5 * d / y


@operation()
def rsqrt(x: Any) -> Result:
    """Return 1 / sqrt(x)."""
    y = 1 / np.sqrt(x)
    return y, lambda d: -0.5 * d * y / x


@operation()
def reciprocal(x: Any) -> Result:
    """Return 1 / x."""
    y = 1 / x
    return y, lambda d: -d * y * y


@operation()
def exp(x: Any) -> Result:
    """Return e ** x."""
    y = np.exp(x)
    return y, lambda d: d * y


@operation()
def exp2(x: Any) -> Result:
    """Return 2 ** x."""
    y = np.exp2(x)
    return y, lambda d: d * y * math.log(2)


@operation()
def expm1(x: Any) -> Result:
    """Return e ** x - 1, exact near 0."""
    y = np.expm1(x)
    return y, lambda d: d * (y + 1)


@operation()
def log(x: Any) -> Result:
    """Return the natural logarithm of x."""
    return np.log(x), lambda d: d / x


@operation()
def log1p(x: Any) -> Result:
    """Return log(1 + x), exact near 0."""
    return np.log1p(x), lambda d: d / (1 + x)


@operation()
def log2(x: Any) -> Result:
    """Return the logarithm of x to the base 2."""
    return np.log2(x), lambda d: d / (x * math.log(2))


@operation()
def log10(x: Any) -> Result:
    """Return the logarithm of x to the base 10."""
    return np.log10(x), lambda d: d / (x * math.log(10))


@operation()
def sin(x: Any) -> Result:
    """Return the sine of x."""
    return np.sin(x), lambda d: d * np.cos(x)


@operation()
def cos(x: Any) -> Result:
    """Return the cosine of x."""
    return np.cos(x), lambda d: -d * np.sin(x)


@operation()
def tan(x: Any) -> Result:
    """Return the tangent of x."""
    y = np.tan(x)
    return y, lambda d: d * (1 + y * y)


@operation()
def arcsin(x: Any) -> Result:
    """Return the inverse sine of x."""
    return np.arcsin(x), lambda d: d / np.sqrt(1 - x * x)


@operation()
def arccos(x: Any) -> Result:
    """Return the inverse cosine of x."""
    return np.arccos(x), lambda d: -d / np.sqrt(1 - x * x)


@operation()
def arctan(x: Any) -> Result:
    """Return the inverse tangent of x."""
    return np.arctan(x), lambda d: d / (1 + x * x)


@operation()
def sinh(x: Any) -> Result:
    """Return the hyperbolic sine of x."""
    return np.sinh(x), lambda d: d * np.cosh(x)


@operation()
def cosh(x: Any) -> Result:
    """Return the hyperbolic cosine of x."""
    return np.cosh(x), lambda d: d * np.sinh(x)


@operation()
def tanh(x: Any) -> Result:
    """Return the hyperbolic tangent of x."""
    y = np.tanh(x)
    return y, lambda d: d * (1 - y * y)


@operation()
def arcsinh(x: Any) -> Result:
    """Return the inverse hyperbolic sine of x."""
    return np.arcsinh(x), lambda d: d / np.sqrt(x * x + 1)


@operation()
def arctanh(x: Any) -> Result:
    """Return the inverse hyperbolic tangent of x."""
    return np.arctanh(x), lambda d: d / (1 - x * x)


@operation()
def erf(x: Any) -> Result:
    """Return the error function of x; it is computed number by number, and so slow."""
    y = np.asarray(_erf(x)).astype(x.dtype)
    return y, lambda d: d * (2 / math.sqrt(math.pi)) * np.exp(-x * x)


@operation(1, as_is)
def clip(x: Any, x_min: Any, x_max: Any) -> Result:
    """Return x cut off below x_min and above x_max; the gradient beyond them is 0."""
    low, high = (np.asarray(bound).astype(x.dtype, copy=False) for bound in (x_min, x_max))
    return np.clip(x, low, high), lambda d: d * ((x >= low) & (x <= high))


@operation(1, as_is)
def nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Result:
    """Return x with other numbers for NaN and infinity; the largest there are if not given."""
    y = np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)
    return y, lambda d: d * np.isfinite(x)


@without_gradient()
def sign(x: Any) -> Any:
    """Return -1, 0 or 1 as x is below, at or above 0; it has no gradient."""
    return np.sign(x)


@without_gradient()
def floor(x: Any) -> Any:
    """Return the largest whole number not above x; it has no gradient."""
    return np.floor(x)


@without_gradient()
def ceil(x: Any) -> Any:
    """Return the smallest whole number not below x; it has no gradient."""
    return np.ceil(x)


@without_gradient()
def round(x: Any, decimals: int = 0) -> Any:
    """Return x rounded to this many decimals; it has no gradient."""
    return np.round(x, decimals)


@without_gradient()
def isnan(x: Any) -> Any:
    """Return where x is NaN; it has no gradient."""
    return np.isnan(x)


@without_gradient()
def isinf(x: Any) -> Any:
    """Return where x is infinite; it has no gradient."""
    return np.isinf(x)


@without_gradient()
def isfinite(x: Any) -> Any:
    """Return where x is neither NaN nor infinite; it has no gradient."""
    return np.isfinite(x)
