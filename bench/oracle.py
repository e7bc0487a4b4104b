"""What must come out of a case, from `fastrnn.reference`: float64, and independent of the engine.

A "layer" or a "stream" gives "y" (T, B, F), 0 beyond the lengths, and in training "dx", "dW0",
"dR0", "db0", "dW1" and so on, in fastrnn's layouts and the order of the weights.  A "step" gives
"loss", that of the last of the windows, and how far the training on all of them has moved "E",
"W0", "R0", "b0", ..., "K" and "k".

It has a process of its own, with one thread: many small products gain nothing by a second one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import reference

from .candidate import changes, named_gradients, named_weights
from .cases import CELLS, Case
from .data import (
    BETA_1,
    BETA_2,
    EPSILON,
    LEARNING_RATE,
    WINDOWS,
    Array,
    Weights,
    sequences,
    text,
)

# The reference keeps all that it ever computed: so much of it at a time.
_KEPT_BYTES = 1 << 29
_ARRAYS_OF_A_STEP = 20


def use_threads(number: int) -> None:
    """Do nothing: OPENBLAS_NUM_THREADS and the like count, which were set before the import."""


def outputs(case: Case) -> dict[str, Any]:
    """Return the outputs of a case."""
    return _step_outputs(case) if case.kind == "step" else _layer_outputs(case)


def _layer_outputs(case: Case) -> dict[str, Any]:
    """Run some sequences after the others, and add up the gradients of the weights."""
    data = sequences(case)
    y = np.empty((case.T, case.B, case.outputs))
    dx = np.empty((case.T, case.B, case.I))
    sums: dict[str, Any] = {}
    for rows in _slices(case):
        lengths = None if data.lengths is None else data.lengths[rows]
        stack = _Stack(case, data.weights, lengths)
        y[:, rows] = stack.forward(data.x[:, rows])
        if case.pass_ == "training":
            found = stack.backward(data.dy[:, rows])
            dx[:, rows] = found.pop("dx")
            sums = {name: sums.get(name, 0.0) + array for name, array in found.items()}
    return {"y": y} if case.pass_ == "forward" else {"y": y, "dx": dx, **sums}


def _slices(case: Case) -> list[slice]:
    kept = case.T * case.layers * case.outputs * CELLS[case.cell].W * 8 * _ARRAYS_OF_A_STEP
    rows = max(1, _KEPT_BYTES // kept)
    return [slice(start, start + rows) for start in range(0, case.B, rows)]


def _step_outputs(case: Case) -> dict[str, Any]:
    data = text(case)
    weights = [[Weights(*map(_double, group)) for group in layer] for layer in data.weights]
    model = {"E": _double(data.E)}
    model |= named_weights(group for layer in weights for group in layer)
    model |= {"K": _double(data.K), "k": _double(data.k)}
    first = dict(model)
    averages = {name: (np.zeros_like(w), np.zeros_like(w)) for name, w in model.items()}
    loss = 0.0
    for step in range(WINDOWS):
        loss, gradients = _learn(case, model, data.tokens[step], data.targets[step].ravel())
        for name, gradient in gradients.items():
            model[name], *slots = reference.update.adam(
                model[name], gradient, *averages[name], step + 1,
                learning_rate=LEARNING_RATE, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON,
            )  # fmt: skip
            averages[name] = slots[0], slots[1]
    return {"loss": loss, **changes(model, first)}


def _learn(
    case: Case, model: dict[str, Array], tokens: Array, targets: Array
) -> tuple[float, dict[str, Any]]:
    """Return the loss of one window and the gradients of all weights."""
    groups = [
        Weights(model[f"W{k}"], model.get(f"R{k}"), model[f"b{k}"])
        for k in range(case.layers * case.directions)
    ]
    weights = [
        groups[start : start + case.directions] for start in range(0, len(groups), case.directions)
    ]
    stack = _Stack(case, weights, None)
    hidden = stack.forward(reference.embedding.forward(tokens, model["E"]))
    logits = reference.linear.forward(hidden, model["K"], model["k"])
    logits = logits.reshape(-1, logits.shape[-1])
    loss = reference.softmax.forward(logits, targets)
    dlogits = reference.softmax.backward(logits, targets).reshape(*tokens.shape, -1)
    head = reference.linear.backward(hidden, model["K"], dlogits)
    found = stack.backward(head.x)
    dE = reference.embedding.backward(tokens, len(model["E"]), found.pop("dx"))
    found = {name.removeprefix("d"): array for name, array in found.items()}
    return loss, {"E": dE, **found, "K": head.W, "k": head.b}


class _Stack:
    """Layers over given sequences."""

    def __init__(self, case: Case, weights: list[list[Weights]], lengths: Array | None) -> None:
        self._case, self._weights, self._lengths = case, weights, lengths
        self._cell = reference.CELLS[case.cell]
        self._saved: list[list[Any]] = []

    def forward(self, x: Array) -> Array:
        """Return y (T, B, directions * H)."""
        for layer in self._weights:
            zeros = [np.zeros((x.shape[1], self._case.H))] * len(self._cell.STATES)
            runs = [
                self._cell.forward(self._turned(x, k), *weights, zeros, self._lengths)
                for k, weights in enumerate(layer)
            ]
            self._saved.append([saved for _, _, saved in runs])
            x = np.concatenate([self._turned(run[0], k) for k, run in enumerate(runs)], axis=2)
        return x

    def backward(self, dy: Array) -> dict[str, Any]:
        """Return the gradients of everything."""
        gradients: list[Any] = []
        for saved in reversed(self._saved):
            parts = np.split(dy, len(saved), axis=2)
            zeros = [np.zeros((dy.shape[1], self._case.H))] * len(self._cell.STATES)
            of_layer = [
                self._cell.backward(kept, self._turned(part, k), zeros)
                for k, (kept, part) in enumerate(zip(saved, parts, strict=True))
            ]
            dy = sum((self._turned(g.x, k) for k, g in enumerate(of_layer)), np.zeros(()))
            gradients = of_layer + gradients
        return named_gradients(dy, ((g.W, g.R, g.b) for g in gradients))

    def _turned(self, array: Array, direction: int) -> Array:
        """Return `array` as direction 0 or 1 reads it: each sequence's own steps backwards."""
        if direction == 0:
            return array
        if self._lengths is None:
            return array[::-1]
        turned = np.zeros_like(array)
        for row, steps in enumerate(self._lengths):
            turned[:steps, row] = array[:steps, row][::-1]
        return turned


def _double(array: Any) -> Any:
    return None if array is None else np.asarray(array, np.float64)
