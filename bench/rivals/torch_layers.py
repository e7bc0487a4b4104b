"""torch.nn.LSTM, GRU and RNN, as candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from problems import Candidate, Data, Problem, Weights, named_gradients
from torch.nn.utils import rnn

from rivals.layouts import one_bias, two_biases

Tensor = torch.Tensor
Layers = torch.nn.RNNBase

_CLASSES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}

# ATen's number of the LSTM among the modes of its recurrent layers.
_LSTM_MODE = 2


def use_threads(number: int) -> None:
    """Use `number` threads."""
    torch.set_num_threads(number)


def candidates(problem: Problem, pass_: str) -> dict[str, dict[str, Candidate]]:
    """Return the variants of each candidate for one pass.

    torch.compile is none of them: it leaves recurrent layers alone, or unrolls all their steps.
    """
    data = problem.data()
    layers = _layers(problem, data)
    runs = {"torch": {"": _padded(layers)}}
    if problem.has_lengths:
        runs["torch packed"] = {"": _packed(layers, data)}
    prepare = _inference if pass_ == "forward" else _training
    named = {
        name: {variant: prepare(problem, data, layers, run) for variant, run in variants.items()}
        for name, variants in runs.items()
    }
    is_plain = problem.layers == problem.directions == 1 and not problem.has_lengths
    if pass_ == "forward" and problem.cell == "lstm" and is_plain:
        named["torch"]["prepacked"] = _prepacked(data, layers)
    return named


def _layers(problem: Problem, data: Data) -> Layers:
    """Return the layers with the weights of `data`."""
    _, _, I, H = problem.shape
    create = _CLASSES[problem.cell]
    layers = create(I, H, problem.layers, bidirectional=problem.directions == 2)
    state = {}
    for layer, directions in enumerate(data.weights):
        for direction, weights in enumerate(directions):
            arrays = _translated(problem, weights)
            for name, array in zip(_names(layer, direction), arrays, strict=True):
                state[name] = torch.from_numpy(array.copy())
    layers.load_state_dict(state)
    return layers


def _names(layer: int, direction: int) -> list[str]:
    end = f"_l{layer}{'_reverse' if direction else ''}"
    return [kind + end for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _translated(problem: Problem, weights: Weights) -> tuple[Any, ...]:
    return weights.W.T, weights.R.T, *two_biases(problem.cell, weights.b)


def _padded(layers: Layers) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        y: Tensor = layers(x)[0]
        return y

    return run


def _packed(layers: Layers, data: Data) -> Callable[[Tensor], Tensor]:
    """Return a run that goes over the sequences' own steps only."""
    lengths = torch.from_numpy(data.lengths)

    def run(x: Tensor) -> Tensor:
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y: Tensor = rnn.pad_packed_sequence(layers(packed)[0], total_length=len(x))[0]
        return y

    return run


def _inference(
    problem: Problem, data: Data, layers: Layers, run: Callable[[Tensor], Tensor]
) -> Candidate:
    x = torch.from_numpy(data.x)

    def forward() -> Tensor:
        with torch.inference_mode():
            return run(x)

    return Candidate(forward, lambda y: {"y": y})


def _training(
    problem: Problem, data: Data, layers: Layers, run: Callable[[Tensor], Tensor]
) -> Candidate:
    x = torch.from_numpy(data.x).requires_grad_()
    dy = torch.from_numpy(data.dy)

    def train() -> Tensor:
        layers.zero_grad(set_to_none=True)
        x.grad = None
        y = run(x)
        y.backward(dy)
        return y.detach()

    def outputs(y: Tensor) -> dict[str, Any]:
        gradients = {name: parameter.grad for name, parameter in layers.named_parameters()}
        weights = []
        for layer in range(problem.layers):
            for direction in range(problem.directions):
                dW, dR, *db = (gradients[name].numpy() for name in _names(layer, direction))
                weights.append((dW.T, dR.T, one_bias(problem.cell, *db)))
        return {"y": y, **named_gradients(x.grad, weights)}

    return Candidate(train, outputs)


def _prepacked(data: Data, layers: Layers) -> Candidate:
    """Return oneDNN's LSTM with its weights in its own layout, as a frozen compiled model has it.

    torch.nn.LSTM brings them into that layout in each call.
    """
    x = torch.from_numpy(data.x)
    (T, B, I), H = x.shape, layers.hidden_size
    zeros = torch.zeros(B, H)
    W, R, b_x, b_h = (parameter.detach() for parameter in layers.parameters())
    W, R = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(W, R, H, False, True, False, [T, B, I])

    def forward() -> Tensor:
        with torch.inference_mode():
            y: Tensor = torch.ops.aten.mkldnn_rnn_layer(
                x, W, R, b_x, b_h, zeros, zeros, False, [], _LSTM_MODE, H, 1, True, False, False,
                False,
            )[0]  # fmt: skip
        return y

    return Candidate(forward, lambda y: {"y": y})
