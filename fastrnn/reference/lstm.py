"""Long short-term memory with forget gates.

Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997; the forget
gate from Gers, Schmidhuber & Cummins, "Learning to Forget: Continual Prediction with LSTM",
Neural Computation 12(10), 2000::

    (1)  a = x W + h_prev R + b                     split into a_i, a_f, a_g, a_o
    (2)  i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
    (3)  g = tanh(a_g)
    (4)  c = f * c_prev + i * g
    (5)  h = o * tanh(c)
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class LSTM(Cell):
    """The standard LSTM."""

    GATES = INPUT = RECURRENT = BIAS = ("i", "f", "g", "o")
    STATES = ("h", "c")
    ACTIVATIONS = ("sigmoid", "tanh", "tanh")  # gates, candidate, output

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        gate, candidate, output = functions
        _, c_prev = state
        a_i, a_f, a_g, a_o = split(x @ W + h @ R + b, 4)  # (1)
        i, f, o = gate(a_i), gate(a_f), gate(a_o)  # (2)
        g = candidate(a_g)  # (3)
        c = f * c_prev + i * g  # (4)
        return o * output(c), c  # (5)
