"""A fully connected layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import functional
from fastrnn.layers.layer import Layer, as_tensor, positive
from fastrnn.tape import Tensor, record


class Dense(Layer):
    """y = x @ kernel + bias.

    Parameters
    ----------
    units : int
        Length of a row of y.
    input_dim : int
        Length of a row of x.
    """

    def __init__(self, units: int, input_dim: int, *, name: str = "dense", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.units = positive("units", units)
        shape = (positive("input_dim", input_dim), units)
        self.kernel = self._add_weight("kernel", shape, "glorot_uniform")
        self.bias = self._add_weight("bias", (units,), "zeros")

    def __call__(self, inputs: Any) -> Tensor:
        """Return the products (..., units) of rows (..., input_dim)."""
        x = as_tensor(inputs, self.dtype)
        y, backward = functional.linear(x.value, self.kernel.value, self.bias.value)
        output = Tensor(y)
        record([x, self.kernel, self.bias], [output], backward)
        return output

    def cross_entropy(self, inputs: Any, targets: Any, *, training: bool) -> Tensor:
        """Return the mean softmax cross entropy of this layer's products, a scalar, in nats.

        inputs (..., input_dim), targets (...) integers in 0..units-1.  Cheaper than the layer
        and the loss one after the other: there is one buffer of logits.
        """
        x = as_tensor(inputs, self.dtype)
        loss, backward = functional.cross_entropy(
            x.value, self.kernel.value, self.bias.value, targets, training=training
        )
        output = Tensor(np.float64(loss)[...])
        record([x, self.kernel, self.bias], [output], lambda d: backward(float(d)))
        return output
