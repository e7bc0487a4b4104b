"""oneDNN's LSTM through torch, with its weights in its own layout, as a frozen model has it.

torch.nn.LSTM brings them into that layout in each call.
"""

from __future__ import annotations

from typing import Any

import torch

from ..candidate import Candidate, UnableError, Variants
from ..cases import Case
from ..data import sequences
from .torch_rival import make_layers, use_threads

__all__ = ["prepare", "use_threads"]

# ATen's number of the LSTM among the modes of its recurrent layers.
_LSTM_MODE = 2


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell != "lstm":
        raise UnableError("torch reaches oneDNN's LSTM only")
    if case.kind == "step" or case.pass_ != "forward":
        raise UnableError("weights in oneDNN's layout are not for training")
    if case.directions > 1 or case.lengths != "even" or case.dtype != "float32":
        raise UnableError("one direction, sequences of one length and float32 only")
    build = _stream if case.kind == "stream" else _layer
    return {"": lambda: build(case)}


class _Layers:
    """Layers with prepacked weights, for sequences of `steps` steps."""

    def __init__(self, case: Case, weights: Any, steps: int) -> None:
        self._H = H = case.H
        self._layers = []
        parameters = [p.detach() for p in make_layers(case, weights).parameters()]
        for k, inputs in enumerate(case.inputs):
            W, R, *biases = parameters[4 * k : 4 * k + 4]
            packed = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
                W, R, H, False, True, False, [steps, case.B, inputs]
            )
            self._layers.append((*packed, *biases))
        self.zeros = [(torch.zeros(case.B, H),) * 2] * case.layers

    def run(self, x: torch.Tensor, states: Any) -> tuple[torch.Tensor, Any]:
        """Return y and the states after it."""
        after = []
        for (W, R, b_x, b_h), (h, c) in zip(self._layers, states, strict=True):
            x, h, c, _ = torch.ops.aten.mkldnn_rnn_layer(
                x, W, R, b_x, b_h, h, c, False, [], _LSTM_MODE, self._H, 1, True, False, False,
                False,
            )  # fmt: skip
            after.append((h.reshape(-1, self._H), c.reshape(-1, self._H)))
        return x, after


def _layer(case: Case) -> Candidate:
    data = sequences(case)
    layers = _Layers(case, data.weights, case.T)
    x = torch.from_numpy(data.x)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return layers.run(x, layers.zeros)[0]

    return Candidate(forward, lambda y: {"y": y})


def _stream(case: Case) -> Candidate:
    data = sequences(case)
    layers = _Layers(case, data.weights, 1)
    steps = torch.from_numpy(data.x).split(1)

    def run() -> torch.Tensor:
        with torch.inference_mode():
            outputs, states = [], layers.zeros
            for x in steps:
                y, states = layers.run(x, states)
                outputs.append(y)
            return torch.cat(outputs)

    return Candidate(run, lambda y: {"y": y})
