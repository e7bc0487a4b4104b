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

    Called on a list of arrays (...) of shapes that can be stretched to each other.
    """

    supports_masking = True
    #: What makes one of two.
    combine: Callable[[Any, Any], Tensor]

    def build(self, input_shape: Any) -> None:
        """Check that there are several inputs that fit."""
        _check_several(self.name, input_shape)
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Tensor:
        """Return the combination of a list of arrays."""
        _check_several(self.name, [each.shape for each in inputs])
        result: Tensor = functools.reduce(type(self).combine, inputs)
        return result

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape that all inputs are stretched to."""
        return functools.reduce(functools.partial(_stretched, self.name), input_shape)

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
    """The product of inputs."""

    combine = staticmethod(ops.multiply)


class Maximum(Merge):
    """The largest of inputs."""

    combine = staticmethod(ops.maximum)


class Minimum(Merge):
    """The smallest of inputs."""

    combine = staticmethod(ops.minimum)


class Average(Merge):
    """The mean of inputs."""

    combine = staticmethod(ops.add)

    def call(self, inputs: Any) -> Tensor:
        """Return the mean of a list of arrays."""
        return ops.multiply(super().call(inputs), 1 / len(inputs))


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


def _check_several(name: str, shapes: Any) -> None:
    is_several = isinstance(shapes, list | tuple) and len(shapes) > 1
    if not is_several or not all(isinstance(shape, list | tuple) for shape in shapes):
        raise ValueError(f"{name}: expected a list of at least 2 inputs, got shape {shapes}")


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
