"""fastrnn's recurrent layers, as candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
from problems import Array, Candidate, Data, Problem, named_gradients

import fastrnn
from fastrnn import functional


def use_threads(number: int) -> None:
    """Use `number` threads."""
    fastrnn.set_num_threads(number)


def candidates(problem: Problem, pass_: str) -> dict[str, dict[str, Candidate]]:
    """Return the variants of each candidate for one pass."""
    data = problem.data()
    named = {"ours": data}
    if problem.has_lengths:
        named["ours padded"] = data._replace(lengths=None)
    return {name: {"": _candidate(_Stack(problem, d), pass_)} for name, d in named.items()}


def _candidate(stack: _Stack, pass_: str) -> Candidate:
    if pass_ == "forward":
        stack.freeze()
        return Candidate(stack.forward, lambda y: {"y": y})
    return Candidate(stack.train, dict)


class _Stack:
    """Layers over given data."""

    def __init__(self, problem: Problem, data: Data) -> None:
        self.cell = problem.cell
        self.data = data

    def freeze(self) -> None:
        """Pack the weights, as `forward` needs them."""
        self.frozen = [
            [functional.freeze(self.cell, *weights) for weights in layer]
            for layer in self.data.weights
        ]

    def forward(self) -> Array:
        """Return y, keeping nothing."""
        y, lengths = self.data.x, self.data.lengths
        for layer in self.frozen:
            runs = [run(y, lengths=lengths, reverse=k == 1) for k, run in enumerate(layer)]
            y = _joined([run[0] for run in runs])
        return y

    def train(self) -> dict[str, Any]:
        """Return y and the gradients of everything."""
        y, lengths = self.data.x, self.data.lengths
        backwards = []
        for layer in self.data.weights:
            runs = [
                functional.rnn(self.cell, y, *weights, lengths=lengths, reverse=k == 1)
                for k, weights in enumerate(layer)
            ]
            y = _joined([run[0] for run in runs])
            backwards.append([run[2] for run in runs])
        dy: Any = self.data.dy
        gradients: list[Any] = []
        for directions in reversed(backwards):
            shares = np.split(dy, len(directions), axis=2)
            of_layer = [backward(d) for backward, d in zip(directions, shares, strict=True)]
            dy = of_layer[0].x
            for other in of_layer[1:]:
                dy += other.x
            gradients = of_layer + gradients
        return {"y": y, **named_gradients(dy, ((g.W, g.R, g.b) for g in gradients))}


def _joined(outputs: list[Array]) -> Array:
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
