"""Operators that make one number of many, along some axes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.onnx.graph import Node
from fastrnn.onnx.operators.elementwise import check_floating
from fastrnn.onnx.operators.shape import integers

Array = NDArray[Any]
Run = Callable[..., Any]


def reduction(function: Callable[..., Any]) -> Callable[[Node], Run]:
    """Return the operator that reduces by `function(x, axis=, keepdims=)`.

    The axes are an attribute, or from version 13 (ReduceSum) or 18 (others) on an input.
    """

    def make(node: Node) -> Run:
        keepdims = bool(node["keepdims"])
        fixed = node.attributes.get("axes")
        stays = bool(node.attributes.get("noop_with_empty_axes"))

        def run(x: Array, axes: Array | None = None) -> Array:
            chosen = fixed if axes is None else integers("axes", axes)
            if not chosen:
                if stays:
                    return x
                chosen = range(x.ndim)
            y: Array = function(x, axis=tuple(chosen), keepdims=keepdims)
            return y

        return run

    return make


def total(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the sum in the type of x."""
    return np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def product(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the product in the type of x."""
    return np.prod(x, axis=axis, keepdims=keepdims, dtype=x.dtype)


def largest(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the maximum; of nothing, the least number of the type."""
    return np.max(x, axis=axis, keepdims=keepdims, initial=_bounds(x.dtype)[0])


def smallest(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the minimum; of nothing, the largest number of the type."""
    return np.min(x, axis=axis, keepdims=keepdims, initial=_bounds(x.dtype)[1])


def _bounds(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype == np.bool_:
        return False, True
    if dtype.kind == "f":
        return -np.inf, np.inf
    return np.iinfo(dtype).min, np.iinfo(dtype).max


def mean(x: Array, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the mean in the type of x; of nothing, NaN."""
    wide = np.promote_types(x.dtype, np.float32)
    whole = np.sum(x, axis=axis, keepdims=keepdims, dtype=wide)
    count = prod(x.shape[n] for n in axis)
    return np.asarray(whole / wide.type(count)).astype(x.dtype)


def arg_max(node: Node) -> Run:
    """ArgMax: the first place of the largest element, or the last."""
    axis, keepdims = node["axis"], bool(node["keepdims"])
    takes_last = bool(node.attributes.get("select_last_index"))

    def run(x: Array) -> Array:
        if takes_last:
            places = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis)
        else:
            places = np.argmax(x, axis)
        places = np.asarray(places, np.int64)
        return np.expand_dims(places, axis) if keepdims else places

    return run


def top_k(node: Node) -> Run:
    """TopK: the largest or smallest elements along an axis in order, and their places.

    Of equal ones the first come first.  How many is an attribute before version 10.
    """
    axis, fixed = node["axis"], node.attributes.get("k")
    largest = node.attributes.get("largest", 1)

    def run(x: Array, count: Array | None = None) -> tuple[Array, Array]:
        k: Any = fixed if count is None else integers("K", count)[0]
        if not 0 <= k <= x.shape[axis]:
            raise ValueError(f"K: expected it in 0..{x.shape[axis]}, got {k}")
        if largest:
            # Places are counted from the end, so that of equal ones the first come last.
            turned = np.argsort(np.flip(x, axis), axis, kind="stable")
            order = np.flip(x.shape[axis] - 1 - turned, axis)
        else:
            order = np.argsort(x, axis, kind="stable")
        places = np.take(order, range(k), axis).astype(np.int64)
        return np.take_along_axis(x, places, axis), places

    return run


def cumulative_sum(node: Node) -> Run:
    """CumSum: sums of all elements up to each along an axis, from either end."""
    excludes, reverses = bool(node["exclusive"]), bool(node["reverse"])

    def run(x: Array, axis: Array) -> Array:
        if axis.size != 1 or axis.dtype.kind != "i":
            raise ValueError(f"axis: expected an integer, got {axis.shape} {axis.dtype}")
        along = int(axis.reshape(()))
        y = np.flip(x, along) if reverses else x
        y = np.cumsum(y, along, dtype=x.dtype)
        if excludes:
            y = np.roll(y, 1, along)
            np.moveaxis(y, along, 0)[:1] = 0
        return np.flip(y, along) if reverses else y

    return run


def softmax(node: Node) -> Run:
    """Softmax: along one axis, or before version 13 over all axes from there on."""
    return _normalised(node, _softmax)


def log_softmax(node: Node) -> Run:
    """LogSoftmax: as `softmax`."""
    return _normalised(node, _log_softmax)


def _normalised(node: Node, function: Callable[[Array, int], Array]) -> Run:
    axis = node["axis"]

    def run(x: Array) -> Array:
        check_floating(x)
        if not -x.ndim <= axis < max(x.ndim, 1):
            raise ValueError(f"axis: expected one of {x.ndim} axes, got {axis}")
        if not x.size:
            return x
        if node.version >= 13:
            return function(x, axis)
        rows = int(np.prod(x.shape[: axis % x.ndim if x.ndim else 0], dtype=np.int64))
        return function(x.reshape(rows, -1), 1).reshape(x.shape)

    return run


def _softmax(x: Array, axis: int) -> Array:
    y: Array = np.exp(x - x.max(axis, keepdims=True))
    y /= y.sum(axis, keepdims=True)
    return y


def _log_softmax(x: Array, axis: int) -> Array:
    shifted: Array = x - x.max(axis, keepdims=True)
    y: Array = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return y


def layer_normalization(node: Node) -> Run:
    """LayerNormalization: over all axes from `axis` on, computed at least in float32."""
    axis, epsilon = node["axis"], node["epsilon"]
    if node["stash_type"] != 1:
        raise ValueError(f"stash_type: expected 1 (float32), got {node['stash_type']}")

    def run(x: Array, scale: Array, bias: Array | None = None) -> Any:
        check_floating(x)
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"axis: expected one of {x.ndim} axes, got {axis}")
        axes = tuple(range(axis % x.ndim, x.ndim))
        wide = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
        centre = mean(wide, axes, keepdims=True)
        y = wide - centre
        inverse = 1 / np.sqrt(mean(np.square(y), axes, keepdims=True) + wide.dtype.type(epsilon))
        y = (y * inverse).astype(x.dtype, copy=False)
        for name, factor in (("Scale", scale), ("B", bias)):
            if factor is None:
                continue
            if factor.dtype != x.dtype or np.broadcast_shapes(factor.shape, x.shape) != x.shape:
                got = f"{factor.shape} {factor.dtype}"
                raise ValueError(f"{name}: expected it to fit {x.shape} {x.dtype}, got {got}")
        y = y * scale
        if bias is not None:
            y = y + bias
        return y, centre.astype(np.float32), inverse.astype(np.float32)

    return run
