"""Gated recurrent unit that resets after the product with R (cuDNN, PyTorch).

Cho et al. 2014, with the two halves of n apart, each with its own bias::

    (1)  r = sigmoid(x W_r + h_prev R_r + b_r)
    (2)  z = sigmoid(x W_z + h_prev R_z + b_z)
    (3)  n = tanh(x W_n + b_nx + r * (h_prev R_n + b_nh))
    (4)  h = (1 - z) * n + z * h_prev
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class GRU(Cell):
    """The GRU as PyTorch defines it."""

    INPUT = ("r", "z", "n_x")
    RECURRENT = ("r", "z", "n_h")
    GATES = BIAS = ("r", "z", "n_x", "n_h")
    STATES = ("h",)
    ACTIVATIONS = ("sigmoid", "tanh")  # gates, candidate

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        gate, candidate = functions
        (h_prev,) = state
        x_r, x_z, x_n = split(x @ W, 3)
        h_r, h_z, h_n = split(h @ R, 3)
        b_r, b_z, b_nx, b_nh = split(b, 4)
        r = gate(x_r + h_r + b_r)  # (1)
        z = gate(x_z + h_z + b_z)  # (2)
        n = candidate(x_n + b_nx + r * (h_n + b_nh))  # (3)
        return ((1.0 - z) * n + z * h_prev,)  # (4)
