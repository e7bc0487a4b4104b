"""Operators that move elements to another shape, and those that tell or make shapes."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.onnx import sizes
from fastrnn.onnx.graph import Node

Array = NDArray[Any]
Run = Callable[..., Any]

# How Pad makes what it adds, by the names of ONNX, which are NumPy's.
_PADDINGS = ("constant", "reflect", "edge", "wrap")


def integers(name: str, array: Array) -> tuple[int, ...]:
    """Return a 1-D array of integers as Python numbers."""
    if array.ndim > 1 or array.dtype.kind != "i":
        raise ValueError(f"{name}: expected a row of integers, got {array.shape} {array.dtype}")
    return tuple(map(int, array.reshape(-1)))


def transpose(node: Node) -> Run:
    """Transpose: axes in another order, turned round without one."""
    order = node["perm"]
    return lambda x: np.transpose(x, order)


def reshape(node: Node) -> Run:
    """Reshape: 0 keeps a length (unless `allowzero`, from version 14 on), one -1 is computed."""
    keeps_zero = bool(node.attributes.get("allowzero"))

    def run(x: Array, shape: Array) -> Array:
        wanted = list(integers("shape", shape))
        if not keeps_zero:
            for axis, length in enumerate(wanted):
                if length == 0:
                    if axis >= x.ndim:
                        raise ValueError(f"shape: no length to keep for axis {axis} of {wanted}")
                    wanted[axis] = x.shape[axis]
        if wanted.count(-1) > 1 or min(wanted, default=0) < -1:
            raise ValueError(f"shape: expected lengths and at most one -1, got {wanted}")
        return x.reshape(wanted)

    return run


def flatten(node: Node) -> Run:
    """Flatten: a matrix, of the axes before `axis` and of the others."""
    axis = node["axis"]

    def run(x: Array) -> Array:
        if not -x.ndim <= axis <= x.ndim:
            raise ValueError(f"axis: expected it in {-x.ndim}..{x.ndim}, got {axis}")
        split = axis + x.ndim if axis < 0 else axis
        return x.reshape(prod(x.shape[:split]), prod(x.shape[split:]))

    return run


def squeeze(node: Node) -> Run:
    """Squeeze: without axes of length 1; which is an input from version 13 on."""
    fixed = node.attributes.get("axes")

    def run(x: Array, axes: Array | None = None) -> Array:
        chosen = fixed if axes is None else integers("axes", axes)
        return np.squeeze(x, chosen)

    return run


def unsqueeze(node: Node) -> Run:
    """Unsqueeze: with new axes of length 1; which is an input from version 13 on."""
    fixed = node.attributes.get("axes")

    def run(x: Array, axes: Array | None = None) -> Array:
        chosen: Any = fixed if axes is None else integers("axes", axes)
        return np.expand_dims(x, chosen)

    return run


def expand(node: Node) -> Run:
    """Expand: repeated along axes of length 1 until two shapes agree."""

    def run(x: Array, shape: Array) -> Array:
        wanted = sizes.check(np.broadcast_shapes(x.shape, integers("shape", shape)))
        return np.array(np.broadcast_to(x, wanted))

    return run


def tile(node: Node) -> Run:
    """Tile: repeated so many times along each axis."""

    def run(x: Array, repeats: Array) -> Array:
        counts = integers("repeats", repeats)
        if len(counts) != x.ndim or min(counts, default=0) < 0:
            raise ValueError(f"repeats: expected {x.ndim} counts, got {counts}")
        sizes.check([length * count for length, count in zip(x.shape, counts, strict=True)])
        return np.tile(x, counts)

    return run


def pad(node: Node) -> Run:
    """Pad: longer or, where a number is negative, shorter at the ends of axes.

    The numbers and the value are attributes before version 11 and inputs from there on.
    """
    mode, fixed, number = (node.attributes.get(name) for name in ("mode", "pads", "value"))
    if mode not in _PADDINGS:
        raise ValueError(f"mode: expected {', '.join(_PADDINGS)}, got {mode!r}")

    def run(
        x: Array, pads: Array | None = None, value: Array | None = None, axes: Array | None = None
    ) -> Array:
        chosen = range(x.ndim) if axes is None else integers("axes", axes)
        if any(not -x.ndim <= axis < x.ndim for axis in chosen):
            raise ValueError(f"axes: expected some of {x.ndim} axes, got {chosen}")
        given: Any = fixed if pads is None else integers("pads", pads)
        if len(given) != 2 * len(chosen):
            raise ValueError(f"pads: expected {2 * len(chosen)} numbers, got {given}")
        if value is not None and (value.size != 1 or value.dtype != x.dtype):
            got = f"{value.shape} {value.dtype}"
            raise ValueError(f"constant_value: expected one number of type {x.dtype}, got {got}")
        inside = [slice(None)] * x.ndim
        added = [(0, 0)] * x.ndim
        for axis, before, after in zip(chosen, given, given[len(chosen) :], strict=False):
            inside[axis] = slice(max(0, -before), max(0, x.shape[axis] + min(0, after)))
            added[axis] = max(0, before), max(0, after)
        x = x[tuple(inside)]
        sizes.check([n + sum(ends) for n, ends in zip(x.shape, added, strict=True)])
        if mode != "constant":
            return np.pad(x, added, mode=mode)
        fill = (number or 0) if value is None else value.reshape(())
        return np.pad(x, added, constant_values=fill)

    return run


def concat(node: Node) -> Run:
    """Concat: one array behind the other."""
    axis = node["axis"]

    def run(*arrays: Array) -> Array:
        if any(array.dtype != arrays[0].dtype for array in arrays):
            found = ", ".join(str(array.dtype) for array in arrays)
            raise ValueError(f"expected arrays of one type, got {found}")
        sizes.check_elements(sum(array.size for array in arrays))
        return np.concatenate(arrays, axis)

    return run


def split(node: Node) -> Run:
    """Split: into parts whose lengths are given, or even ones (the last may be smaller from 18).

    The lengths are an attribute before version 13 and an input from there on.
    """
    axis, count = node["axis"], len(node.outputs)
    fixed = node.attributes.get("split")
    if node.attributes.get("num_outputs") not in (None, count):
        raise ValueError(f"num_outputs: expected {count} as there are outputs")

    def run(x: Array, lengths: Array | None = None) -> tuple[Array, ...]:
        size = x.shape[axis]
        given = fixed if lengths is None else integers("split", lengths)
        if given is None:
            part = -(-size // count)
            if part * count != size and node.version < 18:
                raise ValueError(f"expected {count} even parts of {size}")
            given = [min(part, max(0, size - part * n)) for n in range(count)]
        if len(given) != count or min(given) < 0 or sum(given) != size:
            raise ValueError(f"split: expected {count} lengths that add up to {size}, got {given}")
        return tuple(np.split(x, np.cumsum(given[:-1], dtype=np.intp), axis))

    return run


def shape(node: Node) -> Run:
    """Shape: the lengths of all axes, or from version 15 on of some."""
    start, end = node.attributes.get("start") or 0, node.attributes.get("end")
    return lambda x: np.array(x.shape[start:end], np.int64)


def size(node: Node) -> Run:
    """Size: the number of elements."""
    return lambda x: np.array(x.size, np.int64)


def constant(node: Node) -> Run:
    """Constant: an array or numbers."""
    given = {name: value for name, value in node.attributes.items() if value is not None}
    if len(given) != 1:
        raise ValueError(f"expected one value, got {', '.join(given) or 'none'}")
    ((name, value),) = given.items()
    if name == "value":
        array = value
    elif name in ("value_float", "value_floats"):
        array = np.array(value, np.float32)
    elif name in ("value_int", "value_ints"):
        array = np.array(value, np.int64)
    else:
        raise ValueError(f"attribute {name!r} is not supported")
    return lambda: array


def constant_of_shape(node: Node) -> Run:
    """ConstantOfShape: one number all over."""
    value = np.zeros(1, np.float32) if node["value"] is None else node["value"]
    if value.size != 1:
        raise ValueError(f"value: expected one number, got shape {value.shape}")
    number = value.reshape(())
    return lambda lengths: np.full(sizes.check(integers("input", lengths)), number)


def arithmetic_range(node: Node) -> Run:
    """Range: numbers from `start` by `delta` up to `limit`."""

    def run(start: Array, limit: Array, delta: Array) -> Array:
        dtype = start.dtype
        if not start.size == limit.size == delta.size == 1 or dtype.kind not in "if":
            raise ValueError("expected three numbers")
        if limit.dtype != dtype or delta.dtype != dtype:
            raise ValueError(f"expected one type, got {dtype}, {limit.dtype}, {delta.dtype}")
        first, last, step = (array.reshape(()).item() for array in (start, limit, delta))
        if dtype.kind == "i" and step:
            count = len(range(first, last, step))
        else:
            count = max(ceil((last - first) / step), 0)
        sizes.check_elements(count)
        steps: Array = np.arange(count) * step + first
        return steps.astype(dtype)

    return run
