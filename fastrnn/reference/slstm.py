"""Scalar LSTM with exponential input gates (Beck et al., "xLSTM", 2024).

c and n stand for c exp(m) and n exp(m); the stabiliser m keeps exp from overflowing::

    (1)  a = x W + h_prev R + b                     split into a_i, a_f, a_g, a_o
    (2)  m = max(logsigmoid(a_f) + m_prev, a_i)
    (3)  i = exp(a_i - m)
    (4)  f = exp(logsigmoid(a_f) + m_prev - m)
    (5)  c = f * c_prev + i * tanh(a_g)
    (6)  n = f * n_prev + i
    (7)  h = sigmoid(a_o) * c / n

The gradient of (2) goes to the larger of the two, to the first where they are equal. That of h
is the same either way, as c and n scale alike; those of c, n and m are not. n stays positive if
n_prev is. From n_prev = 0, (7) is 0 / 0 where a_i is so far below logsigmoid(a_f) + m_prev, by
more than 745, that i is 0.
"""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, exp, sigmoid, softplus, split, tanh, where
from fastrnn.reference.recurrent import Cell, Functions, Nodes, Weights


class SLSTM(Cell):
    """The sLSTM; its activations are fixed."""

    GATES = INPUT = RECURRENT = BIAS = ("i", "f", "g", "o")
    STATES = ("h", "c", "n", "m")

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """One step; see the module."""
        W, R, b, _ = weights
        _, c_prev, n_prev, m_prev = state
        a_i, a_f, a_g, a_o = split(x @ W + h @ R + b, 4)  # (1)
        kept = m_prev - softplus(-a_f)  # logsigmoid(a) = -softplus(-a)
        m = where(kept.value < a_i.value, a_i, kept)  # (2)
        i = exp(a_i - m)  # (3)
        f = exp(kept - m)  # (4)
        c = f * c_prev + i * tanh(a_g)  # (5)
        n = f * n_prev + i  # (6)
        return sigmoid(a_o) * c / n, c, n, m  # (7)
