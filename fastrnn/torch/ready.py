"""Small layers over again: the kernel calls of an earlier run, on other tensors of the same kind.

What a call has to find out about its tensors, and all arrays between input and output, are those
of the run before.  What is left to do is to say where the tensors are.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastrnn.functional import distinct
from fastrnn.functional.distinct import Distinct
from fastrnn.functional.options import Options
from fastrnn.functional.run import Run
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers, moves, plan
from fastrnn.kernels.cpu.task import address_of, recorded
from fastrnn.kernels.cpu.threads import get_num_threads
from fastrnn.torch import bias
from fastrnn.torch.calls import Calls, Places
from fastrnn.torch.kind import CELLS, Kind

Array = NDArray[Any]
Tensors = Sequence[Tensor]
Found = list[Tensor | None]


# Numbers that the gates of a layer may be, for its working memory to be kept, and those of all
# layers together: some 256 MB of float32, as a run keeps up to twice what is counted here.
_MOST_NUMBERS = 1 << 22
_MOST_IN_ALL = 1 << 25

# Arrays of at most so many bytes NumPy makes sooner than `buffers`.
_SMALL_BYTES = 1 << 16

_empty_like = torch.empty_like

# The names of the gradients of the final states.
_ENDS = ("dh", "dc")

# Kinds of modules and tensors that are remembered.
_MOST_KINDS = 1024


class Ready:
    """A run of a layer that can be made again: forward, then backward at most once.

    The tensors are, each time, of the dtype, the shapes and the strides of the first; all but x are
    contiguous.  The kernel calls look for them by their places in `Kind`'s order, for what they
    write by other names.

    Parameters
    ----------
    shelf : Shelf
        Whose it is.
    unused : list
        Where it waits to be used again.
    training : bool
        Whether `backward` is to come.
    wants_dx : bool
        Whether that is to compute the gradient of x.
    table : int
        Rows of the table of distinct rows that stands for x; 0 where x itself is multiplied.
    """

    def __init__(
        self, shelf: Shelf, unused: list[Ready], *, training: bool, wants_dx: bool, table: int
    ) -> None:
        self._shelf = shelf
        self._kind = kind = shelf.kind
        self._unused = unused
        self._training = training
        self._wants_dx = wants_dx
        self._table = table
        self._is_one_way = kind.directions == 1
        self._runs: list[Run] = []
        self._h: Any = None  # (T + 1, B, S), of one direction: the first h, and y
        self._finals: list[tuple[Hashable, Tensor]] = []  # what final states are like
        self._first_state = 1 + kind.directions * kind.weights
        # The tensors that gradients depend on: x, w_hh and, where that of x is asked for, w_ih.
        self._read = [] if table else [0]
        for first in range(1, self._first_state, kind.weights):
            self._read += [first, first + 1] if wants_dx else [first + 1]
        self._forward: Calls | None = None
        self._walks: dict[Hashable, tuple[Calls, list[tuple[int, Places]]]] = {}

    def put_back(self) -> None:
        """Let others use it."""
        self._h = None
        if self._forward is not None:
            self._unused.append(self)

    def forward(self, tensors: Tensors, rows: Distinct | None) -> tuple[Tensor, ...]:
        """Return y and the final states.

        rows    the distinct rows of x, None where x is multiplied
        """
        calls = self._forward
        if calls is None:
            return self._record(tensors, rows)
        if rows is not None:
            for run in self._runs:
                distinct.replace(run, rows)
        if self._is_one_way:
            y = torch.from_numpy(self._new_h())
            self._address = y.data_ptr() - self._offset
            calls.point_at("h", self._address)
        else:
            y = tensors[0].new_empty(self._shape)
            calls.point_at("y", y.data_ptr())
        outputs = [y]
        for name, like in self._finals:
            final = _empty_like(like)
            calls.point_at(name, final.data_ptr())
            outputs.append(final)
        calls.read(tensors)
        calls.run()
        return tuple(outputs)

    def backward(
        self, tensors: Tensors, dy: Tensor | None, dstates: Sequence[Tensor | None],
        needed: Sequence[bool],
    ) -> Found:  # fmt: skip
        """Return the gradients of the tensors, None for some that are not needed."""
        if dy is not None and (dy.stride(-1) != 1 or dy.is_neg()):
            dy = dy.resolve_neg().contiguous()
        given: dict[Hashable, Tensor] = {}
        for end, d in zip(_ENDS, dstates, strict=False):
            if d is not None:
                given[end] = d.resolve_neg().contiguous()
        key = dy is not None and dy.stride(), *given, needed[self._first_state :]
        walk = self._walks.get(key)
        if walk is None:
            return self._record_walk(key, tensors, dy, given, needed)
        calls, written = walk
        if self._is_one_way:
            calls.point_at("h", self._address)
        if dy is not None:
            calls.point_at("dy", dy.data_ptr())
        for name, d in given.items():
            calls.point_at(name, d.data_ptr())
        found: Found = [None] * len(tensors)
        for place, words in written:
            tensor = tensors[place]
            if place or tensor.is_contiguous():
                gradient = _empty_like(tensor)
            else:
                gradient = _empty_like(tensor, memory_format=torch.contiguous_format)
            address = gradient.data_ptr()
            for arguments, word, offset in words:
                arguments[word] = address + offset
            found[place] = gradient
        calls.read(tensors)
        calls.run()
        return found

    def _new_h(self) -> Array:
        """Return where y is to be, behind room for the first h."""
        empty: Any = np.empty if self._is_small else buffers.empty
        self._h = empty(self._shape, self._dtype)
        y: Array = self._h[1:]
        return y

    def _record(self, tensors: Tensors, given: Distinct | None) -> tuple[Tensor, ...]:
        """Run forward and write down the calls."""
        kind, is_one_way = self._kind, self._is_one_way
        arrays = {place: tensor.numpy(force=True) for place, tensor in enumerate(tensors)}
        for place in range(self._first_state, len(tensors)):
            arrays[place] = arrays[place].copy()  # the same may have been given twice
        x, weights, states = kind.parts(list(arrays.values()))
        (T, B, _), S, dtype = x.shape, weights[0][1].shape[1], x.dtype
        cell = CELLS[kind.mode]
        finals = [np.empty((kind.directions, B, S), dtype) for _ in cell.STATES]
        y = np.empty((T, B, kind.directions * S), dtype)
        directions, runs = [], []
        for n, parts in enumerate(weights):
            with recorded() as before:
                b = bias.joined(kind, *parts[2:]) if kind.has_bias else None
            run = Run(Weights(cell, parts[0].T, parts[1].T, b), self._training)
            run.read_input(x, None, None, reverse=n == 1)
            if given is not None:
                distinct.multiply_once(run, given.copy())
            run.read_state(tuple(state[n] for state in states) or None)
            run.read_options(Options())
            with recorded() as walk:
                run.forward()
            with recorded() as after:
                for rows, final in zip((run.h, *run.extra), finals, strict=True):
                    moves.copy(rows[-B:, :S], final[n])
                if not is_one_way:
                    steps = run.h[B:].reshape(T, B, S)
                    moves.copy(steps[::-1] if run.reverse else steps, y[..., n * S : (n + 1) * S])
            # Last: what has been written is where the final states may be.
            with recorded() as put:
                for i, rows in enumerate((run.h, *run.extra)):
                    _put(states[i][n] if states else None, rows[:B])
            directions.append([*before, *put, *walk, *after])
            runs.append(run)
        self._runs = runs
        self._is_beside = (
            not is_one_way
            and get_num_threads() > 1
            and all(plan.is_narrow(run.plan, run.weights.R.nbytes) for run in runs)
        )
        if is_one_way:
            self._h = runs[0].h.reshape(T + 1, B, S)
            y = self._h[1:]
            written = {"h": self._h}
        else:
            written = {"y": y}
        named = {("final", i): final for i, final in enumerate(finals)}
        if given is not None:
            del arrays[0]  # its rows are in the runs
        calls = Calls(directions, [], arrays | written | named, is_beside=self._is_beside)
        self._forward = calls if calls.is_complete else None
        self._shelf.is_vain = not calls.is_complete
        self._shape, self._dtype = self._h.shape if is_one_way else y.shape, dtype
        self._offset = B * S * dtype.itemsize
        self._is_small = (T + 1) * self._offset <= _SMALL_BYTES
        self._address = address_of(self._h) if is_one_way else 0
        outputs = tuple(torch.from_numpy(array) for array in (y, *finals))
        self._finals = list(zip(named, [output.clone() for output in outputs[1:]], strict=True))
        self._lend(None)
        return outputs

    def _record_walk(
        self, key: Hashable, tensors: Tensors, dy: Tensor | None, given: dict[Any, Tensor],
        needed: Sequence[bool],
    ) -> Found:  # fmt: skip
        """Run backward and write down the calls."""
        kind, wants_dx = self._kind, self._wants_dx
        self._lend(tensors)
        S = self._runs[0].weights.features
        dstates = {name: d.numpy(force=True) for name, d in given.items()}
        arrays: dict[Any, Array] = dict(dstates)
        if dy is not None:
            arrays["dy"] = dy.numpy(force=True)
        if self._is_one_way:
            arrays["h"] = self._h
        gradients: dict[int, Array] = {}
        directions, dxs = [], list[Array]()
        for n, run in enumerate(self._runs):
            half = arrays["dy"][..., n * S : (n + 1) * S] if dy is not None else None
            states = len(run.cell.STATES)
            ends = [dstates.get(name) for name in _ENDS[:states]]
            ends = [None if d is None else d[n] for d in ends]
            with recorded() as walk:
                found: Any = run.backward(
                    half, tuple(ends), (None,) * (states - 1), wants_dx, False
                )
            loop = next(call.args for call in walk if hasattr(call.args, "dextra"))
            dxs.append(found.x)
            first = 1 + n * kind.weights
            gradients |= {first: found.W.T, first + 1: found.R.T}
            with recorded() as after:
                if kind.has_bias:
                    gradients[first + 2], gradients[first + 3] = bias.split(kind, found.b)
                for i, rows in enumerate((loop.dh, *loop.dextra)):
                    place = self._first_state + i
                    # It costs a copy: there is one where there is to be one.
                    if place < len(tensors) and needed[place]:
                        if place not in gradients:
                            gradients[place] = np.empty((kind.directions, len(rows), S), rows.dtype)
                        moves.copy(rows[:, :S], gradients[place][n])
            # Last: the gradients of the first states are where those of the last ones were.
            with recorded() as put:
                for d, rows in zip(ends, (loop.dh, *loop.dextra), strict=True):
                    _put(d, rows)
            directions.append([*put, *walk, *after])
        with recorded() as last:
            if wants_dx:
                gradients[0] = dxs[0]
                if not self._is_one_way:
                    moves.add(dxs[1], dxs[0])
        read = {place: tensors[place].numpy(force=True) for place in self._read}
        named = {("d", place): gradient for place, gradient in gradients.items()}
        calls = Calls(directions, last, arrays | read | named, is_beside=self._is_beside)
        if calls.is_complete:
            self._walks[key] = calls, [(place, calls.places["d", place]) for place in gradients]
        self._lend(None)
        return [
            torch.from_numpy(gradients[place]) if place in gradients else None
            for place in range(len(tensors))
        ]

    def _lend(self, tensors: Tensors | None) -> None:
        """Tell the runs what their tensors are, or let go of them."""
        arrays = None if tensors is None else [tensor.numpy(force=True) for tensor in tensors]
        for n, each in enumerate(self._runs):
            run: Any = each
            weights = run.weights
            if arrays is None:
                weights.W = weights.R = run.x = run.state = None
                if not self._table:
                    run.x_rows = None
            else:
                first = 1 + n * self._kind.weights
                weights.W, weights.R = arrays[first].T, arrays[first + 1].T
                if not self._table:
                    run.place_input(arrays[0])
            if self._is_one_way:
                run.h = None if arrays is None else self._h.reshape(-1, weights.features)


class Shelf:
    """Runs of one kind that are ready, on tensors of one geometry.

    Parameters
    ----------
    kind : Kind
        What they compute.
    numbers : int
        What the gates of a run are, in numbers.
    step_rows : int, optional
        Rows of their only step, if it may be better left to torch.nn.
    is_vain : bool
        Whether there can be no such runs, as something has to be copied first.
    may_repeat : bool
        Whether rows of x may be equal: it is no output of a layer.
    """

    def __init__(
        self, kind: Kind, numbers: int, step_rows: int | None, *, is_vain: bool, may_repeat: bool
    ) -> None:
        self.kind = kind
        self.step_rows = step_rows
        self.may_repeat = may_repeat
        self._numbers = numbers
        self.is_vain = is_vain or kind.mode == "LSTMP" or numbers > _MOST_NUMBERS
        self._unused: dict[Hashable, list[Ready]] = {}

    def take(self, rows: Distinct | None, *, training: bool, wants_dx: bool) -> Ready | None:
        """Return a run, or None: where none is possible, and the first time that one is wanted.

        rows    the distinct rows of x, if they are to be multiplied once
        """
        if self.is_vain:
            return None
        table = 0 if rows is None else len(rows.table)
        key = training, wants_dx, table, get_num_threads()
        unused = self._unused.get(key)
        if unused is None:
            self._unused[key] = []
            return None
        try:
            return unused.pop()
        except IndexError:  # all are in use
            _make_room(self._numbers)
            return Ready(self, unused, training=training, wants_dx=wants_dx, table=table)


# The shelves of each layer of a module, by the kind of the module and its tensors.
_shelves: dict[Hashable, tuple[Shelf, ...]] = {}
_numbers = 0  # of the runs that were made since the last clearing


def shelves_of(key: Hashable) -> tuple[Shelf, ...] | None:
    """Return the shelves that have been kept."""
    return _shelves.get(key)


def keep(key: Hashable, shelves: tuple[Shelf, ...]) -> None:
    """Keep the shelves of a module's layers."""
    _make_room(0)
    _shelves[key] = shelves


def _make_room(numbers: int) -> None:
    """Forget all runs if another one, or another kind, would be too much."""
    global _numbers
    _numbers += numbers
    if _numbers > _MOST_IN_ALL or len(_shelves) >= _MOST_KINDS:
        _shelves.clear()
        _numbers = numbers


class Held:
    """A run in use: others may use it when nobody refers to it any more."""

    __slots__ = ("_ready", "backward")

    def __init__(self, ready: Ready) -> None:
        self._ready = ready
        self.backward = ready.backward

    def __del__(self) -> None:
        self._ready.put_back()


def _put(state: Array | None, rows: Array) -> None:
    """Write states (B, width), zeros where None, to the beginning of rows (B, >= width)."""
    if state is None or state.shape != rows.shape:
        moves.copy(moves.zeros(rows.shape, rows.dtype), rows)
    if state is not None:
        moves.copy(state, rows[:, : state.shape[1]])
