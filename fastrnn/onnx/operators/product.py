"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.onnx import sizes
from fastrnn.onnx.graph import Node

Array = NDArray[Any]
Run = Callable[..., Any]


def matmul(node: Node) -> Run:
    """MatMul: as numpy.matmul."""

    def run(a: Array, b: Array) -> Array:
        _check(a, b)
        y: Array = np.matmul(a, b)
        return y

    return run


def gemm(node: Node) -> Run:
    """Gemm: alpha * A B + beta * C, with A or B transposed."""
    turns_a, turns_b = bool(node["transA"]), bool(node["transB"])
    alpha, beta = node["alpha"], node["beta"]

    def run(a: Array, b: Array, c: Array | None = None) -> Array:
        if a.ndim != 2 or b.ndim != 2:
            raise ValueError(f"expected matrices, got shapes {a.shape} and {b.shape}")
        _check(a, b)
        number = a.dtype.type
        y: Array = np.matmul(a.T if turns_a else a, b.T if turns_b else b)
        if alpha != 1:
            y *= number(alpha)
        if c is not None and beta != 0:
            if c.dtype != a.dtype:
                raise ValueError(f"C: expected {a.dtype} as A, got {c.dtype}")
            y += c if beta == 1 else number(beta) * c  # refuses a C that is larger
        return y

    return run


def _check(a: Array, b: Array) -> None:
    if a.dtype != b.dtype:
        raise ValueError(f"expected operands of the same type, got {a.dtype} and {b.dtype}")
    if a.dtype == np.bool_:
        raise ValueError("expected numbers, got bools")
    if a.size * b.size > sizes.SMALL and a.ndim and b.ndim:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        sizes.check((*batch, *a.shape[-2:], *b.shape[-2:][1:]))
