"""Minimal gated unit (Zhou et al. 2016).

A recurrent mask acts on h_prev in (1) and (2), in (2) before f does::

    (1)  f = sigmoid(x W_f + h_prev R_f + b_f)
    (2)  n = tanh(x W_n + (f * h_prev) R_n + b_n)
    (3)  h = (1 - f) * h_prev + f * n
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class MGU(Cell):
    """The minimal gated unit."""

    GATES = INPUT = RECURRENT = BIAS = ("f", "n")
    STATES = ("h",)
    ACTIVATIONS = ("sigmoid", "tanh")  # gates, candidate

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        gate, candidate = functions
        (h_prev,) = state
        a_f, a_n = split(x @ W + b, 2)
        R_f, R_n = split(R, 2)
        f = gate(a_f + h @ R_f)  # (1)
        n = candidate(a_n + (f * h) @ R_n)  # (2)
        return ((1.0 - f) * h_prev + f * n,)  # (3)
