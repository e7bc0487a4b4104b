"""Long short-term memory whose gates see the cell (Gers and Schmidhuber 2000; Graves 2013).

(1) i = sigmoid(a_i + p_i * c_prev)    f = sigmoid(a_f + p_f * c_prev)
(2) g = tanh(a_g)
(3) c = f * c_prev + i * g
(4) o = sigmoid(a_o + p_o * c)
(5) h = o * tanh(c)

p_i, p_f and p_o are learned numbers of each hidden unit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Sigmoid, Tanh, activate, slope


class PeepholeLSTM(NamedTuple):
    """The LSTM cell with peepholes; its fields are those of `LSTM`."""

    gate: Any = Sigmoid()
    candidate: Any = Tanh()
    output: Any = Tanh()

    GATES = ("i", "f", "g", "o", "p_i", "p_f", "p_o")  # type: ignore[misc]
    INPUT = ("i", "f", "g", "o")  # type: ignore[misc]
    RECURRENT = ("i", "f", "g", "o")  # type: ignore[misc]
    STATES = ("h", "c")  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        a_i, a_f, a_g, a_o, p_i, p_f, p_o = a
        _, c_prev = state
        i = activate(cell.gate, a_i + p_i * c_prev)  # (1)
        f = activate(cell.gate, a_f + p_f * c_prev)  # (1)
        g = activate(cell.candidate, a_g)  # (2)
        c = f * c_prev + i * g  # (3)
        o = activate(cell.gate, a_o + p_o * c)  # (4)
        return (i, f, g, o, p_i, p_f, p_o), (o * activate(cell.output, c), c)  # (5)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see the package's docstring."""
        i, f, g, o, p_i, p_f, p_o = saved
        _, c_prev = before
        _, c = after
        dh, dc = dstate
        tanh_c = activate(cell.output, c)
        da_o = dh * tanh_c * slope(cell.gate, o)  # (5) (4)
        dc = dc + dh * o * slope(cell.output, tanh_c) + da_o * p_o  # (5) (4)
        da_i = dc * g * slope(cell.gate, i)  # (3) (1)
        da_f = dc * c_prev * slope(cell.gate, f)  # (3) (1)
        da_g = dc * i * slope(cell.candidate, g)  # (3) (2)
        dp_i, dp_f, dp_o = da_i * c_prev, da_f * c_prev, da_o * c  # (1) (4)
        dc_prev = dc * f + da_i * p_i + da_f * p_f  # (3) (1)
        return (da_i, da_f, da_g, da_o, dp_i, dp_f, dp_o), (0.0, dc_prev)
