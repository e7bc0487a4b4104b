"""Arrays in another shape or order, side by side, and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.ops.operation import Result, as_is, common, operation, sequence_operation, symbolic
from fastrnn.ops.parts import Unstacking, parts, whole
from fastrnn.ops.reductions import along
from fastrnn.tape import Tensor, as_array, constant, may_postpone

Array = NDArray[Any]


@operation(1, as_is)
def reshape(x: Any, newshape: Any) -> Result:
    """Return x in a shape of as many numbers; one length may be -1."""
    return x.reshape(_lengths(newshape)), lambda d: d.reshape(x.shape)


@operation(1, as_is)
def ravel(x: Any) -> Result:
    """Return x as a vector."""
    return x.reshape(-1), lambda d: d.reshape(x.shape)


@operation(1, as_is)
def transpose(x: Any, axes: Sequence[int] | None = None) -> Result:
    """Return x with its axes in another order, or turned around."""
    order = list(range(x.ndim))[::-1] if axes is None else [int(axis) for axis in axes]
    return x.transpose(order), lambda d: d.transpose(np.argsort(along(x, tuple(order))))


@operation(1, as_is)
def swapaxes(x: Any, axis1: int, axis2: int) -> Result:
    """Return x with two axes exchanged."""
    return x.swapaxes(axis1, axis2), lambda d: d.swapaxes(axis1, axis2)


@operation(1, as_is)
def moveaxis(x: Any, source: Any, destination: Any) -> Result:
    """Return x with axes moved to other places."""
    return np.moveaxis(x, source, destination), lambda d: np.moveaxis(d, destination, source)


@operation(1, as_is)
def expand_dims(x: Any, axis: Any) -> Result:
    """Return x with new axes of length 1 at the places `axis` of the result."""
    places = tuple(axis) if isinstance(axis, list) else axis
    return np.expand_dims(x, places), lambda d: d.reshape(x.shape)


@operation(1, as_is)
def squeeze(x: Any, axis: Any = None) -> Result:
    """Return x without axes of length 1: those of `axis`, or all."""
    places = tuple(axis) if isinstance(axis, list) else axis
    return np.squeeze(x, places), lambda d: d.reshape(x.shape)


@operation(1, as_is)
def broadcast_to(x: Any, shape: Any) -> Result:
    """Return x stretched to a shape; what is repeated gathers gradients."""
    return np.broadcast_to(x, _lengths(shape)), lambda d: d


@operation(1, as_is)
def flip(x: Any, axis: Any = None) -> Result:
    """Return x turned around along `axis`, or along all axes."""
    places = tuple(axis) if isinstance(axis, list) else axis
    return np.flip(x, places), lambda d: np.flip(d, places)


@operation(1, as_is)
def roll(x: Any, shift: Any, axis: Any = None) -> Result:
    """Return x shifted along `axis`, what leaves at one end coming in at the other."""
    back = -shift if isinstance(shift, int) else [-s for s in shift]
    return np.roll(x, shift, axis), lambda d: np.roll(d, back, axis)


@operation(1, as_is)
def tile(x: Any, repeats: Any) -> Result:
    """Return x side by side with itself, so many times along each of the last axes."""
    times = (repeats,) if isinstance(repeats, int | np.integer) else tuple(repeats)
    ndim = np.maximum(x.ndim, len(times))
    lengths = (1,) * (ndim - x.ndim) + x.shape
    times = (1,) * (ndim - len(times)) + tuple(int(n) for n in times)
    blocks = [n for pair in zip(times, lengths, strict=True) for n in pair]

    def backward(d: Array) -> Array:
        return np.asarray(d.reshape(blocks).sum(axis=tuple(range(0, 2 * ndim, 2))))

    return np.tile(x, times), lambda d: backward(d).reshape(x.shape)


@operation(1, as_is)
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Result:
    """Return x with each slice along `axis` so many times in a row; None takes x as flat."""
    rows = x.reshape(-1) if axis is None else x
    (place,) = along(rows, 0 if axis is None else axis)
    ids = np.repeat(np.arange(rows.shape[place]), as_array(repeats))

    def backward(d: Array) -> Array:
        total = np.zeros(np.moveaxis(rows, place, 0).shape, d.dtype)
        np.add.at(total, ids, np.moveaxis(d, place, 0))
        return np.reshape(np.moveaxis(total, 0, place), x.shape)

    return np.take(rows, ids, place), backward


@operation(1, as_is)
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Result:
    """Return x with numbers around it.

    Parameters
    ----------
    x : array
    pad_width : int, (before, after), or a pair for each axis
    mode : str
        "constant"; others are not provided.
    constant_values : number, optional
        0 if not given.
    """
    if mode != "constant":
        raise ValueError(f'mode: expected "constant", got {mode!r}')
    widths = np.broadcast_to(as_array(pad_width), (x.ndim, 2)).tolist()
    inner = tuple(slice(w[0], w[0] + n) for w, n in zip(widths, x.shape, strict=True))
    value = 0 if constant_values is None else constant_values
    return np.pad(x, widths, constant_values=value), lambda d: d[inner]


@sequence_operation(common)
def concatenate(xs: Any, axis: int = 0) -> Result:
    """Return arrays one after the other along `axis`."""
    (place,) = along(xs[0], axis)
    ends = np.cumsum([0] + [x.shape[place] for x in xs]).tolist()

    def pull(start: int, end: int) -> Any:
        part = (slice(None),) * place + (slice(start, end),)
        return lambda d: d[part]

    return np.concatenate(xs, place), *(pull(*span) for span in pairwise(ends))


@sequence_operation(common)
def stack(x: Any, axis: int = 0) -> Result:
    """Return arrays of one shape side by side along a new axis."""
    y = np.stack(x, axis)
    return y, *((lambda d, i=i: np.take(d, i, axis)) for i in range(len(x)))


def hstack(xs: Any) -> Tensor:
    """Return arrays one after the other along the second axis, vectors along the only one."""
    return concatenate(xs, 1 if np.ndim(xs[0]) > 1 else 0)


def vstack(xs: Any) -> Tensor:
    """Return arrays one after the other along the first axis; vectors become rows."""
    return concatenate([reshape(x, (1, -1)) if np.ndim(x) < 2 else x for x in xs], 0)


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Return the slices of x along `axis`, without that axis; `num`, if given, is how many."""
    elsewhere = symbolic(unstack, [x], (x, num, axis), {})
    if elsewhere is not NotImplemented:
        return elsewhere  # type: ignore[no-any-return]
    tensor = x if isinstance(x, Tensor) else constant(x)
    (place,) = along(tensor, axis)
    length = tensor.shape[place]
    if num not in (None, length):
        raise ValueError(f"num: expected {length}, got {num!r}")
    if may_postpone():
        return [*Unstacking(tensor, place, range(length)).steps()]
    return parts(tensor, [(*whole(place), i) for i in range(length)])


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Return consecutive parts of x along `axis`.

    indices_or_sections : the number of parts, all of one length, or the places of the cuts.
    """
    elsewhere = symbolic(split, [x], (x, indices_or_sections, axis), {})
    if elsewhere is not NotImplemented:
        return elsewhere  # type: ignore[no-any-return]
    tensor = x if isinstance(x, Tensor) else constant(x)
    (place,) = along(tensor, axis)
    length = tensor.shape[place]
    if isinstance(indices_or_sections, int | np.integer):
        sections = int(indices_or_sections)
        if sections < 1 or length % sections:
            raise ValueError(f"indices_or_sections: expected a divisor of {length}, got {sections}")
        cuts = list(range(0, length + 1, length // sections)) if length else [0] * (sections + 1)
    else:
        cuts = [0, *(int(cut) for cut in indices_or_sections), length]
    return parts(tensor, [(*whole(place), slice(*span)) for span in pairwise(cuts)])


def _lengths(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, int | np.integer) else tuple(int(n) for n in shape)
