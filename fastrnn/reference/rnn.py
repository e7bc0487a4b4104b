"""Simple recurrent network (Elman 1990).

::

    (1)  h = tanh(x W + h_prev R + b)               or another activation, such as relu
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class RNN(Cell):
    """The simple recurrent cell."""

    GATES = INPUT = RECURRENT = BIAS = ("n",)
    STATES = ("h",)
    ACTIVATIONS = ("tanh",)

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        (activation,) = functions
        return (activation(x @ W + h @ R + b),)  # (1)
