"""A fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import activations, functional
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.checks import flag, positive
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor, record

Array = NDArray[Any]


class Dense(Layer):
    """y = activation(x kernel + bias).

    Parameters
    ----------
    units : int
        Length of a row of y.
    activation : str or callable, optional
        A name of `fastrnn.activations`, or a function of a Tensor.
    use_bias : bool
    kernel_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    activity_regularizer : callable or str, optional
        Its value on the output is a term of the loss.
    """

    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **options)
        self.units = positive("units", units)
        self.activation = activations.get(activation)
        self.use_bias = flag("use_bias", use_bias)
        self._choices = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }
        self.kernel: Any = None
        self.bias: Any = None
        self.input_spec = InputSpec(min_ndim=1)

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs (..., I)."""
        features = input_shape[-1]
        if features is None:
            raise ValueError(f"{self.name}: expected a length in the last axis, got {input_shape}")
        self.kernel = self._weight("kernel", (features, self.units))
        if self.use_bias:
            self.bias = self._weight("bias", (self.units,))
        self.input_spec = InputSpec(min_ndim=1, axes={-1: features})

    def _weight(self, name: str, shape: tuple[int, ...]) -> Any:
        initializer, regularizer, constraint = self._choices[name]
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, regularizer=regularizer,
            constraint=constraint,
        )  # fmt: skip

    @property
    def _own_weights(self) -> list[Any]:
        return [self.kernel] if self.bias is None else [self.kernel, self.bias]

    def call(self, inputs: Any) -> Tensor:
        """Return the products (..., units) of rows (..., I)."""
        x = as_floats(inputs, self.dtype)
        y, backward = self._products(x.value)
        output = Tensor(y)
        record([x, *self._own_weights], [output], backward)
        result: Tensor = self.activation(output)
        return result

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call does; see `Layer`."""
        return self._calls_as(Dense) and activations.on_arrays(self.activation) is not None

    def on_arrays(self, x: Any, wants_dx: bool) -> Any:
        """Do what `call` does in training; see `Layer`."""
        products, backward = self._products(x)
        y, pull = activations.on_arrays(self.activation)(products)
        return y, self._own_weights, lambda dy: backward(pull(dy))

    def _products(self, x: Array) -> tuple[Array, Callable[[Array], list[Any]]]:
        """Return x kernel + bias, and what makes gradients of x and of all weights of its own."""
        bias = None if self.bias is None else self.bias.value
        y, backward = functional.linear(x, self.kernel.value, bias)
        return y, lambda dy: list(backward(dy)[: 2 if bias is None else 3])

    def cross_entropy(self, inputs: Any, targets: Any, *, training: bool) -> Tensor:
        """Return the mean softmax cross entropy of this layer's products, a scalar, in nats.

        inputs (..., I), targets (...) integers in 0..units-1.  Cheaper than the layer and the
        loss one after the other: there is one buffer of logits.  The activation is not applied.
        """
        x = as_floats(inputs, self.dtype)
        if not self.built:
            self.build(x.shape)
        bias = None if self.bias is None else self.bias.value
        loss, backward = functional.cross_entropy(
            x.value, self.kernel.value, bias, targets, training=training
        )
        output = Tensor(np.float64(loss)[...])
        sources = [x, *self._own_weights]
        record(sources, [output], lambda d: list(backward(float(d)))[: len(sources)])
        return output

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with `units` at its end."""
        return (*input_shape[:-1], self.units)
