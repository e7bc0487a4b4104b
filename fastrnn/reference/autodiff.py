"""Reverse-mode differentiation of float64 arrays, in as little code as it takes.

A `Node` is an array that remembers which nodes it was computed from, and for each of them the
function that takes a gradient of the result to one of that argument (its vector-Jacobian
product). `propagate` walks from results back to everything they depend on.

Arguments broadcast as in NumPy. Everything that has a kink is made of `where`, whose condition
is not differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.reference.float64 import Array, as_float64

Mask = NDArray[np.bool_]
Product = Callable[[Array], Array]


class Node:
    """An array of any shape, `value`, and what it was computed from.

    `parents` pairs each node that the value depends on with its vector-Jacobian product, whose
    result may have the broadcast shape. `rank` is larger than that of every parent.
    """

    __array_ufunc__ = None  # so that array * Node is ours

    def __init__(self, value: ArrayLike, *parents: tuple[Node, Product]) -> None:
        self.value = as_float64(value)
        self.parents = parents
        self.rank = 0
        for parent, _ in parents:
            self.rank = max(self.rank, parent.rank + 1)

    def __neg__(self) -> Node:
        return Node(-self.value, (self, lambda d: -d))

    def __add__(self, other: Operand) -> Node:
        a, b = self, as_node(other)
        return Node(a.value + b.value, (a, lambda d: d), (b, lambda d: d))

    def __sub__(self, other: Operand) -> Node:
        a, b = self, as_node(other)
        return Node(a.value - b.value, (a, lambda d: d), (b, lambda d: -d))

    def __mul__(self, other: Operand) -> Node:
        a, b = self, as_node(other)
        return Node(a.value * b.value, (a, lambda d: d * b.value), (b, lambda d: d * a.value))

    def __truediv__(self, other: Operand) -> Node:
        a, b = self, as_node(other)
        y = a.value / b.value
        return Node(y, (a, lambda d: d / b.value), (b, lambda d: -d * y / b.value))

    def __matmul__(self, other: Node) -> Node:
        """Product of two matrices."""
        a, b = self, other
        return Node(a.value @ b.value, (a, lambda d: d @ b.value.T), (b, lambda d: a.value.T @ d))

    def __radd__(self, other: Operand) -> Node:
        return self + other

    def __rsub__(self, other: Operand) -> Node:
        return as_node(other) - self

    def __rmul__(self, other: Operand) -> Node:
        return self * other


Operand = Node | Array | float


def as_node(value: Operand) -> Node:
    """`value` itself if it is a node, else a constant."""
    return value if isinstance(value, Node) else Node(value)


def exp(a: Node) -> Node:
    """Exponential."""
    y = np.exp(a.value)
    return Node(y, (a, lambda d: d * y))


def sqrt(a: Node) -> Node:
    """Square root of positive numbers."""
    y = np.sqrt(a.value)
    return Node(y, (a, lambda d: d / (2 * y)))


def tanh(a: Node) -> Node:
    """Hyperbolic tangent."""
    y = np.tanh(a.value)
    return Node(y, (a, lambda d: d * (1 - y**2)))


def sigmoid(a: Node) -> Node:
    """1 / (1 + exp(-a)), never taking exp of a positive number."""
    e = np.exp(-np.abs(a.value))
    y = np.where(a.value >= 0, 1.0, e) / (1.0 + e)
    return Node(y, (a, lambda d: d * y * (1 - y)))


def softplus(a: Node) -> Node:
    """log(1 + exp(a)) without overflow."""
    y = np.maximum(a.value, 0.0) + np.log1p(np.exp(-np.abs(a.value)))
    return Node(y, (a, lambda d: d * sigmoid(a).value))


def where(condition: Mask, a: Operand, b: Operand) -> Node:
    """Elements of `a` where the condition holds, else of `b`."""
    a, b = as_node(a), as_node(b)
    return Node(
        np.where(condition, a.value, b.value),
        (a, lambda d: np.where(condition, d, 0.0)),
        (b, lambda d: np.where(condition, 0.0, d)),
    )


def mean(a: Node) -> Node:
    """Mean (..., 1) over the last axis of a (..., N)."""
    y = a.value.mean(axis=-1, keepdims=True)
    return Node(y, (a, lambda d: np.broadcast_to(d / a.value.shape[-1], a.value.shape)))


def split(a: Node, parts: int) -> tuple[Node, ...]:
    """Cut the last axis of a (..., parts * N) into equal parts (..., N)."""
    N = a.value.shape[-1] // parts
    return tuple(_columns(a, slice(part * N, (part + 1) * N)) for part in range(parts))


def _columns(a: Node, columns: slice) -> Node:
    def spread(d: Array) -> Array:
        da = np.zeros_like(a.value)
        da[..., columns] = d
        return da

    return Node(a.value[..., columns], (a, spread))


def take(a: Node, rows: Mask) -> Node:
    """Rows (N, ...) of a (B, ...) where the mask (B,) holds, N times."""

    def spread(d: Array) -> Array:
        da = np.zeros_like(a.value)
        da[rows] = d
        return da

    return Node(a.value[rows], (a, spread))


def put(a: Node, rows: Mask, new: Node) -> Node:
    """Replace the rows of a (B, ...) where the mask (B,) holds, N times, by new (N, ...)."""
    y: Array = a.value.copy()
    y[rows] = new.value

    def kept(d: Array) -> Array:
        da: Array = d.copy()
        da[rows] = 0.0
        return da

    def picked(d: Array) -> Array:
        dnew: Array = d[rows]
        return dnew

    return Node(y, (a, kept), (new, picked))


def propagate(seeds: Iterable[tuple[Node, Array]]) -> Callable[[Node], Array]:
    """Take gradients of results back to all that they were computed from.

    `seeds` pairs results with their gradients, of the same shape; those of one node add up.
    Returns the function that gives the gradient of any node, zeros if nothing depends on it.
    """
    gradients: dict[Node, Array] = {}

    def add(node: Node, d: Array) -> None:
        gradients[node] = gradients.get(node, 0.0) + _sum_to(d, node.value.shape)

    for node, d in seeds:
        add(node, d)
    # A node's own gradient is complete once every node of a higher rank has been visited.
    for node in _ancestors(gradients):
        for parent, product in node.parents:
            add(parent, product(gradients[node]))
    return lambda node: gradients.get(node, np.zeros_like(node.value))


def _ancestors(nodes: Iterable[Node]) -> list[Node]:
    """`nodes` and everything that they were computed from, results first."""
    found, pending = set[Node](), list(nodes)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += (parent for parent, _ in node.parents)
    return sorted(found, key=lambda node: -node.rank)


def _sum_to(d: Array, shape: tuple[int, ...]) -> Array:
    """Sum `d` over the axes along which an argument of this shape was broadcast."""
    new = d.ndim - len(shape)
    stretched = tuple(new + n for n, size in enumerate(shape) if size == 1)
    total: Array = d.sum(axis=(*range(new), *stretched), keepdims=True)
    return total.reshape(shape)
