"""fastrnn, as a candidate."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

import fastrnn
from fastrnn import functional, optimizers
from fastrnn.functional.panels import gate_tile
from fastrnn.kernels.cpu import plan
from fastrnn.kernels.cpu.speeds import speeds
from fastrnn.models.language import LanguageModel

from .candidate import Candidate, Variants, changes, named_gradients
from .cases import CELLS, Case
from .data import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Array, sequences, text


def use_threads(number: int) -> None:
    """Use `number` threads."""
    fastrnn.set_num_threads(number)


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    match case.kind, case.pass_:
        case "step", _:
            return {"": lambda: _step(case)}
        case "stream", _:
            return {"": lambda: _stream(case)}
        case _, "forward" if case.directions == 2:  # `stack` can run both directions at once
            return {"frozen": lambda: _frozen(case), "stack": lambda: _stack(case)}
        case _, "forward":
            return {"": lambda: _frozen(case)}
        case _:
            return {"": lambda: _training(case)}


def _freeze(case: Case, weights: Any) -> list[list[Any]]:
    return [[functional.freeze(case.cell, *group) for group in layer] for layer in weights]


def _frozen(case: Case) -> Candidate:
    data = sequences(case)
    layers = _freeze(case, data.weights)

    def forward() -> Array:
        y = data.x
        for layer in layers:
            outputs = [
                run(y, lengths=data.lengths, reverse=k == 1)[0] for k, run in enumerate(layer)
            ]
            y = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=2)
        return y

    return Candidate(forward, lambda y: {"y": y})


def _directions(weights: Any) -> list[Any]:
    layers = [[functional.Direction(*group) for group in layer] for layer in weights]
    return [layer[0] if len(layer) == 1 else tuple(layer) for layer in layers]


def _stack(case: Case) -> Candidate:
    data = sequences(case)
    layers = _directions(data.weights)

    def forward() -> Array:
        y: Array = functional.stack(
            case.cell, data.x, layers, lengths=data.lengths, training=False
        )[0]
        return y

    return Candidate(forward, lambda y: {"y": y})


def _training(case: Case) -> Candidate:
    data = sequences(case)
    layers = _directions(data.weights)

    def train() -> tuple[Array, Any]:
        y, _, backward = functional.stack(case.cell, data.x, layers, lengths=data.lengths)
        return y, backward(data.dy)

    def outputs(result: tuple[Array, Any]) -> dict[str, Any]:
        y, gradients = result
        groups = ((g.W, g.R, g.b) for layer in gradients.layers for g in layer)
        return {"y": y, **named_gradients(gradients.x, groups)}

    return Candidate(train, outputs)


def _stream(case: Case) -> Candidate:
    data = sequences(case)
    streams = [layer[0].stream(case.B) for layer in _freeze(case, data.weights)]

    def run() -> Array:
        for stream in streams:
            stream.reset()
        y = np.empty((case.T, case.B, case.H), data.x.dtype)
        for t, h in enumerate(data.x):
            for stream in streams:
                h = stream.step(h)
            y[t] = h
        return y

    return Candidate(run, lambda y: {"y": y})


def _step(case: Case) -> Candidate:
    data = text(case)
    vocabulary = len(data.E)
    model = LanguageModel(
        vocabulary, cell=case.cell, units=case.H, layers=case.layers, embedding=case.I
    )
    groups = [group for layer in data.weights for group in layer]
    arrays = [data.E, *(a for group in groups for a in group if a is not None), data.K, data.k]
    # Variables have the order of these; a bias may have another shape there.
    first = dict(zip(model.weights, arrays, strict=True))
    model.load_weights({name: first[name].reshape(w.shape) for name, w in model.weights.items()})
    optimizer = optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON)
    windows = cycle(list(zip(data.tokens, data.targets, strict=True)))
    state = model.zero_state(case.B)

    def step() -> float:
        tokens, targets = next(windows)
        return model.train_step(tokens, targets, state, optimizer, 0)[0]

    parts = "WRb" if CELLS[case.cell].R else "Wb"
    names = ["E", *(f"{part}{k}" for k in range(len(groups)) for part in parts), "K", "k"]

    def outputs(loss: float) -> dict[str, Any]:
        after = {
            name: w.reshape(a.shape)
            for name, w, a in zip(names, model.weights.values(), arrays, strict=True)
        }
        return {"loss": loss, **changes(after, dict(zip(names, arrays, strict=True)))}

    return Candidate(step, outputs)


def explain(case: Case) -> dict[str, Any]:
    """Return the plan of each layer's time loop, and what its cost model expects.

    `predicted_ms` is that of all loops one after the other with the products before them, and None
    for passes that the model does not know.
    """
    seconds, text = 0.0, []
    threads = fastrnn.get_num_threads()
    for inputs in case.inputs:
        kind = fastrnn.cells.CELLS[case.cell]
        dtype = np.dtype(case.dtype)
        panels = gate_tile(kind, case.H, dtype).all.number
        T, rows = (1, case.B) if case.kind == "stream" else (case.T, case.rows())
        loop = plan.Loop(T, case.B, rows, inputs, case.H, len(kind.GATES), panels, dtype.itemsize)
        chosen = plan.plan(loop)
        loops = case.directions * (case.T if case.kind == "stream" else 1)
        seconds += loops * chosen.seconds
        if chosen.is_hoisted:
            before = rows * inputs * CELLS[case.cell].W * case.H * dtype.itemsize / 4
            seconds += loops * before / (speeds().multiply_adds * threads)
        text += plan.explain(loop, threads)
    knows = case.pass_ == "forward"
    return {
        "predicted_ms": 1e3 * seconds if knows else None,
        "plan": "\n".join(dict.fromkeys(text)),
    }
