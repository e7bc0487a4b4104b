"""A model that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.models import Sequential
from fastrnn.onnx import graph as graphs
from fastrnn.onnx import sizes
from fastrnn.onnx.graph import Graph, Input, Node
from fastrnn.onnx.operators import OPERATORS, VIEWS
from fastrnn.onnx.trainable import to_model

Array = NDArray[Any]

# What operators raise about arrays that do not fit; the last NumPy about more than 32 axes.
_FAILURES = (ValueError, TypeError, LookupError, ArithmeticError, MemoryError, RuntimeError)

# Values live in numbered places: the first is that of inputs left out, the second that of outputs
# that nobody wants.
_NOTHING, _UNWANTED = 0, 1

# Results that are computed when the model is loaded may have this many elements more than the
# model itself; what a small file unfolds to is computed when it runs.
_ROOM = 1 << 22


def load(model: str | os.PathLike[str] | bytes | Any, *, limit: int = sizes.LIMIT) -> Model:
    """Load an ONNX model, and prepare it to run.

    Parameters
    ----------
    model : path, bytes or onnx.ModelProto
        Of an opset in 7..25.  Tensors in other files are looked for beside the model, and not
        outside of its folder.
    limit : int
        Elements of the largest array that an operator may make.

    Returns
    -------
    Model
        `model.run({name: array})` computes it.

    Raises
    ------
    ValueError
        If the file is no sound model, or has operators that are not supported; the message lists
        all of them.
    OSError
        If the file cannot be read.

    Notes
    -----
    Operators are computed as ONNX defines them for the model's opset.  See
    `fastrnn.onnx.operators` for which there are, and `operators.recurrent` for where the
    definitions leave a choice.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"limit: expected an int of at least 1, got {limit!r}")
    folder = None
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        folder = path.parent
        model = path.read_bytes()
    if isinstance(model, bytes | bytearray | memoryview):
        model = graphs.parse(bytes(model))
    if not hasattr(model, "graph"):
        raise TypeError(f"model: expected a path, bytes or ModelProto, got {type(model).__name__}")
    return Model(graphs.read(model, folder, OPERATORS), limit)


class _Step(NamedTuple):
    """One operator: what to call, where its inputs and outputs live, and what ends with it."""

    run: Callable[..., Any]
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    spent: tuple[int, ...]
    label: str


class _Feed(NamedTuple):
    """One input: its place, and what must come."""

    name: str
    place: int
    dtype: np.dtype[Any]
    rank: int


class _Lone(NamedTuple):
    """A recurrent layer that is a whole model: what to call, and what comes where with each run."""

    run: Callable[..., Any]
    feeds: list[_Feed]
    arguments: list[Any]
    label: str


class Model:
    """An ONNX model; see `load`.

    Several threads may run it at the same time.

    Attributes
    ----------
    input_names, output_names : list of str
        What `run` takes and returns.
    """

    def __init__(self, graph: Graph, limit: int) -> None:
        self.input_names = list(graph.inputs)
        self.output_names = list(graph.outputs)
        self._inputs, self._limit = graph.inputs, limit
        self._fixed = {*graph.constants}
        with sizes.limited(limit), np.errstate(all="ignore"):
            constants, prepared = _prepare(graph)
        self._nodes = [node for node, _ in prepared]
        # Recurrent layers raise no floating point errors, and need no limit but the usual one.
        are_recurrent = all(node.op in ("LSTM", "GRU", "RNN") for node, _ in prepared)
        self._is_bare = are_recurrent and limit == sizes.LIMIT

        places: dict[str, int] = {"": _NOTHING}
        for name in (*graph.inputs, *constants, *(o for node, _ in prepared for o in node.outputs)):
            places.setdefault(name, len(places) + 1)
        last = {name: n for n, (node, _) in enumerate(prepared) for name in node.inputs}
        kept = {*graph.outputs, *constants, ""}
        self._steps = [
            _Step(
                run,
                tuple(places[name] for name in node.inputs),
                tuple(places[name] if name else _UNWANTED for name in node.outputs),
                tuple(places[name] for name in {*node.inputs} - kept if last[name] == n),
                node.label,
            )
            for n, (node, run) in enumerate(prepared)
        ]
        self._start: list[Any] = [None] * (len(places) + 1)
        for name, array in constants.items():
            self._start[places[name]] = array
        self._feeds = [
            _Feed(
                name, places[name], wanted.dtype, -1 if wanted.shape is None else len(wanted.shape)
            )
            for name, wanted in graph.inputs.items()
        ]
        owned = _owned(prepared)
        self._results = [(places[name], name in owned) for name in graph.outputs]
        self._lone = self._lone_layer()

    def run(self, inputs: Mapping[str, ArrayLike]) -> list[Array]:
        """Compute the model.

        Parameters
        ----------
        inputs : mapping of arrays
            One for each of `input_names`, of the model's element types and ranks.

        Returns
        -------
        list of arrays
            One for each of `output_names`; the caller may write to them.

        Raises
        ------
        ValueError
            If an input is missing, unknown or does not fit, or an operator cannot be computed
            with what comes; the message names it.
        TypeError
            If `inputs` is no mapping.
        """
        if self._lone is not None and type(inputs) is dict and len(inputs) == len(self._feeds):
            run, feeds, arguments, label = self._lone
            arguments = arguments.copy()
            for name, place, dtype, rank in feeds:
                value: Any = inputs.get(name)
                if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != rank:
                    break
                arguments[place] = value
            else:
                try:
                    results = run(*arguments)
                except _FAILURES as error:
                    raise ValueError(f"{label}: {error}") from error
                if type(results) is not tuple:
                    return [results]
                return list(results[: len(self._results)])
        values = self._start.copy()
        if len(inputs) != len(self._feeds):
            self._check_names(inputs)
        for name, place, dtype, rank in self._feeds:
            try:
                value = inputs[name]
            except (LookupError, TypeError):
                self._check_names(inputs)
                raise
            if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != rank:
                value = _fitting(name, value, self._inputs[name])
            values[place] = value
        if self._is_bare:
            self._compute(values)
        else:
            with sizes.limited(self._limit), np.errstate(all="ignore"):
                self._compute(values)
        return [
            np.asarray(values[place]) if is_owned else np.array(values[place])
            for place, is_owned in self._results
        ]

    def to_model(self) -> Sequential:
        """Return a model with the same weights that can be trained.

        Returns
        -------
        Sequential
            Of `fastrnn.layers`, batch-major, whatever the graph's order of time and batch.

        Raises
        ------
        ValueError
            If the graph is no chain, from one input to one output, of an embedding, recurrent
            layers (without lengths, initial states, clipping, peepholes and coupled gates), dense
            layers and activations that Keras has; the message names what else is there.
        """
        return to_model(self._nodes, self._inputs, self.output_names)

    def _lone_layer(self) -> _Lone | None:
        """Return the recurrent layer that the model is, if it is nothing else."""
        if len(self._steps) != 1 or not self._is_bare:
            return None
        (step,) = self._steps
        outputs = tuple(place for place, is_owned in self._results if is_owned)
        is_whole = step.targets == outputs and len(outputs) == len(self._results)
        if not is_whole or any(step.sources.count(feed.place) != 1 for feed in self._feeds):
            return None
        feeds = [feed._replace(place=step.sources.index(feed.place)) for feed in self._feeds]
        return _Lone(step.run, feeds, [self._start[place] for place in step.sources], step.label)

    def _compute(self, values: list[Any]) -> None:
        """Run all steps."""
        label = ""
        try:
            for run, sources, targets, spent, label in self._steps:  # noqa: B007
                results = run(*[values[source] for source in sources])
                if type(results) is not tuple:
                    values[targets[0]] = results
                else:
                    for target, result in zip(targets, results, strict=False):
                        values[target] = result
                for place in spent:
                    values[place] = None
        except _FAILURES as error:
            raise ValueError(f"{label}: {error}") from error

    def _check_names(self, inputs: Mapping[str, Any]) -> None:
        """Raise an error about names that are missing or too many."""
        if not isinstance(inputs, Mapping):
            got = _validate.describe(inputs)
            raise TypeError(f"inputs: expected a mapping of arrays by name, got {got}")
        missing = [name for name in self.input_names if name not in inputs]
        unknown = [name for name in inputs if name not in self._inputs]
        if fixed := [name for name in unknown if name in self._fixed]:
            raise ValueError(f"inputs: {', '.join(fixed)}: constants of the model are fixed")
        if missing or unknown:
            wanted = ", ".join(self.input_names) or "none"
            got = ", ".join(map(str, inputs)) or "none"
            raise ValueError(f"inputs: expected {wanted}, got {got}")


def _fitting(name: str, value: Any, wanted: Input) -> Array:
    """Return an input as an array of the model's element type and rank."""
    expected = str(wanted.dtype)
    if wanted.shape is not None:
        expected = f"({', '.join('?' if n is None else str(n) for n in wanted.shape)}) {expected}"
    array = _validate.as_array(name, value, expected)
    if not hasattr(value, "__array__") and array.dtype.kind in "biuf":
        array = array.astype(wanted.dtype)
    if array.dtype != wanted.dtype or (
        wanted.shape is not None and array.ndim != len(wanted.shape)
    ):
        raise ValueError(f"{name}: expected {expected}, got {_validate.describe(array)}")
    return array.astype(wanted.dtype, copy=False)


def _prepare(graph: Graph) -> tuple[dict[str, Array], list[tuple[Node, Callable[..., Any]]]]:
    """Make all operators ready and compute those that have constants only."""
    constants = dict(graph.constants)
    room = _ROOM + sum(array.size for array in constants.values())
    prepared = []
    for node in graph.nodes:
        node.constants = tuple(constants.get(name) for name in node.inputs)
        try:
            run = OPERATORS[node.op](node)
            given = [bool(name) for name in node.inputs]
            is_fixed = all(
                array is not None or not is_given
                for array, is_given in zip(node.constants, given, strict=True)
            )
            if is_fixed:
                try:
                    with sizes.limited(room):
                        results = run(*node.constants)
                except sizes.TooLargeError:
                    is_fixed = False
        except _FAILURES as error:
            raise ValueError(f"{node.label}: {error}") from error
        if not is_fixed:
            prepared.append((node, run))
            continue
        for name, result in zip(
            node.outputs, results if isinstance(results, tuple) else (results,), strict=False
        ):
            array = np.asarray(result).view()
            array.flags.writeable = False
            constants[name] = array
            room -= array.size
    used = {name for node, _ in prepared for name in node.inputs}.union(graph.outputs)
    return {name: array for name, array in constants.items() if name in used}, prepared


def _owned(prepared: list[tuple[Node, Callable[..., Any]]]) -> set[str]:
    """Return the values that share memory with no input or constant."""
    owned: set[str] = set()
    for node, _ in prepared:
        if node.op not in VIEWS or all(name in owned for name in node.inputs if name):
            owned.update(node.outputs)
    return owned
