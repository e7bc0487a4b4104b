"""Operators that pick elements by their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.onnx import sizes
from fastrnn.onnx.graph import Node
from fastrnn.onnx.operators.shape import integers

Array = NDArray[Any]
Run = Callable[..., Any]

# How ScatterElements combines an element with what is there.
_REDUCTIONS: dict[str, np.ufunc | None] = {
    "none": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum,
}  # fmt: skip


def gather(node: Node) -> Run:
    """Gather: slices along one axis; an embedding's lookup, for one."""
    axis = node["axis"]

    def run(data: Array, indices: Array) -> Array:
        _check_indices(indices)
        if indices.size > 1 and data.size * indices.size > sizes.SMALL:
            sizes.check_elements(data.size // max(data.shape[axis], 1) * indices.size)
        taken: Array = np.take(data, indices, axis)
        return taken

    return run


def gather_elements(node: Node) -> Run:
    """GatherElements: elements along one axis, each by an index of its own."""
    axis = node["axis"]

    def run(data: Array, indices: Array) -> Array:
        _check_indices(indices)
        if indices.ndim != data.ndim:
            raise ValueError(f"indices: expected {data.ndim} axes, got {indices.ndim}")
        places = list(np.ogrid[tuple(map(slice, indices.shape))])
        places[axis] = indices
        return data[tuple(places)]

    return run


def scatter_elements(node: Node) -> Run:
    """ScatterElements: a copy in which some elements are others, or are combined with them."""
    axis = node["axis"]
    reduction = node.attributes.get("reduction") or "none"
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction: expected {', '.join(_REDUCTIONS)}, got {reduction!r}")
    combine = _REDUCTIONS[reduction]

    def run(data: Array, indices: Array, updates: Array) -> Array:
        _check_indices(indices)
        if indices.ndim != data.ndim:
            raise ValueError(f"indices: expected {data.ndim} axes, got {indices.ndim}")
        if updates.shape != indices.shape or updates.dtype != data.dtype:
            got = _validate.describe(updates)
            raise ValueError(f"updates: expected {indices.shape} {data.dtype}, got {got}")
        places = list(np.ogrid[tuple(map(slice, indices.shape))])
        places[axis] = indices
        result: Array = data.copy()
        if combine is None:
            result[tuple(places)] = updates
        else:
            combine.at(result, tuple(places), updates)
        return result

    return run


def gather_nd(node: Node) -> Run:
    """GatherND: slices by several indices each."""
    batch_dims = node.attributes.get("batch_dims") or 0

    def run(data: Array, indices: Array) -> Array:
        _check_indices(indices)
        if not 0 <= batch_dims < min(data.ndim, indices.ndim):
            raise ValueError(f"batch_dims: does not fit {data.shape} and {indices.shape}")
        batch = data.shape[:batch_dims]
        if indices.shape[:batch_dims] != batch or indices.shape[-1] > data.ndim - batch_dims:
            raise ValueError(f"indices: {indices.shape} do not fit data {data.shape}")
        depth = indices.shape[-1]
        sizes.check((*indices.shape[:-1], *data.shape[batch_dims + depth :]))
        spare = (1,) * (indices.ndim - 1 - batch_dims)
        places = [
            place.reshape(*place.shape, *spare) for place in np.ogrid[tuple(map(slice, batch))]
        ]
        return data[tuple(places) + tuple(np.moveaxis(indices, -1, 0))]

    return run


def _check_indices(indices: Array) -> None:
    if indices.dtype.kind != "i":
        raise ValueError(f"indices: expected integers, got {indices.dtype}")


def slices(node: Node) -> Run:
    """Slice: from starts to ends in steps; all of it attributes before version 10, else inputs."""
    if node.version < 10:
        starts, ends, axes = node["starts"], node["ends"], node["axes"]
        return lambda x: _sliced(x, starts, ends, axes, None)

    def run(
        x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
    ) -> Array:
        return _sliced(
            x,
            integers("starts", starts),
            integers("ends", ends),
            None if axes is None else integers("axes", axes),
            None if steps is None else integers("steps", steps),
        )

    return run


def _sliced(
    x: Array,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Array:
    if axes is None:
        axes = range(len(starts))
    if steps is None:
        steps = [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise ValueError("starts, ends, axes, steps: expected as many of each")
    chosen = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"axes: expected some of {x.ndim} axes, got {axis}")
        if step < 0:
            start = max(start, -x.shape[axis])  # NumPy would find nothing before the first element
        chosen[axis] = slice(start, end, step)
    return x[tuple(chosen)]


def reverse_sequence(node: Node) -> Run:
    """ReverseSequence: the first so many steps of each sequence in reverse."""
    batch_axis, time_axis = node["batch_axis"], node["time_axis"]
    if {batch_axis, time_axis} != {0, 1}:
        got = f"{batch_axis} and {time_axis}"
        raise ValueError(f"batch_axis, time_axis: expected 0 and 1 or 1 and 0, got {got}")

    def run(x: Array, lengths: Array) -> Array:
        if x.ndim < 2:
            raise ValueError(f"input: expected at least two axes, got shape {x.shape}")
        by_time = x if time_axis == 0 else x.swapaxes(0, 1)
        T, B = by_time.shape[:2]
        ends = np.array(integers("sequence_lens", lengths), np.intp)
        if ends.shape != (B,) or (B and (ends.min() < 0 or ends.max() > T)):
            raise ValueError(f"sequence_lens: expected ({B},) integers in 0..{T}, got {ends}")
        times = np.arange(T)[:, None]
        sources = np.where(times < ends, ends - 1 - times, times)
        y: Array = by_time[sources, np.arange(B)]
        return y if time_axis == 0 else y.swapaxes(0, 1)

    return run
