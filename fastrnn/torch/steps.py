"""torch.nn's recurrent cells, which run a single step, with another `forward`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fastrnn.torch import fallback, recurrence
from fastrnn.torch.kind import Kind, gates
from fastrnn.torch.module import Module

_MODES = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}


class Step(Module, nn.RNNCellBase):
    """What RNNCell, LSTMCell and GRUCell have in common.

    A call takes x (B, I) or (I,) and the states (B, H) or (H,), or none for zeros, and returns
    the states after the step.
    """

    def _run(self, input: Any, hx: Any) -> Any:
        """Return the new states; None where something is not as the kernels take it."""
        weights: list[Any] = [self.weight_ih, self.weight_hh]
        if self.bias:
            weights += [self.bias_ih, self.bias_hh]
        states = [] if hx is None else [hx]
        if self._mode == "LSTM" and hx is not None:
            if not isinstance(hx, tuple | list) or len(hx) != 2:
                return None
            states = list(hx)
        tensors = (input, *states, *weights)
        if self._mode is None:
            return None
        if not fallback.takes(tensors) or not self._fits(input, states, weights):
            return None
        if not fallback.pays_off(1, input.numel() // self.input_size, tensors):
            return None
        is_batched = input.dim() == 2
        x = input[None] if is_batched else input[None, None]
        initial = [state[None] if is_batched else state[None, None] for state in states]
        _, *final = recurrence.run(Kind(self._mode, self.bias), x, *weights, *initial)
        states = [state[0] if is_batched else state[0, 0] for state in final]
        return tuple(states) if self._mode == "LSTM" else states[0]

    def _fits(self, x: Tensor, states: list[Tensor], weights: list[Tensor]) -> bool:
        """Return whether all shapes are as they should be."""
        I, H = self.input_size, self.hidden_size
        rows = gates(str(self._mode)) * H
        return (
            x.dim() in (1, 2)
            and x.shape[-1] == I
            and x.numel() > 0
            and all(state.shape == (*x.shape[:-1], H) for state in states)
            and weights[0].shape == (rows, I)
            and weights[1].shape == (rows, H)
            and all(bias.shape == (rows,) for bias in weights[2:])
        )

    @property
    def _mode(self) -> str | None:
        """`Kind.mode`, or None for an activation that torch.nn will not know."""
        raise NotImplementedError


class RNNCell(Step, nn.RNNCell):
    """`torch.nn.RNNCell` on the kernels of fastrnn: same constructor, parameters, results.

    Examples
    --------
    >>> import torch
    >>> RNNCell(4, 5)(torch.zeros(2, 4)).shape
    torch.Size([2, 5])
    """

    STOCK = nn.RNNCell

    @property
    def _mode(self) -> str | None:
        return _MODES.get(self.nonlinearity)


class LSTMCell(Step, nn.LSTMCell):
    """`torch.nn.LSTMCell` on the kernels of fastrnn: same constructor, parameters, results.

    Examples
    --------
    >>> import torch
    >>> h, c = LSTMCell(4, 5)(torch.zeros(2, 4))
    >>> h.shape, c.shape
    (torch.Size([2, 5]), torch.Size([2, 5]))
    """

    STOCK = nn.LSTMCell
    _mode = "LSTM"


class GRUCell(Step, nn.GRUCell):
    """`torch.nn.GRUCell` on the kernels of fastrnn: same constructor, parameters, results.

    Examples
    --------
    >>> import torch
    >>> GRUCell(4, 5)(torch.zeros(4)).shape
    torch.Size([5])
    """

    STOCK = nn.GRUCell
    _mode = "GRU"
