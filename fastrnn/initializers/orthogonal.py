"""Initializers whose matrices keep lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.initializers.initializer import RandomInitializer, number

Array = NDArray[Any]


class Orthogonal(RandomInitializer):
    """`gain` times a random matrix whose rows or columns, the fewer, are orthonormal.

    Of a weight with more than two axes all but the last count as one.

    Parameters
    ----------
    gain : float
    seed : int or sequence of ints, optional
        See `RandomInitializer`.

    Source
    ------
    A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, ICLR 2014.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = number("gain", gain)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Return an array of this shape, float64."""
        if len(shape) < 2:
            raise ValueError(f"shape: expected at least two lengths, got {shape!r}")
        columns = shape[-1]
        rows = int(np.prod(shape[:-1], dtype=np.int64))
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        # Without the signs of r the matrices would not be spread evenly.
        q *= np.where(np.diag(r) < 0, -1, 1)
        return np.asarray(self.gain * (q if rows >= columns else q.T).reshape(shape))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "gain": self.gain}
