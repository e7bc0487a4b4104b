"""Layers around layers."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.layers.structure import is_shape


class TimeDistributed(Layer):
    """Apply a layer to every step of sequences (B, T, ...).

    All steps are one batch of B * T to the layer; a mask of more axes than (B, T) is the layer's.

    Parameters
    ----------
    layer : Layer
    """

    supports_masking = True

    def __init__(self, layer: Layer, **options: Any) -> None:
        super().__init__(**options)
        if not isinstance(layer, Layer):
            raise ValueError(f"layer: expected a Layer, got {layer!r}")
        self.layer = layer
        self.input_spec = InputSpec(min_ndim=3)

    def build(self, input_shape: Any) -> None:
        """Make the layer's weights for one step."""
        if not self.layer.built:
            self.layer.build((input_shape[0], *input_shape[2:]))
            self.layer.built = True

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Return the layer's outputs (B, T, ...) of all steps of `inputs` (B, T, ...)."""
        value = inputs.value
        # Rows in the order of memory: time-major memory seen batch-major is not copied.
        is_time_major = value.strides[1] > value.strides[0]
        x = ops.swapaxes(inputs, 0, 1) if is_time_major else inputs
        outer = x.shape[:2]
        steps = ops.reshape(x, (-1, *x.shape[2:]))
        if mask is not None and mask.ndim > 2 and self._takes_mask:
            steps.mask = _flat(mask.swapaxes(0, 1) if is_time_major else mask)
        y = self.layer(steps, training=training)
        if not hasattr(y, "shape"):
            raise ValueError(f"{self.name}: expected a layer of one output, got {type(y).__name__}")
        y = ops.reshape(y, (*outer, *y.shape[1:]))
        return ops.swapaxes(y, 0, 1) if is_time_major else y

    @property
    def _takes_mask(self) -> bool:
        return "mask" in inspect.signature(self.layer.call).parameters

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask; that of a layer which ends its own steps, where any of them was."""
        if previous_mask is None or previous_mask.ndim == 2:
            return previous_mask
        goes_on = self.layer.supports_masking and (
            self.layer.compute_mask(inputs, _flat(previous_mask)) is not None
        )
        axes = tuple(range(2, previous_mask.ndim))
        return previous_mask if goes_on else previous_mask.any(axis=axes)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the layer's output shape with the steps."""
        batch, steps, *rest = input_shape
        shape = self.layer.compute_output_shape((batch, *rest))
        if not is_shape(shape):
            raise ValueError(f"{self.name}: expected a layer of one output, got {shape}")
        return (batch, steps, *shape[1:])


def _flat(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask (B, T, ...) of one batch of B * T."""
    return mask.reshape(-1, *mask.shape[2:])
