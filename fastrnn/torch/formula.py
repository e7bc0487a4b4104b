"""A recurrent layer in torch's own operations, step by step: differentiable any number of times.

Slow: it stands in where gradients are to be differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from fastrnn.torch import packing
from fastrnn.torch.kind import Kind, is_lstm

States = tuple[Tensor, ...]


def run(kind: Kind, *tensors: Tensor) -> tuple[Tensor, ...]:
    """Run a layer; parameters and results are those of `recurrence.run`.

    Parameters
    ----------
    kind : Kind
        What it computes.
    *tensors : tensors
        x, weights and states; see `Kind`.

    Returns
    -------
    tuple of tensors
        y, D * S features in the form of x, and the final states.
    """
    x, weights, states = kind.parts(tensors)
    if kind.layout is not None:
        x = packing.pad(x, kind.layout)
        kind = kind._replace(lengths=kind.layout.lengths)
    results = []
    for n, direction in enumerate(weights):
        initial = tuple(s[n] for s in states) if states else _zeros(kind, x, direction)
        results.append(_direction(kind, x, direction, initial, is_reverse=n == 1))
    finals = zip(*(final for _, final in results), strict=True)
    y = torch.cat([y for y, _ in results], -1)
    if kind.layout is not None:
        y = packing.pack(y, kind.layout)
    return y, *(torch.stack(parts) for parts in finals)


def _zeros(kind: Kind, x: Tensor, weights: Sequence[Tensor]) -> States:
    B = x.shape[1]
    w_hh = weights[1]
    h = x.new_zeros(B, w_hh.shape[1])
    return (h, x.new_zeros(B, w_hh.shape[0] // 4)) if is_lstm(kind.mode) else (h,)


def _direction(
    kind: Kind, x: Tensor, weights: Sequence[Tensor], states: States, *, is_reverse: bool
) -> tuple[Tensor, States]:
    """Return y (T, B, S) and the final states (B, S or H) of one direction."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh = rest[:2] if kind.has_bias else (None, None)
    T = x.shape[0]
    inputs = linear(x, w_ih, b_ih)
    lengths = None if kind.lengths is None else torch.from_numpy(kind.lengths)
    y: list[Tensor] = [x.new_empty(0)] * T
    for t in reversed(range(T)) if is_reverse else range(T):
        new = _step(kind.mode, inputs[t], linear(states[0], w_hh, b_hh), states)
        if kind.mode == "LSTMP":
            new = (linear(new[0], rest[-1]), new[1])
        if lengths is None:
            states, y[t] = new, new[0]
        else:
            is_there = (t < lengths)[:, None]
            y[t] = torch.where(is_there, new[0], 0.0)
            states = tuple(
                torch.where(is_there, s, old) for s, old in zip(new, states, strict=True)
            )
    return torch.stack(y), states


def _step(mode: str, a_x: Tensor, a_h: Tensor, states: States) -> States:
    """Return the states after a step, from what the input and the previous h contribute."""
    if mode == "GRU":
        (x_r, x_z, x_n), (h_r, h_z, h_n) = a_x.chunk(3, -1), a_h.chunk(3, -1)
        r, z = torch.sigmoid(x_r + h_r), torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + r * h_n)
        return ((1 - z) * n + z * states[0],)
    if is_lstm(mode):
        a_i, a_f, a_g, a_o = (a_x + a_h).chunk(4, -1)
        c = torch.sigmoid(a_f) * states[1] + torch.sigmoid(a_i) * torch.tanh(a_g)
        return torch.sigmoid(a_o) * torch.tanh(c), c
    return (torch.tanh(a_x + a_h) if mode == "RNN_TANH" else torch.relu(a_x + a_h),)
