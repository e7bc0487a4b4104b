"""An activation function as a layer."""

from __future__ import annotations

from typing import Any

from fastrnn import activations
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.layer import Layer


class Activation(Layer):
    """Apply an activation function to each number.

    Parameters
    ----------
    activation : str or callable
        A name of `fastrnn.activations`, or a function of a Tensor.
    """

    supports_masking = True

    def __init__(self, activation: Any, **options: Any) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the activations of `inputs` (...)."""
        return self.activation(as_floats(inputs, self.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)
