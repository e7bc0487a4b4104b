"""What a model file says, checked: nodes in an order in which they can run, constants, inputs."""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, defs

from fastrnn.onnx import tensors

Array = NDArray[Any]

#: Opsets that are read.
OPSETS = range(7, 26)

_DEFAULT_DOMAINS = ("", "ai.onnx")


@dataclass
class Node:
    """An operator and what it is applied to.

    label       for messages: its operator and its name
    version     of the operator's definition: the opset in which it last changed
    attributes  those of the definition by name: given ones, defaults, None where there is neither
    inputs      names of values, "" for those left out
    outputs     likewise
    constants   inputs that are known when the model is loaded, None for others
    """

    op: str
    label: str
    version: int
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: tuple[Array | None, ...] = field(default=())

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[attribute]

    def has_output(self, index: int) -> bool:
        """Return whether somebody may want an output."""
        return index < len(self.outputs) and bool(self.outputs[index])


class Input(NamedTuple):
    """What a model takes: its element type, and its shape with None where any length will do.

    The shape is None where not even the rank is fixed.
    """

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None


class Graph(NamedTuple):
    """A model: nodes sorted so that each comes after those it needs, and what they refer to."""

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: dict[str, Input]
    outputs: tuple[str, ...]
    opset: int


def read(model: Any, folder: Path | None, supported: Container[str]) -> Graph:
    """Return the graph of a ModelProto.

    Parameters
    ----------
    model : ModelProto
        Of an opset in `OPSETS`.
    folder : Path, optional
        Where its file is; None if it has none.
    supported : names of operators
        Others raise.

    Raises
    ------
    ValueError
        If something is missing, twice there, of the wrong type, in a cycle or not supported.
    """
    graph = model.graph
    opset = _opset(model)
    _check_operators(graph.node, supported)
    if graph.sparse_initializer:
        raise ValueError("sparse initializers are not supported")
    constants: dict[str, Array] = {}
    for tensor in graph.initializer:
        name = _text(tensor.name)
        if not name or name in constants:
            raise ValueError(f"initializer {name!r}: expected a name of its own")
        constants[name] = tensors.array_of(tensor, folder)
    inputs: dict[str, Input] = {}
    seen = set()
    for value in graph.input:
        name = _text(value.name)
        if not name or name in seen:
            raise ValueError(f"input {name!r}: expected a name of its own")
        seen.add(name)
        if name not in constants:  # in old files initializers are inputs too
            inputs[name] = _input(value)
    nodes = [_node(proto, opset, folder) for proto in graph.node]
    outputs = tuple(_text(value.name) for value in graph.output)
    if not outputs:
        raise ValueError("the graph has no outputs")
    nodes = _sorted(nodes, [*constants, *inputs])
    made = {*constants, *inputs}.union(*(node.outputs for node in nodes))
    for name in outputs:
        if not name or name not in made:
            raise ValueError(f"output {name!r}: nothing in the graph makes it")
    return Graph(_needed(nodes, outputs), constants, inputs, outputs, opset)


def _opset(model: Any) -> int:
    """Return the version of ONNX' own operators."""
    versions = [e.version for e in model.opset_import if e.domain in _DEFAULT_DOMAINS]
    if not versions:
        raise ValueError("the file names no opset; is it an ONNX model?")
    if len(set(versions)) > 1 or versions[0] not in OPSETS:
        wanted = f"one in {OPSETS[0]}..{OPSETS[-1]}"
        raise ValueError(f"opset: expected {wanted}, got {', '.join(map(str, versions))}")
    return int(versions[0])


def _check_operators(nodes: Iterable[Any], supported: Container[str]) -> None:
    """Raise a ValueError that lists all operators that are not supported."""
    missing: dict[str, list[str]] = {}
    for node in nodes:
        domain, op = _text(node.domain), _text(node.op_type)
        if domain not in _DEFAULT_DOMAINS:
            op = f"{domain}.{op}"
        if op not in supported:
            missing.setdefault(op, []).append(_name(node))
    if missing:
        listed = "; ".join(f"{op} ({', '.join(names)})" for op, names in missing.items())
        raise ValueError(f"operators that are not supported: {listed}")


def _text(value: Any) -> str:
    """Return a string of the file, which comes as bytes where it is not UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"expected text in UTF-8, got {value!r}")
    return value


def _name(node: Any) -> str:
    """Return a node's name, or what it makes if it has none."""
    return _text(node.name or next(filter(None, node.output), "without a name"))


def _input(value: Any) -> Input:
    """Return the type of a graph's input."""
    if value.type.WhichOneof("value") != "tensor_type":
        raise ValueError(f"input {value.name!r}: expected a tensor")
    tensor = value.type.tensor_type
    try:
        dtype = tensors.dtype_of(tensor.elem_type)
    except ValueError as error:
        raise ValueError(f"input {value.name!r}: {error}") from error
    if not tensor.HasField("shape"):
        return Input(dtype, None)
    shape = tuple(
        d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in tensor.shape.dim
    )
    if any(length is not None and length < 0 for length in shape):
        raise ValueError(f"input {value.name!r}: expected no negative length, got {shape}")
    return Input(dtype, shape)


def _node(proto: Any, opset: int, folder: Path | None) -> Node:
    """Return a node whose numbers of inputs and outputs and whose attributes fit its operator."""
    label = f"{proto.op_type} {_name(proto)!r}"
    try:
        schema = defs.get_schema(proto.op_type, opset, "")
    except defs.SchemaError as error:
        raise ValueError(f"{label}: opset {opset} has no such operator") from error
    inputs, outputs = tuple(map(_text, proto.input)), tuple(map(_text, proto.output))
    for kind, names, low, high in (
        ("inputs", inputs, schema.min_input, schema.max_input),
        ("outputs", outputs, max(schema.min_output, 1), schema.max_output),
    ):
        if not low <= len(names) <= high:
            raise ValueError(f"{label}: expected {low} to {high} {kind}, got {len(names)}")
    optional = defs.OpSchema.FormalParameterOption.Optional
    formal = schema.inputs
    for index, name in enumerate(inputs):
        if not name and formal[min(index, len(formal) - 1)].option != optional:
            raise ValueError(f"{label}: its input {index} is missing")
    attributes = _attributes(label, proto, schema, folder)
    return Node(proto.op_type, label, schema.since_version, attributes, inputs, outputs)


def _attributes(label: str, proto: Any, schema: Any, folder: Path | None) -> dict[str, Any]:
    """Return all attributes that the operator's definition has."""
    given = {}
    for attribute in proto.attribute:
        name = _text(attribute.name)
        place = f"{label}: attribute {name!r}"
        if name not in schema.attributes:
            raise ValueError(f"{place}: version {schema.since_version} has none of this name")
        if name in given:
            raise ValueError(f"{place} is there twice")
        if attribute.ref_attr_name or attribute.type != schema.attributes[name].type.value:
            raise ValueError(f"{place}: expected {schema.attributes[name].type.name}")
        try:
            given[name] = _value(attribute, folder)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    values = {}
    for name, definition in schema.attributes.items():
        if name in given:
            values[name] = given[name]
        elif definition.required:
            raise ValueError(f"{label}: attribute {name!r} is missing")
        else:
            default = definition.default_value
            values[name] = _value(default, None) if default.name else None
    return values


def _value(attribute: Any, folder: Path | None) -> Any:
    """Return the value of an attribute as Python numbers, strings and arrays."""
    match attribute.type:
        case AttributeProto.FLOAT:
            return attribute.f
        case AttributeProto.INT:
            return attribute.i
        case AttributeProto.STRING:
            return attribute.s.decode()
        case AttributeProto.TENSOR:
            return tensors.array_of(attribute.t, folder)
        case AttributeProto.FLOATS:
            return tuple(attribute.floats)
        case AttributeProto.INTS:
            return tuple(attribute.ints)
        case AttributeProto.STRINGS:
            return tuple(s.decode() for s in attribute.strings)
        case kind:
            raise ValueError(f"attributes of type {kind} are not supported")


def _sorted(nodes: list[Node], given: Iterable[str]) -> list[Node]:
    """Return the nodes in an order in which they can run, as close to their own as possible."""
    maker: dict[str, int | None] = dict.fromkeys(given)
    for index, node in enumerate(nodes):
        for name in filter(None, node.outputs):
            if name in maker:
                raise ValueError(f"{node.label}: its output {name!r} is made elsewhere too")
            maker[name] = index
    waiting = [0] * len(nodes)
    users: list[list[int]] = [[] for _ in nodes]
    for index, node in enumerate(nodes):
        for name in {*node.inputs} - {""}:
            if name not in maker:
                raise ValueError(f"{node.label}: nothing in the graph makes its input {name!r}")
            source = maker[name]
            if source is not None:
                users[source].append(index)
                waiting[index] += 1
    ready = [index for index, count in enumerate(waiting) if not count]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(nodes[index])
        for user in users[index]:
            waiting[user] -= 1
            if not waiting[user]:
                heapq.heappush(ready, user)
    if len(order) < len(nodes):
        stuck = [node.label for node, count in zip(nodes, waiting, strict=True) if count]
        raise ValueError(f"the graph has a cycle: these wait for each other: {', '.join(stuck)}")
    return order


def _needed(nodes: list[Node], outputs: Iterable[str]) -> list[Node]:
    """Return the nodes that the outputs need."""
    wanted = {*outputs}
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(filter(None, node.outputs)):
            wanted.update(node.inputs)
            kept.append(node)
    return kept[::-1]


def parse(content: bytes) -> Any:
    """Return a file's content as a ModelProto.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        return onnx.load_model_from_string(content)
    except Exception as error:  # of whatever class the installed protobuf has for it
        raise ValueError(f"not an ONNX file: {error}") from error
