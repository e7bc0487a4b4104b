"""Sums, extremes and norms along axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.ops.operation import Result, as_is, operation, without_gradient
from fastrnn.tape import Tensor, constant

Array = NDArray[Any]


def along(x: Array | Tensor, axis: Any) -> tuple[int, ...]:
    """Return the axes that `axis`, an int, a sequence of ints or None for all, stands for."""
    if axis is None:
        return tuple(range(x.ndim))
    axes = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    for one in axes:
        if not -x.ndim <= one < x.ndim:
            raise ValueError(f"axis: expected axes of an array of shape {x.shape}, got {axis!r}")
    return tuple(one % x.ndim for one in axes)


def _stretched(reduced: Any, x: Array, axes: tuple[int, ...]) -> Array:
    """Return what was reduced, with or without its axes, as an array that fits x."""
    shape = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
    return np.asarray(reduced).reshape(shape)


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))


@operation(1, as_is)
def sum(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the sum along `axis`, an int, several, or None for all."""
    axes, shape = along(x, axis), x.shape
    y = np.sum(x, axis=axes, keepdims=keepdims)
    return y, lambda d: np.broadcast_to(_stretched(d, x, axes), shape)


@operation()
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the mean along `axis`, an int, several, or None for all."""
    axes = along(x, axis)
    n = _count(x, axes)
    y = np.sum(x, axis=axes, keepdims=keepdims) / x.dtype.type(n)
    return y, lambda d: np.broadcast_to(_stretched(d / n, x, axes), x.shape)


@operation()
def prod(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the product along `axis`, an int, several, or None for all."""
    axes = along(x, axis)
    y = np.prod(x, axis=axes, keepdims=keepdims)

    def backward(d: Array) -> Array:
        # Products of the others: with one zero only its own is not zero, with two none is.
        is_zero = x == 0
        others = np.where(is_zero, 1, x)
        product = np.prod(others, axis=axes, keepdims=True)
        zeros = is_zero.sum(axis=axes, keepdims=True)
        slope = np.where(zeros == 0, product / others, 0)
        slope = np.where((zeros == 1) & is_zero, product, slope)
        return np.asarray(_stretched(d, x, axes) * slope)

    return y, backward


@operation(1, as_is)
def max(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the largest number along `axis`; equal ones share the gradient."""
    return _extreme(np.max, x, axis, keepdims)


@operation(1, as_is)
def min(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the smallest number along `axis`; equal ones share the gradient."""
    return _extreme(np.min, x, axis, keepdims)


amax, amin = max, min


def _extreme(choose: Any, x: Array, axis: Any, keepdims: bool) -> Result:
    axes = along(x, axis)
    y = choose(x, axis=axes, keepdims=keepdims)

    def backward(d: Array) -> Array:
        is_chosen = x == _stretched(y, x, axes)
        share = _stretched(d, x, axes) / is_chosen.sum(axis=axes, keepdims=True).astype(x.dtype)
        return np.asarray(is_chosen * share)

    return y, backward


@operation()
def var(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the mean squared distance from the mean along `axis`."""
    axes = along(x, axis)
    n = _count(x, axes)
    centred = x - np.sum(x, axis=axes, keepdims=True) / x.dtype.type(n)
    y = np.sum(centred * centred, axis=axes, keepdims=keepdims) / x.dtype.type(n)
    return y, lambda d: _stretched(d * (2 / n), x, axes) * centred


@operation()
def std(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the square root of `var`; where that is 0 so is the gradient."""
    axes = along(x, axis)
    n = _count(x, axes)
    centred = x - np.sum(x, axis=axes, keepdims=True) / x.dtype.type(n)
    y = np.sqrt(np.sum(centred * centred, axis=axes, keepdims=keepdims) / x.dtype.type(n))
    return y, lambda d: _stretched(d / np.where(y == 0, 1, n * y), x, axes) * centred


@operation()
def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Result:
    """Return log(sum(exp(x))) along `axis`, without overflow."""
    axes = along(x, axis)
    largest = np.max(x, axis=axes, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0).astype(x.dtype)
    e = np.exp(x - largest)
    total = e.sum(axis=axes, keepdims=True)
    y = np.log(total) + largest
    result = y if keepdims else np.squeeze(y, axis=axes)
    return result, lambda d: _stretched(d, x, axes) * e / total


@operation()
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Result:
    """Return the norm of vectors along `axis`, or of all numbers.

    ord 1, 2 or infinity; None and "fro" stand for 2: the square root of the sum of squares, whose
    gradient at 0 is 0.  Norms of matrices other than that are not provided.
    """
    axes = along(x, axis)
    is_euclidean = ord in (None, "fro") or (ord == 2 and len(axes) == 1)
    if not is_euclidean and (ord not in (1, np.inf) or len(axes) != 1):
        raise ValueError(
            f'ord: expected None or "fro", or of vectors along one axis 1, 2 or infinity, '
            f"got {ord!r} for axis {axis!r}"
        )
    magnitudes = np.abs(x)
    if is_euclidean:
        y = np.sqrt(np.sum(magnitudes * magnitudes, axis=axes, keepdims=keepdims))
        return y, lambda d: _stretched(d / np.where(y == 0, 1, y), x, axes) * x
    if ord == 1:
        y = np.sum(magnitudes, axis=axes, keepdims=keepdims)
        return y, lambda d: _stretched(d, x, axes) * np.sign(x)
    y, share = _extreme(np.max, magnitudes, axis, keepdims)
    return y, lambda d: share(d) * np.sign(x)


@operation(1, as_is)
def cumsum(x: Any, axis: int | None = None) -> Result:
    """Return the sums of the numbers up to each along `axis`; None takes x as flat."""
    if axis is None:
        y = np.cumsum(x)
        return y, lambda d: np.cumsum(d[::-1])[::-1].reshape(x.shape)
    (axis,) = along(x, axis)
    return np.cumsum(x, axis), lambda d: np.flip(np.cumsum(np.flip(d, axis), axis), axis)


def moments(x: Any, axes: Any, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Return mean and variance along `axes`."""
    return mean(x, axes, keepdims), var(x, axes, keepdims)


def average(x: Any, axis: Any = None, weights: Any = None) -> Tensor:
    """Return the mean along `axis`, weighted by an array like x, or by a vector along one axis."""
    if weights is None:
        return mean(x, axis)
    x, weights = (v if isinstance(v, Tensor) else constant(v) for v in (x, weights))
    if weights.ndim == 1 and x.ndim > 1:
        (place,) = along(x.value, axis)
        column = (slice(None),) + (None,) * (x.ndim - 1 - place)
        weights = weights[column]
    stretched = weights * np.ones(x.shape, weights.dtype)
    return sum(stretched * x, axis) / sum(stretched, axis)


@without_gradient(1, as_is)
def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether any number along `axis` is not 0; it has no gradient."""
    return np.any(x, axis=along(x, axis), keepdims=keepdims)


@without_gradient(1, as_is)
def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return whether no number along `axis` is 0; it has no gradient."""
    return np.all(x, axis=along(x, axis), keepdims=keepdims)


@without_gradient(1, as_is)
def count_nonzero(x: Any, axis: Any = None) -> Any:
    """Return how many numbers along `axis` are not 0; it has no gradient."""
    return np.asarray(np.count_nonzero(x, axis=along(x, axis)), np.int32)


@without_gradient(1, as_is)
def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return where the largest number along `axis` is, None taking x as flat; no gradient."""
    return np.argmax(x, axis, keepdims=keepdims).astype(np.int32)


@without_gradient(1, as_is)
def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """Return where the smallest number along `axis` is, None taking x as flat; no gradient."""
    return np.argmin(x, axis, keepdims=keepdims).astype(np.int32)


@without_gradient(1, as_is)
def argsort(x: Any, axis: int = -1) -> Any:
    """Return the order of the numbers along `axis`, equal ones as they stand; no gradient."""
    return np.argsort(x, axis, kind="stable").astype(np.int32)
