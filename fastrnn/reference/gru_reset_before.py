"""Gated recurrent unit that resets before the product with R (Cho et al. 2014).

A recurrent mask acts on h_prev in (1) to (3), in (3) before r does::

    (1)  r = sigmoid(x W_r + h_prev R_r + b_r)
    (2)  z = sigmoid(x W_z + h_prev R_z + b_z)
    (3)  n = tanh(x W_n + (r * h_prev) R_n + b_n)
    (4)  h = (1 - z) * n + z * h_prev
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class GRUResetBefore(Cell):
    """The GRU as first published."""

    GATES = INPUT = RECURRENT = BIAS = ("r", "z", "n")
    STATES = ("h",)
    ACTIVATIONS = ("sigmoid", "tanh")  # gates, candidate

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        gate, candidate = functions
        (h_prev,) = state
        a_r, a_z, a_n = split(x @ W + b, 3)
        R_r, R_z, R_n = split(R, 3)
        r = gate(a_r + h @ R_r)  # (1)
        z = gate(a_z + h @ R_z)  # (2)
        n = candidate(a_n + (r * h) @ R_n)  # (3)
        return ((1.0 - z) * n + z * h_prev,)  # (4)
