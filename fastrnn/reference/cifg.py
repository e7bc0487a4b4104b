"""LSTM with coupled input and forget gates (Greff et al. 2017).

::

    (1)  a = x W + h_prev R + b                     split into a_i, a_g, a_o
    (2)  i, o = sigmoid(a_i), sigmoid(a_o)
    (3)  c = (1 - i) * c_prev + i * tanh(a_g)
    (4)  h = o * tanh(c)
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class CIFG(Cell):
    """The LSTM with one gate for input and forgetting."""

    GATES = INPUT = RECURRENT = BIAS = ("i", "g", "o")
    STATES = ("h", "c")
    ACTIVATIONS = ("sigmoid", "tanh", "tanh")  # gates, candidate, output

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        gate, candidate, output = functions
        _, c_prev = state
        a_i, a_g, a_o = split(x @ W + h @ R + b, 3)  # (1)
        i, o = gate(a_i), gate(a_o)  # (2)
        c = (1.0 - i) * c_prev + i * candidate(a_g)  # (3)
        return o * output(c), c  # (4)
