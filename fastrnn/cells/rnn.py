"""The simple recurrent network (Elman 1990).

(1) h = tanh(a_n)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fastrnn.cells.activations import Tanh, activate, slope


class RNN(NamedTuple):
    """The simple recurrent cell; `activation` replaces the tanh."""

    activation: Any = Tanh()

    GATES = ("n",)  # type: ignore[misc]
    STATES = ("h",)  # type: ignore[misc]

    def forward(cell: Any, a: Any, state: Any) -> Any:  # noqa: N805
        """One step: see the package's docstring."""
        (a_n,) = a
        h = activate(cell.activation, a_n)  # (1)
        return (h,), (h,)

    def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:  # noqa: N805
        """Gradients of one step: see the package's docstring."""
        (h,) = saved
        (dh,) = dstate
        return (dh * slope(cell.activation, h),), (0.0,)  # (1)
