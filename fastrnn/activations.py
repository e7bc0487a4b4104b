"""Activation functions by Keras' names, and which of them recurrent layers run on the engine."""

from __future__ import annotations

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
from fastrnn.tape import Tensor

Activation = Callable[..., Tensor]


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


#: Every activation by the name users give.
ACTIVATIONS: dict[str, Activation] = {
    "elu": elu,
    "exponential": exponential,
    "gelu": gelu,
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": hard_silu,
    "hard_swish": hard_silu,
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
    "softmax": softmax,
    "softplus": softplus,
    "softsign": softsign,
    "swish": silu,
    "tanh": tanh,
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


def of_engine(activation: Activation) -> Any:
    """Return the activation of `fastrnn.cells` that is this function, None if there is none."""
    for name, known in _ENGINE.items():
        if ACTIVATIONS[name] is activation:
            return known
    return None
