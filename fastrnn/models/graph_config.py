"""Graphs of layers as dictionaries that JSON can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastrnn.data.structure import leaves
from fastrnn.layers import Input, deserialize, serialize
from fastrnn.layers.symbol import Symbol
from fastrnn.models.graph import Graph, InputLayer

_SYMBOL = "__symbol__"


def written(graph: Graph) -> dict[str, Any]:
    """Return the configuration of a graph: its layers, their calls, and which symbols meet whom.

    A symbol is [number of its node, its place among the outputs]; inputs come first.
    """
    sources = leaves(graph.inputs)
    places: dict[int, list[int]] = {}
    for number, symbol in enumerate(sources):
        places[id(symbol)] = [number, 0]
    for number, node in enumerate(graph.nodes, len(sources)):
        for place, symbol in enumerate(node.outputs):
            places[id(symbol)] = [number, place]

    def named(leaf: Any) -> Any:
        return {_SYMBOL: places[id(leaf)]} if isinstance(leaf, Symbol) else serialize(leaf)

    return {
        "layers": [serialize(each) for each in graph.layers if not isinstance(each, InputLayer)],
        "sources": [
            {"batch_shape": list(s.shape), "dtype": str(s.dtype), "name": s.name} for s in sources
        ],
        "nodes": [
            {"layer": node.layer.name, "inputs": _mapped(named, node.inputs)}
            for node in graph.nodes
        ],
        "inputs": _mapped(named, graph.inputs),
        "outputs": _mapped(named, graph.outputs),
    }


def read(config: Mapping[str, Any], custom_objects: Any = None) -> tuple[Any, Any]:
    """Return the inputs and outputs of the graph that `written` described, with new layers.

    Raises
    ------
    ValueError
        If the configuration is damaged.
    """
    try:
        layers = [deserialize(each, custom_objects) for each in config["layers"]]
        by_name = {layer.name: layer for layer in layers}
        made: list[list[Symbol]] = []
        for source in config["sources"]:
            shape = tuple(source["batch_shape"])
            made.append([Input(batch_shape=shape, dtype=source["dtype"], name=source["name"])])
        for node in config["nodes"]:
            arguments = _revived(node["inputs"], made)
            made.append(leaves(by_name[node["layer"]](**arguments)))
        return _revived(config["inputs"], made), _revived(config["outputs"], made)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"config: damaged, {type(error).__name__}: {error}") from error


def _mapped(function: Any, structure: Any) -> Any:
    """Return a structure with lists for tuples, which JSON lacks, and `function` of its leaves."""
    if isinstance(structure, dict):
        return {key: _mapped(function, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return [_mapped(function, part) for part in structure]
    return function(structure)


def _revived(structure: Any, made: list[list[Symbol]]) -> Any:
    if isinstance(structure, dict):
        if _SYMBOL in structure:
            number, place = structure[_SYMBOL]
            return made[number][place]
        return {key: _revived(part, made) for key, part in structure.items()}
    if isinstance(structure, list):
        return [_revived(part, made) for part in structure]
    return structure


def shapes_in(structure: Any) -> list[tuple[int | None, ...]]:
    """Return the shapes in a structure of shapes, in order."""
    if isinstance(structure, dict):
        return [shape for key in sorted(structure) for shape in shapes_in(structure[key])]
    if all(length is None or isinstance(length, int) for length in structure):
        return [tuple(structure)]
    return [shape for part in structure for shape in shapes_in(part)]
