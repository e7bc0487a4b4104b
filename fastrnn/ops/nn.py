"""Activation functions and what else neural networks are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.ops.arithmetic import divide, maximum, multiply
from fastrnn.ops.elementary import erf
from fastrnn.ops.operation import Result, operation
from fastrnn.ops.reductions import along, norm
from fastrnn.tape import Tensor

Array = NDArray[Any]

# G. Klambauer et al., Self-normalizing neural networks, NeurIPS 2017, equation 14.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@operation()
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Result:
    """Return x where it is above a threshold, at most max_value; else a share of the distance.

    That share, negative_slope * (x - threshold), is by default 0.  The gradient at the threshold
    is negative_slope, at max_value 0.
    """
    if negative_slope == threshold == 0 and max_value is None:
        return np.maximum(x, 0), lambda d: d * (x > 0)
    top = np.inf if max_value is None else max_value
    above = x > threshold
    # Zeros, and NaN where x is.
    below = negative_slope * (x - threshold) if negative_slope else np.clip(x, 0, 0)
    y = np.where(above, np.minimum(x, top), below).astype(x.dtype)
    slopes = np.where(above, x < top, negative_slope).astype(x.dtype)
    return y, lambda d: d * slopes


@operation()
def relu6(x: Any) -> Result:
    """Return min(max(x, 0), 6); the gradient at 0 and at 6 is 0."""
    return np.clip(x, 0, 6), lambda d: d * ((x > 0) & (x < 6))


@operation()
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Result:
    """Return x where it is positive, negative_slope * x elsewhere."""
    slopes = np.where(x > 0, 1, negative_slope).astype(x.dtype)
    return x * slopes, lambda d: d * slopes


@operation()
def elu(x: Any, alpha: float = 1.0) -> Result:
    """Return x where it is positive, alpha * (exp(x) - 1) elsewhere.

    Source: D.-A. Clevert et al., ICLR 2016.
    """
    return _elu(x, alpha, 1.0)


@operation()
def selu(x: Any) -> Result:
    """Return the scaled `elu` that keeps mean 0 and variance 1.

    Source: G. Klambauer et al., Self-normalizing neural networks, NeurIPS 2017.
    """
    return _elu(x, _SELU_ALPHA, _SELU_SCALE)


def _elu(x: Array, alpha: float, scale: float) -> Result:
    negative = alpha * np.expm1(np.minimum(x, 0))
    y = scale * np.where(x > 0, x, negative)
    return y, lambda d: d * scale * np.where(x > 0, 1, negative + alpha)


def gelu(x: Any, approximate: bool = True) -> Tensor:
    """Return x times the share of the standard normal distribution below x.

    Source: D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016; by tanh if
    `approximate`, else by the error function.
    """
    if approximate:
        return _gelu_by_tanh(x)
    return multiply(multiply(x, 0.5), erf(multiply(x, 1 / math.sqrt(2))) + 1.0)


@operation()
def _gelu_by_tanh(x: Any) -> Result:
    scale, cubic = math.sqrt(2 / math.pi), 0.044715
    t = np.tanh(scale * (x + cubic * x * x * x))

    def backward(d: Array) -> Array:
        slope = scale * (1 + 3 * cubic * x * x)
        result: Array = d * 0.5 * (1 + t + x * (1 - t * t) * slope)
        return result

    return 0.5 * x * (1 + t), backward


@operation()
def silu(x: Any) -> Result:
    """Return x * sigmoid(x).

    Source: S. Elfwing et al., Neural Networks 107, 2018.
    """
    s = _sigmoid(x)
    return x * s, lambda d: d * s * (1 + x * (1 - s))


swish = silu


@operation()
def sigmoid(x: Any) -> Result:
    """Return 1 / (1 + exp(-x))."""
    y = _sigmoid(x)
    return y, lambda d: d * y * (1 - y)


@operation()
def log_sigmoid(x: Any) -> Result:
    """Return log(sigmoid(x)), exact where sigmoid(x) is near 0."""
    return -_softplus(-x), lambda d: d * _sigmoid(-x)


@operation()
def hard_sigmoid(x: Any) -> Result:
    """Return x / 6 + 1/2 cut off at 0 and 1."""
    return np.clip(x / 6 + 0.5, 0, 1), lambda d: d * ((x > -3) & (x < 3)) / 6


@operation()
def hard_silu(x: Any) -> Result:
    """Return x * hard_sigmoid(x)."""
    s = np.clip(x / 6 + 0.5, 0, 1)
    return x * s, lambda d: d * (s + x * ((x > -3) & (x < 3)) / 6)


hard_swish = hard_silu


@operation()
def softplus(x: Any) -> Result:
    """Return log(1 + exp(x))."""
    return _softplus(x), lambda d: d * _sigmoid(x)


@operation()
def softsign(x: Any) -> Result:
    """Return x / (1 + abs(x))."""
    divisor = 1 + np.abs(x)
    return x / divisor, lambda d: d / (divisor * divisor)


@operation()
def softmax(x: Any, axis: Any = -1) -> Result:
    """Return exp(x) divided by its sum along an axis, or several."""
    axes = along(x, axis)
    y = np.exp(x - np.max(x, axis=axes, keepdims=True, initial=-np.inf))
    y /= y.sum(axis=axes, keepdims=True)
    return y, lambda d: y * (d - (d * y).sum(axis=axes, keepdims=True))


@operation()
def log_softmax(x: Any, axis: Any = -1) -> Result:
    """Return the logarithm of `softmax`, exact where that is near 0."""
    axes = along(x, axis)
    y = x - np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    y -= np.log(np.exp(y).sum(axis=axes, keepdims=True))
    return y, lambda d: d - np.exp(y) * d.sum(axis=axes, keepdims=True)


def normalize(x: Any, axis: int = -1, order: int = 2, epsilon: float | None = None) -> Tensor:
    """Return x divided by its norm of this order, 1 or 2, along `axis`.

    Norms below `epsilon`, 1e-7 if not given, count as that.
    """
    limit = 1e-7 if epsilon is None else epsilon
    return divide(x, maximum(norm(x, order, axis, keepdims=True), limit))


def _sigmoid(x: Array) -> Array:
    # Where exp(-x) is infinite, all digits of the result are below the least number there is.
    result: Array = 1 / (1 + np.exp(-x))
    return result


def _softplus(x: Array) -> Array:
    result: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return result
