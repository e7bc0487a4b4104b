"""What ours and the rivals hand over for a case, and when it counts as right."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from . import timing
from .cases import Case
from .data import WINDOWS, masked

# Of the largest number of an array.  The desired ones are exact: float32 sums over all rows and
# steps keep some hundred roundings of 6e-8 each.
TOLERANCES = {"float32": 4e-5, "float64": 1e-11}
# Adam divides small gradients, which have the errors of the large ones they are summed from, by
# their own size.
STEP_TOLERANCES = {"float32": 2e-4, "float64": 1e-9}


class Candidate(NamedTuple):
    """One way to solve a case.

    `run()` is what is timed.  `outputs(run())` has the names and layouts of `oracle.outputs`;
    those of a "step" are asked for once all windows have been learned from.
    """

    run: Callable[[], Any]
    outputs: Callable[[Any], dict[str, Any]]


#: The ways of a library to solve a case, by name; each is built when it is called.
Variants = Mapping[str, Callable[[], Candidate]]


class UnableError(Exception):
    """A library cannot solve a case; the message says why."""


def first_call(case: Case, candidate: Candidate) -> tuple[float, dict[str, Any]]:
    """Return the seconds of a new candidate's first call, and its outputs."""
    start = time.perf_counter()
    result = candidate.run()
    seconds = time.perf_counter() - start
    for _ in range(WINDOWS - 1 if case.kind == "step" else 0):
        result = candidate.run()
    outputs = {name: np.asarray(array) for name, array in candidate.outputs(result).items()}
    if "y" in outputs:  # beyond the lengths it may be anything
        outputs["y"] = masked(case, outputs["y"])
    return seconds, outputs


def check(case: Case, actual: Mapping[str, Any], desired: Mapping[str, Any]) -> float:
    """Return the largest error over an array's largest number, of all outputs.

    Raises
    ------
    timing.WrongAnswerError
        If an output is missing, of another shape, not finite, or too far off.
    """
    if actual.keys() != desired.keys():
        raise timing.WrongAnswerError(
            f"outputs: {', '.join(actual)}; expected {', '.join(desired)}"
        )
    tolerance = (STEP_TOLERANCES if case.kind == "step" else TOLERANCES)[case.dtype]
    return max(timing.check(name, actual[name], desired[name], tolerance) for name in desired)


def named_gradients(dx: Any, weights: Iterable[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Return dx and the gradients (dW, dR, db) of all weights under the names of outputs."""
    return {"dx": dx, **named_weights(weights, "d")}


def named_weights(weights: Iterable[tuple[Any, Any, Any]], prefix: str = "") -> dict[str, Any]:
    """Return weights, layer by layer and direction by direction, under the names of outputs."""
    named = {}
    for k, group in enumerate(weights):
        for letter, array in zip("WRb", group, strict=True):
            if array is not None:
                named[f"{prefix}{letter}{k}"] = array
    return named


def changes(after: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return how far training has moved each of the weights."""
    return {name: np.subtract(after[name], before[name], dtype=np.float64) for name in before}
