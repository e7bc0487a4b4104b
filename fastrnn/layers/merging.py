"""Several inputs to one output."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor

Array = NDArray[Any]


class Merge(Layer):
    """What layers have in common that combine inputs number by number.

    Called on a list of arrays (B, ...) of shapes that can be stretched to each other; those of
    fewer axes get axes of length 1 after the batch.
    """

    supports_masking = True
    #: What makes one of two.
    combine: Callable[[Any, Any], Tensor]
    #: Number of axes of each input.
    ndims: list[int]

    def build(self, input_shape: Any) -> None:
        """Check that there are inputs that fit."""
        _check_several(self.name, input_shape)
        self.ndims = [len(shape) for shape in input_shape]
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        """Return the combination of a list of arrays, whose masks may be in a list."""
        _check_several(self.name, [each.shape for each in inputs])
        masks = mask if isinstance(mask, list | tuple) else [mask] * len(inputs)
        ndim = max(each.ndim for each in inputs)
        arrays = [_of_axes(each, ndim) for each in inputs]
        return self.merge(
            arrays,
            [
                _beside(m, array) if each.ndim == ndim else None
                for m, each, array in zip(masks, inputs, arrays, strict=True)
            ],
        )

    def merge(self, arrays: list[Any], masks: list[Any]) -> Tensor:
        """Return arrays of equally many axes as one; masks can be stretched to them, or None."""
        result: Tensor = functools.reduce(type(self).combine, arrays)
        return result

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape that all inputs are stretched to."""
        ndim = max(len(shape) for shape in input_shape)
        shapes = [_shape_of_axes(shape, ndim) for shape in input_shape]
        return functools.reduce(functools.partial(_stretched, self.name), shapes)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return where any input has a step; None where an input has no mask."""
        masks = previous_mask if isinstance(previous_mask, list | tuple) else [previous_mask]
        if any(mask is None for mask in masks):
            return None
        return functools.reduce(np.logical_or, masks)


class Add(Merge):
    """The sum of inputs."""

    combine = staticmethod(ops.add)


class Subtract(Merge):
    """The first of two inputs less the second."""

    combine = staticmethod(ops.subtract)

    def build(self, input_shape: Any) -> None:
        """Check that there are two inputs that fit."""
        super().build(input_shape)
        if len(input_shape) != 2:
            raise ValueError(f"{self.name}: expected 2 inputs, got {len(input_shape)}")


class Multiply(Merge):
    """The product of inputs; masked steps of one count as 1, and give 0 where all are masked."""

    combine = staticmethod(ops.multiply)

    def merge(self, arrays: list[Any], masks: list[Any]) -> Tensor:
        """Return the product."""
        factors = [
            x if there is None else ops.where(there, x, ops.ones_like(x))
            for x, there in zip(arrays, masks, strict=True)
        ]
        product = super().merge(factors, masks)
        if any(there is None for there in masks):
            return product
        there = functools.reduce(np.logical_or, masks)
        result: Tensor = ops.where(there, product, ops.zeros_like(product))
        return result


class _Extreme(Merge):
    """The largest or the smallest, of two steps of which one is masked the other."""

    def merge(self, arrays: list[Any], masks: list[Any]) -> Tensor:
        """Return the extreme of arrays; from one without a mask on, none is hidden."""
        result, there = arrays[0], masks[0]
        for x, is_there in zip(arrays[1:], masks[1:], strict=True):
            if is_there is not None:
                x = ops.where(is_there, x, result)
            if there is not None:
                result = ops.where(there, result, x)
            there = None if there is None or is_there is None else there | is_there
            result = type(self).combine(result, x)
        return result  # type: ignore[no-any-return]


class Maximum(_Extreme):
    """The largest of inputs; a masked step is not compared with one that is there."""

    combine = staticmethod(ops.maximum)


class Minimum(_Extreme):
    """The smallest of inputs; a masked step is not compared with one that is there."""

    combine = staticmethod(ops.minimum)


class Average(Merge):
    """The mean of inputs."""

    combine = staticmethod(ops.add)

    def merge(self, arrays: list[Any], masks: list[Any]) -> Tensor:
        """Return the mean."""
        return ops.multiply(super().merge(arrays, masks), 1 / len(arrays))


class Concatenate(Layer):
    """Inputs one after the other along an axis.

    Parameters
    ----------
    axis : int
    """

    supports_masking = True

    def __init__(self, axis: int = -1, **options: Any) -> None:
        super().__init__(**options)
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        """Check that there are several inputs that fit."""
        _check_several(self.name, input_shape)
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Tensor:
        """Return a list of arrays as one."""
        _check_several(self.name, [each.shape for each in inputs])
        return ops.concatenate(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with the sum of lengths in the axis."""
        first = list(input_shape[0])
        ndim = len(first)
        axis = self.axis % ndim
        lengths = [shape[axis] for shape in input_shape if len(shape) == ndim]
        for shape in input_shape:
            fits = len(shape) == ndim and all(
                a == b or None in (a, b) or place == axis
                for place, (a, b) in enumerate(zip(first, shape, strict=True))
            )
            if not fits:
                raise ValueError(
                    f"{self.name}: expected shapes that differ in axis {self.axis} only, "
                    f"got {', '.join(map(str, input_shape))}"
                )
        first[axis] = None if None in lengths else sum(lengths)
        return tuple(first)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the masks one after the other as the inputs; along features, where any is true."""
        if not isinstance(previous_mask, list | tuple):
            return None
        masks = [
            np.ones(each.shape[:2], bool) if mask is None else mask
            for each, mask in zip(inputs, previous_mask, strict=True)
        ]
        axis = self.axis % inputs[0].ndim
        if axis < 2:
            return np.concatenate(masks, axis=axis)
        return functools.reduce(np.logical_or, masks)


def add(inputs: Any, **options: Any) -> Any:
    """Return the sum of inputs (B, ...), by a new `Add` layer."""
    return Add(**options)(inputs)


def subtract(inputs: Any, **options: Any) -> Any:
    """Return the first less the second of inputs (B, ...), by a new `Subtract` layer."""
    return Subtract(**options)(inputs)


def multiply(inputs: Any, **options: Any) -> Any:
    """Return the product of inputs (B, ...), by a new `Multiply` layer."""
    return Multiply(**options)(inputs)


def average(inputs: Any, **options: Any) -> Any:
    """Return the mean of inputs (B, ...), by a new `Average` layer."""
    return Average(**options)(inputs)


def maximum(inputs: Any, **options: Any) -> Any:
    """Return the largest of inputs (B, ...), by a new `Maximum` layer."""
    return Maximum(**options)(inputs)


def minimum(inputs: Any, **options: Any) -> Any:
    """Return the smallest of inputs (B, ...), by a new `Minimum` layer."""
    return Minimum(**options)(inputs)


def concatenate(inputs: Any, axis: int = -1, **options: Any) -> Any:
    """Return inputs (B, ...) one after the other along an axis, by a new `Concatenate` layer."""
    return Concatenate(axis, **options)(inputs)


def _check_several(name: str, shapes: Any) -> None:
    is_several = isinstance(shapes, list | tuple) and len(shapes) > 0
    if not is_several or not all(isinstance(shape, list | tuple) for shape in shapes):
        raise ValueError(f"{name}: expected a list of inputs, got shape {shapes}")


def _shape_of_axes(shape: Any, ndim: int) -> tuple[int | None, ...]:
    """Return a shape with axes of length 1 after the batch, to have so many."""
    return (*shape[:1], *(1,) * (ndim - len(shape)), *shape[1:])


def _of_axes(x: Any, ndim: int) -> Any:
    """Return an array with axes of length 1 after the batch, to have so many."""
    return x if x.ndim == ndim else ops.reshape(x, _shape_of_axes(x.shape, ndim))


def _beside(mask: Any, x: Any) -> Array | None:
    """Return a mask of the first axes of `x` in a shape that can be stretched to it."""
    return None if mask is None else mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim))


def _stretched(name: str, one: Any, other: Any) -> tuple[int | None, ...]:
    """Return the shape that arrays of two shapes are stretched to; None stands for any length."""
    ndim = max(len(one), len(other))
    pairs = zip(*((1,) * (ndim - len(s)) + tuple(s) for s in (one, other)), strict=True)
    lengths: list[int | None] = []
    for a, b in pairs:
        if a != b and 1 not in (a, b) and None not in (a, b):
            raise ValueError(f"{name}: expected shapes that fit together, got {one} and {other}")
        lengths.append(b if a == 1 else a if b == 1 else a if b is None else b)
    return tuple(lengths)
