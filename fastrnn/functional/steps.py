"""Which rows of memory belong to which step: equal lengths as they come, unequal ones packed.

Kernels see the time steps of a batch as rows, step after step; see `kernels.cpu.scan`.  A *place*
is what they take for a sequence: one of the user's, or a part of one; see `sequences`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu import buffers, moves
from fastrnn.kernels.cpu import rows as kernel
from fastrnn.kernels.cpu.gemm import Rows
from fastrnn.kernels.cpu.threads import workers_over

Array = NDArray[Any]
Indices = NDArray[np.int64]


class Steps(NamedTuple):
    """Rows `rows[t] .. rows[t + 1]` belong to step t.

    T, B, N  steps, places, rows
    rows     (T + 1,)
    packing  how unequal sequences were packed; None: places are the user's sequences
    """

    T: int
    B: int
    N: int
    rows: Indices
    packing: Packing | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Steps and rows, of unequal sequences about as many: batches that are alike have one."""
        return (self.T, self.N) if self.packing is None else (_about(self.T), _about(self.N))

    @property
    def sequences(self) -> int:
        """The user's number of sequences; B is larger where resets cut them."""
        return self.B if self.packing is None else len(self.packing.lengths)

    def put_initial(self, state: Array | None, target: Array) -> None:
        """Give each place the state that it starts from.

        state (sequences, H), None for zeros; writes target (B, >= H): 0 in places that no
        sequence feeds, those that start with a reset, and beyond H.
        """
        packing = self.packing
        if packing is None:
            _put(state, slice(None), target)
            return
        if state is not None and packing.is_cut.any():
            state = np.where(packing.is_cut[:, None], state.dtype.type(0), state)
        _put(state, packing.first, target)

    def take_initial(self, places: Array, H: int) -> Array:
        """Return what the sequences' initial states get, (sequences, H), of places (B, >= H).

        The mirror of `put_initial`, for gradients: 0 where a reset keeps the initial state out.
        """
        if self.packing is None:
            return np.array(places[:, :H])
        taken: Array = places[:, :H][self.packing.first]
        taken[self.packing.is_cut] = 0
        return taken

    def put_final(self, dstate: Array | None, target: Array) -> None:
        """Give the gradient of each final state to the place where its sequence ends.

        dstate (sequences, H), None for zeros; writes target (B, >= H): 0 in places where no
        sequence ends, those before a reset, and beyond H.
        """
        _put(dstate, slice(None) if self.packing is None else self.packing.last, target)

    def take_final(self, states: Array, H: int) -> Array:
        """Return the sequences' final states (sequences, H).

        states (B + N, >= H), the history of `kernels.cpu.scan`, or (B, >= H), the latest state of
        each place.
        """
        packing = self.packing
        if packing is None:
            return np.array(states[len(states) - self.B :, :H])
        is_history = len(states) == self.B + self.N
        taken: Array = states[:, :H][packing.final[packing.last] if is_history else packing.last]
        return taken


def _about(count: int) -> int:
    """Return a number near `count`, one of few: there are 16 between powers of two."""
    step = 1 << max(0, count.bit_length() - 5)
    return (count + step // 2) // step * step


def _put(state: Array | None, places: Any, target: Array) -> None:
    target[...] = 0
    if state is not None:
        target[:, : state.shape[1]][places] = state


class Packing(NamedTuple):
    """Unequal sequences, or segments of them, longest first and without their padding.

    Of each place, (B,):

    order    the user's sequence
    begin    steps of that sequence that ran before it
    start    the user's time of its first step
    falling  its length, falling
    final    the row of the state history that holds its final state

    Of each of the user's sequences, (sequences,):

    lengths  steps, as the user counts them
    first    the place that works on its first step, or on none
    last     the place that works on its last step
    is_cut   whether a reset at its first step keeps the initial state out

    turn     1, or -1 where time runs backwards
    is_flat  whether the user's arrays are (N, M) and packed as `options.Packed`
    taken    (N,) which row of those each row is, and the other way round; None for the same
    """

    order: Indices
    begin: Indices
    start: Indices
    falling: Indices
    final: Indices
    lengths: Indices
    first: Indices
    last: Indices
    is_cut: NDArray[np.bool_]
    turn: int
    is_flat: bool = False
    taken: Indices | None = None


@lru_cache(maxsize=64)
def even_steps(T: int, B: int) -> Steps:
    """Return the steps of B sequences of T steps each."""
    return Steps(T, B, T * B, np.arange(T + 1, dtype=np.int64) * B)


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


def rows_before(h: Array, steps: Steps) -> Rows:
    """Return h (B + N, M), the states before all rows and after each, before each row's step."""
    T, B, N, rows, packing = steps
    M = h.shape[-1]
    if packing is None:
        return all_rows(h, N, M)
    before = np.concatenate([[0], B + rows[: T - 1]]) * M
    return Rows(T, rows, h, before.astype(np.int64), M, M)


@lru_cache(maxsize=256)
def _ends(N: int) -> Indices:
    return np.array([0, N], np.int64)


def view(array: Array, steps: Steps, reverse: bool) -> StepView:
    """Return a user's (T, sequences, M) array, or (N, M) if flat, in the order of the steps.

    float32, float64 or int32; nothing is copied unless the sequences are packed or M is not
    contiguous.
    """
    M = array.shape[-1]
    if array.strides[-1] != array.itemsize and M > 1:
        array = np.ascontiguousarray(array)
    if steps.packing is not None and steps.packing.is_flat:
        array = _taken(array, steps.packing)
        row = array.strides[0] // array.itemsize
        return StepView(array, steps.rows[:-1] * row, row)
    if steps.packing is not None:
        return StepView(_packed(array, steps, steps.packing), steps.rows[:-1] * M, M)
    if reverse:
        array = array[::-1]
    time, batch = _strides(array)
    if steps.B == 1:
        batch = time  # nothing moves along it, and so all rows are evenly spaced
    return StepView(array, _multiples(steps.T, time), batch)


def by_step(ids: NDArray[np.int32], steps: Steps, reverse: bool) -> NDArray[np.int32]:
    """Return ids (T, sequences), or (N,) if flat, in the order of the steps, (N,)."""
    return np.ascontiguousarray(view(ids[..., None], steps, reverse).array).reshape(-1)


def _strides(array: Array) -> tuple[int, int]:
    """Return how many numbers lie from one step to the next, and from one sequence to the next."""
    return array.strides[0] // array.itemsize, array.strides[1] // array.itemsize


def _packed(array: Array, steps: Steps, packing: Packing) -> Array:
    """Return the rows (N, M) of an array whose M numbers are side by side."""
    M = array.shape[2]
    packed = buffers.empty((steps.N, M), array.dtype)
    time, batch = _strides(array)
    arguments = kernel.Gathering(
        steps.T, steps.rows, packing.start * time + packing.order * batch, packing.turn * time,
        M, _as_floats(array), _as_floats(packed),
    )  # fmt: skip
    kernel.gather(None, arguments, workers_over(packed.size))
    return packed


def _as_floats(array: Array) -> Array:
    """Return the array's bits in a dtype that tasks take; they only move them."""
    return array.view(np.float32) if array.dtype == np.int32 else array


def unview(rows: Array, steps: Steps, reverse: bool, T: int) -> Array:
    """Return rows (N, M) as a user's (T, sequences, M) array, 0 where there is no row.

    (N, M) if flat.  May be a view.
    """
    packing = steps.packing
    if packing is not None and packing.is_flat:
        return _taken(rows, packing)[:]
    if packing is None:
        array = rows.reshape(steps.T, steps.B, -1)
        return array[::-1] if reverse else array
    M = rows.shape[1]
    array = buffers.empty((T, steps.sequences, M), rows.dtype)
    time, batch = _strides(array)
    arguments = kernel.Scattering(
        steps.T, steps.rows, packing.start * time + packing.order * batch, packing.turn * time,
        M, rows, rows.strides[0] // rows.itemsize,
        T, steps.sequences, packing.lengths, time, batch, array,
    )  # fmt: skip
    kernel.scatter(None, arguments, workers_over(array.size))
    return array[:]  # NumPy lets nobody set flags of the array that borrows the memory itself


def _taken(rows: Array, packing: Packing) -> Array:
    """Return flat rows (N, M) in the other of both orders."""
    if packing.taken is None:
        return rows
    taken = buffers.empty(rows.shape, rows.dtype)
    moves.take(_as_floats(rows), packing.taken, _as_floats(taken))
    return taken


def unview_into(rows: Array, steps: Steps, reverse: bool, target: Array, *, is_added: bool) -> None:
    """Write, or add, rows (N, M) to a user's array, where they belong.

    target (T, sequences, M) of equal sequences, or (N, M) if flat; its M numbers side by side
    """
    packing = steps.packing
    if packing is None:
        array = rows.reshape(steps.T, steps.B, -1)
        source = array[::-1] if reverse else array
    else:
        assert packing.is_flat, "neither equal nor flat"
        source = rows
        if packing.taken is not None:
            (moves.add_taken if is_added else moves.take)(source, packing.taken, target)
            return
    (moves.add if is_added else moves.copy)(source, target)


@lru_cache(maxsize=256)
def _even_splits(B: int, workers: int) -> Indices:
    return np.arange(workers + 1, dtype=np.int64) * B // workers


def splits(steps: Steps, workers: int) -> Indices:
    """Return the (workers + 1,) first places of equal shares of the rows."""
    if steps.packing is None:
        return _even_splits(steps.B, workers)
    return _uneven_splits(steps.packing.falling.tobytes(), workers)


@lru_cache(maxsize=64)
def _uneven_splits(falling: bytes, workers: int) -> Indices:
    """Return `splits` of places, given the bytes of their lengths."""
    lengths = np.frombuffer(falling, np.int64)
    # A place belongs to the share that holds the middle of its rows.
    ends = np.cumsum(lengths)
    shares = np.arange(1, workers) * (ends[-1] / workers)
    within = np.searchsorted(ends - lengths / 2, shares)
    return np.concatenate([[0], within, [len(lengths)]]).astype(np.int64)
