"""What torch.compile has to offer: single steps, and what surrounds the layers in training.

It leaves whole recurrent layers alone, which then run as they do without it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..candidate import Candidate, UnableError, Variants
from ..cases import Case
from ..data import sequences
from .torch_rival import make_layers, step, use_threads

__all__ = ["prepare", "use_threads"]

_CELLS = {"lstm": nn.LSTMCell, "gru": nn.GRUCell, "rnn": nn.RNNCell}


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell not in _CELLS:
        raise UnableError(f"torch.nn has no {case.cell}")
    match case.kind:
        case "step":
            return {"": lambda: step(case, torch.compile)}
        case "stream":
            return {"": lambda: _stream(case)}
        case _:
            raise UnableError("torch.compile leaves recurrent layers alone")


def _stream(case: Case) -> Candidate:
    data = sequences(case)
    layers = make_layers(case, data.weights)
    cells = []
    for k, inputs in enumerate(case.inputs):
        cell = _CELLS[case.cell](inputs, case.H, dtype=getattr(torch, case.dtype))
        cell.load_state_dict({name: getattr(layers, f"{name}_l{k}") for name in cell.state_dict()})
        cells.append(cell)

    @torch.compile(fullgraph=True)
    def advance(h: torch.Tensor, states: list[Any]) -> tuple[torch.Tensor, list[Any]]:
        after = []
        for cell, state in zip(cells, states, strict=True):
            new = cell(h, state)
            h = new[0] if case.cell == "lstm" else new
            after.append(new)
        return h, after

    zero = torch.zeros(case.B, case.H, dtype=getattr(torch, case.dtype))
    zeros = [(zero, zero) if case.cell == "lstm" else zero] * case.layers
    x = torch.from_numpy(data.x).unbind()

    def run() -> torch.Tensor:
        with torch.inference_mode():
            outputs, states = [], zeros
            for x_t in x:
                h, states = advance(x_t, states)
                outputs.append(h)
            return torch.stack(outputs)

    return Candidate(run, lambda y: {"y": y})
