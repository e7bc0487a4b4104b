"""The same numbers in another shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrnn import ops
from fastrnn.layers.checks import positive
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor


class _Shaping(Layer):
    """What these layers have in common: numbers keep their dtype."""

    def output_dtype(self, dtypes: set[np.dtype[Any]]) -> np.dtype[Any]:
        """Return the dtype of the input."""
        return next(iter(dtypes))


class Flatten(_Shaping):
    """All axes but the batch as one.

    Parameters
    ----------
    data_format : "channels_last" or "channels_first", optional
        Under "channels_first" the second axis is made the last one before.
    """

    def __init__(self, data_format: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                f'data_format: expected "channels_last" or "channels_first", got {data_format!r}'
            )
        self.data_format = data_format
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        """Return `inputs` (B, ...) as (B, N)."""
        if self.data_format == "channels_first" and inputs.ndim > 1:
            inputs = ops.moveaxis(inputs, 1, -1)
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (B, N)."""
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))


class Reshape(_Shaping):
    """Other axes after the batch.

    Parameters
    ----------
    target_shape : sequence of ints
        Without the batch; -1 at most once, for what remains.
    """

    def __init__(self, target_shape: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        target = tuple(int(length) for length in target_shape)
        if target.count(-1) > 1 or any(length < -1 for length in target):
            raise ValueError(f"target_shape: expected lengths and at most one -1, got {target}")
        self.target_shape = target
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        """Return `inputs` (B, ...) as (B, *target_shape)."""
        return ops.reshape(inputs, self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (B, *target_shape), with a length in the place of -1."""
        batch, *rest = input_shape
        known = math.prod(length for length in self.target_shape if length != -1)
        if None in rest:
            return (batch, *(None if length == -1 else length for length in self.target_shape))
        size = math.prod(rest)
        if size % max(known, 1) or (-1 not in self.target_shape and size != known):
            raise ValueError(
                f"{self.name}: expected an input that fits (batch, "
                f"{', '.join(map(str, self.target_shape))}), got {tuple(input_shape)}"
            )
        left = size // max(known, 1)
        return (batch, *(left if length == -1 else length for length in self.target_shape))


class Permute(_Shaping):
    """Axes after the batch in another order.

    Parameters
    ----------
    dims : sequence of ints
        Which axis comes first, second, ...; they count from 1.
    """

    def __init__(self, dims: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.dims = tuple(int(axis) for axis in dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"dims: expected 1..{len(self.dims)} in some order, got {dims!r}")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        """Return `inputs` (B, ...) with its axes in the order `dims`."""
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape in that order."""
        return (input_shape[0], *(input_shape[axis] for axis in self.dims))


class RepeatVector(_Shaping):
    """A vector at every one of n steps.

    Parameters
    ----------
    n : int
    """

    def __init__(self, n: int, **options: Any) -> None:
        super().__init__(**options)
        self.n = positive("n", n)
        self.input_spec = InputSpec(ndim=2)
        self.built = True

    def call(self, inputs: Any) -> Tensor:
        """Return `inputs` (B, I) as (B, n, I)."""
        batch, features = inputs.shape
        return ops.broadcast_to(ops.expand_dims(inputs, 1), (batch, self.n, features))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return (B, n, I)."""
        batch, features = input_shape
        return (batch, self.n, features)
