"""Gated recurrent unit with the reset gate after the product (Cho et al. 2014; cuDNN, PyTorch).

(1) r = sigmoid(a_r)    z = sigmoid(a_z)
(2) n = tanh(a_nx + r * a_nh)
(3) h = (1 - z) * n + z * h_prev = n + z * (h_prev - n)

a_nx comes from the input and a_nh from the previous state, each with a bias of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Sigmoid, Tanh, activate, slope


class GRU(NamedTuple):
    """The GRU cell; `gate` replaces the sigmoid and `candidate` the tanh."""

    gate: Any = Sigmoid()
    candidate: Any = Tanh()

    # W feeds the first three, R the last three.
    GATES = ("n_x", "r", "z", "n_h")  # type: ignore[misc]
    INPUT = ("r", "z", "n_x")  # type: ignore[misc]
    RECURRENT = ("r", "z", "n_h")  # type: ignore[misc]
    BIAS = ("r", "z", "n_x", "n_h")  # type: ignore[misc]
    STATES = ("h",)  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        a_nx, a_r, a_z, a_nh = a
        (h_prev,) = state
        r, z = activate(cell.gate, a_r), activate(cell.gate, a_z)  # (1)
        n = activate(cell.candidate, a_nx + r * a_nh)  # (2)
        h = n + z * (h_prev - n)  # (3)
        return (n, r, z, a_nh), (h,)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see the package's docstring."""
        n, r, z, a_nh = saved
        (h_prev,) = before
        (dh,) = dstate
        da_z = dh * (h_prev - n) * slope(cell.gate, z)  # (3) (1)
        da_nx = dh * (1.0 - z) * slope(cell.candidate, n)  # (3) (2)
        da_nh = da_nx * r  # (2)
        da_r = da_nx * a_nh * slope(cell.gate, r)  # (2) (1)
        return (da_nx, da_r, da_z, da_nh), (dh * z,)
