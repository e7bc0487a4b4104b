"""What kernels ask of a cell, answered at compile time from the cell's class."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from fastrnn._jit import POINTWISE


def forward(cell: Any, a: Any, state: Any) -> Any:
    """Return (saved, state) of one step of `cell`; see `fastrnn.cells`."""
    return type(cell).forward(cell, a, state)


def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:
    """Return (da, dstate) of one step of `cell`; see `fastrnn.cells`."""
    return type(cell).backward(cell, saved, before, after, dstate)


def gates(cell: Any) -> int:
    """Return how many pre-activations a hidden unit has."""
    return len(type(cell).GATES)


def input_gates(cell: Any) -> tuple[int, int]:
    """Return first and last+1 of the gates that W feeds."""
    first, last = type(cell).INPUT_GATES
    return first, last


def recurrent_gates(cell: Any) -> tuple[int, int]:
    """Return first and last+1 of the gates that R feeds."""
    first, last = type(cell).RECURRENT_GATES
    return first, last


@overload(forward, jit_options=POINTWISE, strict=False)
def _overload_forward(cell, a, state):  # type: ignore[no-untyped-def]
    return cell.instance_class.forward


@overload(backward, jit_options=POINTWISE, strict=False)
def _overload_backward(cell, saved, before, after, dstate):  # type: ignore[no-untyped-def]
    return cell.instance_class.backward


@overload(gates, jit_options=POINTWISE)
def _overload_gates(cell):  # type: ignore[no-untyped-def]
    count = len(cell.instance_class.GATES)
    return lambda cell: count


@overload(input_gates, jit_options=POINTWISE)
def _overload_input_gates(cell):  # type: ignore[no-untyped-def]
    first, last = cell.instance_class.INPUT_GATES
    return lambda cell: (first, last)


@overload(recurrent_gates, jit_options=POINTWISE)
def _overload_recurrent_gates(cell):  # type: ignore[no-untyped-def]
    first, last = cell.instance_class.RECURRENT_GATES
    return lambda cell: (first, last)
