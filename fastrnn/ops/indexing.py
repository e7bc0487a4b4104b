"""Parts of arrays by index, and choices between arrays."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.ops.operation import Result, as_is, common, operation
from fastrnn.ops.parts import Unstacking
from fastrnn.ops.reductions import along
from fastrnn.tape import Tensor, as_array, constant, may_postpone
from fastrnn.tape.gradients import PlacedGradient

Array = NDArray[Any]


def get_item(x: Any, key: Any) -> Tensor:
    """Return x[key], for any index of NumPy; tensors may be part of it."""
    index = _plain(key)
    if _is_step(index) and isinstance(x, Tensor) and x.ndim == 3 and may_postpone():
        length = x.shape[1]
        if -length <= index[1] < length:
            (step,) = Unstacking(x, 1, [int(index[1]) % length]).steps()
            return step
    return _get_item(x, index)


def _is_step(index: Any) -> bool:
    """Return whether an index of sequences (B, T, I) is that of one time step."""
    if not isinstance(index, tuple) or len(index) not in (2, 3):
        return False
    if not isinstance(index[1], int | np.integer) or isinstance(index[1], bool):
        return False
    return all(isinstance(i, builtins.slice) and i == builtins.slice(None) for i in index[::2])


@operation(1, as_is)
def _get_item(x: Any, index: Any) -> Result:
    parts = index if isinstance(index, tuple) else (index,)
    # Only arrays of integers can point at an element twice.
    repeats = any(isinstance(part, np.ndarray | list) and _is_integers(part) for part in parts)
    return x[index], lambda d: PlacedGradient(index, d, x.shape, repeats)


def _plain(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    return index.value if isinstance(index, Tensor) else index


def _is_integers(part: Any) -> bool:
    array = np.asarray(part)
    return array.dtype.kind in "iu" and array.ndim > 0


def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """Return the part of this shape that starts at these indices."""
    return get_item(inputs, _block(inputs, start_indices, shape))


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """Return `inputs` with `updates` in the place of the part that starts at these indices."""
    return _update(inputs, updates, _block(inputs, start_indices, np.shape(updates)))


def scatter_update(inputs: Any, indices: Any, updates: Any) -> Tensor:
    """Return `inputs` with updates (n, ...) at the n places that indices (n, axes) name.

    Of a place named twice the last update counts, and gets the gradient.
    """
    places = _integers("indices", indices)
    return _update(inputs, updates, tuple(np.moveaxis(places, -1, 0)))


def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Return zeros of this shape, plus values (n, ...) at the n places of indices (n, axes)."""
    places = _integers("indices", indices)
    return _scattered(values, tuple(np.moveaxis(places, -1, 0)), tuple(int(n) for n in shape))


def segment_sum(data: Any, segment_ids: Any, num_segments: int | None = None) -> Tensor:
    """Return the sums of the rows of data (n, ...) with the same of the n segment ids."""
    ids = _integers("segment_ids", segment_ids)
    n = int(ids.max(initial=-1)) + 1 if num_segments is None else num_segments
    return _scattered(data, (ids,), (n, *np.shape(data)[1:]))


@operation(2, common)
def _update(x: Any, updates: Any, index: Any) -> Result:
    y = x.copy()
    y[index] = updates
    last = np.full(x.shape, -1)
    numbers = np.arange(updates.size).reshape(updates.shape)
    last[index] = numbers

    def of_x(d: Array) -> Array:
        return np.where(last < 0, d, d.dtype.type(0))

    return y, of_x, lambda d: np.where(last[index] == numbers, d[index], d.dtype.type(0))


@operation(1, as_is)
def _scattered(values: Any, index: Any, shape: tuple[int, ...]) -> Result:
    y = np.zeros(shape, values.dtype)
    np.add.at(y, index, values)
    return y, lambda d: d[index]


def _block(inputs: Any, start_indices: Any, shape: Any) -> tuple[builtins.slice, ...]:
    whole = np.shape(inputs)
    starts, lengths = (tuple(int(n) for n in np.asarray(v)) for v in (start_indices, shape))
    for start, length, n in zip(starts, lengths, whole, strict=True):
        if not 0 <= start <= start + length <= n:
            raise ValueError(
                f"start_indices: expected a part of shape {lengths} within {whole}, got {starts}"
            )
    return tuple(builtins.slice(i, i + n) for i, n in zip(starts, lengths, strict=True))


def top_k(x: Any, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest numbers along the last axis, the largest first, and where they are."""
    array = as_array(x)
    if not 0 < k <= array.shape[-1]:
        raise ValueError(f"k: expected an int in 1..{array.shape[-1]}, got {k!r}")
    places = np.argsort(-array, axis=-1, kind="stable")[..., :k].astype(np.int32)
    return take_along_axis(x, places, -1), constant(places)


def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Return for each row of predictions (n, classes) whether its target (n,) is of the k best."""
    ids, scores = _integers("targets", targets), as_array(predictions)
    own = np.take_along_axis(scores, ids[:, None], -1)
    return constant((scores > own).sum(axis=-1) < k)


def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Return the slices of x along `axis` at integer indices; None takes x as flat.

    Indices below 0 count from the end.
    """
    return _take(x, _integers("indices", indices), axis)


@operation(1, as_is)
def _take(x: Any, indices: Array, axis: int | None) -> Result:
    flat = x.reshape(-1) if axis is None else x
    (place,) = along(flat, 0 if axis is None else axis)
    index = (builtins.slice(None),) * place + (indices,)
    y = flat[index]
    if axis is None:
        return y, lambda d: PlacedGradient(index, d, flat.shape, True).dense().reshape(x.shape)
    return y, lambda d: PlacedGradient(index, d, x.shape, True)


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """Return for each place of `indices` the number of x at that place but for `axis`."""
    return _take_along_axis(x, _integers("indices", indices), axis)


@operation(1, as_is)
def _take_along_axis(x: Any, indices: Array, axis: int | None) -> Result:
    y = np.take_along_axis(x, indices, axis)

    def backward(d: Array) -> Array:
        if axis is None:
            total = np.zeros(x.size, d.dtype)
            np.add.at(total, indices, d)
            return np.reshape(total, x.shape)
        (place,) = along(x, axis)
        grid = list(np.ogrid[tuple(builtins.slice(n) for n in y.shape)])
        # An axis of length 1 of either is stretched to the other's.
        index = [np.where(np.array(x.shape[a]) == 1, 0, g) for a, g in enumerate(grid)]
        index[place] = np.broadcast_to(indices, y.shape)
        total = np.zeros(x.shape, d.dtype)
        np.add.at(total, tuple(index), d)
        return total

    return y, backward


def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """Return x1 where the condition holds and x2 elsewhere, all stretched to each other.

    With the condition alone, the indices where it holds, a tensor for each axis.
    """
    if x1 is None and x2 is None:
        return tuple(constant(places) for places in np.nonzero(as_array(condition)))
    if x1 is None or x2 is None:
        raise ValueError("where: expected both x1 and x2, or neither")
    return _where(x1, x2, condition)


@operation(2, common)
def _where(x1: Any, x2: Any, condition: Any) -> Result:
    chosen = as_array(condition).astype(bool, copy=False)
    return (
        np.where(chosen, x1, x2),
        lambda d: np.where(chosen, d, d.dtype.type(0)),
        lambda d: np.where(chosen, d.dtype.type(0), d),
    )


def nonzero(x: Any) -> tuple[Tensor, ...]:
    """Return the indices of the numbers that are not 0, a tensor for each axis."""
    return tuple(constant(places) for places in np.nonzero(as_array(x)))


@operation(1, as_is)
def tril(x: Any, k: int = 0) -> Result:
    """Return x with zeros above the k-th diagonal of the last two axes."""
    return np.tril(x, k), lambda d: np.tril(d, k)


@operation(1, as_is)
def triu(x: Any, k: int = 0) -> Result:
    """Return x with zeros below the k-th diagonal of the last two axes."""
    return np.triu(x, k), lambda d: np.triu(d, k)


def sort(x: Any, axis: int = -1) -> Tensor:
    """Return the numbers of x in ascending order along `axis`."""
    return take_along_axis(x, np.argsort(as_array(x), axis, kind="stable"), axis)


def _integers(name: str, value: Any) -> Array:
    array = as_array(value)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers, got {array.dtype}")
    return array
