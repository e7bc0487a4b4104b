"""Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000).

(1) i = sigmoid(a_i)    f = sigmoid(a_f)    o = sigmoid(a_o)
(2) g = tanh(a_g)
(3) c = f * c_prev + i * g
(4) h = o * tanh(c)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Sigmoid, Tanh, activate, slope


class LSTM(NamedTuple):
    """The LSTM cell; `gate` replaces the sigmoid, `candidate` the tanh of (2), `output` of (4)."""

    gate: Any = Sigmoid()
    candidate: Any = Tanh()
    output: Any = Tanh()

    GATES = ("i", "f", "g", "o")  # type: ignore[misc]
    STATES = ("h", "c")  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        a_i, a_f, a_g, a_o = a
        _, c_prev = state
        i, f = activate(cell.gate, a_i), activate(cell.gate, a_f)  # (1)
        o = activate(cell.gate, a_o)  # (1)
        g = activate(cell.candidate, a_g)  # (2)
        c = f * c_prev + i * g  # (3)
        return (i, f, g, o), (o * activate(cell.output, c), c)  # (4)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see the package's docstring."""
        i, f, g, o = saved
        _, c_prev = before
        _, c = after
        dh, dc = dstate
        tanh_c = activate(cell.output, c)
        dc = dc + dh * o * slope(cell.output, tanh_c)  # (4)
        da_o = dh * tanh_c * slope(cell.gate, o)  # (4) (1)
        da_i = dc * g * slope(cell.gate, i)  # (3) (1)
        da_f = dc * c_prev * slope(cell.gate, f)  # (3) (1)
        da_g = dc * i * slope(cell.candidate, g)  # (3) (2)
        return (da_i, da_f, da_g, da_o), (0.0, dc * f)
