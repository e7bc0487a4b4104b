"""Independently recurrent network: a unit sees of the previous h only its own (Li et al. 2018).

(1) h = relu(a_n + u * h_prev)

u is a learned number of each hidden unit, in the place of the matrix R.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Relu, activate, slope


class IndRNN(NamedTuple):
    """The independently recurrent cell; `activation` replaces the relu."""

    activation: Any = Relu()

    GATES = ("n", "u")  # type: ignore[misc]
    INPUT = ("n",)  # type: ignore[misc]
    RECURRENT = ()  # type: ignore[misc]
    STATES = ("h",)  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        a_n, u = a
        (h_prev,) = state
        h = activate(cell.activation, a_n + u * h_prev)  # (1)
        return (h, u), (h,)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see the package's docstring."""
        h, u = saved
        (h_prev,) = before
        (dh,) = dstate
        da_n = dh * slope(cell.activation, h)  # (1)
        return (da_n, da_n * h_prev), (da_n * u,)
