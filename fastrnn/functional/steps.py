"""Which rows of memory belong to which step: equal lengths as they come, unequal ones packed.

Kernels see the time steps of a batch as rows, step after step; see `kernels.cpu.scan`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu.gemm import Rows

Array = NDArray[Any]
Indices = NDArray[np.int64]


class Steps(NamedTuple):
    """Rows `rows[t] .. rows[t + 1]` belong to step t.

    T, B, N  steps, sequences, rows
    rows     (T + 1,)
    packing  how unequal sequences were packed, or None
    """

    T: int
    B: int
    N: int
    rows: Indices
    packing: Packing | None = None


class Packing(NamedTuple):
    """Unequal sequences, longest first, without their padding.

    order   (B,) the user's sequence at each place
    time    (N,) the user's time of each row
    batch   (N,) the user's sequence of each row
    final   (B,) row of the state history that holds each place's final state
    """

    order: Indices
    time: Indices
    batch: Indices
    final: Indices


@lru_cache(maxsize=64)
def even_steps(T: int, B: int) -> Steps:
    """Return the steps of B sequences of T steps each."""
    return Steps(T, B, T * B, np.arange(T + 1, dtype=np.int64) * B)


def packed_steps(lengths: Indices, reverse: bool) -> Steps:
    """Return the steps of sequences of the given lengths (B,), run backwards if `reverse`."""
    B = len(lengths)
    order = np.argsort(-lengths, kind="stable")
    falling = lengths[order]
    T = int(falling[0])
    active = np.searchsorted(-falling, -np.arange(T), side="left")
    rows = np.concatenate([[0], np.cumsum(active)]).astype(np.int64)
    step = np.repeat(np.arange(T), active)
    place = np.arange(rows[-1]) - rows[step]
    time = falling[place] - 1 - step if reverse else step
    places = np.arange(B)
    final = np.where(falling > 0, B + rows[np.maximum(falling - 1, 0)] + places, places)
    return Steps(T, B, int(rows[-1]), rows, Packing(order, time, order[place], final))


@lru_cache(maxsize=256)
def _multiples(count: int, stride: int) -> Indices:
    return np.arange(count, dtype=np.int64) * stride


class StepView(NamedTuple):
    """A (T, B, M) array as the time loop sees it: sequence b of step t is at step[t] + b * row."""

    array: Array
    step: Indices
    row: int

    def rows(self, steps: Steps) -> Rows:
        """Return the array as the operand of a product over all rows."""
        M = self.array.shape[-1]
        if steps.packing is not None or steps.T == 1 or self._is_even(steps.B):
            return all_rows(self.array, steps.N, self.row)
        return Rows(steps.T, steps.rows, self.array, self.step, self.row, M)

    def _is_even(self, B: int) -> bool:
        return bool(self.step[1] == B * self.row)


def all_rows(array: Array, N: int, row: int) -> Rows:
    """Return N evenly spaced rows, `row` numbers apart, as the operand of a product."""
    return Rows(1, _ends(N), array, _multiples(1, 0), row, array.shape[-1])


@lru_cache(maxsize=256)
def _ends(N: int) -> Indices:
    return np.array([0, N], np.int64)


def view(array: Array, steps: Steps, reverse: bool) -> StepView:
    """Return a user's (T, B, M) array in the order of the steps.

    Nothing is copied unless the sequences are packed or M is not contiguous.
    """
    M = array.shape[2]
    if steps.packing is not None:
        packed = array[steps.packing.time, steps.packing.batch]
        return StepView(np.ascontiguousarray(packed), steps.rows[:-1] * M, M)
    if array.strides[2] != array.itemsize and M > 1:
        array = np.ascontiguousarray(array)
    if reverse:
        array = array[::-1]
    time, batch, _ = (stride // array.itemsize for stride in array.strides)
    if steps.B == 1:
        batch = time  # nothing moves along it, and so all rows are evenly spaced
    return StepView(array, _multiples(steps.T, time), batch)


def unview(rows: Array, steps: Steps, reverse: bool, T: int) -> Array:
    """Return rows (N, M) as a user's (T, B, M) array, 0 where there is no row; may be a view."""
    if steps.packing is None:
        array = rows.reshape(steps.T, steps.B, -1)
        return array[::-1] if reverse else array
    array = np.zeros((T, steps.B, rows.shape[1]), rows.dtype)
    array[steps.packing.time, steps.packing.batch] = rows
    return array


@lru_cache(maxsize=256)
def _even_splits(B: int, workers: int) -> Indices:
    return np.arange(workers + 1, dtype=np.int64) * B // workers


def splits(steps: Steps, workers: int) -> Indices:
    """Return the (workers + 1,) first sequences of equal shares of the rows."""
    if steps.packing is None:
        return _even_splits(steps.B, workers)
    lengths = np.bincount(np.arange(steps.N) - np.repeat(steps.rows[:-1], np.diff(steps.rows)))
    share = np.searchsorted(np.cumsum(lengths), np.arange(1, workers) * steps.N / workers)
    return np.concatenate([[0], share, [steps.B]]).astype(np.int64)
