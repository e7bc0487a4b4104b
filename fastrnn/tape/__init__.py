"""Reverse-mode differentiation over the closures of `fastrnn.functional`.

A computation that wants a gradient records its inputs, its outputs and a closure for the tapes
that are open in the calling thread; `GradientTape.gradient` runs the closures backwards.
"""

from fastrnn.tape.gradient_tape import GradientTape
from fastrnn.tape.gradients import PartialGradient, RowGradients
from fastrnn.tape.postponed import PostponedTensor
from fastrnn.tape.records import (
    Postponing,
    is_recording,
    is_watched,
    may_postpone,
    postpone,
    record,
    settle,
)
from fastrnn.tape.tensor import Tensor, Variable, as_array, constant

__all__ = [
    "GradientTape",
    "PartialGradient",
    "PostponedTensor",
    "Postponing",
    "RowGradients",
    "Tensor",
    "Variable",
    "as_array",
    "constant",
    "is_recording",
    "is_watched",
    "may_postpone",
    "postpone",
    "record",
    "settle",
]
