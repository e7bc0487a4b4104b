"""What kernels ask of a cell, answered at compile time from the cell's class."""

from __future__ import annotations

from typing import Any

from numba.extending import overload

from fastrnn._jit import POINTWISE
from fastrnn.simd.constant import define_constant

Range = tuple[int, int]


def gates(cell: Any) -> int:
    """Return how many pre-activations a hidden unit has."""
    return len(type(cell).GATES)


def states(cell: Any) -> int:
    """Return how many states a hidden unit has."""
    return len(type(cell).STATES)


def input_gates(cell: Any) -> Range:
    """Return first and last+1 of the gates that W feeds."""
    return gate_range(type(cell), "INPUT")


def recurrent_gates(cell: Any) -> Range:
    """Return first and last+1 of the gates that R feeds from the previous h."""
    return gate_range(type(cell), "RECURRENT")


def inner_gates(cell: Any) -> Range:
    """Return first and last+1 of the gates that R feeds from the cell's `operand`."""
    return gate_range(type(cell), "INNER")


def has_inner(cell: Any) -> bool:
    """Return whether some gates take an operand of the cell's own instead of h."""
    return bool(gate_names(type(cell), "INNER"))


def is_projected(cell: Any) -> bool:
    """Return whether h is the formula's output times a matrix."""
    return projects(type(cell))


def has_normal_state(cell: Any) -> bool:
    """Return whether the first state but h is normalised before h is made of it."""
    return "c" in normalised(type(cell))


def projects(kind: Any) -> bool:
    """Return whether h of a cell class is the formula's output times a matrix."""
    return bool(getattr(kind, "PROJECTED", False))


def normalised(kind: Any) -> tuple[str, ...]:
    """Return what of a cell class is layer-normalised: the products of x and h, the state c."""
    return tuple(getattr(kind, "NORMALISED", ()))


def extra_names(kind: Any) -> tuple[str, ...]:
    """Return the names of the further weights of a cell class."""
    return tuple(getattr(kind, "EXTRA", ()))


def gate_names(kind: Any, part: str) -> tuple[str, ...]:
    """Return the gates that `part` of a cell class names, in the order of the user's columns."""
    default = () if part == "INNER" else kind.GATES
    return tuple(getattr(kind, part, default))


def gate_range(kind: Any, part: str) -> Range:
    """Return first and last+1 of the gates that `part` names, which lie side by side in a tile."""
    names = set(gate_names(kind, part))
    if part == "RECURRENT":
        names -= set(gate_names(kind, "INNER"))
    places = sorted(kind.GATES.index(name) for name in names)
    if not places:
        return 0, 0
    if places != list(range(places[0], places[-1] + 1)):
        raise ValueError(f"{kind.__name__}.{part}: expected gates side by side in GATES")
    return places[0], places[-1] + 1


def forward(cell: Any, a: Any, state: Any) -> Any:
    """Return (saved, state) of one step of `cell`; see `fastrnn.cells`."""
    return type(cell).forward(cell, a, state)


def backward(cell: Any, saved: Any, before: Any, after: Any, dstate: Any) -> Any:
    """Return (da, dstate) of one step of `cell`; see `fastrnn.cells`."""
    return type(cell).backward(cell, saved, before, after, dstate)


def operand(cell: Any, a: Any, h: Any) -> Any:
    """Return (a, operand) of a cell with inner gates; see `fastrnn.cells`."""
    return type(cell).operand(cell, a, h)


def operand_backward(cell: Any, da: Any, h: Any, doperand: Any) -> Any:
    """Return (da, dh) of a cell with inner gates; see `fastrnn.cells`."""
    return type(cell).operand_backward(cell, da, h, doperand)


def expose(cell: Any, o: Any, n: Any) -> Any:
    """Return h of a cell with a normalised state; see `fastrnn.cells`."""
    return type(cell).expose(cell, o, n)


def expose_backward(cell: Any, saved: Any, n: Any, dh: Any) -> Any:
    """Return (do, dn) of a cell with a normalised state; see `fastrnn.cells`."""
    return type(cell).expose_backward(cell, saved, n, dh)


define_constant(gates, lambda cell: len(cell.instance_class.GATES))
define_constant(states, lambda cell: len(cell.instance_class.STATES))
define_constant(input_gates, lambda cell: gate_range(cell.instance_class, "INPUT"))
define_constant(recurrent_gates, lambda cell: gate_range(cell.instance_class, "RECURRENT"))
define_constant(inner_gates, lambda cell: gate_range(cell.instance_class, "INNER"))
define_constant(has_inner, lambda cell: bool(gate_names(cell.instance_class, "INNER")))
define_constant(is_projected, lambda cell: projects(cell.instance_class))
define_constant(has_normal_state, lambda cell: "c" in normalised(cell.instance_class))


@overload(forward, jit_options=POINTWISE, strict=False)
def _overload_forward(cell, a, state):  # type: ignore[no-untyped-def]
    return cell.instance_class.forward


@overload(backward, jit_options=POINTWISE, strict=False)
def _overload_backward(cell, saved, before, after, dstate):  # type: ignore[no-untyped-def]
    return cell.instance_class.backward


@overload(operand, jit_options=POINTWISE, strict=False)
def _overload_operand(cell, a, h):  # type: ignore[no-untyped-def]
    return cell.instance_class.operand


@overload(operand_backward, jit_options=POINTWISE, strict=False)
def _overload_operand_backward(cell, da, h, doperand):  # type: ignore[no-untyped-def]
    return cell.instance_class.operand_backward


@overload(expose, jit_options=POINTWISE, strict=False)
def _overload_expose(cell, o, n):  # type: ignore[no-untyped-def]
    return cell.instance_class.expose


@overload(expose_backward, jit_options=POINTWISE, strict=False)
def _overload_expose_backward(cell, saved, n, dh):  # type: ignore[no-untyped-def]
    return cell.instance_class.expose_backward
