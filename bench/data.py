"""The numbers that a case computes with: the same in every process."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cases import CELLS, Case

Array = NDArray[Any]

#: Of Adam in a "step".  A large epsilon lets the size of a small gradient show in the step, where
#: otherwise only its sign would: what is wrong is seen.
LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-2, 0.9, 0.999, 1e-5

#: Windows of a "step", which are learned in turns.
WINDOWS = 2


class Weights(NamedTuple):
    """W (I, n * H), R (H, n * H), b (n * H,) in fastrnn's order of gates; R may be None."""

    W: Array
    R: Array | None
    b: Array


class Sequences(NamedTuple):
    """x (T, B, I), dy (T, B, directions * H), lengths (B,) or None, weights.

    The weights are those of each direction, layer by layer.  x and dy are 0 beyond the lengths,
    so that the gradients of a run over all T steps are the same.
    """

    x: Array
    dy: Array
    lengths: NDArray[np.int64] | None
    weights: list[list[Weights]]


class Text(NamedTuple):
    """tokens and targets (WINDOWS, T, B), and the first weights of a model.

    They are the embedding E (vocabulary, I), the layers', and those of the softmax, K (H,
    vocabulary) and k (vocabulary,).
    """

    tokens: NDArray[np.int32]
    targets: NDArray[np.int32]
    E: Array
    weights: list[list[Weights]]
    K: Array
    k: Array


class _Source:
    """Uniform numbers, one array after the other."""

    def __init__(self, dtype: str) -> None:
        self.rng = np.random.default_rng(0)
        self._dtype = np.dtype(dtype)

    def __call__(self, limit: float, *sizes: int) -> Array:
        return self.rng.uniform(-limit, limit, sizes).astype(self._dtype)


def sequences(case: Case) -> Sequences:
    """Return the data of a "layer" or a "stream"."""
    uniform = _Source(case.dtype)
    weights = _weights(case, uniform)
    x = uniform(1.0, case.T, case.B, case.I)
    dy = uniform(1.0, case.T, case.B, case.outputs)
    return Sequences(masked(case, x), masked(case, dy), case.steps(), weights)


def text(case: Case) -> Text:
    """Return the data of a "step"."""
    assert case.vocabulary is not None
    uniform = _Source(case.dtype)
    weights = _weights(case, uniform)
    limit = case.outputs**-0.5
    tokens, targets = (
        uniform.rng.integers(0, case.vocabulary, (WINDOWS, case.T, case.B), np.int32)
        for _ in range(2)
    )
    return Text(
        tokens,
        targets,
        uniform(0.1, case.vocabulary, case.I),
        weights,
        uniform(limit, case.outputs, case.vocabulary),
        uniform(limit, case.vocabulary),
    )


def _weights(case: Case, uniform: _Source) -> list[list[Weights]]:
    H, cell, limit = case.H, CELLS[case.cell], case.H**-0.5

    def weights(inputs: int) -> Weights:
        return Weights(
            uniform(limit, inputs, cell.W * H),
            uniform(limit, H, cell.R * H) if cell.R else None,
            uniform(limit, cell.b * H),
        )

    return [[weights(inputs) for _ in range(case.directions)] for inputs in case.inputs]


def masked(case: Case, array: Any) -> Array:
    """Return `array` (T, B, ...) with 0 beyond the lengths."""
    array, steps = np.asarray(array), case.steps()
    if steps is None:
        return array
    is_step = np.arange(case.T)[:, None] < steps
    return np.where(is_step[:, :, None], array, array.dtype.type(0.0))
