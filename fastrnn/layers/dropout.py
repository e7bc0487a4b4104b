"""Random zeros while training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.checks import share
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.random import next_seed
from fastrnn.tape import Tensor, record

Array = NDArray[Any]


class Dropout(Layer):
    """Set a random share of the inputs to zero and scale the rest up, while training.

    N. Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR
    2014.

    Parameters
    ----------
    rate : float
        The share, in [0, 1).
    noise_shape : tuple, optional
        Shape of the mask: 1 where it is the same along an axis, None for the input's length.
    seed : int, optional
        The next of the process-wide sequence if not given.
    stream : int
        Tells masks of layers of the same seed apart.

    Attributes
    ----------
    step : int
        Counts the calls while training; with the seed and `stream` it determines the mask.
    """

    supports_masking = True

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        stream: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.rate = share("rate", rate)
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.seed = seed
        self.stream = stream
        self.step = 0
        self._seed = next_seed() if seed is None else seed
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return `inputs` (...) with a share of it zero, or as it is when not training."""
        if not training or self.rate == 0:
            return inputs
        x = as_floats(inputs, self.dtype)
        y, backward = self._dropped(x.value)
        output = Tensor(y)
        record([x], [output], backward, repeatable=True)
        return output

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call does; see `Layer`."""
        return self._calls_as(Dropout)

    def on_arrays(self, x: Any, wants_dx: bool) -> Any:
        """Do what `call` does in training; see `Layer`."""
        if self.rate == 0:
            return x, [], lambda dy: [dy]
        y, backward = self._dropped(x)
        return y, [], backward

    def _dropped(self, x: Array) -> tuple[Array, Callable[[Array], list[Array]]]:
        """Return x (...) with a share of it zero, and what makes its gradient, in a list."""
        key = (self._seed, self.stream, self.step)
        self.step += 1
        shape = self._mask_shape(x.shape)
        if shape is not None:
            mask = functional.dropout_factors(shape, x.dtype, self.rate, key)
            return x * mask, lambda dy: [dy * mask]
        # Masks follow memory order, so that time-major data seen batch-major is not copied.
        order = np.argsort([-stride for stride in x.strides], kind="stable")
        back = np.argsort(order)
        y, backward = functional.dropout(x.transpose(order), self.rate, key)
        return y.transpose(back), lambda dy: [backward(dy.transpose(order)).transpose(back)]

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """Return the mask's shape, or None where it is the input's."""
        if self.noise_shape is None:
            return None
        if len(self.noise_shape) != len(shape):
            raise ValueError(
                f"{self.name}: expected an input of {len(self.noise_shape)} axes as noise_shape, "
                f"got {shape}"
            )
        pairs = zip(self.noise_shape, shape, strict=True)
        return tuple(length if noise is None else noise for noise, length in pairs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)


class SpatialDropout1D(Dropout):
    """Set a random share of the features of a sequence (B, T, I) to zero in all of its steps.

    J. Tompson et al., Efficient object localization using convolutional networks, CVPR 2015.

    Parameters
    ----------
    rate : float
        The share, in [0, 1).
    seed : int, optional
        The next of the process-wide sequence if not given.
    """

    def __init__(self, rate: float, seed: int | None = None, **options: Any) -> None:
        super().__init__(rate, seed=seed, **options)
        self.input_spec = InputSpec(ndim=3)

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        return (shape[0], 1, shape[2])
