"""The tape that users open around a computation and ask for its gradients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.tape.gradients import RowGradients, Sums, as_dense
from fastrnn.tape.records import Node, Record, Trace, settle, start, stop
from fastrnn.tape.tensor import Tensor

Array = NDArray[Any]


class GradientTape:
    """Records what is computed within its `with` block from tensors that it watches.

    It watches trainable Variables and tensors that were made by hand, `Tensor(array)`; others, such
    as those of `ops.convert_to_tensor`, it is asked to `watch`.  Only computations of the thread
    that opened it are recorded.

    Parameters
    ----------
    persistent : bool
        Allow several calls of `gradient`.  Each computation of a layer still serves one of them,
        as it overwrites what it saved; those of `fastrnn.ops` serve all.
    watch_accessed_variables : bool
        Watch trainable Variables, and tensors made by hand, without being asked to.

    Notes
    -----
    There is no gradient of a gradient: `gradient` returns arrays.

    Examples
    --------
    >>> from fastrnn import Variable
    >>> w = Variable(np.ones((3, 2), np.float32))
    >>> with GradientTape() as tape:
    ...     y = np.ones((4, 3), np.float32) @ w
    >>> tape.gradient(y, w).tolist()
    [[4.0, 4.0], [4.0, 4.0], [4.0, 4.0]]
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._trace = Trace(watch_accessed_variables)
        self._is_open = False
        self._is_used = False

    def __enter__(self) -> GradientTape:
        if self._is_open:
            raise RuntimeError("GradientTape: it is open already")
        self._is_open = True
        start(self._trace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_open = False
        stop(self._trace)

    def watch(self, tensor: Any) -> None:
        """Record what is computed from a tensor from now on.

        Parameters
        ----------
        tensor : Tensor of floats, or a list, tuple or dict of them

        Raises
        ------
        TypeError
            If it is none: an array has no place in a computation, `ops.convert_to_tensor` makes a
            tensor of it.
        """
        for one in _tensors("watch", tensor):
            if one.dtype.kind != "f":
                raise TypeError(f"watch: expected tensors of floats, got {one!r}")
            self._trace.watch(one)

    @contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Return a context in which nothing is recorded."""
        was_open = self._is_open
        stop(self._trace)
        try:
            yield
        finally:
            if was_open:
                start(self._trace)

    def reset(self) -> None:
        """Forget all that was recorded and watched."""
        self._trace.clear()
        self._is_used = False

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: str = "none",
    ) -> Any:
        """Return the gradient of `target` with respect to each source.

        Parameters
        ----------
        target : Tensor, or a list, tuple or dict of them
            Computed while the tape was open.  Of several, the gradient of their sum is returned.
        sources : Tensor, or a list, tuple or dict of them, nested in any way
            What the tape watches, or what was computed from it.
        output_gradients : like `target`, optional
            Gradient of what is finally differentiated with respect to `target`; ones if not given.
        unconnected_gradients : str
            "none" or "zero": what stands for a source that `target` does not depend on, or
            depends on only through what has no gradient, such as `ops.argmax`.

        Returns
        -------
        arrays, in the structure of `sources`
            Each of its source's shape and dtype, C-contiguous and the caller's own; or RowGradients
            of a table of which few rows were used.

        Raises
        ------
        RuntimeError
            If the tape was used already and is not persistent, or a computation was differentiated
            already that overwrote what it had saved.
        TypeError
            If `target` or a source is not a Tensor.
        ValueError
            If `target` has no floats, or is itself the result of an operation without a gradient.
        """
        if unconnected_gradients not in ("none", "zero"):
            expected = '"none" or "zero"'
            raise ValueError(
                f"unconnected_gradients: expected {expected}, got {unconnected_gradients!r}"
            )
        if self._is_used and not self._persistent:
            raise RuntimeError(
                "GradientTape: it was used already; make it persistent for several gradients"
            )
        is_structure = isinstance(sources, Tensor | dict | list | tuple | np.ndarray)
        if not is_structure and isinstance(sources, Iterable):
            sources = list(sources)
        settle()
        targets = _tensors("target", target)
        tensors = _tensors("sources", sources)
        sums, seeds = Sums(), _seeds(targets, target, output_gradients)
        for tensor, seed in zip(targets, seeds, strict=True):
            sums.add(tensor.node, seed)
        kept = {tensor.node for tensor in tensors}
        self._is_used = True
        try:
            self._run([tensor.node for tensor in targets], kept, sums)
        finally:
            if not self._persistent:
                stop(self._trace)
                self._trace.clear()
        taken = {id(_owner(np.asarray(seed))) for seed in seeds}
        results = [_result(tensor, sums, taken) for tensor in tensors]
        if unconnected_gradients == "zero":
            results = [
                np.zeros(tensor.shape, tensor.dtype) if result is None else result
                for tensor, result in zip(tensors, results, strict=True)
            ]
        return results if _is_flat(sources) else _rebuilt(sources, iter(results))

    def _run(self, targets: list[Node], kept: set[Node], sums: Sums) -> None:
        """Run computations backwards; leaves the gradients of `kept` in `sums`."""
        steps, reached = self._steps(targets, kept)
        while steps:
            step = steps.pop()
            arriving = []
            is_reached = False
            for reference in step.outputs:
                node = reference()
                gradient = None
                if node is not None:
                    gradient = sums.get(node) if node in kept else sums.pop(node)
                    is_reached = is_reached or gradient is not None
                arriving.append(gradient)
            if not is_reached:
                continue
            leaving = step.run(arriving)
            for node, gradient in zip(step.inputs, leaving, strict=True):
                if gradient is not None and node is not None and node in reached:
                    sums.add(node, gradient)
            if not self._persistent:
                self._trace.forget(step)

    def _steps(self, targets: list[Node], kept: set[Node]) -> tuple[list[Record], set[Node]]:
        """Return the computations between sources and targets, in order, and their tensors."""
        found: set[Record] = set()
        pending = list(targets)
        while pending:
            record = self._trace.of(pending.pop())
            if record is not None and record not in found:
                found.add(record)
                pending += [node for node in record.inputs if node is not None]
        reached = set(kept)
        steps = []
        for record in sorted(found, key=lambda record: record.number):
            if not reached.isdisjoint(record.inputs):
                steps.append(record)
                reached.update(node for ref in record.outputs if (node := ref()) is not None)
        return steps, reached


def _seeds(targets: list[Tensor], target: Any, given: Any) -> list[Any]:
    """Return the gradients that the computations start from."""
    for tensor in targets:
        if tensor._made_by is not None:
            raise ValueError(f"target: {tensor!r} was made by {tensor._made_by}, without gradient")
        if tensor.dtype.kind != "f":
            raise ValueError(f"target: expected floats, got {tensor!r}")
    if given is None:
        return [np.ones(tensor.shape, tensor.dtype) for tensor in targets]
    gradients = [given] if isinstance(target, Tensor) else list(_leaves(given))
    if len(gradients) != len(targets):
        raise ValueError(
            f"output_gradients: expected {len(targets)} for as many targets, got {len(gradients)}"
        )
    seeds = []
    for tensor, gradient in zip(targets, gradients, strict=True):
        array = np.asarray(gradient)
        if array.shape != tensor.shape:
            raise ValueError(
                f"output_gradients: expected shape {tensor.shape} as target, got {array.shape}"
            )
        seeds.append(as_dense(array, tensor.shape, tensor.dtype))
    return seeds


def _result(tensor: Tensor, sums: Sums, taken: set[int]) -> Any:
    """Return the gradient of a source in an array that nobody else has.

    `taken` are the identities of arrays that the caller has; written.
    """
    gradient = sums.get(tensor.node)
    if gradient is None or (isinstance(gradient, RowGradients) and gradient.shape == tensor.shape):
        return gradient
    array = as_dense(gradient, tensor.shape, tensor.dtype)
    owner = _owner(array)
    if not (array.flags.c_contiguous and array.flags.writeable) or id(owner) in taken:
        array = owner = np.array(array, order="C")
    taken.add(id(owner))
    return array


def _owner(array: Array) -> Array:
    """Return the array whose memory this one shows."""
    while isinstance(base := array.base, np.ndarray):
        array = base
    return array


def _tensors(name: str, structure: Any) -> list[Tensor]:
    """Return the tensors of a structure in order."""
    if isinstance(structure, Tensor):
        return [structure]
    leaves = structure if _is_flat(structure) else list(_leaves(structure))
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"{name}: expected Tensors, got {type(leaf).__name__} {leaf!r}"[:200])
    return leaves


def _is_flat(structure: Any) -> bool:
    """Return whether a structure is a list of tensors."""
    return type(structure) is list and all(isinstance(leaf, Tensor) for leaf in structure)


def _leaves(structure: Any) -> Iterator[Any]:
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, list | tuple):
        for part in structure:
            yield from _leaves(part)
    else:
        yield structure


def _rebuilt(structure: Any, leaves: Iterator[Any]) -> Any:
    """Return a structure like the given one with other leaves."""
    if isinstance(structure, dict):
        return {key: _rebuilt(part, leaves) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        parts: Iterable[Any] = [_rebuilt(part, leaves) for part in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*parts)
        return tuple(parts) if isinstance(structure, tuple) else parts
    return next(leaves)
