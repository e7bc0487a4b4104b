"""Weights that one step changes together, and what may be given as their gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import update as kernel
from fastrnn.optimizers.slots import ACCUMULATOR, AVERAGE, Slots
from fastrnn.tape import RowGradients

Array = NDArray[Any]


class Selection:
    """Weights that one step changes together, as the kernels want them.

    Parameters
    ----------
    weights : sequence of arrays
        What `check_weights` let pass.
    slots : sequence of Slots
        Of each weight.
    shares : sequence of floats
        What part of the weight decay each weight has.

    Attributes
    ----------
    tensors : Tensors
        The weights with their slots.
    sums, averages : Tensors or None
        The accumulated gradients and the averages of the weights, where they are kept.
    """

    def __init__(
        self, weights: Sequence[Array], slots: Sequence[Slots], shares: Sequence[float]
    ) -> None:
        self.weights = tuple(weights)
        self.shares = np.array(shares)
        self.tensors = kernel.Tensors(weights, [one.memory for one in slots])
        self.sums = _over(ACCUMULATOR, slots)
        self.averages = _over(AVERAGE, slots)


def _over(letter: str, slots: Sequence[Slots]) -> kernel.Tensors | None:
    """Return one slot of each weight as tensors without slots of their own."""
    if letter not in slots[0].letters:
        return None
    place = slots[0].letters.index(letter)
    return kernel.Tensors([one.arrays()[place] for one in slots], [one.memory[:0] for one in slots])


def check_weights(weights: Mapping[Any, Array]) -> None:
    """Raise ValueError unless kernels may write all weights side by side."""
    if not weights:
        raise ValueError("weights: expected at least one array")
    dtype = getattr(next(iter(weights.values())), "dtype", None)
    spans = []
    for name, weight in weights.items():
        if (
            not _is_plain(weight)
            or not weight.flags.writeable
            or weight.dtype not in _validate.FLOATS
            or weight.dtype != dtype
        ):
            raise ValueError(
                f"weights[{name!r}]: expected a writable C-contiguous array of float32 or "
                f"float64, the same for all, got {_describe(weight)}"
            )
        start = weight.__array_interface__["data"][0]
        spans.append((start, start + weight.nbytes, name))
    spans = sorted(span for span in spans if span[0] < span[1])
    for (_, end, name), (start, _, other) in pairwise(spans):
        if start < end:
            raise ValueError(f"weights: {name!r} and {other!r} share memory")


def check_gradients(names: Sequence[str], weights: Sequence[Array], gradients: Any) -> None:
    """Raise ValueError unless each gradient is an array like its weight, in C order."""
    for name, weight, gradient in zip(names, weights, gradients, strict=True):
        if not is_like(gradient, weight):
            expected = f"{weight.shape} {weight.dtype}, C-contiguous"
            raise ValueError(f"gradients[{name!r}]: expected {expected}, got {_describe(gradient)}")


def check_rows(name: str, used: Any, weight: Array) -> None:
    """Raise ValueError unless `used` are rows of `weight`, sorted and each once."""
    limit = len(weight) if weight.ndim else 0
    if (
        not isinstance(used, np.ndarray)
        or used.ndim != 1
        or used.dtype.kind not in "iu"
        or (used.size and not 0 <= int(used[0]) <= int(used[-1]) < limit)
        or not (used[1:] > used[:-1]).all()
    ):
        raise ValueError(
            f"{name}: expected sorted integers in 0..{limit - 1}, each once, got {_describe(used)}"
        )


def as_gradient(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return a gradient as an array for kernels, converted where it is not one yet."""
    if _is_plain(value) and value.shape == shape and value.dtype == dtype:
        taken: Array = value
        return taken
    wanted = f"{shape} numbers"
    array = _validate.as_array(_of(name), value, wanted)
    if array.shape != shape or array.dtype.kind not in "biuf":
        raise ValueError(f"{_of(name)}: expected {wanted}, got {_validate.describe(array)}")
    return np.require(array, dtype, ("C", "A"))


def as_rows(name: str, gradient: RowGradients, weight: Array) -> tuple[Array, Array]:
    """Return rows (n,) and values (n, ...) of a gradient."""
    if gradient.shape != weight.shape:
        raise ValueError(f"{_of(name)}: expected shape {weight.shape}, got {gradient.shape}")
    # Nothing keeps a caller from changing them after they were made.
    check_rows(f"rows of the {_of(name)}", gradient.rows, weight)
    shape = (len(gradient.rows), *weight.shape[1:])
    return gradient.rows, as_gradient(name, gradient.values, shape, weight.dtype)


def _of(name: str) -> str:
    return f"gradient of {name!r}"


def is_like(gradient: Any, weight: Array) -> bool:
    """Return whether kernels may read a gradient as that of a weight, as it is."""
    return _is_plain(gradient) and gradient.shape == weight.shape and gradient.dtype == weight.dtype


def _is_plain(array: Any) -> bool:
    """Whether kernels may read `array` as numbers in a row."""
    if not isinstance(array, np.ndarray):
        return False
    flags = array.flags
    return flags.c_contiguous and flags.aligned


def _describe(value: Any) -> str:
    plain = not isinstance(value, np.ndarray) or _is_plain(value)
    return _validate.describe(value) + ("" if plain else ", not C-contiguous")


def scales_to(limit: float, norms: Any) -> Any:
    """Return the factors that bring `norms` down to at most `limit`; NaN if not finite."""
    return np.where(np.isfinite(norms), limit / np.maximum(norms, limit), math.nan)
