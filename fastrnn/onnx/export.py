"""Models as ONNX files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fastrnn import layers
from fastrnn.layers.symbol import Symbol
from fastrnn.onnx.emitters import EMITTERS, Value
from fastrnn.onnx.writer import File


def export(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model to an ONNX file of opset 17.

    Parameters
    ----------
    model : Sequential, or Model between symbols
        Built, of layers of this package.  It is written as it predicts: without dropout.
    path : path
        The file.  It is whole or not there: written under another name first.

    Raises
    ------
    ValueError
        If the model is not built or of a class of its own, or a layer cannot be written; the
        message lists all such layers.
    TypeError
        If it is no model.
    OSError
        If the file cannot be written.

    Notes
    -----
    Inputs and outputs have the names that the model has for them.  The batch may be of any size,
    and so may other axes be that are None in the model's `Input`, or that no input was declared
    for.  Masks are computed in the file, wherever the padding is.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastrnn import layers
    >>> from fastrnn.models import Sequential
    >>> from fastrnn.onnx import export, load
    >>> model = Sequential([layers.Input((None, 4)), layers.LSTM(3), layers.Dense(2)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(model, f"{folder}/model.onnx")
    ...     loaded = load(f"{folder}/model.onnx")
    >>> (x,) = loaded.input_names
    >>> loaded.run({x: np.ones((5, 7, 4), np.float32)})[0].shape
    (5, 2)
    """
    if not isinstance(model, layers.Layer) or not hasattr(model, "fit"):
        raise TypeError(f"model: expected a model, got {type(model).__name__}")
    symbolic: Any = model
    graph = symbolic._graph if hasattr(model, "_graph") else None
    if graph is None:
        raise ValueError(
            f"model: expected {model.name} to be built, of layers between an input and an output: "
            "a Sequential that knows its input's shape, or Model(inputs, outputs)"
        )
    _check(graph)
    inputs = symbolic.inputs
    file = File([symbol.name for symbol in inputs])
    values = {id(symbol): Value(symbol.name, symbol.dtype) for symbol in inputs}
    is_declared = getattr(model, "_is_start_given", True)
    for symbol in inputs:
        file.input(symbol.name, symbol.dtype, _shape(symbol, graph, is_declared))
    _emit(file, graph, values)
    names: list[str] = []
    for name, symbol in zip(symbolic.output_names, symbolic.outputs, strict=True):
        while name in (*names, *(s.name for s in inputs)):
            name += "_output"
        names.append(name)
        value = values[id(symbol)]
        file.node("Identity", [value.name], name)
        free = [None if n == 0 or not is_declared else d for n, d in enumerate(symbol.shape)]
        file.output(name, value.dtype, free)
    file.save(path)


def _check(graph: Any) -> None:
    """Raise a ValueError that lists all layers that cannot be written."""
    missing = [
        f"{node.layer.name} ({type(node.layer).__name__})"
        for node in graph.nodes
        if type(node.layer) not in EMITTERS and getattr(node.layer, "_graph", None) is None
    ]
    if missing:
        raise ValueError(f"layers that cannot be written: {', '.join(missing)}")


def _shape(symbol: Symbol, graph: Any, is_declared: bool) -> Sequence[int | str | None]:
    """Return the lengths of an input, letters where any will do."""
    shape: list[int | str | None] = ["B", *symbol.shape[1:]]
    users = [node.layer for node in graph.nodes if symbol in node.sources]
    are_ids = any(isinstance(layer, layers.Embedding) for layer in users)
    for axis in range(1, len(shape)):
        is_features = axis == len(shape) - 1 and not are_ids
        if shape[axis] is None or not (is_declared or is_features):
            shape[axis] = f"{symbol.name}_{axis}"
    return shape


def _emit(file: File, graph: Any, values: dict[int, Value]) -> None:
    """Add all layers between the symbols in `values` and the outputs."""
    for node in graph.nodes:
        layer = node.layer
        inputs = [values[id(symbol)] for symbol in node.sources]
        try:
            if type(layer) in EMITTERS:
                outputs = EMITTERS[type(layer)](file, layer, inputs)
            else:
                outputs = _nested(file, layer, inputs)
        except ValueError as error:
            raise ValueError(f"{layer.name}: {error}") from error
        for symbol, value in zip(node.outputs, outputs, strict=True):
            values[id(symbol)] = value


def _nested(file: File, model: Any, inputs: list[Value]) -> list[Value]:
    """Add a model that is a layer of another one."""
    graph = model._graph
    _check(graph)
    inner = {id(s): value for s, value in zip(model.inputs, inputs, strict=True)}
    _emit(file, graph, inner)
    return [inner[id(symbol)] for symbol in model.outputs]
