"""torch.nn's recurrent layers with another `forward`."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fastrnn.torch import fallback, packing, ready, recurrence
from fastrnn.torch.dropout import dropout
from fastrnn.torch.kind import Kind, gates, is_lstm
from fastrnn.torch.module import Module

# What a module computes, and how a tensor lies in memory besides its strides.
_SIZES = attrgetter(
    "mode", "input_size", "hidden_size", "proj_size", "num_layers", "bias", "bidirectional"
)
_GEOMETRY = attrgetter("dtype", "shape", "layout", "is_cpu")

Tensors = list[Tensor]
Shapes = tuple[tuple[int, ...], ...]


class Layers(Module, nn.RNNBase):
    """What RNN, LSTM and GRU have in common.

    A call takes x (T, B, I), with `batch_first` (B, T, I), unbatched (T, I), or packed; and the
    initial states (layers * D, B, S or H), unbatched (layers * D, S or H), or none for zeros.  It
    returns h of the last layer after every step, D * S features in the form of x, and the final
    states.
    """

    def _run(self, input: Any, hx: Any) -> Any:
        """Return the results; None where something is not as the kernels take it."""
        states = self._states(hx)
        if states is None:
            return None
        if isinstance(input, PackedSequence):
            return self._run_packed(input, states)
        is_batched = isinstance(input, Tensor) and input.dim() == 3
        if is_batched:
            x = input.transpose(0, 1) if self.batch_first else input
        elif isinstance(input, Tensor) and input.dim() == 2 and all(map(Tensor.dim, states)):
            x, states = input.unsqueeze(1), [state.unsqueeze(1) for state in states]
        else:
            return None
        results = self._run_layers(x, states, None)
        if results is None:
            return None
        y, states = results
        if not is_batched:
            y, states = y.squeeze(1), [state.squeeze(1) for state in states]
        elif self.batch_first:
            y = y.transpose(0, 1)
        return y, self._hidden(states)

    def _run_packed(self, input: PackedSequence, states: Tensors) -> Any:
        """Return the results for packed sequences, or None."""
        rows, batch_sizes, order, order_back = input
        layout = packing.layout_of(batch_sizes, len(rows)) if rows.dim() == 2 else None
        if layout is None:
            return None
        if order is not None:
            states = [state.index_select(1, order) for state in states]
        results = self._run_layers(rows, states, layout)
        if results is None:
            return None
        y, states = results
        if order_back is not None:
            states = [state.index_select(1, order_back) for state in states]
        return PackedSequence(y, batch_sizes, order, order_back), self._hidden(states)

    def _run_layers(
        self, x: Tensor, states: Tensors, layout: packing.Layout | None
    ) -> tuple[Tensor, Tensors] | None:
        """Return y and the final states, or None.

        x (T, B, I) or packed rows (N, I), as y; states (layers * D, B, S or H), [] for zeros.
        """
        is_flat = layout is not None and not layout.is_even
        if layout is not None and not is_flat:
            x = x.reshape(layout.T, layout.B, -1)
        weights = self._weights()
        tensors = (x, *states, *weights)
        if not fallback.are_plain(tensors):
            return None
        is_neg = True in map(Tensor.is_neg, tensors)
        # What is to be read as another number than is there has to be copied.
        is_copied = is_flat or is_neg
        # Of unequal sequences any number of rows will do.
        flat_B = layout.B if layout is not None and is_flat else 0
        seen = (x[:1], *tensors[1:]) if is_flat else tensors
        try:
            strides = map(Tensor.stride, seen)
            key = is_copied, flat_B, *_SIZES(self), *map(_GEOMETRY, seen), *strides
        except RuntimeError:  # some are sparse
            return None
        shelves = ready.shelves_of(key)
        if shelves is None:
            T, B = x.shape[:2] if layout is None else layout[:2]
            if not fallback.takes(tensors) or not self._fits(x, B, states, weights):
                return None
            # torch's oneDNN packs the weights of an LSTM, too.
            step_rows = B if T == 1 and not is_lstm(self._mode) else None
            shelves = self._shelves(T * B, states, weights, step_rows, is_copied)
            ready.keep(key, shelves)
        shelf = shelves[0]
        if shelf.step_rows is not None and not fallback.pays_off(1, shelf.step_rows, tensors):
            return None
        kind = shelf.kind if not is_flat else shelf.kind._replace(layout=layout)
        if len(shelves) == 1:
            y, *finals = recurrence.run(kind, x, *weights, *states, shelf=shelf)
        else:
            y, finals = self._run_stack(kind, shelves, x, states, weights)
        if layout is not None and not is_flat:
            y = y.flatten(0, 1)
        return y, finals

    def _run_stack(
        self,
        kind: Kind,
        shelves: tuple[ready.Shelf, ...],
        x: Tensor,
        states: Tensors,
        weights: Tensors,
    ) -> tuple[Tensor, Tensors]:
        """Return the results of several layers; see `_run_layers`."""
        D, n = kind.directions, kind.directions * kind.weights
        y, finals = x, []
        for layer, shelf in enumerate(shelves):
            if layer and self.training:
                y = dropout(y, self.dropout)
            initial = [state[layer * D : (layer + 1) * D] for state in states]
            of_layer = weights[layer * n : (layer + 1) * n]
            y, *final = recurrence.run(kind, y, *of_layer, *initial, shelf=shelf)
            finals.append(final)
        return y, [torch.cat(parts) for parts in zip(*finals, strict=True)]

    def _shelves(
        self,
        rows: int,
        states: Tensors,
        weights: Tensors,
        step_rows: int | None,
        is_copied: bool,
    ) -> tuple[ready.Shelf, ...]:
        """Return a shelf for each layer; rows are those of x."""
        kind = Kind(self._mode, self.bias, 2 if self.bidirectional else 1)
        n = kind.directions * kind.weights
        is_vain = is_copied or not all(t.is_contiguous() for t in (*states, *weights))
        shelves = []
        for first in range(0, len(weights), n):
            (gates, I), S = weights[first].shape, weights[first + 1].shape[1]
            numbers = kind.directions * (rows + I + S) * gates
            shelves.append(
                ready.Shelf(kind, numbers, step_rows, is_vain=is_vain, may_repeat=first == 0)
            )
        return tuple(shelves)

    def _fits(self, x: Tensor, B: int, states: Tensors, weights: Tensors) -> bool:
        """Return whether all shapes are as they should be."""
        shapes, outer = _shapes(
            self._mode, self.input_size, self.hidden_size, self.proj_size,
            self.num_layers, self.bias, self.bidirectional,
        )  # fmt: skip
        return (
            x.shape[-1] == self.input_size
            and x.numel() > 0
            and [weight.shape for weight in weights] == shapes
            and all(s.shape == (n, B, m) for s, (n, m) in zip(states, outer, strict=False))
        )

    def _weights(self) -> Tensors:
        """Return the weights in the order of torch.nn."""
        own = self._parameters
        try:
            return [own[name] for name in self._flat_weights_names]  # type: ignore[misc]
        except KeyError:
            # Some are computed.  Looking at them may change them, as spectral norms in training:
            # it is done as torch.nn does it.
            self._update_flat_weights()
        return list(self._flat_weights)  # type: ignore[arg-type]

    @property
    def _mode(self) -> str:
        """`Kind.mode`."""
        return "LSTMP" if self.proj_size > 0 else self.mode

    def _states(self, hx: Any) -> Tensors | None:
        """Return the initial states as a list, [] where not given, None where they are odd."""
        if hx is None:
            return []
        states = [hx]
        if is_lstm(self._mode):
            if not isinstance(hx, tuple | list) or len(hx) != 2:
                return None
            states = list(hx)
        return states if all(isinstance(state, Tensor) for state in states) else None

    def _hidden(self, states: Tensors) -> Tensor | tuple[Tensor, ...]:
        """Return states as `forward` does: an LSTM has two."""
        return states[0] if len(states) == 1 else tuple(states)


@lru_cache(maxsize=256)
def _shapes(
    mode: str, I: int, H: int, S: int, layers: int, has_bias: bool, is_bidirectional: bool
) -> tuple[list[tuple[int, ...]], Shapes]:
    """Return the shapes of all weights, and of the states without B."""
    S = S or H
    D = 2 if is_bidirectional else 1
    rows = gates(mode) * H
    weights: list[tuple[int, ...]] = []
    for layer in range(layers):
        direction: Shapes = ((rows, D * S if layer else I), (rows, S))
        direction += ((rows,), (rows,)) * has_bias + ((S, H),) * (mode == "LSTMP")
        weights += direction * D
    return weights, ((layers * D, S), (layers * D, H))


class RNN(Layers, nn.RNN):
    """`torch.nn.RNN` on the kernels of fastrnn: same constructor, parameters, inputs, outputs.

    See `fastrnn.torch` for what is left to torch.nn.

    Examples
    --------
    >>> import torch
    >>> y, h = RNN(4, 5, nonlinearity="relu")(torch.zeros(3, 2, 4))
    >>> y.shape, h.shape
    (torch.Size([3, 2, 5]), torch.Size([1, 2, 5]))
    """

    STOCK = nn.RNN


class LSTM(Layers, nn.LSTM):
    """`torch.nn.LSTM` on the kernels of fastrnn: same constructor, parameters, inputs, outputs.

    See `fastrnn.torch` for what is left to torch.nn.

    Examples
    --------
    >>> import torch
    >>> y, (h, c) = LSTM(4, 5, bidirectional=True, proj_size=2)(torch.zeros(3, 2, 4))
    >>> y.shape, h.shape, c.shape
    (torch.Size([3, 2, 4]), torch.Size([2, 2, 2]), torch.Size([2, 2, 5]))
    """

    STOCK = nn.LSTM


class GRU(Layers, nn.GRU):
    """`torch.nn.GRU` on the kernels of fastrnn: same constructor, parameters, inputs, outputs.

    See `fastrnn.torch` for what is left to torch.nn.

    Examples
    --------
    >>> import torch
    >>> y, h = GRU(4, 5, batch_first=True)(torch.zeros(2, 3, 4))
    >>> y.shape, h.shape
    (torch.Size([2, 3, 5]), torch.Size([1, 2, 5]))
    """

    STOCK = nn.GRU
