"""Runs of frozen weights on memory of their own, ready to start: they have little left to say.

To check arrays, to make others and to tell kernels where they are takes Python longer than a step
of 64 units takes the kernels.  A bound run copies what comes in and what goes out instead.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional.normalised import run_of
from fastrnn.functional.options import Options
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers
from fastrnn.kernels.cpu.recording import Recording
from fastrnn.kernels.cpu.task import recorded
from fastrnn.kernels.cpu.threads import get_num_threads

Array = NDArray[Any]

# Numbers that a run may have for its memory to be kept, and all of them together: 128 MB of
# float32.
_MOST_NUMBERS = 1 << 20
_MOST_IN_ALL = 1 << 25

# Kinds of runs that are remembered.
_MOST_KINDS = 1024


class Bound:
    """A run of sequences of one shape, with every array in its place.

    Attributes
    ----------
    y : (T, B, features) array
        The outputs of the latest run, overwritten by the next.
    final : tuple of (B, width) arrays
        The states after its last step, likewise.
    """

    def __init__(
        self, weights: Weights, x: Array, state: Any, reverse: bool, unused: list[Bound]
    ) -> None:
        self._unused = unused
        self._x = buffers.empty(x.shape, weights.dtype)
        self._x[...] = x
        self._run = run = run_of(weights, False)
        run.read_input(self._x, None, None, reverse)
        run.read_state(state)
        run.read_options(Options())
        with recorded() as calls:
            self.y, _ = run.forward()
        self._calls = Recording(calls, {})
        B = run.sequences
        histories = zip((run.h, *run.extra), weights.widths, strict=True)
        self.final = tuple(rows[-B:, :width] for rows, width in histories)
        # Where the first states are; all but h are overwritten by the later ones.
        self._extra = run.extra[:, :B]
        firsts = zip((run.h[:B], *self._extra), weights.widths, strict=True)
        self._first = [rows[:, :width] for rows, width in firsts]
        self._has_padding = self._extra.shape[2] > weights.H

    def run(self, x: Array, state: Any) -> None:
        """Run on x (T, B, I); write `y` and `final`.

        state    (B, width) each, or None for zeros if the run was made with None
        """
        if self._extra.size and (state is None or self._has_padding):
            self._extra.fill(0)
        if state is not None:
            self._put(state)
        self._x[...] = x
        self._calls.run()

    def _put(self, state: Any) -> None:
        """Write the first states."""
        if type(state) is tuple and len(state) == len(self._first):
            for part, first in zip(state, self._first, strict=True):
                if part is None:
                    first.fill(0)
                elif _is_like(part, first):
                    first[...] = part
                else:
                    break
            else:
                return
        run = self._run
        run.put_initial(run.checked_states("state", state, (run.sequences,)))

    def put_back(self) -> None:
        """Let others use it."""
        self._unused.append(self)


def _is_like(array: Any, other: Array) -> bool:
    """Return whether `array` is one of the shape and dtype of `other`."""
    return type(array) is np.ndarray and array.shape == other.shape and array.dtype == other.dtype


class BoundRuns:
    """Bound runs that wait to be used, by the kind of their arguments."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._unused: dict[Hashable, list[Bound]] = {}
        self._numbers = 0  # that all which were made since the last clearing have

    def take(self, x: Any, state: Any, reverse: bool) -> Bound | None:
        """Return a run for these arguments, not yet made with them; None if there is to be none."""
        if not self._unused or type(x) is not np.ndarray or x.dtype != self._weights.dtype:
            return None
        unused = self._unused.get((x.shape, state is None, bool(reverse), get_num_threads()))
        if unused is None:
            return None
        try:
            return unused.pop()
        except IndexError:  # all are in use
            self._make_room(self._count(x.shape))
            return Bound(self._weights, x, state, reverse, unused)

    def remember(self, x: Any, state: Any, reverse: bool) -> None:
        """Let there be runs of this kind, which has been run once, from now on."""
        weights = self._weights
        if type(x) is np.ndarray and not weights.extra and weights.table is None:
            if 0 < self._count(x.shape) <= _MOST_NUMBERS:
                self._make_room(0)
                kind = x.shape, state is None, bool(reverse), get_num_threads()
                self._unused.setdefault(kind, [])

    def _count(self, shape: tuple[int, ...]) -> int:
        """Return how many numbers a run has; 0 without steps or sequences."""
        weights = self._weights
        gates = weights.tile.all
        row: int = weights.I + weights.features + gates.number * gates.width
        return shape[0] * shape[1] * row

    def _make_room(self, numbers: int) -> None:
        """Forget all runs if this one, or another kind, would be too much."""
        self._numbers += numbers
        if self._numbers > _MOST_IN_ALL or len(self._unused) >= _MOST_KINDS:
            self._unused.clear()
            self._numbers = numbers
