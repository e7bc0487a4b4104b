"""Long short-term memory with peepholes whose forget gate is what the input gate leaves.

(1) i = sigmoid(a_i + p_i * c_prev)
(2) g = tanh(a_g)
(3) c = (1 - i) * c_prev + i * g = c_prev + i * (g - c_prev)
(4) o = sigmoid(a_o + p_o * c)
(5) h = o * tanh(c)

ONNX' LSTM with `input_forget` and P.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Sigmoid, Tanh, activate, slope


class CoupledPeepholeLSTM(NamedTuple):
    """The LSTM cell with both; its fields are those of `fastrnn.cells.lstm.LSTM`."""

    gate: Any = Sigmoid()
    candidate: Any = Tanh()
    output: Any = Tanh()

    GATES = ("i", "g", "o", "p_i", "p_o")  # type: ignore[misc]
    INPUT = ("i", "g", "o")  # type: ignore[misc]
    RECURRENT = ("i", "g", "o")  # type: ignore[misc]
    STATES = ("h", "c")  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see `fastrnn.cells`."""
        a_i, a_g, a_o, p_i, p_o = a
        _, c_prev = state
        i = activate(cell.gate, a_i + p_i * c_prev)  # (1)
        g = activate(cell.candidate, a_g)  # (2)
        c = c_prev + i * (g - c_prev)  # (3)
        o = activate(cell.gate, a_o + p_o * c)  # (4)
        return (i, g, o, p_i, p_o), (o * activate(cell.output, c), c)  # (5)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see `fastrnn.cells`."""
        i, g, o, p_i, p_o = saved
        _, c_prev = before
        _, c = after
        dh, dc = dstate
        tanh_c = activate(cell.output, c)
        da_o = dh * tanh_c * slope(cell.gate, o)  # (5) (4)
        dc = dc + dh * o * slope(cell.output, tanh_c) + da_o * p_o  # (5) (4)
        da_i = dc * (g - c_prev) * slope(cell.gate, i)  # (3) (1)
        da_g = dc * i * slope(cell.candidate, g)  # (3) (2)
        dc_prev = dc * (1.0 - i) + da_i * p_i  # (3) (1)
        return (da_i, da_g, da_o, da_i * c_prev, da_o * c), (0.0, dc_prev)
