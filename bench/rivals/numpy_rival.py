"""NumPy: layers of `numpy_loops`, and the rest of a training step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..candidate import Candidate, UnableError, Variants, changes, named_gradients, named_weights
from ..cases import Case
from ..data import (
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
from .numpy_loops import LOOPS, Rows


def use_threads(number: int) -> None:
    """Do nothing: OPENBLAS_NUM_THREADS and the like count, which were set before the import."""


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell not in LOOPS:
        raise UnableError(f"{case.cell} is not written in NumPy here")
    build = {"layer": _layer, "stream": _stream, "step": _step}[case.kind]
    return {"": lambda: build(case)}


class _Stack:
    """Layers over packed rows."""

    def __init__(
        self, case: Case, weights: list[list[Weights]], rows: Rows, *, training: bool
    ) -> None:
        kind = LOOPS[case.cell]
        self.loops = [
            [kind(w, rows, reverse=k == 1, training=training) for k, w in enumerate(layer)]
            for layer in weights
        ]

    def forward(self, x: Array, *, goes_on: bool = False) -> Array:
        """Return y (N, F) of x (N, I)."""
        for layer in self.loops:
            outputs = [loop.forward(x, goes_on=goes_on) for loop in layer]
            x = outputs[0] if len(layer) == 1 else np.concatenate(outputs, axis=1)
        return x

    def backward(self, dy: Array) -> Array:
        """Return dx (N, I) of dy (N, F)."""
        for layer in reversed(self.loops):
            parts = np.split(dy, len(layer), axis=1)
            dy, *others = (loop.backward(d) for loop, d in zip(layer, parts, strict=True))
            for other in others:
                dy += other
        return dy

    def arrays(self, *, are_gradients: bool) -> list[Array]:
        """Return all parameters, or all gradients."""
        loops = [loop for layer in self.loops for loop in layer]
        each = (loop.gradients() if are_gradients else loop.parameters() for loop in loops)
        return [array for arrays in each for array in arrays]

    def given(self, *, are_gradients: bool) -> list[tuple[Any, Any, Any]]:
        """Return them in fastrnn's layouts, by layer and direction."""
        return [
            loop.in_given_order(*(loop.gradients() if are_gradients else loop.parameters()))
            for layer in self.loops
            for loop in layer
        ]


def _layer(case: Case) -> Candidate:
    data = sequences(case)
    rows = Rows(case.T, case.B, data.lengths)
    stack = _Stack(case, data.weights, rows, training=case.pass_ == "training")

    def forward() -> Array:
        return rows.unpack(stack.forward(rows.pack(data.x)))

    def train() -> tuple[Array, Array]:
        y = forward()
        return y, rows.unpack(stack.backward(rows.pack(data.dy)))

    def outputs(result: tuple[Array, Array]) -> dict[str, Any]:
        y, dx = result
        return {"y": y, **named_gradients(dx, stack.given(are_gradients=True))}

    if case.pass_ == "forward":
        return Candidate(forward, lambda y: {"y": y})
    return Candidate(train, outputs)


def _stream(case: Case) -> Candidate:
    data = sequences(case)
    stack = _Stack(case, data.weights, Rows(1, case.B, None), training=False)

    def run() -> Array:
        y = np.empty((case.T, case.B, case.outputs), data.x.dtype)
        for t, x in enumerate(data.x):
            y[t] = stack.forward(x, goes_on=t > 0)
        return y

    return Candidate(run, lambda y: {"y": y})


def _step(case: Case) -> Candidate:
    model = _Model(case)
    first = model.weights()
    return Candidate(model.step, lambda loss: {"loss": loss, **changes(model.weights(), first)})


class _Model:
    """Embedding, layers, and a softmax, trained with Adam."""

    def __init__(self, case: Case) -> None:
        data = text(case)
        self._windows = [
            (tokens.ravel(), targets.ravel())
            for tokens, targets in zip(data.tokens, data.targets, strict=True)
        ]
        self._stack = _Stack(case, data.weights, Rows(case.T, case.B, None), training=True)
        self._E, self._K, self._k = data.E, data.K, data.k
        N = case.T * case.B
        self._x = np.empty((N, case.I), data.E.dtype)
        self._logits = np.empty((N, len(data.k)), data.E.dtype)
        self._all, self._ones = np.arange(N), np.ones(N, data.E.dtype)
        self._dE = np.zeros_like(data.E)
        parameters = [self._E, *self._stack.arrays(are_gradients=False), self._K, self._k]
        self._adam = _Adam(parameters)

    def step(self) -> float:
        """Learn from the next window; return its loss."""
        tokens, targets = self._windows[self._adam.steps % WINDOWS]
        np.take(self._E, tokens, axis=0, out=self._x)
        hidden = self._stack.forward(self._x)
        loss, dlogits = self._cross_entropy(hidden, targets)
        dx = self._stack.backward(dlogits @ self._K.T)
        self._scatter(tokens, dx)
        of_layers = self._stack.arrays(are_gradients=True)
        dK, dk = hidden.T @ dlogits, self._ones @ dlogits
        self._adam.update([self._dE, *of_layers, dK, dk])
        return loss

    def _cross_entropy(self, hidden: Array, targets: Array) -> tuple[float, Array]:
        """Return the mean loss and the gradient of the logits, which takes their place."""
        z = self._logits
        np.matmul(hidden, self._K, out=z)
        z += self._k
        z -= z.max(axis=1, keepdims=True)
        right = z[self._all, targets]
        np.exp(z, out=z)
        sums = z.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(sums[:, 0]) - right))
        z *= 1.0 / (sums * len(z))
        z[self._all, targets] -= 1.0 / len(z)
        return loss, z

    def _scatter(self, tokens: Array, dx: Array) -> None:
        """Sum dx by token: rows of a token side by side, then one sum each."""
        order = np.argsort(tokens, kind="stable")
        used, starts = np.unique(tokens[order], return_index=True)
        self._dE[:] = 0
        self._dE[used] = np.add.reduceat(dx[order], starts, axis=0)

    def weights(self) -> dict[str, Array]:
        """Return copies of all weights under the names of outputs."""
        named = named_weights(self._stack.given(are_gradients=False))
        every = {"E": self._E, **named, "K": self._K, "k": self._k}
        return {name: weight.copy() for name, weight in every.items()}


class _Adam:
    """Adam in place, with epsilon added as `fastrnn.optimizers.Adam` does."""

    def __init__(self, parameters: list[Array]) -> None:
        self._slots = [
            (p, np.zeros_like(p), np.zeros_like(p), np.empty_like(p)) for p in parameters
        ]
        self.steps = 0

    def update(self, gradients: list[Array]) -> None:
        """Take one step."""
        self.steps += 1
        rate = LEARNING_RATE * math.sqrt(1 - BETA_2**self.steps) / (1 - BETA_1**self.steps)
        for (p, m, v, scratch), g in zip(self._slots, gradients, strict=True):
            m *= BETA_1
            np.multiply(g, 1 - BETA_1, out=scratch)
            m += scratch
            v *= BETA_2
            np.multiply(g, g, out=scratch)
            scratch *= 1 - BETA_2
            v += scratch
            np.sqrt(v, out=scratch)
            scratch += EPSILON
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            p -= scratch
