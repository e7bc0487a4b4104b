"""Gated recurrent unit with layer normalisation (Ba, Kiros & Hinton 2016), reset after.

`extra` holds gain_x and gain_h (3H,); LN is over all three gates of a row together::

    (1)  u = LN(x W; gain_x)                        split into u_r, u_z, u_n
    (2)  v = LN(h_prev R; gain_h)                   split into v_r, v_z, v_n
    (3)  r, z = sigmoid(u_r + v_r + b_r), sigmoid(u_z + v_z + b_z)
    (4)  n = tanh(u_n + b_nx + r * (v_n + b_nh))
    (5)  h = (1 - z) * n + z * h_prev
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.layer_norm import layer_norm
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class LayerNormGRU(Cell):
    """The GRU with layer normalisation."""

    INPUT = ("r", "z", "n_x")
    RECURRENT = ("r", "z", "n_h")
    GATES = BIAS = ("r", "z", "n_x", "n_h")
    STATES = ("h",)
    ACTIVATIONS = ("sigmoid", "tanh")  # gates, candidate
    EXTRA = ("gain_x", "gain_h")

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, extra = weights
        gate, candidate = functions
        (h_prev,) = state
        u_r, u_z, u_n = split(layer_norm(x @ W, extra["gain_x"]), 3)  # (1)
        v_r, v_z, v_n = split(layer_norm(h @ R, extra["gain_h"]), 3)  # (2)
        b_r, b_z, b_nx, b_nh = split(b, 4)
        r, z = gate(u_r + v_r + b_r), gate(u_z + v_z + b_z)  # (3)
        n = candidate(u_n + b_nx + r * (v_n + b_nh))  # (4)
        return ((1.0 - z) * n + z * h_prev,)  # (5)
