"""Recurrent layers to compute: sizes, data, and what a candidate for them is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import timing
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Errors of both sides in float32: sums over all rows and steps keep some hundred roundings.
TOLERANCE = 4e-5

PASSES = ("forward", "training")


class Cell(NamedTuple):
    """Columns of W, R and b, in hidden sizes."""

    gates: int
    biases: int


# As in `fastrnn.functional.rnn`; "rnn" has tanh.
CELLS = {"lstm": Cell(4, 4), "gru": Cell(3, 4), "rnn": Cell(1, 1)}


class Shape(NamedTuple):
    """Time steps, batch, input features, hidden units."""

    T: int
    B: int
    I: int
    H: int


class Weights(NamedTuple):
    """W (I, gates * H), R (H, gates * H), b (biases * H,) in fastrnn's order of gates."""

    W: Array
    R: Array
    b: Array


class Data(NamedTuple):
    """x (T, B, I), dy (T, B, directions * H), lengths (B,) or None, weights.

    The weights are those of each direction, layer by layer.  x and dy are 0 beyond the lengths,
    so that the gradients of a run over all T steps are the same.
    """

    x: Array
    dy: Array
    lengths: NDArray[np.int64] | None
    weights: list[list[Weights]]


class Problem(NamedTuple):
    """A stack of recurrent layers of one or two directions, and its data."""

    cell: str
    shape: Shape
    layers: int = 1
    directions: int = 1
    has_lengths: bool = False

    def data(self) -> Data:
        """Return the data, the same in every process."""
        T, B, I, H = self.shape
        gates, biases = CELLS[self.cell]
        rng = np.random.default_rng(0)

        def uniform(limit: float, *sizes: int) -> Array:
            return rng.uniform(-limit, limit, sizes).astype(np.float32)

        def weights(inputs: int) -> Weights:
            limit = H**-0.5
            return Weights(
                uniform(limit, inputs, gates * H),
                uniform(limit, H, gates * H),
                uniform(limit, biases * H),
            )

        widths = [I] + [self.directions * H] * (self.layers - 1)
        layers = [[weights(inputs) for _ in range(self.directions)] for inputs in widths]
        x, dy = uniform(1.0, T, B, I), uniform(1.0, T, B, self.directions * H)
        lengths = self.lengths()
        return Data(self.masked(x), self.masked(dy), lengths, layers)

    def lengths(self) -> NDArray[np.int64] | None:
        """Return the steps of each sequence, uniform over 1..T, or None where all have T."""
        if not self.has_lengths:
            return None
        rng = np.random.default_rng(1)
        return rng.integers(1, self.shape.T, self.shape.B, np.int64, endpoint=True)

    def masked(self, array: Any) -> Array:
        """Return `array` (T, B, ...) with 0 beyond the lengths."""
        array = np.asarray(array, np.float32)
        lengths = self.lengths()
        if lengths is None:
            return array
        is_step = np.arange(self.shape.T)[:, None] < lengths
        return np.where(is_step[:, :, None], array, np.float32(0.0))

    def rows(self) -> int:
        """Return the steps of all sequences together."""
        lengths = self.lengths()
        return self.shape.T * self.shape.B if lengths is None else int(lengths.sum())

    def operations(self, pass_: str) -> int:
        """Return the arithmetic operations of the products over the steps that there are."""
        _, _, I, H = self.shape
        inputs = I + (self.layers - 1) * self.directions * H
        columns = self.directions * CELLS[self.cell].gates * H
        forward = 2 * self.rows() * columns * (inputs + self.layers * H)
        return forward if pass_ == "forward" else 3 * forward


class Candidate(NamedTuple):
    """One way to solve a problem.

    `run()` is what is timed; `outputs(run())` gives "y" and, in training, "dx", "dW0", "dR0",
    "db0", "dW1" and so on, in fastrnn's layouts and the order of the weights.
    """

    run: Callable[[], Any]
    outputs: Callable[[Any], dict[str, Any]]


def outputs_of(problem: Problem, candidate: Candidate) -> dict[str, Any]:
    """Run a candidate; return its outputs, y with 0 beyond the lengths."""
    outputs = candidate.outputs(candidate.run())
    outputs["y"] = problem.masked(outputs["y"])
    return {name: np.asarray(array) for name, array in outputs.items()}


def check(name: str, actual: Mapping[str, Any], desired: Mapping[str, Any]) -> None:
    """Raise timing.WrongAnswerError unless two candidates' outputs are the same."""
    if actual.keys() != desired.keys():
        raise timing.WrongAnswerError(f"{name}: {', '.join(actual)}; expected {', '.join(desired)}")
    for output, array in actual.items():
        timing.check(f"{output} of {name}", array, desired[output], TOLERANCE)


def named_gradients(dx: Any, weights: Iterable[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Return dx and the gradients (dW, dR, db) of all weights under the names of outputs."""
    gradients = {"dx": dx}
    for k, (dW, dR, db) in enumerate(weights):
        gradients |= {f"dW{k}": dW, f"dR{k}": dR, f"db{k}": db}
    return gradients
