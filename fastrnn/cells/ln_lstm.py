"""LSTM with layer normalisation (Ba, Kiros and Hinton 2016).

LN is over all four gates of a row together in (1), over its hidden units in (5):

(1) (a_i, a_f, a_g, a_o) = LN(x W; gain_x) + LN(h_prev R; gain_h) + b
(2) i = sigmoid(a_i)    f = sigmoid(a_f)    o = sigmoid(a_o)
(3) g = tanh(a_g)
(4) c = f * c_prev + i * g
(5) n = LN(c; gain_c) + bias_c
(6) h = o * tanh(n)

`forward` leaves o in the place of h, and `expose` makes h of it when all of c is known.
"""

from __future__ import annotations

from typing import Any

from fastrnn.cells.activations import activate, slope
from fastrnn.cells.lstm import LSTM


class LayerNormLSTM(LSTM):
    """The LSTM cell on normalised products and with a normalised state.

    `extra` holds gain_x and gain_h (4H,), gain_c and bias_c (H,).
    """

    __slots__ = ()

    NORMALISED = ("x", "h", "c")
    EXTRA = ("gain_x", "gain_h", "gain_c", "bias_c")

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step up to (4): see the package's docstring."""
        a_i, a_f, a_g, a_o = a
        _, c_prev = state
        i, f = activate(cell.gate, a_i), activate(cell.gate, a_f)  # (2)
        o = activate(cell.gate, a_o)  # (2)
        g = activate(cell.candidate, a_g)  # (3)
        return (i, f, g, o), (o, f * c_prev + i * g)  # (4)

    def expose(cell: Any, o: Any, n: Any) -> Any:  # noqa: N805
        """Return h."""
        return o * activate(cell.output, n)  # (6)

    def expose_backward(cell: Any, saved: Any, n: Any, dh: Any) -> Any:  # noqa: N805
        """Gradients of o and n."""
        _, _, _, o = saved
        tanh_n = activate(cell.output, n)
        return dh * tanh_n, dh * o * slope(cell.output, tanh_n)  # (6)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step up to (4): see the package's docstring."""
        i, f, g, o = saved
        _, c_prev = before
        do, dc = dstate
        da_o = do * slope(cell.gate, o)  # (2)
        da_i = dc * g * slope(cell.gate, i)  # (4) (2)
        da_f = dc * c_prev * slope(cell.gate, f)  # (4) (2)
        da_g = dc * i * slope(cell.candidate, g)  # (4) (3)
        return (da_i, da_f, da_g, da_o), (0.0, dc * f)
