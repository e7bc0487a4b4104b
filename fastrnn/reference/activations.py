"""Activation functions by name, in float64 NumPy.

An activation is given by its name, or by a tuple of its name and its numbers alpha and beta, in
this order: "tanh", ("elu", 0.5), ("hard_sigmoid", 1 / 6, 0.5). What is left out takes the
defaults of ONNX, as the signatures below say. At a kink the slope is that of the lower side,
except inside of `clip`, whose two ends belong to the inside.
"""

from __future__ import annotations

from collections.abc import Callable

from numpy.typing import ArrayLike

from fastrnn.reference.autodiff import Node, exp, propagate, sigmoid, softplus, tanh, where
from fastrnn.reference.float64 import Array, as_float64

Activation = str | tuple[str | float, ...]
Function = Callable[[Node], Node]


def forward(activation: Activation, x: ArrayLike) -> Array:
    """Values of the activation at x, of any shape."""
    return function(activation)(Node(x)).value


def backward(activation: Activation, x: ArrayLike, dy: ArrayLike) -> Array:
    """Gradient of x from the gradient `dy` of `forward`'s result, all of one shape."""
    leaf = Node(x)
    return propagate([(function(activation)(leaf), as_float64(dy))])(leaf)


def function(activation: Activation, limit: float | None = None) -> Function:
    """Return the activation as a function of nodes, its argument clipped to [-limit, limit]."""
    name, *numbers = (activation,) if isinstance(activation, str) else activation
    formula = ACTIVATIONS[str(name)]
    if limit is None:
        return lambda a: formula(a, *numbers)
    return lambda a: formula(clip(a, -limit, limit), *numbers)


def clip(a: Node, low: float, high: float) -> Node:
    """Bound a from both sides; the slope is 1 inside and 0 outside."""
    return where(a.value < low, low, where(a.value > high, high, a))


def linear(a: Node) -> Node:
    """Return a."""
    return a


def affine(a: Node, alpha: float = 1.0, beta: float = 0.0) -> Node:
    """Return alpha a + beta."""
    return a * alpha + beta


def relu(a: Node) -> Node:
    """Return a where it is positive, else 0."""
    return where(a.value <= 0, 0.0, a)


def leaky_relu(a: Node, alpha: float = 0.01) -> Node:
    """Return a where it is positive, else alpha a."""
    return where(a.value <= 0, a * alpha, a)


def thresholded_relu(a: Node, alpha: float = 1.0) -> Node:
    """Return a where it is above alpha, else 0."""
    return where(a.value <= alpha, 0.0, a)


def elu(a: Node, alpha: float = 1.0) -> Node:
    """Return a where it is positive, else alpha (exp(a) - 1)."""
    below = a.value <= 0
    return where(below, (exp(where(below, a, 0.0)) - 1.0) * alpha, a)


def softsign(a: Node) -> Node:
    """Return a / (1 + |a|)."""
    return a / (1.0 + where(a.value < 0, -a, a))


def scaled_tanh(a: Node, alpha: float = 1.0, beta: float = 1.0) -> Node:
    """Return alpha tanh(beta a)."""
    return tanh(a * beta) * alpha


def hard_sigmoid(a: Node, alpha: float = 0.2, beta: float = 0.5) -> Node:
    """Return alpha a + beta clipped to 0..1; Keras' and PyTorch's has alpha = 1/6, beta = 1/2."""
    return clip(affine(a, alpha, beta), 0.0, 1.0)


ACTIVATIONS: dict[str, Callable[..., Node]] = {
    "affine": affine,
    "elu": elu,
    "hard_sigmoid": hard_sigmoid,
    "leaky_relu": leaky_relu,
    "linear": linear,
    "relu": relu,
    "scaled_tanh": scaled_tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "softsign": softsign,
    "tanh": tanh,
    "thresholded_relu": thresholded_relu,
}
