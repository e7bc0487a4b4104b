"""Random zeros while training."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import functional
from fastrnn.layers.layer import Layer, as_tensor
from fastrnn.tape import Tensor, record


class Dropout(Layer):
    """Set a random share of the inputs to zero and scale the rest up, while training.

    Parameters
    ----------
    rate : float
        The share, in [0, 1).

    Attributes
    ----------
    step : int
        Counts the calls while training; with the seed and `stream` it determines the mask.
    """

    def __init__(
        self, rate: float, *, name: str = "dropout", seed: int = 0, stream: int = 0,
        dtype: str = "float32",
    ) -> None:  # fmt: skip
        super().__init__(name=name, seed=seed, dtype=dtype)
        if not 0 <= rate < 1:
            raise ValueError(f"rate: expected a number in [0, 1), got {rate!r}")
        self.rate = float(rate)
        self.step = 0
        self._seed = seed
        self._stream = stream

    def __call__(self, inputs: Any, training: bool = False) -> Tensor:
        """Return `inputs` (...) with a share of it zero, or as it is when not training."""
        x = as_tensor(inputs, self.dtype)
        if not training or self.rate == 0:
            return x
        # Masks follow memory order, so that time-major data seen batch-major is not copied.
        order = np.argsort([-stride for stride in x.value.strides], kind="stable")
        back = np.argsort(order)
        key = (self._seed, self._stream, self.step)
        y, backward = functional.dropout(x.value.transpose(order), self.rate, key)
        self.step += 1
        output = Tensor(y.transpose(back))
        record([x], [output], lambda dy: [backward(dy.transpose(order)).transpose(back)])
        return output
