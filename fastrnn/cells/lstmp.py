"""LSTM with a projection of its output (Sak, Senior and Beaufays 2014).

(1) i = sigmoid(a_i)    f = sigmoid(a_f)    o = sigmoid(a_o)
(2) g = tanh(a_g)
(3) c = f * c_prev + i * g
(4) m = o * tanh(c)
(5) h = m P

The formula is the LSTM's, whose output is m here.
"""

from __future__ import annotations

from fastrnn.cells.lstm import LSTM


class LSTMP(LSTM):
    """The LSTM cell with S features of output; `extra` holds P (H, S)."""

    __slots__ = ()

    PROJECTED = True
    EXTRA = ("P",)
