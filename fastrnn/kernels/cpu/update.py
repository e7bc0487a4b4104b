"""One step of an optimizer over all tensors of a model, in one pass over memory.

What the step does to a number is a rule of `rules`: it is compiled when it is first used.

All tensors together are cut into pieces of at most `PIECE` numbers, and a worker takes a run of
pieces: one parallel region serves the whole model, and no sum depends on the workers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from fastrnn._jit import POINTWISE
from fastrnn.kernels.cpu.rules import SLOTS
from fastrnn.kernels.cpu.task import Doubles, Floats, Ints, address_of, task
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.memory import (
    broadcast,
    lanes,
    load_edge,
    load_tuple,
    store_edge,
    store_tuple,
    store_tuple_first,
)
from fastrnn.simd.vector import double, lane_sum, maximum, minimum

#: Numbers in a piece: a multiple of every vector's lanes.
PIECE = 8192

# Slots are padded to whole vectors of the widest kind, so that only p and g have edges.
_PADDING = 16


def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:
    """Return (p, slots) after one step of `rule` with gradient g."""
    return type(rule).advance(rule, p, g, slots)


@overload(advance, jit_options=POINTWISE, strict=False)
def _overload_advance(rule, p, g, slots):  # type: ignore[no-untyped-def]
    return rule.instance_class.advance


def load_slots(rule: Any, p: Any, stride: int) -> Any:
    """Return the vectors of all slots, `stride` numbers apart (in kernels)."""
    raise TypeError("load_slots() exists in compiled kernels only")


@overload(load_slots, jit_options=POINTWISE)
def _overload_load_slots(rule, p, stride):  # type: ignore[no-untyped-def]
    count = len(SLOTS[rule.instance_class])
    return lambda rule, p, stride: load_tuple(p, stride, count)


@intrinsic
def _at(context, like, address):  # type: ignore[no-untyped-def]
    """Pointer to the numbers at `address`, of the kind that pointer `like` holds."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.inttoptr(args[1], args[0].type)

    return like(like, types.int64), generate


class Update(NamedTuple):
    """Arguments of `step` and `square_sum`."""

    like: Floats  # any parameter: tells the number format
    addresses: Ints  # (tensors, 4) of parameter, gradient and first slot; numbers from slot to slot
    pieces: Ints  # (pieces, 4) tensor, first number in it and in its gradient, how many; a
    # gradient that starts at -1 is zero
    splits: Ints  # (workers + 1,) first piece of each worker
    sums: Doubles  # (pieces,) sums of squares
    factors: Doubles  # (2, tensors) of each gradient; share that each parameter loses first
    tensors: int
    limit: float  # gradients are cut off here after scaling


@task
def step(rule, args, worker, workers):  # type: ignore[no-untyped-def]
    """Advance all parameters by `rule`.

    args    Update; writes the parameters and their slots
    """
    rule = rule[0]
    s = args[0]
    for n in range(s.splits[worker], s.splits[worker + 1]):
        piece = s.pieces + 4 * n
        tensor, first, count = piece[0], piece[1], piece[3]
        place = s.addresses + 4 * tensor
        parameter = _at(s.like, place[0]) + first
        gradient = _at(s.like, place[1]) + piece[2]
        slots = _at(s.like, place[2]) + first
        stride = place[3]
        scale, decay = s.factors[tensor], s.factors[s.tensors + tensor]
        for i in range(0, count, lanes(s.like)):
            p = load_edge(parameter + i, count - i)
            g = broadcast(s.like, 0.0) if piece[2] < 0 else load_edge(gradient + i, count - i)
            g = scale * g
            g = minimum(maximum(g, -s.limit), s.limit)
            p = p - decay * p
            p, averages = advance(rule, p, g, load_slots(rule, slots + i, stride))
            store_edge(parameter + i, p, count - i)
            if count - i >= lanes(s.like):
                store_tuple(slots + i, stride, averages)
            else:
                store_tuple_first(slots + i, stride, averages, count - i)


@task
def square_sum(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Sum the squares of the gradients, each piece by itself.

    args    Update; writes sums
    """
    s = args[0]
    for n in range(s.splits[worker], s.splits[worker + 1]):
        piece = s.pieces + 4 * n
        gradient = _at(s.like, s.addresses[4 * piece[0] + 1]) + piece[2]
        count = piece[3] if piece[2] >= 0 else 0
        # Two sums, so that one addition need not wait for another.
        even = odd = double(broadcast(s.like, 0.0))
        for i in range(0, count, 2 * lanes(s.like)):
            g = double(load_edge(gradient + i, count - i))
            even = even + g * g
            i += lanes(s.like)
            if i < count:
                g = double(load_edge(gradient + i, count - i))
                odd = odd + g * g
        s.sums[n] = lane_sum(even + odd)


def allocate_slots(size: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `count` zero slots for a parameter of `size` numbers, (count, size padded)."""
    return np.zeros((count, -(-size // _PADDING) * _PADDING), dtype)


class Tensors:
    """The tensors of a model, as the tasks want them.

    Parameters
    ----------
    parameters : sequence of C-contiguous arrays of one float dtype, at least one
        They are kept, so that their addresses stay valid.
    slots : sequence of arrays
        What `allocate_slots` returned for each of them; it may have more slots than the rule.
    """

    def __init__(self, parameters: Sequence[NDArray[Any]], slots: Sequence[NDArray[Any]]) -> None:
        self.parameters = tuple(parameters)
        self._slots = tuple(slots)
        self._gradients: tuple[NDArray[Any], ...] = ()
        self._addresses = np.zeros((len(parameters), 4), np.int64)
        self._addresses[:, 0] = [address_of(p) for p in parameters]
        self._addresses[:, 2] = [address_of(s) for s in slots]
        self._addresses[:, 3] = [s.shape[1] for s in slots]
        self._factors = np.ones((2, len(parameters)))
        self._all_pieces = _cut([p.size for p in parameters])
        self._pieces = self._all_pieces
        self._set_workers()

    def _set_workers(self) -> None:
        ends = np.cumsum(self._pieces[:, 3])
        self._numbers = int(ends[-1]) if len(ends) else 0
        self._workers = workers_over(self._numbers)
        shares = np.arange(self._workers + 1) * self._numbers // self._workers
        self._splits = np.searchsorted(ends, shares, side="left").astype(np.int64)
        self._splits[-1] = len(ends)
        self._sums = np.zeros(len(ends))

    def set_gradients(
        self,
        gradients: Iterable[NDArray[Any]],
        rows: Sequence[NDArray[Any] | None] | None = None,
        *,
        skips: bool = True,
    ) -> None:
        """Hold the gradients until the next step.

        gradients    C-contiguous, of the shapes and dtype of the parameters
        rows         for each parameter, the sorted unique rows outside of which its gradient is
                     zero, whatever it holds there; None for all rows.  A gradient may have these
                     rows alone
        skips        whether the step leaves the other rows as they are
        """
        self._gradients = tuple(gradients)
        self._addresses[:, 1] = [address_of(g) for g in self._gradients]
        pieces = self._all_pieces if rows is None else self._pieces_of(rows, skips)
        if pieces is not self._pieces or self._workers != workers_over(self._numbers):
            self._pieces = pieces
            self._set_workers()

    def _pieces_of(self, rows: Sequence[NDArray[Any] | None], skips: bool) -> NDArray[np.int64]:
        kept = []
        for tensor, (parameter, gradient, used) in enumerate(
            zip(self.parameters, self._gradients, rows, strict=True)
        ):
            if used is None:
                kept.append(self._all_pieces[self._all_pieces[:, 0] == tensor])
                continue
            columns = math.prod(parameter.shape[1:])
            pieces = np.empty((len(used), 4), np.int64)
            pieces[:, 0], pieces[:, 3] = tensor, columns
            pieces[:, 1] = used.astype(np.int64) * columns
            alone = gradient.shape != parameter.shape
            pieces[:, 2] = np.arange(len(used)) * columns if alone else pieces[:, 1]
            if not skips:
                others = _between(pieces, tensor, columns, parameter.size)
                pieces = np.concatenate([pieces, others])
                pieces = pieces[np.argsort(pieces[:, 1], kind="stable")]
            kept.append(pieces)
        return np.concatenate(kept)

    def square_sums(self) -> NDArray[np.float64]:
        """Return the sum of squares (tensors,) of each gradient, in float64."""
        square_sum(None, self._arguments(0.0), self._workers)
        tensors = self._pieces[:, 0]
        sums: NDArray[np.float64] = np.bincount(
            tensors, weights=self._sums, minlength=len(self.parameters)
        ).astype(np.float64)
        return sums

    def step(self, rule: Any, *, scales: Any = 1.0, decays: Any = 0.0, limit: float) -> None:
        """Advance all parameters by `rule`.

        scales    (tensors,) or one for all: factor of each gradient
        decays    (tensors,) or one for all: share that each parameter loses before the step
                  (decoupled weight decay; Loshchilov and Hutter 2019)
        limit     the gradients are then cut off here, both ways; inf for not at all
        """
        self._factors[0] = scales
        self._factors[1] = decays
        step(rule, self._arguments(limit), self._workers)
        self._gradients = ()

    def _arguments(self, limit: float) -> Update:
        like: Any = self.parameters[0]
        addresses: Any = self._addresses
        pieces: Any = self._pieces
        splits: Any = self._splits
        factors: Any = self._factors
        return Update(
            like, addresses, pieces, splits, self._sums, factors, len(self.parameters), limit
        )


def _between(rows: NDArray[np.int64], tensor: int, columns: int, size: int) -> NDArray[np.int64]:
    """Return pieces without a gradient for what lies between the pieces of rows, in any order."""
    starts = np.append(0, rows[:, 1] + columns)
    lengths = np.append(rows[:, 1], size) - starts
    counts = -(-lengths // PIECE)
    ends = np.cumsum(counts)
    gap = np.repeat(np.arange(len(counts)), counts)
    offsets = (np.arange(len(gap)) - (ends - counts)[gap]) * PIECE
    pieces = np.empty((len(gap), 4), np.int64)
    pieces[:, 0], pieces[:, 2] = tensor, -1
    pieces[:, 1] = starts[gap] + offsets
    pieces[:, 3] = np.minimum(PIECE, lengths[gap] - offsets)
    return pieces


def _cut(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return the pieces (pieces, 4) of tensors of these sizes; see `Update`."""
    runs = [np.arange(0, size, PIECE, dtype=np.int64) for size in sizes]
    first = np.concatenate(runs)
    tensor = np.repeat(np.arange(len(sizes)), [len(run) for run in runs])
    counts = np.minimum(PIECE, np.array(sizes)[tensor] - first)
    return np.stack([tensor, first, first, counts], axis=1)
