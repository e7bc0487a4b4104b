"""Operators that treat all elements alike, with NumPy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.onnx import sizes, tensors
from fastrnn.onnx.graph import Node

Array = NDArray[Any]
Run = Callable[..., Any]


def unary(function: Callable[[Array], Array]) -> Callable[[Node], Run]:
    """Return the operator that applies `function` to its only input."""

    def make(node: Node) -> Run:
        return function

    return make


def binary(function: Callable[[Array, Array], Array]) -> Callable[[Node], Run]:
    """Return the operator that applies `function` to two inputs of the same element type."""

    def make(node: Node) -> Run:
        def run(a: Array, b: Array) -> Array:
            check_operands(a, b)
            return function(a, b)

        return run

    return make


def variadic(function: Callable[[Array, Array], Array]) -> Callable[[Node], Run]:
    """Return the operator that folds `function` over any number of inputs."""

    def make(node: Node) -> Run:
        def fold(a: Array, b: Array) -> Array:
            check_operands(a, b)
            return function(a, b)

        return lambda *arrays: reduce(fold, arrays)

    return make


def check_operands(a: Array, b: Array) -> None:
    """Raise a ValueError if element types differ or the result would be too large."""
    if a.dtype != b.dtype:
        raise ValueError(f"expected operands of the same type, got {a.dtype} and {b.dtype}")
    if a.size * b.size > sizes.SMALL:
        sizes.check(np.broadcast_shapes(a.shape, b.shape))


def logical(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return `function` for bools only."""

    def run(*arrays: Array) -> Array:
        for array in arrays:
            if array.dtype != np.bool_:
                raise ValueError(f"expected bools, got {array.dtype}")
        return function(*arrays)

    return run


def divide(a: Array, b: Array) -> Array:
    """Return a / b; integers are cut towards zero, 0 where they are divided by 0."""
    if a.dtype.kind == "f":
        return np.divide(a, b)
    quotient = np.floor_divide(a, b)
    if a.dtype.kind == "i":
        quotient = quotient + ((quotient * b != a) & ((a < 0) != (b < 0)) & (b != 0))
        quotient = quotient.astype(a.dtype)
    return quotient


def power(node: Node) -> Run:
    """Pow: the result has the type of the base."""

    def run(base: Array, exponent: Array) -> Array:
        if base.size * exponent.size > sizes.SMALL:
            sizes.check(np.broadcast_shapes(base.shape, exponent.shape))
        return np.power(base, exponent).astype(base.dtype)

    return run


def floating(function: Callable[[Array], Array]) -> Callable[[Node], Run]:
    """Return the operator that applies `function` to floats."""

    def make(node: Node) -> Run:
        def run(x: Array) -> Array:
            check_floating(x)
            return function(x)

        return run

    return make


def check_floating(x: Array) -> None:
    """Raise a ValueError if x has no floats."""
    if x.dtype.kind != "f":
        raise ValueError(f"expected floats, got {x.dtype}")


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small: Array = np.exp(-np.abs(x))
    one = x.dtype.type(1)
    y: Array = np.where(x < 0, small, one) / (one + small)
    return y


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    y: Array = np.maximum(x, x.dtype.type(0))
    return y


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x))."""
    y: Array = np.logaddexp(x, x.dtype.type(0))
    return y


def softsign(x: Array) -> Array:
    """Return x / (1 + abs(x))."""
    y: Array = x / (x.dtype.type(1) + np.abs(x))
    return y


def leaky_relu(node: Node) -> Run:
    """LeakyRelu: alpha * x where x is negative."""
    return floating(lambda x: np.where(x < 0, x.dtype.type(node["alpha"]) * x, x))(node)


def elu(node: Node) -> Run:
    """Elu: alpha * (exp(x) - 1) where x is negative."""

    def function(x: Array) -> Array:
        alpha = x.dtype.type(node["alpha"])
        return np.where(x < 0, alpha * np.expm1(np.minimum(x, x.dtype.type(0))), x)

    return floating(function)(node)


def hard_sigmoid(node: Node) -> Run:
    """HardSigmoid: alpha * x + beta between 0 and 1."""

    def function(x: Array) -> Array:
        number = x.dtype.type
        line = number(node["alpha"]) * x + number(node["beta"])
        bounded: Array = np.clip(line, number(0), number(1))
        return bounded

    return floating(function)(node)


def clip(node: Node) -> Run:
    """Clip: bounds are attributes up to version 6 and inputs from 11 on."""
    if node.version < 11:
        low, high = node["min"], node["max"]
        return floating(lambda x: np.clip(x, x.dtype.type(low), x.dtype.type(high)))(node)

    def run(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
        for name, bound in (("min", low), ("max", high)):
            if bound is not None and (bound.size != 1 or bound.dtype != x.dtype):
                got = f"{bound.shape} {bound.dtype}"
                raise ValueError(f"{name}: expected one number of type {x.dtype}, got {got}")
        if low is not None:
            x = np.maximum(x, low.reshape(()))
        if high is not None:
            x = np.minimum(x, high.reshape(()))
        return x

    return run


def cast(node: Node) -> Run:
    """Cast: to the element type that an attribute gives."""
    dtype = tensors.dtype_of(node["to"])
    return lambda x: x.astype(dtype, copy=False)


def cast_like(node: Node) -> Run:
    """CastLike: to the element type of another array."""
    return lambda x, other: x.astype(other.dtype, copy=False)


def where(node: Node) -> Run:
    """Where: elements of one array or another."""

    def run(condition: Array, x: Array, y: Array) -> Array:
        if condition.dtype != np.bool_:
            raise ValueError(f"condition: expected bools, got {condition.dtype}")
        if x.dtype != y.dtype:
            raise ValueError(f"expected operands of the same type, got {x.dtype} and {y.dtype}")
        if condition.size * x.size * y.size > sizes.SMALL:
            sizes.check(np.broadcast_shapes(condition.shape, x.shape, y.shape))
        return np.where(condition, x, y)

    return run


def identity(node: Node) -> Run:
    """Identity."""
    return lambda x: x


def dropout(node: Node) -> Run:
    """Dropout: nothing is dropped, as this is no training."""

    def run(x: Array, ratio: Array | None = None, training: Array | None = None) -> Any:
        if training is not None and training.any() and (ratio is None or ratio.any()):
            raise ValueError("training_mode: expected false, got true")
        if not node.has_output(1):
            return x
        return x, np.ones(x.shape, np.bool_ if node.version >= 10 else x.dtype)

    return run
