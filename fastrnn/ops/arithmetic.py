"""Arithmetic, comparisons and logic of two arrays, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn.ops.operation import (
    Result,
    as_is,
    common,
    common_floats,
    operation,
    without_gradient,
)


@operation(2, common)
def add(x1: Any, x2: Any) -> Result:
    """Return x1 + x2."""
    return x1 + x2, lambda d: d, lambda d: d


@operation(2, common)
def subtract(x1: Any, x2: Any) -> Result:
    """Return x1 - x2."""
    return x1 - x2, lambda d: d, lambda d: -d


@operation(2, common)
def multiply(x1: Any, x2: Any) -> Result:
    """Return x1 * x2."""
    return x1 * x2, lambda d: d * x2, lambda d: d * x1


@operation(2, common_floats)
def divide(x1: Any, x2: Any) -> Result:
    """Return x1 / x2."""
    return x1 / x2, lambda d: d / x2, lambda d: -d * x1 / (x2 * x2)


true_divide = divide


@operation(2, common_floats)
def divide_no_nan(x1: Any, x2: Any) -> Result:
    """Return x1 / x2, and 0 where x2 is 0."""
    is_zero = x2 == 0
    inverse = np.where(is_zero, 0, 1 / np.where(is_zero, 1, x2)).astype(x2.dtype, copy=False)
    return x1 * inverse, lambda d: d * inverse, lambda d: -d * x1 * inverse * inverse


@operation(2, common)
def power(x1: Any, x2: Any) -> Result:
    """Return x1 ** x2.

    The gradient with respect to x2 is 0 where x1 is not positive: there is none.
    """
    y = np.power(x1, x2)

    def of_base(d: Any) -> Any:
        # x ** 0 is constant also where x ** -1 is infinite.
        slope = x2 * np.power(x1, np.where(x2 == 0, 1, x2 - 1))
        return d * np.where(x2 == 0, 0, slope)

    def of_exponent(d: Any) -> Any:
        return d * y * np.log(np.where(x1 > 0, x1, 1))

    return y, of_base, of_exponent


@operation(2, common_floats)
def arctan2(x1: Any, x2: Any) -> Result:
    """Return the angle of the point (x2, x1) in -pi..pi."""
    squares = x1 * x1 + x2 * x2
    return np.arctan2(x1, x2), lambda d: d * x2 / squares, lambda d: -d * x1 / squares


@operation(2, common_floats)
def logaddexp(x1: Any, x2: Any) -> Result:
    """Return log(exp(x1) + exp(x2)), without overflow."""
    y = np.logaddexp(x1, x2)
    return y, lambda d: d * np.exp(x1 - y), lambda d: d * np.exp(x2 - y)


@operation(2, common)
def mod(x1: Any, x2: Any) -> Result:
    """Return the remainder of x1 / x2, with the sign of x2."""
    return np.mod(x1, x2), lambda d: d, lambda d: -d * np.floor_divide(x1, x2)


@operation(2, common)
def maximum(x1: Any, x2: Any) -> Result:
    """Return the larger of x1 and x2; where they are equal, each gets half of the gradient."""
    return np.maximum(x1, x2), lambda d: d * _won(x1, x2), lambda d: d * _won(x2, x1)


@operation(2, common)
def minimum(x1: Any, x2: Any) -> Result:
    """Return the smaller of x1 and x2; where they are equal, each gets half of the gradient."""
    return np.minimum(x1, x2), lambda d: d * _won(x2, x1), lambda d: d * _won(x1, x2)


def _won(x1: Any, x2: Any) -> Any:
    """Return 1 where x1 > x2 or is NaN, half where they are equal, 0 elsewhere."""
    share = (x1 > x2) + 0.5 * (x1 == x2) + np.isnan(x1)
    return share.astype(x1.dtype)


@without_gradient(2, common)
def floor_divide(x1: Any, x2: Any) -> Any:
    """Return the largest whole number not above x1 / x2; it has no gradient."""
    return np.floor_divide(x1, x2)


@without_gradient(2, common)
def equal(x1: Any, x2: Any) -> Any:
    """Return where x1 == x2; it has no gradient."""
    return x1 == x2


@without_gradient(2, common)
def not_equal(x1: Any, x2: Any) -> Any:
    """Return where x1 != x2; it has no gradient."""
    return x1 != x2


@without_gradient(2, common)
def less(x1: Any, x2: Any) -> Any:
    """Return where x1 < x2; it has no gradient."""
    return x1 < x2


@without_gradient(2, common)
def less_equal(x1: Any, x2: Any) -> Any:
    """Return where x1 <= x2; it has no gradient."""
    return x1 <= x2


@without_gradient(2, common)
def greater(x1: Any, x2: Any) -> Any:
    """Return where x1 > x2; it has no gradient."""
    return x1 > x2


@without_gradient(2, common)
def greater_equal(x1: Any, x2: Any) -> Any:
    """Return where x1 >= x2; it has no gradient."""
    return x1 >= x2


@without_gradient(2, as_is)
def logical_and(x1: Any, x2: Any) -> Any:
    """Return where neither is 0; it has no gradient."""
    return np.logical_and(x1, x2)


@without_gradient(2, as_is)
def logical_or(x1: Any, x2: Any) -> Any:
    """Return where not both are 0; it has no gradient."""
    return np.logical_or(x1, x2)


@without_gradient(2, as_is)
def logical_xor(x1: Any, x2: Any) -> Any:
    """Return where one is 0 and the other is not; it has no gradient."""
    return np.logical_xor(x1, x2)


@without_gradient(1, as_is)
def logical_not(x: Any) -> Any:
    """Return where x is 0; it has no gradient."""
    return np.logical_not(x)
