"""torch.nn.LSTM, GRU and RNN, eagerly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import torch
from torch import nn
from torch.nn.utils import rnn

from ..candidate import Candidate, UnableError, Variants, changes, named_gradients, named_weights
from ..cases import Case
from ..data import EPSILON, LEARNING_RATE, Array, Sequences, Weights, sequences, text
from .layouts import one_bias, two_biases
from .torch_language_model import Adam

Tensor = torch.Tensor
Layers = nn.RNNBase

_CLASSES = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def use_threads(number: int) -> None:
    """Use `number` threads, and keep denormal numbers."""
    torch.set_num_threads(number)
    torch.set_flush_denormal(False)


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell not in _CLASSES:
        raise UnableError(f"torch.nn has no {case.cell}")
    if case.kind == "step":
        return {"": lambda: step(case)}
    if case.kind == "stream":
        return {"": lambda: _stream(case)}
    build = _inference if case.pass_ == "forward" else _training
    if case.lengths == "even":
        return {"": lambda: build(case, _padded)}
    variants = {"packed": lambda: build(case, _packed)}
    if case.directions == 1:  # backwards over padding would be something else
        variants["padded"] = lambda: build(case, _padded)
    return variants


def make_layers(case: Case, weights: list[list[Weights]]) -> Layers:
    """Return the layers with given weights."""
    layers = _CLASSES[case.cell](
        case.I, case.H, case.layers, bidirectional=case.directions == 2,
        dtype=getattr(torch, case.dtype),
    )  # fmt: skip
    state = {}
    for layer, directions in enumerate(weights):
        for direction, group in enumerate(directions):
            arrays = (group.W.T, group.R.T, *two_biases(case.cell, group.b))
            for name, array in zip(_names(layer, direction), arrays, strict=True):
                state[name] = torch.from_numpy(array.copy())
    layers.load_state_dict(state)
    return layers


def _names(layer: int, direction: int) -> list[str]:
    end = f"_l{layer}{'_reverse' if direction else ''}"
    return [kind + end for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _translated(case: Case, arrays: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
    """Return W, R and b of all layers, from torch's parameters or their gradients by name."""
    groups = []
    for layer in range(case.layers):
        for direction in range(case.directions):
            W, R, *b = (arrays[name].numpy() for name in _names(layer, direction))
            groups.append((W.T, R.T, one_bias(case.cell, *b)))
    return groups


Run = Callable[[Tensor], Tensor]


def _padded(layers: Layers, data: Sequences) -> Run:
    return lambda x: layers(x)[0]


def _packed(layers: Layers, data: Sequences) -> Run:
    """Return a run that goes over the sequences' own steps only."""
    lengths = torch.from_numpy(data.lengths)

    def run(x: Tensor) -> Tensor:
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y: Tensor = rnn.pad_packed_sequence(layers(packed)[0], total_length=len(x))[0]
        return y

    return run


def _inference(case: Case, kind: Callable[[Layers, Sequences], Run]) -> Candidate:
    data = sequences(case)
    run = kind(make_layers(case, data.weights), data)
    x = torch.from_numpy(data.x)

    def forward() -> Tensor:
        with torch.inference_mode():
            return run(x)

    return Candidate(forward, lambda y: {"y": y})


def _training(case: Case, kind: Callable[[Layers, Sequences], Run]) -> Candidate:
    data = sequences(case)
    layers = make_layers(case, data.weights)
    run = kind(layers, data)
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
        return {"y": y, **named_gradients(x.grad, _translated(case, gradients))}

    return Candidate(train, outputs)


def _stream(case: Case) -> Candidate:
    data = sequences(case)
    layers = make_layers(case, data.weights)
    steps = torch.from_numpy(data.x).split(1)

    def run() -> Tensor:
        with torch.inference_mode():
            outputs, state = [], None
            for x in steps:
                y, state = layers(x, state)
                outputs.append(y)
            return torch.cat(outputs)

    return Candidate(run, lambda y: {"y": y})


class Model(nn.Module):
    """Embedding, layers, and the mean cross entropy of a softmax."""

    def __init__(self, case: Case, E: Array, layers: Layers, K: Array, k: Array) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(torch.tensor(E), freeze=False)
        self.layers = layers
        self.head = nn.Linear(*K.shape, dtype=layers.weight_ih_l0.dtype)
        self.head.load_state_dict({"weight": torch.tensor(K.T), "bias": torch.tensor(k)})
        for name, parameter in layers.named_parameters():
            if "bias_hh" in name:
                self._keep_zeros(parameter, case)

    @staticmethod
    def _keep_zeros(bias: nn.Parameter, case: Case) -> None:
        """Do not train what doubles the first bias: all but a GRU's candidate."""
        if case.cell != "gru":
            bias.requires_grad_(False)
            return
        is_trained = torch.zeros_like(bias)
        is_trained[2 * case.H :] = 1
        bias.register_hook(lambda gradient: gradient * is_trained)

    def forward(self, tokens: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of tokens (T, B) and targets (T * B,)."""
        y, _ = self.layers(self.embedding(tokens))
        return nn.functional.cross_entropy(self.head(y).flatten(0, 1), targets)


def step(case: Case, loss_of: Callable[[Model], Any] = lambda model: model) -> Candidate:
    """Return training steps; `loss_of` may replace the model by something that is called alike."""
    data = text(case)
    model = Model(case, data.E, make_layers(case, data.weights), data.K, data.k)
    called = loss_of(model)
    optimizer = Adam(model, LEARNING_RATE, global_clipnorm=None, epsilon=EPSILON)
    windows = cycle(
        (torch.from_numpy(tokens), torch.from_numpy(targets).long().flatten())
        for tokens, targets in zip(data.tokens, data.targets, strict=True)
    )

    def run() -> float:
        optimizer.zero_grad()
        loss = called(*next(windows))
        loss.backward()
        optimizer.update()
        return float(loss.item())

    def weights() -> dict[str, Any]:
        layers = {name: p.detach() for name, p in model.layers.named_parameters()}
        every = {
            "E": model.embedding.weight.detach().numpy(),
            **named_weights(_translated(case, layers)),
            "K": model.head.weight.detach().numpy().T,
            "k": model.head.bias.detach().numpy(),
        }
        return {name: weight.copy() for name, weight in every.items()}

    first = weights()
    return Candidate(run, lambda loss: {"loss": loss, **changes(weights(), first)})
