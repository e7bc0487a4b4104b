"""LSTM with a projection of its output (Sak, Senior & Beaufays 2014).

h has S features; R is (S, 4H), and `extra` holds the projection P (H, S)::

    (1)  a = x W + h_prev R + b                     split into a_i, a_f, a_g, a_o
    (2)  i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
    (3)  c = f * c_prev + i * tanh(a_g)
    (4)  h = (o * tanh(c)) P
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class LSTMP(Cell):
    """The LSTM with a projection."""

    GATES = INPUT = RECURRENT = BIAS = ("i", "f", "g", "o")
    STATES = ("h", "c")
    ACTIVATIONS = ("sigmoid", "tanh", "tanh")  # gates, candidate, output
    EXTRA = ("P",)

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, extra = weights
        gate, candidate, output = functions
        _, c_prev = state
        a_i, a_f, a_g, a_o = split(x @ W + h @ R + b, 4)  # (1)
        i, f, o = gate(a_i), gate(a_f), gate(a_o)  # (2)
        c = f * c_prev + i * candidate(a_g)  # (3)
        return (o * output(c)) @ extra["P"], c  # (4)
