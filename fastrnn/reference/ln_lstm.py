"""LSTM with layer normalisation (Ba, Kiros & Hinton 2016).

`extra` holds gain_x and gain_h (4H,), gain_c and bias_c (H,); LN is over all features of a row,
so in (1) over all four gates together::

    (1)  a = LN(x W; gain_x) + LN(h_prev R; gain_h) + b         split into a_i, a_f, a_g, a_o
    (2)  i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
    (3)  c = f * c_prev + i * tanh(a_g)
    (4)  h = o * tanh(LN(c; gain_c) + bias_c)
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.layer_norm import layer_norm
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class LayerNormLSTM(Cell):
    """The LSTM with layer normalisation."""

    GATES = INPUT = RECURRENT = BIAS = ("i", "f", "g", "o")
    STATES = ("h", "c")
    ACTIVATIONS = ("sigmoid", "tanh", "tanh")  # gates, candidate, output
    EXTRA = ("gain_x", "gain_h", "gain_c", "bias_c")

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, extra = weights
        gate, candidate, output = functions
        _, c_prev = state
        a = layer_norm(x @ W, extra["gain_x"]) + layer_norm(h @ R, extra["gain_h"]) + b  # (1)
        a_i, a_f, a_g, a_o = split(a, 4)
        i, f, o = gate(a_i), gate(a_f), gate(a_o)  # (2)
        c = f * c_prev + i * candidate(a_g)  # (3)
        return o * output(layer_norm(c, extra["gain_c"]) + extra["bias_c"]), c  # (4)
