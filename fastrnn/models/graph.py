"""The layers between symbolic inputs and outputs, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastrnn.data.structure import leaves, transform
from fastrnn.layers import Layer
from fastrnn.layers.symbol import Node, Symbol

Shape = tuple[int | None, ...]


class InputLayer(Layer):
    """Stands for an input among the layers of a model; returns what it is given.

    Parameters
    ----------
    batch_shape : tuple
        None for any length.
    """

    supports_masking = True

    def __init__(self, batch_shape: Shape, **options: Any) -> None:
        super().__init__(**options)
        self.batch_shape = tuple(batch_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return `inputs`."""
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)


class Graph:
    """What lies between inputs and outputs.

    Parameters
    ----------
    inputs, outputs : Symbol, or list, tuple or dict of them

    Raises
    ------
    ValueError
        If an output depends on an input that is not given, or something is no Symbol.

    Attributes
    ----------
    nodes : list of Node
        Calls of layers, each after those that it takes inputs from.
    layers : list of Layer
        Each once, inputs included, in Keras' order: those farthest from the outputs first.
    line : list of Layer or None
        The layers called, where each takes what the one before gives and nothing else.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        for name, structure in (("inputs", inputs), ("outputs", outputs)):
            for symbol in leaves(structure):
                if not isinstance(symbol, Symbol):
                    raise ValueError(f"{name}: expected symbols, got {type(symbol).__name__}")
        self.inputs = inputs
        self.outputs = outputs
        self._sources = {id(symbol): symbol for symbol in leaves(inputs)}
        self.nodes: list[Node] = []
        self._calls: dict[int, Node] = {}
        self._found: dict[int, Any] = {}  # layers and input symbols, in the order of discovery
        self._input_layers = {
            id(s): InputLayer(s.shape, name=s.name) for s in self._sources.values()
        }
        for key, layer in self._input_layers.items():
            layer._first_output = self._sources[key]
        for symbol in leaves(outputs):
            self._visit(symbol)
        self.layers = self._ordered()
        self.output_names = [_owner_name(symbol) for symbol in leaves(outputs)]
        self.line = self._line()

    def run(self, given: Any) -> Any:
        """Return the outputs for inputs, both in the structures given to the constructor.

        Inputs may also be a dict by their names, or a list in their order.
        """
        values = dict(zip(self._sources, self.bound(given), strict=True))
        for node in self.nodes:
            arguments = transform(
                lambda leaf: values[id(leaf)] if isinstance(leaf, Symbol) else leaf, node.inputs
            )
            results = node.layer(**arguments)
            for symbol, result in zip(node.outputs, leaves(results), strict=True):
                values[id(symbol)] = result
        return transform(lambda symbol: values[id(symbol)], self.outputs)

    def connections(self) -> list[tuple[Any, list[str]]]:
        """Return each layer and which outputs of others it takes: "lstm[0][0]", as Keras does."""
        found: dict[int, tuple[Any, list[str]]] = {id(layer): (layer, []) for layer in self.layers}
        for node in self.nodes:
            for symbol in node.sources:
                calls = self._calls_of(symbol)
                found[id(node.layer)][1].append(f"{_owner_name(symbol)}[{calls}][{symbol.index}]")
        return list(found.values())

    def shapes_of(self, layer: Any) -> list[Shape]:
        """Return the shapes of a layer's outputs at its first call."""
        for symbol in self._sources.values():
            if self._input_layers[id(symbol)] is layer:
                return [symbol.shape]
        return next([s.shape for s in n.outputs] for n in self.nodes if n.layer is layer)

    def _visit(self, symbol: Symbol) -> None:
        """Find the calls that make a symbol, those that it needs first."""
        # A stack of its own: a model may have more layers than Python allows nested calls.
        pending: list[tuple[Symbol, bool]] = [(symbol, False)]
        while pending:
            current, is_ready = pending.pop()
            node = current.node
            if id(current) in self._sources:
                self._found.setdefault(id(current), self._input_layers[id(current)])
            elif node.layer is None:
                raise ValueError(f"inputs: the outputs depend on {current!r}, which is not given")
            elif is_ready:
                if id(node.outputs[0]) not in self._calls:
                    self._calls[id(node.outputs[0])] = node
                    self.nodes.append(node)
            elif id(node.outputs[0]) not in self._calls:
                self._found.setdefault(id(node.layer), node.layer)
                pending.append((current, True))
                pending += [(source, False) for source in reversed(node.sources)]

    def _ordered(self) -> list[Any]:
        depth: dict[int, int] = {}
        of_call: dict[int, int] = {}
        for node in reversed(self.nodes):
            mine = max(of_call.get(id(node.outputs[0]), 0), depth.get(id(node.layer), 0))
            depth[id(node.layer)] = mine
            for source in node.sources:
                key = id(source) if id(source) in self._sources else id(source.node.outputs[0])
                of_call[key] = max(of_call.get(key, 0), mine + 1)
        for key in self._sources:
            depth[key] = of_call.get(key, 0)
            self._found.setdefault(key, self._input_layers[key])
        order = {key: place for place, key in enumerate(self._found)}
        keys = sorted(self._found, key=lambda key: (-depth[key], order[key]))
        return [self._found[key] for key in keys]

    def _line(self) -> list[Any] | None:
        end = self.inputs
        for node in self.nodes:
            if list(node.inputs.values()) != [end] or node.is_list:
                return None
            end = node.outputs[0]
        return [node.layer for node in self.nodes] if end is self.outputs else None

    def _calls_of(self, symbol: Symbol) -> int:
        """Return which call of its layer made a symbol."""
        if id(symbol) in self._sources:
            return 0
        calls = [node for node in self.nodes if node.layer is symbol.node.layer]
        return next(i for i, node in enumerate(calls) if node is symbol.node)

    def bound(self, given: Any) -> list[Any]:
        """Return the value of each input, in order.

        Raises
        ------
        ValueError
            If they are not as many, or not of the shapes of the symbols.
        """
        values = self._by_name(given) if isinstance(given, dict) else leaves(given)
        if len(values) != len(self._sources):
            raise ValueError(f"inputs: expected {len(self._sources)}, got {len(values)}")
        for symbol, value in zip(self._sources.values(), values, strict=True):
            shape = tuple(value.shape)
            fits = len(shape) == len(symbol.shape) and all(
                None in (wanted, length) or wanted == length
                for wanted, length in zip(symbol.shape, shape, strict=True)
            )
            if not fits:
                raise ValueError(
                    f"inputs: expected {symbol.name!r} of shape {symbol.shape}, got {shape}"
                )
        return values

    def _by_name(self, given: dict[str, Any]) -> list[Any]:
        if isinstance(self.inputs, dict):
            wanted: Sequence[str] = sorted(self.inputs)
        else:
            wanted = [symbol.name for symbol in self._sources.values()]
        missing = [name for name in wanted if name not in given]
        if missing:
            raise ValueError(f"inputs: expected {missing[0]!r} among {sorted(given)}")
        return [given[name] for name in wanted]


def _owner_name(symbol: Symbol) -> str:
    layer = symbol.node.layer
    return symbol.name if layer is None else str(layer.name)
