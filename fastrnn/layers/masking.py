"""Padding that is told by its values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.layer import Layer


class Masking(Layer):
    """Mask the steps of (B, T, I) whose features all are one value; they become 0.

    Parameters
    ----------
    mask_value : float
    """

    supports_masking = True

    def __init__(self, mask_value: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.mask_value = float(mask_value)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return `inputs` (B, T, I) with 0 in masked steps."""
        x = as_floats(inputs, self.dtype)
        mask = self.compute_mask(x)
        return x if mask.all() else ops.multiply(x, mask[..., None].astype(x.dtype))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> NDArray[np.bool_]:
        """Return which steps (B, T) have another value."""
        mask: NDArray[np.bool_] = (np.asarray(inputs) != self.mask_value).any(axis=-1)
        return mask

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)
