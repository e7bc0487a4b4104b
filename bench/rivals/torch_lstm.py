"""An LSTM layer of torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float32]


class TorchLSTM:
    """torch.nn.LSTM with given weights.

    W (I, 4H), R (H, 4H), b (4H,) as in `fastrnn.functional.rnn`; x (T, B, I), dy (T, B, H).
    """

    def __init__(self, x: Array, dy: Array, W: Array, R: Array, b: Array) -> None:
        self.layer = torch.nn.LSTM(W.shape[0], R.shape[0])
        weights = {"weight_ih_l0": W.T, "weight_hh_l0": R.T, "bias_ih_l0": b, "bias_hh_l0": 0 * b}
        self.layer.load_state_dict({n: torch.tensor(w.copy()) for n, w in weights.items()})
        self._x = torch.tensor(x, requires_grad=True)
        self._dy = torch.tensor(dy)

    def forward(self) -> torch.Tensor:
        """Return y (T, B, H), keeping nothing."""
        with torch.inference_mode():
            y: torch.Tensor = self.layer(self._x)[0]
        return y

    def train(self) -> dict[str, torch.Tensor]:
        """Return y and the gradients of everything, from fresh gradients."""
        self.layer.zero_grad(set_to_none=True)
        self._x.grad = None
        y = self.layer(self._x)[0]
        y.backward(self._dy)
        layer = self.layer
        return {
            "y": y.detach(),
            "dx": self._x.grad,
            "dW": layer.weight_ih_l0.grad.T,
            "dR": layer.weight_hh_l0.grad.T,
            "db": layer.bias_ih_l0.grad,
        }
