"""Cells that a program calls in a loop over time, run over all its steps at once.

    for x in ops.unstack(sequences, axis=1):
        h0, state0 = cell0(x, state0)
        h1, state1 = cell1(h0, state1)

A call of a cell is put off (`tape.postponed`).  Where the next call has its states, and the next
step of the same inputs, it is another step of the same loop; when somebody asks for an output, all
steps so far are run as a layer runs them.  Inputs are the steps of a sequence, or of another loop
below, or one array after the other.

A loop whose outputs are looked at in every turn is run step by step, as written.
"""

from __future__ import annotations

import weakref
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers import context, fused
from fastrnn.layers.embedding import LookedUp
from fastrnn.ops.parts import Step, parts
from fastrnn.tape import PostponedTensor, Tensor, constant, may_postpone, postpone

Array = NDArray[Any]


class _Output(PostponedTensor):
    """A state of a cell after one step of a loop; the first of them is its output."""

    _waits_for: Loop | None  # None when that was run

    def __init__(self, loop: Loop, place: int, state: int) -> None:
        self._waits_for = loop
        self._shape = loop.shapes[state]
        self._dtype = loop.dtype
        self.place = place
        self.state = state


class _Inputs(Protocol):
    """Where the inputs of a loop come from."""

    def take(self, x: Any) -> bool:
        """Make `x` the next input, if it is one of these."""

    def read(self) -> tuple[Tensor, int]:
        """Return all of them (B, T, I), and -1 if they are taken from the last to the first."""


class _Steps:
    """Consecutive steps of sequences, from either end."""

    def __init__(self, first: Step) -> None:
        self._source, self._first = first.source, first.index
        self._number = self._turn = 1

    def take(self, x: Any) -> bool:
        if type(x) is not Step or x.source is not self._source or x.axis != 1 or x.mask is not None:
            return False
        turn = self._turn
        if self._number == 1 and x.index == self._first - 1:
            turn = -1
        if x.index != self._first + turn * self._number:
            return False
        self._turn = turn
        self._number += 1
        return True

    def read(self) -> tuple[Tensor, int]:
        last = self._first + self._turn * (self._number - 1)
        return _between(self._source, min(self._first, last), self._number), self._turn


class _Outputs:
    """Consecutive outputs of another loop."""

    def __init__(self, first: _Output) -> None:
        self._loop: Any = first._waits_for
        self._first = first.place
        self._number = 1

    def take(self, x: Any) -> bool:
        if (
            type(x) is not _Output
            or x._waits_for is not self._loop
            or x.state
            or x.mask is not None
        ):
            return False
        if x.place != self._first + self._number:
            return False
        self._number += 1
        return True

    def read(self) -> tuple[Tensor, int]:
        self._loop.run()
        return _between(self._loop.outputs(), self._first, self._number), 1


class _Arrays:
    """One array after the other; those that are not Tensors are copied, as they may change."""

    def __init__(self, first: Any) -> None:
        self._arrays: list[Any] = []
        self.take(first)

    def take(self, x: Any) -> bool:
        if isinstance(x, PostponedTensor) and x.is_waiting:
            return False
        if self._arrays:
            first = self._arrays[0]
            if not _is_matrix(x, first.shape, first.dtype):
                return False
        self._arrays.append(x if isinstance(x, Tensor) else constant(np.array(x)))
        return True

    def read(self) -> tuple[Tensor, int]:
        return ops.stack(self._arrays, axis=1), 1


class Loop:
    """Calls of a cell, one after the other, each with the states of the one before.

    Parameters
    ----------
    cell : Cell
        One that has an `engine`.
    inputs : _Inputs
        Those of the first step are in them.
    shape : tuple of ints
        Of an input, (B, I).
    states : list of (B, H) Tensors
    dropped : Dropped
    """

    def __init__(
        self, cell: Any, inputs: _Inputs, shape: tuple[int, ...], states: list[Tensor],
        dropped: fused.Dropped,
    ) -> None:  # fmt: skip
        self.cell = cell
        self.dtype = cell.dtype
        #: Of the states.
        self.shapes = [(shape[0], size) for size in cell.sizes]
        self._inputs: _Inputs | None = inputs
        self._shape = shape
        self._states = states
        self._dropped = dropped
        self._number = 0  # of steps
        self._held: list[list[weakref.ref[_Output]]] = [[] for _ in self.shapes]
        self._outputs: list[Tensor] = []
        postpone(self)

    def goes_on(self, x: Any, states: Any, training: Any) -> bool:
        """Make a call another step if it is; `states[0]` is one of this loop."""
        if self._inputs is None or len(states) != len(self.shapes):
            return False
        last = self._number - 1
        for i, s in enumerate(states):
            if (
                type(s) is not _Output
                or s._waits_for is not self
                or s.place != last
                or s.state != i
            ):
                return False
        cell, before = self.cell, self._dropped
        if cell.dropout or cell.recurrent_dropout:
            if getattr(x, "shape", None) != self._shape:
                return False
            dropped = _dropped(cell, x, training)
            if dropped.inputs is not before.inputs or dropped.recurrent is not before.recurrent:
                return False
        elif before is not fused.NOT_DROPPED:
            return False
        return self._inputs.take(x)

    def after(self) -> list[_Output]:
        """Return the states after a step that was just taken in."""
        place, self._number = self._number, self._number + 1
        states = []
        for i, references in enumerate(self._held):
            state = _Output(self, place, i)
            references.append(weakref.ref(state))
            states.append(state)
        return states

    def outputs(self) -> Tensor:
        """Return the outputs (B, T, H) of all steps, once they are run."""
        if len(self._outputs) > 1:
            self._outputs = [ops.concatenate(self._outputs, axis=1)]
        return self._outputs[0]

    def run(self) -> None:
        """Run all steps there are; there will be no more."""
        if self._inputs is None:
            return
        (x, turn), self._inputs = self._inputs.read(), None
        held = [[reference() for reference in references] for references in self._held]
        self._held = []
        # Of all states but the outputs only the last ones are known after a run.
        stops = {t for kept in held[1:] for t, state in enumerate(kept, 1) if state is not None}
        states = self._states
        for start, stop in pairwise(sorted({0, *stops, self._number})):
            first = start if turn == 1 else self._number - stop
            span = _between(x, first, stop - start)
            outputs, states = self._run_span(span, states, turn)
            self._outputs.append(outputs)
            _give([kept[start:stop] for kept in held], outputs, states)
        self._states = []

    def _run_span(self, x: Tensor, states: list[Tensor], turn: int) -> tuple[Tensor, list[Tensor]]:
        if x.shape[1] > 1:
            return fused.sequence(self.cell, x, states, self._dropped, turn=turn)
        after = fused.step(self.cell, ops.squeeze(x, 1), states, self._dropped)
        return ops.expand_dims(after[0], 1), after


def step(
    cell: Any,
    inputs: Any = None,
    states: Any = None,
    training: Any = None,
    *more: Any,
    **others: Any,
) -> Any:
    """Return what a call of a cell returns, to be computed later; None if it must be done now.

    What is unusual in any way is left to `Layer.__call__`, as are errors.
    """
    if more or others:
        return None
    is_alone = not isinstance(states, list | tuple)
    given = [states] if is_alone else states
    first = given[0] if given else None
    loop: Any = first._waits_for if type(first) is _Output else None
    if loop is None or loop.cell is not cell or not loop.goes_on(inputs, given, training):
        if not may_postpone() or not cell.is_plain or not cell.built:
            return None
        loop = _started(cell, inputs, given, training)
        if loop is None:
            return None
    after = loop.after()
    return after[0], after[0] if is_alone else after


def _started(cell: Any, inputs: Any, states: Any, training: Any) -> Loop | None:
    """Return a loop that begins with a call, None where that is unusual."""
    features = cell.kernel.shape[0]
    shape: tuple[int, ...] = getattr(inputs, "shape", ())
    sizes = cell.sizes
    if len(shape) != 2 or len(states) != len(sizes):
        return None
    if not _is_matrix(inputs, (shape[0], features), cell.dtype) or not all(
        _is_matrix(s, (shape[0], size), cell.dtype) for s, size in zip(states, sizes, strict=True)
    ):
        return None
    dropped = _dropped(cell, inputs, training)
    before = [s if isinstance(s, Tensor) else constant(np.array(s)) for s in states]
    for state in before:
        state.value  # noqa: B018  a loop depends on another by its inputs alone
    return Loop(cell, _inputs_of(inputs), shape, before, dropped)


def _dropped(cell: Any, x: Any, training: Any) -> fused.Dropped:
    if not (cell.dropout or cell.recurrent_dropout):
        return fused.NOT_DROPPED
    return fused.Dropped.of(cell, x.shape, context.training_of_call(training))


def _inputs_of(x: Any) -> _Inputs:
    if type(x) is Step and x.axis == 1 and x.is_waiting:
        return _Steps(x)
    if type(x) is _Output and x.is_waiting and not x.state:
        return _Outputs(x)
    return _Arrays(x)


def _is_matrix(x: Any, shape: tuple[int, int], dtype: Any) -> bool:
    return bool(
        (isinstance(x, Tensor) or type(x) is np.ndarray)
        and x.shape == shape
        and x.dtype == dtype
        and getattr(x, "mask", None) is None
    )


def _between(x: Tensor, first: int, number: int) -> Tensor:
    """Return so many steps of x (B, T, I) from the first one."""
    if number == x.shape[1]:
        return x
    span = slice(first, first + number)
    if isinstance(x, LookedUp):
        return LookedUp(x.ids[:, span], x.table)
    return x[:, span]


def _give(held: list[list[_Output | None]], outputs: Tensor, states: list[Tensor]) -> None:
    """Give tensors that wait, a list of steps for each state, their values."""
    for kept, state in zip(held, states, strict=True):
        waiting = kept.pop()
        if waiting is not None:
            waiting.become(state)
    steps = {t: waiting for t, waiting in enumerate(held[0]) if waiting is not None}
    made = parts(outputs, [(slice(None), t) for t in steps])
    for waiting, part in zip(steps.values(), made, strict=True):
        waiting.become(part)
