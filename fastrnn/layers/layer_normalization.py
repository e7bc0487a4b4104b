"""Layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.checks import flag
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor, constant, record

Array = NDArray[Any]


class LayerNormalization(Layer):
    """Make the mean of some axes 0 and their variance 1, then scale and shift.

    J. L. Ba, J. R. Kiros and G. E. Hinton, Layer normalization, 2016.

    Parameters
    ----------
    axis : int or sequence of ints
        Axes that are normalised together; gamma and beta have their shape.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether there is a beta; whether there is a gamma.
    beta_..., gamma_...
        What weights start as, and their terms of the loss and constraints.
    """

    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = float(epsilon)
        self.center = flag("center", center)
        self.scale = flag("scale", scale)
        self._choices = {
            "beta": (beta_initializer, beta_regularizer, beta_constraint),
            "gamma": (gamma_initializer, gamma_regularizer, gamma_constraint),
        }
        self.gamma: Any = None
        self.beta: Any = None

    def _axes(self, ndim: int) -> tuple[int, ...]:
        given = [self.axis] if isinstance(self.axis, int) else self.axis
        if not all(-ndim <= axis < ndim for axis in given):
            raise ValueError(f"{self.name}: expected an input with axes {given}, got {ndim} axes")
        return tuple(sorted(axis % ndim for axis in given))

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta for inputs of this shape."""
        axes = self._axes(len(input_shape))
        shape = tuple(input_shape[axis] for axis in axes)
        if None in shape:
            raise ValueError(f"{self.name}: expected lengths in the axes {axes}, got {input_shape}")
        for name, is_wanted in (("gamma", self.scale), ("beta", self.center)):
            if is_wanted:
                start, regularizer, constraint = self._choices[name]
                weight = self.add_weight(
                    name=name, shape=shape, initializer=start, regularizer=regularizer,
                    constraint=constraint,
                )  # fmt: skip
                setattr(self, name, weight)
        self.input_spec = InputSpec(
            ndim=len(input_shape), axes={axis: input_shape[axis] for axis in axes}
        )

    def call(self, inputs: Any) -> Tensor:
        """Return `inputs` (...) normalised."""
        x = as_floats(inputs, self.dtype)
        axes = self._axes(x.ndim)
        y = normalized(x, axes, self.epsilon)
        shape = tuple(length if axis in axes else 1 for axis, length in enumerate(x.shape))
        if self.gamma is not None:
            y = ops.multiply(y, ops.reshape(self.gamma, shape))
        return y if self.beta is None else ops.add(y, ops.reshape(self.beta, shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)


def normalized(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """Return x (...) with mean 0 and variance 1 over `axes`."""
    centered = x.value - x.value.mean(axis=axes, keepdims=True)
    variance = np.square(centered).mean(axis=axes, keepdims=True)
    scale = 1 / np.sqrt(variance + x.dtype.type(epsilon))
    y = centered * scale
    output = constant(y)

    def backward(dy: Array) -> list[Array]:
        along = (dy * y).mean(axis=axes, keepdims=True)
        return [(dy - dy.mean(axis=axes, keepdims=True) - y * along) * scale]

    record([x], [output], backward, repeatable=True)
    return output
