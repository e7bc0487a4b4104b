"""Sums of products of two inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import ops
from fastrnn.layers.checks import flag
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor


class Dot(Layer):
    """The products of two inputs (B, ...), summed over an axis of each.

    Parameters
    ----------
    axes : int or pair of ints
        The axis, counted with the batch; or that of the first and that of the second input.
    normalize : bool
        Give both length 1 along their axes first, so that the results are cosines.
    """

    supports_masking = True

    def __init__(self, axes: Any, normalize: bool = False, **options: Any) -> None:
        super().__init__(**options)
        is_pair = isinstance(axes, list | tuple) and len(axes) == 2
        if not all(isinstance(axis, int) for axis in (axes if is_pair else [axes])):
            raise ValueError(f"axes: expected an int or two of them, got {axes!r}")
        self.axes = tuple(axes) if is_pair else axes
        self.normalize = flag("normalize", normalize)

    def build(self, input_shape: Any) -> None:
        """Check that there are two inputs that fit."""
        self._places(input_shape)

    def call(self, inputs: Any) -> Tensor:
        """Return the sums for a list of two arrays: (B, ...), or (B, 1) where no axis is left."""
        x, y = inputs
        first, second = self._places([x.shape, y.shape])
        if self.normalize:
            x, y = _of_length_one(x, first), _of_length_one(y, second)
        shape = self.compute_output_shape([x.shape, y.shape])
        rows, columns = (ops.moveaxis(x, first, -1), ops.moveaxis(y, second, 1))
        batch, length = x.shape[0], x.shape[first]
        product = ops.matmul(
            ops.reshape(rows, (batch, -1, length)), ops.reshape(columns, (batch, length, -1))
        )
        return ops.reshape(product, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the batch, then the other axes of both."""
        first, second = self._places(input_shape)
        one, other = (tuple(shape) for shape in input_shape)
        rest = (*one[1:first], *one[first + 1 :], *other[1:second], *other[second + 1 :])
        return (one[0], *(rest or (1,)))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None: the axis of steps may be any, or gone."""

    def _places(self, shapes: Any) -> tuple[int, int]:
        """Return both axes, counted from 0."""
        is_pair = isinstance(shapes, list | tuple) and len(shapes) == 2
        if not is_pair or not all(isinstance(s, list | tuple) and len(s) > 1 for s in shapes):
            raise ValueError(f"{self.name}: expected 2 inputs (B, ...), got shape {shapes}")
        axes = self.axes if isinstance(self.axes, tuple) else (self.axes, self.axes)
        for axis, shape in zip(axes, shapes, strict=True):
            if axis % len(shape) == 0 or not -len(shape) <= axis < len(shape):
                raise ValueError(
                    f"{self.name}: expected inputs with the axes {self.axes} after the batch, "
                    f"got {', '.join(map(str, shapes))}"
                )
        first, second = (axis % len(shape) for axis, shape in zip(axes, shapes, strict=True))
        lengths = {shapes[0][first], shapes[1][second]} - {None}
        if len(lengths) > 1 or len({shapes[0][0], shapes[1][0]} - {None}) > 1:
            raise ValueError(
                f"{self.name}: expected shapes of equal lengths in the batch and in the axes "
                f"{self.axes}, got {', '.join(map(str, shapes))}"
            )
        return first, second


def dot(inputs: Any, axes: Any = -1, **options: Any) -> Any:
    """Return the products of two inputs (B, ...), summed over axes, by a new `Dot` layer."""
    return Dot(axes, **options)(inputs)


def _of_length_one(x: Any, axis: int) -> Any:
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, np.asarray(1e-12, x.dtype))))
