"""Dropout on arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import buffers
from fastrnn.kernels.cpu import dropout as kernel
from fastrnn.kernels.cpu.threads import workers_over

Array = NDArray[Any]

_ALL = 2**64 - 1


def dropout(
    x: Array, rate: float, key: int | tuple[int, ...]
) -> tuple[Array, Callable[[Array], Array]]:
    """Set a random share of `x` to zero and scale the rest up to keep the mean.

    Which numbers are dropped depends on `key` and their positions in C order alone: not on the
    number of threads, the dtype or the processor.  `backward` computes it again; nothing is
    stored.

    Parameters
    ----------
    x : array (...) of float32 or float64
        NaN stays NaN, dropped or not.
    rate : float
        Share of the numbers to drop, in [0, 1).
    key : int or tuple of ints
        In 0..2**64-1 each, such as (seed, step, layer); different keys give independent masks.

    Returns
    -------
    y : array, of the shape and dtype of `x`
        x / (1 - rate), or 0 where dropped.
    backward : callable
        dx = backward(dy), both of the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If an argument is not as described; the message names it.

    Source
    ------
    N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting,
    JMLR 2014; here inverted, so that nothing is left to do at inference.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = dropout(np.ones((2, 3), np.float32), 0.5, key=(1, 0, 0))
    >>> bool(np.array_equal(y, backward(np.ones((2, 3), np.float32))))
    True
    """
    x = _validate.as_array("x", x, "float32 or float64")
    if x.dtype not in _validate.FLOATS:
        raise ValueError(f"x: expected float32 or float64, got {_validate.describe(x)}")
    _check_rate(rate)
    mixed = _mix(key)
    shape, dtype = x.shape, x.dtype

    def backward(dy: Array) -> Array:
        return _apply(_validate.exactly("dy", dy, shape, dtype), rate, mixed)

    return _apply(x, rate, mixed), backward


def dropout_factors(
    shape: tuple[int, ...], dtype: Any, rate: float, key: int | tuple[int, ...]
) -> Array:
    """Return what `dropout` multiplies arrays by.

    Parameters
    ----------
    shape : tuple of ints
    dtype : float32 or float64
    rate, key
        As `dropout` takes them.

    Returns
    -------
    array (...) of that shape and dtype
        1 / (1 - rate), or 0 where dropped.

    Raises
    ------
    ValueError
        If an argument is not as described; the message names it.
    """
    dtype = np.dtype(dtype)
    if dtype not in _validate.FLOATS:
        raise ValueError(f"dtype: expected float32 or float64, got {dtype}")
    _check_rate(rate)
    return _apply(_ones(shape, dtype), rate, _mix(key))


@lru_cache(maxsize=16)
def _ones(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    return np.ones(shape, dtype)


def apply_mask(x: Array, mask: Array) -> Array:
    """Multiply by factors of dropout that were drawn before, forward or backward.

    Parameters
    ----------
    x : array (..., B, I) of float32 or float64
    mask : array (B, I) of the same dtype

    Returns
    -------
    array (..., B, I)
        C-contiguous.

    Raises
    ------
    ValueError
        If an argument is not as described; the message names it.
    """
    x = _validate.as_array("x", x, "(..., B, I) float32 or float64")
    if x.ndim < 2 or x.dtype not in _validate.FLOATS:
        expected = "(..., B, I) float32 or float64"
        raise ValueError(f"x: expected {expected}, got {_validate.describe(x)}")
    mask = _validate.exactly("mask", mask, x.shape[-2:], x.dtype)
    y = buffers.empty(x.shape, x.dtype)
    if y.size:
        steps = x.reshape(-1, *x.shape[-2:])
        steps = steps if _is_spaced(steps) else np.ascontiguousarray(steps)
        by_step, by_row, _ = (stride // x.itemsize for stride in steps.strides)
        T, B, I = steps.shape
        factors = np.ascontiguousarray(mask)
        arguments = kernel.Scaling(T, B, I, steps, by_step, by_row, factors, y)
        kernel.scale(None, arguments, workers_over(y.size))
    return y


def _is_spaced(x: Array) -> bool:
    """Return whether rows of numbers side by side lie whole numbers of them apart."""
    is_whole = all(stride % x.itemsize == 0 for stride in x.strides)
    is_dense = x.strides[-1] == x.itemsize or x.shape[-1] == 1
    return x.flags.aligned and is_whole and is_dense


def _check_rate(rate: Any) -> None:
    if not isinstance(rate, int | float | np.number) or not 0.0 <= rate < 1.0:
        raise ValueError(f"rate: expected a number in [0, 1), got {rate!r}")


def _apply(x: Array, rate: float, mixed: int) -> Array:
    flat: Any = np.ascontiguousarray(x).reshape(-1)
    y: Any = buffers.empty(x.shape, x.dtype)
    threshold = min(round(rate * 2.0**32), 2**32 - 1)
    arguments = kernel.Dropout(flat.size, flat, y, mixed, threshold, 1.0 / (1.0 - rate))
    kernel.apply(None, arguments, workers_over(flat.size))
    return y  # type: ignore[no-any-return]


def _mix(key: int | tuple[int, ...]) -> int:
    """Return 64 well mixed bits, as a signed number, that stand for `key`."""
    numbers = key if isinstance(key, tuple) else (key,)
    for number in numbers:
        if not isinstance(number, int | np.integer) or not 0 <= number < 1 << 64:
            raise ValueError(f"key: expected ints in 0..2**64-1, got {key!r}")
    # Their count comes first: keys of different forms never meet.
    mixed = _scrambled(len(numbers))
    for number in numbers:
        mixed = _scrambled(mixed ^ int(number))
    return mixed - (mixed >> 63 << 64)


def _scrambled(bits: int) -> int:
    """Return 64 bits that all depend on all of 64 bits, one to one.

    Source: G. L. Steele et al., Fast splittable pseudorandom number generators, OOPSLA 2014, with
    the constants of D. Stafford's Mix13.
    """
    bits = (bits + 0x9E3779B97F4A7C15) & _ALL
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _ALL
    return bits ^ bits >> 31
