"""Small runs that were made before: all that is left to do is to say where the numbers are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional.options import Options
from fastrnn.functional.run import Run
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers, gemm, scan

Array = NDArray[Any]

# Working memory is kept for each kind of input: no more than a megabyte or two of it.
_MOST_NUMBERS = 1 << 18


class Ready:
    """Inference on inputs of one shape, memory order and direction; one call at a time.

    unused    where it waits between calls, with others of its kind
    """

    def __init__(self, weights: Weights, x: Array, reverse: bool, unused: list[Ready]) -> None:
        self.unused = unused
        run = Run(weights, training=False)
        run.read_input(x, None, None, reverse)
        run.read_options(Options())
        run.allocate()
        before, loop = run.calls()
        self._run = run
        self._projection = None if before is None else gemm.project.prepare(None, *before)
        self._loop = scan.forward.prepare(run.cell, loop, run.plan.workers)
        self._walk = self._loop.team if run.plan.members > 1 else self._loop.run
        self._reverse = reverse
        self._B = run.steps.B
        self._extra = run.extra
        self._extra_widths = weights.widths[1:]
        self._h_shape = run.h.shape
        self._y_shape = (run.T, self._B, weights.features)

    @staticmethod
    def is_worthwhile(weights: Weights, x: Array) -> bool:
        """Return whether runs on arrays like x (T, B, I) are small enough to be kept."""
        if weights.is_normalised:
            return False
        rows, tile = x.shape[0] * x.shape[1], weights.tile
        numbers: int = rows * tile.all.number * tile.all.width
        return numbers <= _MOST_NUMBERS

    def __call__(self, x: Array, state: Any) -> tuple[Array, tuple[Array, ...]]:
        """Run sequences x (T, B, I) of the kind it was made for, from `state` or from zeros."""
        B, extra = self._B, self._extra
        given = (None,) if state is None else self._run.checked_states("state", state, (B,))
        h = buffers.empty(self._h_shape, x.dtype)
        if state is None:
            h[:B] = 0
            extra.fill(0)
        else:
            for target, value in zip((h[:B], *extra), given, strict=True):
                self._run.steps.put_initial(value, target)
        if self._reverse:
            x = x[::-1]
        self._loop.point("h", h)
        if self._projection is None:
            self._loop.point("x", x)
        else:
            self._projection.point("x", x)
            self._projection.run()
        self._walk()
        y: Array = h[B:].reshape(self._y_shape)
        others = zip(extra, self._extra_widths, strict=True)
        final = (np.array(h[-B:]), *(np.array(rows[:, :width]) for rows, width in others))
        return (y[::-1] if self._reverse else y), final
