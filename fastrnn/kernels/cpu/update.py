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

from fastrnn._jit import POINTWISE, pointwise
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
    """Arguments of `step` and `square_sum`.

    A tensor's place, in `places`, are eight words: the addresses of its numbers, its gradient and
    its first slot; the numbers from slot to slot; the address of its used rows, sorted int64, how
    many these are, or -1 for all, the numbers in one, and whether the gradient has these alone.
    """

    like: Floats  # any parameter: tells the number format
    places: Ints  # (tensors, 8)
    pieces: Ints  # (pieces, 3) tensor, first number in it, how many
    splits: Ints  # (workers + 1,) first piece of each worker
    sums: Doubles  # (pieces,) sums of squares
    factors: Doubles  # (2, tensors) of each gradient; share that each parameter loses first
    tensors: int
    limit: float  # gradients are cut off here after scaling
    skips: int  # 1: rows that are not used stay as they are


@pointwise
def _first_used(place, row):  # type: ignore[no-untyped-def]
    """Return the number of the first used row that does not come before a row."""
    rows = _at(place, place[4])
    low, high = 0, max(0, place[5])
    while low < high:
        middle = (low + high) // 2
        if rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return low


@pointwise
def _run_from(place, used, i, last):  # type: ignore[no-untyped-def]
    """Return where a run of numbers from `i` on ends, at most at `last`, and what follows.

    used    number of the first used row that does not end before i

    Also returns where the run's gradients begin, -1 if they are zero, and `used` of its end.
    """
    rows, number, columns = _at(place, place[4]), place[5], place[6]
    if number < 0:
        return last, i, used
    if used == number:
        return last, -1, used
    begin = rows[used] * columns
    if i < begin:
        return min(begin, last), -1, used
    source = used * columns + i - begin if place[7] else i
    stop = begin + columns
    used += 1
    while stop < last and used < number and rows[used] * columns == stop:
        stop += columns
        used += 1
    return min(stop, last), source, used


@task
def step(rule, args, worker, workers):  # type: ignore[no-untyped-def]
    """Advance all parameters by `rule`.

    args    Update; writes the parameters and their slots
    """
    rule = rule[0]
    s = args[0]
    for n in range(s.splits[worker], s.splits[worker + 1]):
        piece = s.pieces + 3 * n
        tensor, begin, last = piece[0], piece[1], piece[1] + piece[2]
        place = s.places + 8 * tensor
        parameter = _at(s.like, place[0])
        gradients = _at(s.like, place[1])
        slots = _at(s.like, place[2])
        stride = place[3]
        scale, decay = s.factors[tensor], s.factors[s.tensors + tensor]
        used = _first_used(place, begin // place[6])
        while begin < last:
            stop, source, used = _run_from(place, used, begin, last)
            if source < 0 and s.skips:
                begin = stop
            gradient = gradients + (source - begin)
            for i in range(begin, stop, lanes(s.like)):
                p = load_edge(parameter + i, stop - i)
                g = broadcast(s.like, 0.0) if source < 0 else load_edge(gradient + i, stop - i)
                g = scale * g
                g = minimum(maximum(g, -s.limit), s.limit)
                p = p - decay * p
                p, averages = advance(rule, p, g, load_slots(rule, slots + i, stride))
                store_edge(parameter + i, p, stop - i)
                if stop - i >= lanes(s.like):
                    store_tuple(slots + i, stride, averages)
                else:
                    store_tuple_first(slots + i, stride, averages, stop - i)
            begin = stop


@task
def square_sum(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Sum the squares of the gradients, each piece by itself.

    args    Update; writes sums
    """
    s = args[0]
    for n in range(s.splits[worker], s.splits[worker + 1]):
        piece = s.pieces + 3 * n
        begin, last = piece[1], piece[1] + piece[2]
        place = s.places + 8 * piece[0]
        gradients = _at(s.like, place[1])
        used = _first_used(place, begin // place[6])
        # Two sums, so that one addition need not wait for another.
        even = odd = double(broadcast(s.like, 0.0))
        while begin < last:
            stop, source, used = _run_from(place, used, begin, last)
            count = stop - begin if source >= 0 else 0
            gradient = gradients + source
            for i in range(0, count, 2 * lanes(s.like)):
                g = double(load_edge(gradient + i, count - i))
                even = even + g * g
                i += lanes(s.like)
                if i < count:
                    g = double(load_edge(gradient + i, count - i))
                    odd = odd + g * g
            begin = stop
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
        self._rows: list[NDArray[np.int64]] = []
        self._skips = False
        self._places = np.zeros((len(parameters), 8), np.int64)
        self._places[:, 0] = [address_of(p) for p in parameters]
        self._places[:, 2] = [address_of(s) for s in slots]
        self._places[:, 3] = [s.shape[1] for s in slots]
        self._places[:, 5] = -1
        self._places[:, 6] = [math.prod(p.shape[1:]) or 1 for p in parameters]
        self._factors = np.ones((2, len(parameters)))
        self._pieces = _cut([p.size for p in parameters])
        self._ends = np.cumsum(self._pieces[:, 2])
        self._sums = np.zeros(len(self._pieces))
        self._workers = 0

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
        self._places[:, 1] = [address_of(g) for g in self._gradients]
        self._places[:, 5] = -1
        self._rows = []
        self._skips = skips
        for tensor, used in enumerate(rows or ()):
            if used is not None:
                used = np.ascontiguousarray(used, np.int64)
                self._rows.append(used)
                is_alone = self._gradients[tensor].shape != self.parameters[tensor].shape
                self._places[tensor, 4:6] = address_of(used), len(used)
                self._places[tensor, 7] = is_alone
        self._share_out()

    def _share_out(self) -> None:
        """Give each worker its pieces."""
        numbers = int(self._ends[-1]) if len(self._ends) else 0
        workers = workers_over(numbers)
        if workers != self._workers:
            self._workers = workers
            shares = np.arange(workers + 1) * numbers // workers
            self._splits = np.searchsorted(self._ends, shares, side="left").astype(np.int64)
            self._splits[-1] = len(self._ends)

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
        places: Any = self._places
        pieces: Any = self._pieces
        splits: Any = self._splits
        factors: Any = self._factors
        return Update(
            like, places, pieces, splits, self._sums, factors, len(self.parameters), limit,
            int(self._skips),
        )  # fmt: skip


def _cut(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return the pieces (pieces, 4) of tensors of these sizes; see `Update`."""
    runs = [np.arange(0, size, PIECE, dtype=np.int64) for size in sizes]
    first = np.concatenate(runs)
    tensor = np.repeat(np.arange(len(sizes)), [len(run) for run in runs])
    counts = np.minimum(PIECE, np.array(sizes)[tensor] - first)
    return np.stack([tensor, first, counts], axis=1)
