"""What runs the cell of a recurrent layer of Keras over all steps, on our kernels."""

from __future__ import annotations

from typing import Any

import torch
from keras import activations, ops
from torch import Tensor

from fastrnn.torch import fallback, recurrence
from fastrnn.torch.kind import Kind


def why_not(layer: Any) -> str | None:
    """Return why a layer stays with Keras, None if it need not."""
    cell = layer.cell
    if not cell.built:
        return "it is not built"
    if _mode(layer) is None:
        return "its activations, or its reset gate before the product, are not torch.nn's"
    return None


def _mode(layer: Any) -> str | None:
    """Return `Kind.mode`, None if there is none for the layer's formula."""
    cell = layer.cell
    match type(layer).__name__:
        case "LSTM" | "GRU" as mode:
            is_stock = (
                cell.activation is activations.tanh
                and cell.recurrent_activation is activations.sigmoid
                and getattr(cell, "reset_after", True)
            )
            return mode if is_stock else None
        case _:
            modes = {activations.tanh: "RNN_TANH", activations.relu: "RNN_RELU"}
            return modes.get(cell.activation)


class Loop:
    """Stands in for the method `inner_loop` of one layer.

    Parameters
    ----------
    layer : keras.layers.LSTM, GRU or SimpleRNN
        Whose weights are read at every call, and share their memory with the kernels.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def __call__(
        self, sequences: Any, initial_state: Any, mask: Any = None, training: bool = False
    ) -> Any:
        """Run over sequences.

        Parameters
        ----------
        sequences : (B, T, I) tensor
        initial_state : list of (B, H) tensors
        mask : (B, T) bools, optional
        training : bool

        Returns
        -------
        tuple
            The last output (B, H), all outputs (B, T, H) and the list of final states.  Those of
            Keras' own method where tensors or the mask are not as the kernels take them.
        """
        layer = self.layer
        result = None
        if not torch.compiler.is_compiling() and not fallback.is_watched():
            result = self._run(sequences, initial_state, mask, training)
        if result is None:
            loop = type(layer).inner_loop
            return loop(layer, sequences, initial_state, mask=mask, training=training)
        return result

    def _run(self, sequences: Any, initial_state: Any, mask: Any, training: bool) -> Any:
        """Return the results, None where something does not fit."""
        layer = self.layer
        cell = layer.cell
        mode = _mode(layer)
        if mode is None or not isinstance(sequences, Tensor) or sequences.numel() == 0:
            return None
        if training and cell.recurrent_dropout:
            return None
        states = list(initial_state) if isinstance(initial_state, list | tuple) else [initial_state]
        if layer.stateful:
            states = [ops.copy(state) for state in states]  # Keras writes there before backward
        weights = [ops.convert_to_tensor(v) for v in (cell.kernel, cell.recurrent_kernel)]
        bias = None if cell.bias is None else ops.convert_to_tensor(cell.bias)
        tensors = [sequences, *states, *weights, *([] if bias is None else [bias])]
        if not fallback.takes(tensors):
            return None
        steps = None
        if mask is not None:
            steps = _Steps.of(mask[0] if isinstance(mask, list | tuple) else mask)
            if steps is None:
                return None
        if training and cell.dropout:
            sequences = sequences * cell.get_dropout_mask(sequences[:, 0, :])[:, None]
        x = sequences.transpose(0, 1)
        if layer.go_backwards:
            x = x.flip(0) if steps is None else steps.turned(x)
        kind = Kind(
            mode, bias is not None, 1, None if steps is None else steps.lengths.numpy()
        )  # fmt: skip
        y, *finals = recurrence.run(
            kind, x, *_weights(mode, weights, bias), *(state[None] for state in states)
        )
        if steps is not None:
            y = steps.held(y, finals[0][0], layer.go_backwards, layer.zero_output_for_mask)
        return y[-1], y.transpose(0, 1), [state[0] for state in finals]


class _Steps:
    """Which steps of sequences there are: the first ones of each.

    lengths   (B,) int64
    T         steps of all
    """

    def __init__(self, lengths: Tensor, T: int) -> None:
        self.lengths = lengths
        self.T = T

    @classmethod
    def of(cls, mask: Any) -> _Steps | None:
        """Return the steps of a mask (B, T); None if it has holes or a row without steps."""
        if not isinstance(mask, Tensor) or not mask.is_cpu or mask.dim() != 2:
            return None
        is_there = mask.detach().to(torch.bool)
        lengths = is_there.sum(1)
        T = is_there.shape[1]
        fits = (is_there == (torch.arange(T) < lengths[:, None])).all() and (lengths > 0).all()
        return cls(lengths, T) if fits else None

    def turned(self, x: Tensor) -> Tensor:
        """Return x (T, B, I) with the steps that there are from the last to the first."""
        order = (self.lengths - 1 - torch.arange(self.T)[:, None]).clamp(min=0)
        return x.gather(0, order[..., None].expand_as(x))

    def held(self, y: Tensor, last: Tensor, is_turned: bool, is_zero: bool) -> Tensor:
        """Return y (T, B, H) as Keras has it.

        In the order of the input, each row ends with its last output (B, H), or zeros.  Backwards,
        it begins with zeros.
        """
        time = torch.arange(self.T)[:, None]
        if is_turned:
            begin = self.T - self.lengths
            moved = y.gather(0, (time - begin).clamp(min=0)[..., None].expand_as(y))
            return torch.where((time >= begin)[..., None], moved, 0.0)
        if is_zero:
            return y
        return torch.where((time < self.lengths)[..., None], y, last)


def _weights(mode: str, weights: list[Tensor], bias: Tensor | None) -> list[Tensor]:
    """Return w_ih, w_hh, b_ih and b_hh in torch's layout; LSTM's i f c o is torch's order."""
    W, R = weights
    biases: list[Tensor] = []
    if bias is not None:
        both = bias if bias.dim() == 2 else torch.stack([bias, torch.zeros_like(bias)])
        biases = list((_swapped(both) if mode == "GRU" else both).unbind())
    if mode == "GRU":
        W, R = _swapped(W), _swapped(R)
    return [W.T, R.T, *biases]


def _swapped(columns: Tensor) -> Tensor:
    """Return gates z r h as r z h."""
    z, r, h = columns.chunk(3, -1)
    return torch.cat([r, z, h], -1)
