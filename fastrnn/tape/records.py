"""What tapes know: computations, and which tensors a gradient can reach.

A computation belongs to the tensors that it made: when nobody holds them any more, nor anything
computed from them, nobody can ask for a gradient through it, and what it saved is freed.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastrnn.tape.gradients import as_dense

if TYPE_CHECKING:
    from fastrnn.tape.postponed import Computation
    from fastrnn.tape.tensor import Tensor

_numbers = itertools.count()


class Node:
    """A tensor's place in computations, without its array.

    Attributes
    ----------
    records : dict
        For each trace that follows the tensor the computation that made it, None if it is watched.
    """

    __slots__ = ("__weakref__", "records")

    def __init__(self) -> None:
        self.records: dict[int, Record | None] = {}


class Record:
    """One computation: `backward(*gradients of outputs)` gives a gradient for each input.

    Parameters
    ----------
    inputs : sequence of Node or None
        None for those that no gradient reaches.
    outputs : sequence of Tensor
    backward : callable
    repeatable : bool
        Whether it may be called more than once.
    """

    __slots__ = ("_backward", "_forms", "_repeatable", "inputs", "number", "outputs")

    def __init__(
        self,
        inputs: Sequence[Node | None],
        outputs: Sequence[Tensor],
        backward: Callable[..., Sequence[Any]],
        repeatable: bool,
    ) -> None:
        self.number = next(_numbers)
        self.inputs = inputs
        # Held strongly, outputs would keep the computation that they own, and so themselves.
        self.outputs = [weakref.ref(output.node) for output in outputs]
        self._forms = [(output.shape, output.dtype) for output in outputs]
        self._backward: Callable[..., Sequence[Any]] | None = backward
        self._repeatable = repeatable

    def run(self, arriving: Sequence[Any]) -> Sequence[Any]:
        """Return a gradient, or None, for each input, from one, or None, for each output."""
        backward = self._backward
        if backward is None:
            raise RuntimeError(
                "gradient: this computation was differentiated already and overwrote what it had "
                "saved; run it again under a tape for another gradient"
            )
        if not self._repeatable:
            self._backward = None
        dense = [
            None if gradient is None else as_dense(gradient, *form)
            for gradient, form in zip(arriving, self._forms, strict=True)
        ]
        leaving = backward(*dense)
        if len(leaving) != len(self.inputs):
            raise ValueError(
                f"backward: expected {len(self.inputs)} gradients, one for each input, "
                f"got {len(leaving)}"
            )
        return leaving


class Trace:
    """What one tape follows: tensors that are watched, and computations made from them.

    Parameters
    ----------
    watches_sources : bool
        Whether Variables and tensors made by hand are followed without being asked for.
    """

    def __init__(self, watches_sources: bool) -> None:
        self.watches_sources = watches_sources
        self.key = next(_numbers)
        self._nodes: list[weakref.ref[Node]] = []
        self._limit = 1000

    def __del__(self) -> None:
        self.clear()

    def follows(self, tensor: Tensor) -> bool:
        """Return whether a gradient can be asked for `tensor`, or goes through it."""
        node = tensor._node
        if node is not None and self.key in node.records:
            return True
        return self.watches_sources and tensor.is_source

    def watch(self, tensor: Tensor) -> None:
        """Follow `tensor` from now on."""
        settle()
        self._add(tensor, None)

    def add(self, record: Record, outputs: Sequence[Tensor]) -> None:
        """Follow what a computation made.  Of a tensor recorded twice, the first record counts."""
        for output in outputs:
            self._add(output, record)

    def of(self, node: Node) -> Record | None:
        """Return the computation that made a tensor, if it is known."""
        return node.records.get(self.key)

    def records(self) -> set[Record]:
        """Return the computations that a gradient can still be asked for."""
        nodes = [node for reference in self._nodes if (node := reference()) is not None]
        return {record for node in nodes if (record := self.of(node)) is not None}

    def forget(self, record: Record) -> None:
        """Free what a computation saved, unless another tape knows it."""
        for reference in record.outputs:
            node = reference()
            if node is not None:
                node.records.pop(self.key, None)

    def clear(self) -> None:
        """Follow nothing any more."""
        for reference in self._nodes:
            node = reference()
            if node is not None:
                node.records.pop(self.key, None)
        self._nodes.clear()

    def _add(self, tensor: Tensor, record: Record | None) -> None:
        records = tensor.node.records
        if self.key in records:
            return
        records[self.key] = record
        if len(self._nodes) >= self._limit:
            self._nodes = [reference for reference in self._nodes if reference() is not None]
            self._limit = 1000 + 2 * len(self._nodes)
        self._nodes.append(weakref.ref(tensor.node))


class _OpenTraces(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self.postponed: list[weakref.ref[Computation]] = []
        self.blocks = 0


_open = _OpenTraces()


def start(trace: Trace) -> None:
    """Let `record` of this thread write to `trace`."""
    settle()
    _open.traces.append(trace)


def stop(trace: Trace) -> None:
    """Undo `start`; nothing happens if `trace` is not open."""
    settle()
    if trace in _open.traces:
        _open.traces.remove(trace)


def postpone(computation: Computation) -> None:
    """Have a computation run by `settle` of this thread, unless nobody holds it any more."""
    _open.postponed.append(weakref.ref(computation))


def may_postpone() -> bool:
    """Return whether somebody will `settle` in this thread: a tape is open, or a block."""
    return bool(_open.traces) or _open.blocks > 0


class Postponing:
    """A block in which computations may be postponed; they are run where no tape is open then."""

    def __enter__(self) -> None:
        _open.blocks += 1

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> None:
        try:
            if kind is None and _open.blocks == 1 and not _open.traces:
                settle()
        finally:
            _open.blocks -= 1


def settle() -> None:
    """Run what is postponed in this thread: what it reads is about to change."""
    waiting = _open.postponed
    if waiting:
        _open.postponed = []
        for reference in waiting:
            computation = reference()
            if computation is not None:
                computation.run()


def is_recording() -> bool:
    """Return whether a tape is open in this thread, so that closures are wanted."""
    return bool(_open.traces)


def is_watched(*tensors: Any) -> bool:
    """Return whether an open tape of this thread follows any of the tensors.

    Only then is the gradient of one of them wanted.  Arrays are never followed.
    """
    return any(
        trace.follows(tensor)
        for trace in _open.traces
        for tensor in tensors
        if hasattr(tensor, "_node")
    )


def record(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    backward: Callable[..., Sequence[Any]],
    *,
    repeatable: bool = False,
) -> None:
    """Write a computation on the open tapes that follow any of its inputs.

    Parameters
    ----------
    inputs, outputs : sequences of Tensor
    backward : callable
        Takes a gradient of the output's shape and dtype, or None, for each output; returns for
        each input a gradient (an array, RowGradients or another PartialGradient) or None.  It
        should hold arrays, not the output tensors: they own it.
    repeatable : bool
        Whether it may be called again; closures of `fastrnn.functional` overwrite what they saved.
    """
    nodes: list[Node | None] = [None] * len(inputs)
    traces = []
    for trace in _open.traces:
        places = [place for place, tensor in enumerate(inputs) if trace.follows(tensor)]
        if places:
            traces.append(trace)
        for place in places:
            nodes[place] = inputs[place].node
    for output in outputs:
        output._is_made = True
    if traces:
        written = Record(nodes, outputs, backward, repeatable)
        for trace in traces:
            trace.add(written, outputs)
