"""One step of an optimizer over all tensors of a model, in one pass over memory.

A rule is a NamedTuple class, like a cell: its fields are its run-time constants, and it has

    advance(rule, p, g, slots)
        slots   the running averages that it keeps of the parameter; `SLOTS` names them
        Returns (p, slots): the parameter and its averages after the step with gradient g.

`decay` is the share that a parameter loses before the step (decoupled weight decay; Loshchilov
and Hutter 2019): weight decay times learning rate.

All tensors together are cut into pieces of at most `PIECE` numbers, and a worker takes a run of
pieces: one parallel region serves the whole model, and no sum depends on the workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from fastrnn._jit import POINTWISE
from fastrnn.kernels.cpu.task import Doubles, Floats, Ints, task
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.memory import (
    broadcast,
    lanes,
    load_edge,
    load_tuple,
    store_edge,
    store_tuple,
)
from fastrnn.simd.vector import double, lane_sum, maximum, minimum, sqrt

#: Numbers in a piece: a multiple of every vector's lanes.
PIECE = 8192

# Slots are padded to whole vectors of the widest kind, so that only p and g have edges.
_PADDING = 16


class Descent(NamedTuple):
    """Gradient descent."""

    rate: float
    decay: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        return p - rule.decay * p - rule.rate * g, slots


class Momentum(NamedTuple):
    """Gradient descent with momentum (Polyak 1964)."""

    rate: float
    decay: float
    momentum: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m = rule.momentum * slots[0] - rule.rate * g
        return p - rule.decay * p + m, (m,)


class Nesterov(NamedTuple):
    """Gradient descent with Nesterov's momentum, in the form of Sutskever et al. 2013."""

    rate: float
    decay: float
    momentum: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m = rule.momentum * slots[0] - rule.rate * g
        return p - rule.decay * p + (rule.momentum * m - rule.rate * g), (m,)


class RMSprop(NamedTuple):
    """RMSprop (Hinton 2012), epsilon under the root."""

    rate: float
    decay: float
    rho: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        v = rule.rho * slots[0] + (1.0 - rule.rho) * (g * g)
        return p - rule.decay * p - rule.rate * g / sqrt(v + rule.epsilon), (v,)


class Adam(NamedTuple):
    """Adam (Kingma and Ba 2015), epsilon beside the root of the uncorrected v.

    `rate` holds the corrections of both averages: learning rate * sqrt(1 - beta_2**step) /
    (1 - beta_1**step).
    """

    rate: float
    decay: float
    beta_1: float
    beta_2: float
    epsilon: float

    def advance(rule: Any, p: Any, g: Any, slots: Any) -> Any:  # noqa: N805
        """One step: see the module's docstring."""
        m, v = slots
        m = m + (g - m) * (1.0 - rule.beta_1)
        v = v + (g * g - v) * (1.0 - rule.beta_2)
        return p - rule.decay * p - rule.rate * m / (sqrt(v) + rule.epsilon), (m, v)


#: Letters of the running averages of each rule: m of gradients, v of their squares.
SLOTS: dict[type, tuple[str, ...]] = {
    Descent: (),
    Momentum: ("m",),
    Nesterov: ("m",),
    RMSprop: ("v",),
    Adam: ("m", "v"),
}


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
    pieces: Ints  # (pieces, 3) tensor, first number in it, how many
    splits: Ints  # (workers + 1,) first piece of each worker
    sums: Doubles  # (pieces,) sums of squares
    scales: Doubles  # (tensors,) factor of each gradient
    limit: float  # gradients are cut off here after scaling


@task
def step(rule, args, worker, workers):  # type: ignore[no-untyped-def]
    """Advance all parameters by `rule`.

    args    Update; writes the parameters and their slots
    """
    rule = rule[0]
    s = args[0]
    for piece in range(s.splits[worker], s.splits[worker + 1]):
        tensor, first, count = s.pieces[3 * piece], s.pieces[3 * piece + 1], s.pieces[3 * piece + 2]
        place = s.addresses + 4 * tensor
        parameter = _at(s.like, place[0]) + first
        gradient = _at(s.like, place[1]) + first
        slots = _at(s.like, place[2]) + first
        stride = place[3]
        scale = s.scales[tensor]
        for i in range(0, count, lanes(s.like)):
            p = load_edge(parameter + i, count - i)
            g = scale * load_edge(gradient + i, count - i)
            g = minimum(maximum(g, -s.limit), s.limit)
            p, averages = advance(rule, p, g, load_slots(rule, slots + i, stride))
            store_edge(parameter + i, p, count - i)
            store_tuple(slots + i, stride, averages)


@task
def square_sum(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Sum the squares of the gradients, each piece by itself.

    args    Update; writes sums
    """
    s = args[0]
    for piece in range(s.splits[worker], s.splits[worker + 1]):
        tensor, first, count = s.pieces[3 * piece], s.pieces[3 * piece + 1], s.pieces[3 * piece + 2]
        gradient = _at(s.like, s.addresses[4 * tensor + 1]) + first
        # Two sums, so that one addition need not wait for another.
        even = odd = double(broadcast(s.like, 0.0))
        for i in range(0, count, 2 * lanes(s.like)):
            g = double(load_edge(gradient + i, count - i))
            even = even + g * g
            i += lanes(s.like)
            if i < count:
                g = double(load_edge(gradient + i, count - i))
                odd = odd + g * g
        s.sums[piece] = lane_sum(even + odd)


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
        What `allocate_slots` returned for each of them.
    """

    def __init__(self, parameters: Sequence[NDArray[Any]], slots: Sequence[NDArray[Any]]) -> None:
        self.parameters = tuple(parameters)
        self._slots = tuple(slots)
        self._gradients: tuple[NDArray[Any], ...] = ()
        self._addresses = np.zeros((len(parameters), 4), np.int64)
        self._addresses[:, 0] = [_address(p) for p in parameters]
        self._addresses[:, 2] = [_address(s) for s in slots]
        self._addresses[:, 3] = [s.shape[1] for s in slots]
        self._all_pieces = _cut([p.size for p in parameters])
        self._pieces = self._all_pieces
        self._set_workers()

    def _set_workers(self) -> None:
        ends = np.cumsum(self._pieces[:, 2])
        self._numbers = int(ends[-1]) if len(ends) else 0
        self._workers = workers_over(self._numbers)
        shares = np.arange(self._workers + 1) * self._numbers // self._workers
        self._splits = np.searchsorted(ends, shares, side="left").astype(np.int64)
        self._splits[-1] = len(ends)
        self._sums = np.zeros(len(ends))

    def set_gradients(
        self, gradients: Iterable[NDArray[Any]], rows: Sequence[NDArray[Any] | None] | None = None
    ) -> None:
        """Hold the gradients until the next step, of the shapes and dtype of the parameters.

        `rows` names, for each parameter, the sorted unique rows
        outside of which its gradient is zero and the step may be left out; None for all rows.
        """
        self._gradients = tuple(gradients)
        self._addresses[:, 1] = [_address(g) for g in self._gradients]
        pieces = self._all_pieces if rows is None else self._pieces_of(rows)
        if pieces is not self._pieces or self._workers != workers_over(self._numbers):
            self._pieces = pieces
            self._set_workers()

    def _pieces_of(self, rows: Sequence[NDArray[Any] | None]) -> NDArray[np.int64]:
        kept = []
        for tensor, (parameter, used) in enumerate(zip(self.parameters, rows, strict=True)):
            if used is None:
                kept.append(self._all_pieces[self._all_pieces[:, 0] == tensor])
            else:
                columns = parameter.size // max(1, len(parameter))
                first = used.astype(np.int64) * columns
                kept.append(
                    np.stack([np.full_like(first, tensor), first, np.full_like(first, columns)], 1)
                )
        return np.ascontiguousarray(np.concatenate(kept))

    def square_sums(self) -> NDArray[np.float64]:
        """Return the sum of squares (tensors,) of each gradient, in float64."""
        square_sum(None, self._arguments(None, 0.0), self._workers)
        tensors = self._pieces[:, 0]
        sums: NDArray[np.float64] = np.bincount(
            tensors, weights=self._sums, minlength=len(self.parameters)
        ).astype(np.float64)
        return sums

    def step(self, rule: Any, scales: NDArray[np.float64], limit: float) -> None:
        """Advance all parameters by `rule`.

        scales (tensors,)    factor of each gradient
        limit                the gradients are then cut off here, both ways; inf for not at all
        """
        step(rule, self._arguments(scales, limit), self._workers)
        self._gradients = ()

    def _arguments(self, scales: Any, limit: float) -> Update:
        like: Any = self.parameters[0]
        addresses: Any = self._addresses
        pieces: Any = self._pieces
        splits: Any = self._splits
        sums: Any = self._sums
        return Update(like, addresses, pieces, splits, sums, scales, limit)


def _cut(sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return the pieces (pieces, 3) of tensors of these sizes: tensor, first number, count."""
    runs = [np.arange(0, size, PIECE, dtype=np.int64) for size in sizes]
    first = np.concatenate(runs)
    tensor = np.repeat(np.arange(len(sizes)), [len(run) for run in runs])
    return np.stack([tensor, first, np.minimum(PIECE, np.array(sizes)[tensor] - first)], axis=1)


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
