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

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call does; see `Layer`."""
        return self._calls_as(Activation) and activations.on_arrays(self.activation) is not None

    def on_arrays(self, x: Any, wants_dx: bool) -> Any:
        """Do what `call` does in training; see `Layer`."""
        y, pull = activations.on_arrays(self.activation)(x)
        return y, [], lambda dy: [pull(dy)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)
