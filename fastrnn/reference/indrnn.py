"""Independently recurrent network (Li et al. 2018): no R, a hidden unit sees only itself.

The second part of b is the recurrent weight u of each unit::

    (1)  h = relu(x W + u * h_prev + b_n)
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, split
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class IndRNN(Cell):
    """The independently recurrent cell."""

    INPUT = ("n",)
    RECURRENT = ()
    GATES = BIAS = ("n", "u")
    STATES = ("h",)
    ACTIVATIONS = ("relu",)

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, _, b, _ = weights
        (activation,) = functions
        (h_prev,) = state
        b_n, u = split(b, 2)
        return (activation(x @ W + u * h_prev + b_n),)  # (1)
