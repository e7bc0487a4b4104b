"""Gated recurrent unit with the reset gate before the product (Cho et al. 2014).

(1) r = sigmoid(a_r)    z = sigmoid(a_z)
(2) q = r * h_prev
(3) n = tanh(a_n)                           a_n = x W_n + q R_n + b_n
(4) h = (1 - z) * n + z * h_prev = n + z * (h_prev - n)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Sigmoid, Tanh, activate, slope


class GRUResetBefore(NamedTuple):
    """The reset gate acts on h before R does; `gate` replaces the sigmoid, `candidate` the tanh."""

    gate: Any = Sigmoid()
    candidate: Any = Tanh()

    GATES = ("r", "z", "n")  # type: ignore[misc]
    INNER = ("n",)  # type: ignore[misc]
    STATES = ("h",)  # type: ignore[misc]

    def operand(cell: Any, a: Any, h: Any) -> Any:  # noqa: N805
        """Return what R_n multiplies; r takes the place of a_r."""
        a_r, a_z, a_n = a
        r = activate(cell.gate, a_r)  # (1)
        return (r, a_z, a_n), r * h  # (2)

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        r, a_z, a_n = a
        (h_prev,) = state
        z = activate(cell.gate, a_z)  # (1)
        n = activate(cell.candidate, a_n)  # (3)
        return (r, z, n), (n + z * (h_prev - n),)  # (4)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step without those of (2); r stays for `operand_backward`."""
        r, z, n = saved
        (h_prev,) = before
        (dh,) = dstate
        da_z = dh * (h_prev - n) * slope(cell.gate, z)  # (4) (1)
        da_n = dh * (1.0 - z) * slope(cell.candidate, n)  # (4) (3)
        return (r, da_z, da_n), (dh * z,)

    def operand_backward(cell: Any, da: Any, h: Any, doperand: Any) -> Any:  # noqa: N805
        """Gradients of (2)."""
        r, da_z, da_n = da
        da_r = doperand * h * slope(cell.gate, r)  # (2) (1)
        return (da_r, da_z, da_n), doperand * r
