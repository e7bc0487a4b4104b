"""Activation functions by Keras' names, and which of them recurrent layers run on the engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastrnn import ops
from fastrnn.cells import activations as engine
from fastrnn.ops import (
    elu,
    hard_sigmoid,
    hard_silu,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    tanh,
)
from fastrnn.ops.operation import body_of
from fastrnn.tape import Tensor

Activation = Callable[..., Tensor]

swish, hard_swish = silu, hard_silu


def linear(x: Any) -> Any:
    """Return x as it is."""
    return x


def exponential(x: Any) -> Tensor:
    """Return exp(x)."""
    return ops.exp(x)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """Return x times the share of the standard normal distribution below x.

    Source: D. Hendrycks and K. Gimpel, Gaussian error linear units, 2016; by the error function
    unless `approximate`.
    """
    return ops.gelu(x, approximate)


def mish(x: Any) -> Tensor:
    """Return x * tanh(softplus(x)).

    Source: D. Misra, Mish: a self regularized non-monotonic activation function, 2019.
    """
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def celu(x: Any, alpha: float = 1.0) -> Tensor:
    """Return x above 0, and alpha * (exp(x / alpha) - 1) below.

    Source: J. T. Barron, Continuously differentiable exponential linear units, 2017.
    """
    below = ops.minimum(x, 0.0)
    return ops.add(ops.maximum(x, 0.0), ops.multiply(ops.expm1(ops.divide(below, alpha)), alpha))


def glu(x: Any, axis: int = -1) -> Tensor:
    """Return the first half of x (..., 2 N) along an axis times the sigmoid of the second.

    Source: Y. Dauphin et al., Language modeling with gated convolutional networks, 2017.

    Raises
    ------
    ValueError
        If the axis has an odd length.
    """
    length = ops.shape(x)[axis]
    if length % 2:
        raise ValueError(f"x: expected an even length in axis {axis}, got {length}")
    first, second = ops.split(x, 2, axis=axis)
    return ops.multiply(first, ops.sigmoid(second))


def hard_tanh(x: Any) -> Tensor:
    """Return x, at least -1 and at most 1."""
    return ops.clip(x, -1.0, 1.0)


def hard_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return x where it is farther from 0 than `threshold`, 0 elsewhere."""
    result: Tensor = ops.where(ops.abs(x).numpy() > threshold, x, 0.0)
    return result


def soft_shrink(x: Any, threshold: float = 0.5) -> Tensor:
    """Return x moved towards 0 by `threshold`, or 0 where it is nearer."""
    return ops.add(
        ops.maximum(ops.subtract(x, threshold), 0.0), ops.minimum(ops.add(x, threshold), 0.0)
    )


def tanh_shrink(x: Any) -> Tensor:
    """Return x - tanh(x)."""
    return ops.subtract(x, ops.tanh(x))


def squareplus(x: Any, b: float = 4.0) -> Tensor:
    """Return (x + sqrt(x * x + b)) / 2.

    Source: J. T. Barron, Squareplus: a softplus-like algebraic rectifier, 2021.
    """
    return ops.multiply(ops.add(x, ops.sqrt(ops.add(ops.square(x), b))), 0.5)


def sparse_plus(x: Any) -> Tensor:
    """Return 0 below -1, x above 1, and (x + 1)^2 / 4 between."""
    return ops.add(
        ops.multiply(ops.square(ops.add(hard_tanh(x), 1.0)), 0.25),
        ops.maximum(ops.subtract(x, 1.0), 0.0),
    )


def sparse_sigmoid(x: Any) -> Tensor:
    """Return 0 below -1, 1 above 1, and (x + 1) / 2 between."""
    return ops.multiply(ops.add(hard_tanh(x), 1.0), 0.5)


#: Every activation by the name users give.
ACTIVATIONS: dict[str, Activation] = {
    "celu": celu,
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "glu": glu,
    "hard_shrink": hard_shrink,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
    "hard_tanh": hard_tanh,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "log_sigmoid": log_sigmoid,
    "log_softmax": log_softmax,
    "mish": mish,
    "relu": relu,
    "relu6": relu6,
    "selu": selu,
    "sigmoid": sigmoid,
    "silu": silu,
    "soft_shrink": soft_shrink,
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "sparse_plus": sparse_plus,
    "sparse_sigmoid": sparse_sigmoid,
    "squareplus": squareplus,
    "swish": silu,
    "tanh": tanh,
    "tanh_shrink": tanh_shrink,
}

# The same functions in kernels, with Keras' constants.
_ENGINE: dict[str, Any] = {
    "elu": engine.Elu(1.0),
    "hard_sigmoid": engine.HardSigmoid(1 / 6, 0.5),
    "leaky_relu": engine.LeakyRelu(0.2),
    "linear": engine.Linear(),
    "relu": engine.Relu(),
    "sigmoid": engine.Sigmoid(),
    "softplus": engine.Softplus(),
    "softsign": engine.Softsign(),
    "tanh": engine.Tanh(),
}


def get(identifier: Any) -> Activation:
    """Return an activation function.

    Parameters
    ----------
    identifier : str, callable or None
        A name of `ACTIVATIONS`; a function of a Tensor (...) stays as it is, None is `linear`.

    Raises
    ------
    ValueError
        If it is none of them.

    Examples
    --------
    >>> get("relu")([-1.0, 2.0]).numpy().tolist()
    [0.0, 2.0]
    """
    if identifier is None:
        return linear
    if isinstance(identifier, str) and identifier in ACTIVATIONS:
        return ACTIVATIONS[identifier]
    if callable(identifier):
        return identifier  # type: ignore[no-any-return]
    raise ValueError(
        f"activation: expected a function or one of {', '.join(ACTIVATIONS)}, got {identifier!r}"
    )


def serialize(activation: Activation) -> str:
    """Return the name of an activation function.

    Raises
    ------
    ValueError
        If it is none of `ACTIVATIONS`.
    """
    for name, known in ACTIVATIONS.items():
        if known is activation:
            return name
    raise ValueError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")


def deserialize(name: str) -> Activation:
    """Return the activation function of that name; see `get`."""
    return get(name)


def on_arrays(activation: Activation) -> Any:
    """Return what an activation does to an array, None where it is known for Tensors only.

    A function of the array, which returns the value and a function of the value's gradient that
    returns the array's; both are to be called where NumPy's warnings are ignored.
    """
    return _ON_ARRAYS.get(activation) if inspect.isfunction(activation) else None


def _unchanged(x: Any) -> Any:
    return x, lambda d: d


# Those that are one operation each.
_ON_ARRAYS: dict[Any, Any] = {
    function: _unchanged if function is linear else body_of(function)
    for function in ACTIVATIONS.values()
}


def of_engine(activation: Activation) -> Any:
    """Return the activation of `fastrnn.cells` that is this function, None if there is none."""
    for name, known in _ENGINE.items():
        if ACTIVATIONS[name] is activation:
            return known
    return None
