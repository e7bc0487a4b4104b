"""LSTM whose gates see the cell state (Gers & Schmidhuber 2000; Graves 2013).

The last three parts of b are the peephole weights p_i, p_f and p_o::

    (1)  a = x W + h_prev R + b                     split into a_i, a_f, a_g, a_o
    (2)  i = sigmoid(a_i + p_i * c_prev)
    (3)  f = sigmoid(a_f + p_f * c_prev)
    (4)  c = f * c_prev + i * tanh(a_g)
    (5)  o = sigmoid(a_o + p_o * c)
    (6)  h = o * tanh(c)
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class Peephole(Cell):
    """The LSTM with peepholes."""

    INPUT = RECURRENT = ("i", "f", "g", "o")
    GATES = BIAS = ("i", "f", "g", "o", "p_i", "p_f", "p_o")
    STATES = ("h", "c")
    ACTIVATIONS = ("sigmoid", "tanh", "tanh")  # gates, candidate, output

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        gate, candidate, output = functions
        _, c_prev = state
        b_i, b_f, b_g, b_o, p_i, p_f, p_o = split(b, 7)
        a_i, a_f, a_g, a_o = split(x @ W + h @ R, 4)
        i = gate(a_i + b_i + p_i * c_prev)  # (1) (2)
        f = gate(a_f + b_f + p_f * c_prev)  # (1) (3)
        c = f * c_prev + i * candidate(a_g + b_g)  # (1) (4)
        o = gate(a_o + b_o + p_o * c)  # (1) (5)
        return o * output(c), c  # (6)
