"""Minimal gated unit (G.-B. Zhou et al., International Journal of Automation and Computing 2016).

(1) f = sigmoid(a_f)
(2) q = f * h_prev
(3) n = tanh(a_n)                           a_n = x W_n + q R_n + b_n
(4) h = (1 - f) * h_prev + f * n = h_prev + f * (n - h_prev)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Sigmoid, Tanh, activate, slope


class MGU(NamedTuple):
    """One gate both forgets and resets; `gate` replaces the sigmoid, `candidate` the tanh."""

    gate: Any = Sigmoid()
    candidate: Any = Tanh()

    # The third column holds df while the product of (3) is undone.
    GATES = ("f", "n", "df")  # type: ignore[misc]
    INPUT = ("f", "n")  # type: ignore[misc]
    RECURRENT = ("f", "n")  # type: ignore[misc]
    INNER = ("n",)  # type: ignore[misc]
    BIAS = ("f", "n")  # type: ignore[misc]
    STATES = ("h",)  # type: ignore[misc]

    def operand(cell: Any, a: Any, h: Any) -> Any:  # noqa: N805
        """Return what R_n multiplies; f takes the place of a_f."""
        a_f, a_n, unused = a
        f = activate(cell.gate, a_f)  # (1)
        return (f, a_n, unused), f * h  # (2)

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        f, a_n, unused = a
        (h_prev,) = state
        n = activate(cell.candidate, a_n)  # (3)
        return (f, n, unused), (h_prev + f * (n - h_prev),)  # (4)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step without those of (2); f stays for `operand_backward`."""
        f, n, _ = saved
        (h_prev,) = before
        (dh,) = dstate
        df = dh * (n - h_prev)  # (4)
        da_n = dh * f * slope(cell.candidate, n)  # (4) (3)
        return (f, da_n, df), (dh * (1.0 - f),)

    def operand_backward(cell: Any, da: Any, h: Any, doperand: Any) -> Any:  # noqa: N805
        """Gradients of (2) and of (1)."""
        f, da_n, df = da
        da_f = (df + doperand * h) * slope(cell.gate, f)  # (2) (1)
        return (da_f, da_n, df), doperand * f
