"""The calls of a model as Keras sees them: masks are arguments like others, layers in its order."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

from fastrnn.keras.operation import Operation, Remasked, Unmasked
from fastrnn.layers import (
    RNN,
    Attention,
    Bidirectional,
    Concatenate,
    Embedding,
    GlobalAveragePooling1D,
    Layer,
    Masking,
    TimeDistributed,
)
from fastrnn.layers.merging import Merge
from fastrnn.layers.structure import leaves, mapped
from fastrnn.layers.symbol import Symbol

_TAKE_MASKS = (RNN, Attention, Bidirectional, GlobalAveragePooling1D, TimeDistributed)


class Call(NamedTuple):
    """A call of a layer: args and kwargs with symbols in them, and the symbols that it gives."""

    layer: Any
    args: list[Any]
    kwargs: dict[str, Any]
    outputs: list[Symbol]

    @property
    def sources(self) -> list[Symbol]:
        """The symbols among the arguments, in Keras' order."""
        return [leaf for leaf in flat([self.args, self.kwargs]) if isinstance(leaf, Symbol)]


class Graph:
    """The calls between the inputs and outputs of a model.

    Parameters
    ----------
    model : Model

    Attributes
    ----------
    inputs, outputs : structure of Symbol
    calls : list of Call
        Each after those that it takes inputs from.
    layers : list of Layer
        Each once, inputs and operations included, in the order that Keras gives them: those
        farthest from the outputs first, and those found first among them.
    """

    def __init__(self, model: Any) -> None:
        own = model._graph
        # Symbols without their masks, and those that they are otherwise.
        self._alias: dict[int, Symbol] = {}
        self._bare: set[int] = set()
        self._masks: dict[int, Symbol | None] = {}
        self._made = 0
        self._names = {layer.name for layer in own.layers}
        self._made_by: dict[int, Call] = {}
        self.calls: list[Call] = []
        self.input_layers = {id(s): own._input_layers[id(s)] for s in leaves(own.inputs)}
        self.inputs = own.inputs
        for node in own.nodes:
            self._add(node)
        self.outputs = mapped(self._resolved, own.outputs)
        self.layers = self._ordered()

    def place_of(self, symbol: Symbol) -> tuple[str, int, int]:
        """Return the name of the layer that gives a symbol, in which call, and its place there."""
        if id(symbol) in self.input_layers:
            return self.input_layers[id(symbol)].name, 0, 0
        call = self._made_by[id(symbol)]
        same = self.calls_of(call.layer)
        number = next(i for i, each in enumerate(same) if each is call)
        return call.layer.name, number, symbol.index

    def calls_of(self, layer: Any) -> list[Call]:
        """Return the calls of a layer that the outputs depend on."""
        return [call for call in self._used if call.layer is layer]

    def _resolved(self, leaf: Any) -> Any:
        return self._alias.get(id(leaf), leaf)

    def _add(self, node: Any) -> None:
        layer = node.layer
        inputs = {name: mapped(self._resolved, value) for name, value in node.inputs.items()}
        if isinstance(layer, Unmasked | Remasked):
            self._alias[id(node.outputs[0])] = leaves(inputs)[0]
            if isinstance(layer, Unmasked):
                self._bare.add(id(node.outputs[0]))
            return
        name, *_ = inputs
        first = inputs.pop(name)
        inputs.pop("training", None)
        masks = inputs.pop("mask", None)
        is_blind = masks is None and any(id(symbol) in self._bare for symbol in node.sources)
        if masks is None:
            masks = mapped(lambda leaf: self._masks.get(id(leaf)), first)
        is_masked = not is_blind and any(mask is not None for mask in leaves(masks))
        if is_masked and (isinstance(layer, _TAKE_MASKS) or hasattr(layer, "_graph")):
            inputs["mask"] = masks
        args = list(first) if isinstance(layer, Operation) else [first]
        self._append(Call(layer, args, inputs, node.outputs))
        for symbol, mask in zip(node.outputs, self._after(layer, first, masks), strict=False):
            self._masks[id(symbol)] = mask

    def _append(self, call: Call) -> None:
        self.calls.append(call)
        for symbol in call.outputs:
            self._made_by[id(symbol)] = call

    def _after(self, layer: Any, first: Any, masks: Any) -> list[Symbol | None]:
        """Return the masks of what a call of `layer` gives, as far as there are any."""
        several = leaves(masks) or [None]
        match layer:
            case Embedding():
                return [self._operation("not_equal", [first, 0]) if layer.mask_zero else None]
            case Masking():
                differs = self._operation("not_equal", [first, layer.mask_value])
                return [self._operation("any", [differs], {"axis": -1})]
            case RNN() | Bidirectional():
                mask = several[0] if layer.return_sequences else None
                return [mask, mask] if getattr(layer, "merge_mode", "") is None else [mask]
            case Concatenate() if layer.axis % len(leaves(first)[0].shape) == 1:
                are_there = [mask is not None for mask in several]
                if any(are_there) and not all(are_there):
                    raise ValueError(
                        f"{layer.name}: inputs with and without masks one after the other in time "
                        "cannot be written for Keras"
                    )
                is_masked = all(are_there)
                return [
                    self._operation("concatenate", [several], {"axis": 1}) if is_masked else None
                ]
            case Merge() | Concatenate():
                if any(mask is None for mask in several):
                    return [None]
                either = lambda a, b: self._operation("logical_or", [a, b])  # noqa: E731
                return [functools.reduce(either, several)]
            case Attention():
                return [several[0]]
        is_passed = layer.supports_masking and type(layer).compute_mask is Layer.compute_mask
        return [several[0] if is_passed else None]

    def _operation(self, function: str, inputs: Any, arguments: Any = None) -> Symbol:
        """Return the symbol of a mask that is computed by a function."""
        name = f"mask_{self._made}"
        while name in self._names:
            self._made += 1
            name = f"mask_{self._made}"
        self._names.add(name)
        layer = Operation(function, arguments, name=name)
        symbol: Symbol = layer(inputs)
        self._append(Call(layer, list(inputs), {}, [symbol]))
        return symbol

    def _ordered(self) -> list[Any]:
        order: dict[int, int] = {}
        found: dict[int, Any] = {}
        finished = list(self._finished(order, found))
        self._used = [self._made_by[key] for key in finished if key in self._made_by]
        depths: dict[int, int] = {}
        layers: dict[int, int] = {}
        for key in reversed(finished):
            layer = self._layer_at(key)
            depth = max(depths.get(key, 0), layers.get(id(layer), 0))
            depths[key] = layers[id(layer)] = depth
            for source in self._sources_at(key):
                other = self._key(source)
                depths[other] = max(depths.get(other, 0), depth + 1)
        for each in self.input_layers.values():
            found.setdefault(id(each), each)
            order.setdefault(id(each), -1)
            layers.setdefault(id(each), 0)
        keys = sorted(found, key=lambda key: (-layers[key], order[key]))
        return [found[key] for key in keys]

    def _finished(self, order: dict[int, int], found: dict[int, Any]) -> Iterator[int]:
        """Yield keys of calls after those that they depend on; number layers as they are met."""
        done: set[int] = set()
        for output in flat(self.outputs):
            pending = [(self._key(output), False)]
            while pending:
                key, is_ready = pending.pop()
                if is_ready:
                    if key not in done:
                        done.add(key)
                        yield key
                elif key not in done:
                    layer = self._layer_at(key)
                    found.setdefault(id(layer), layer)
                    order.setdefault(id(layer), len(order))
                    pending.append((key, True))
                    pending += [(self._key(s), False) for s in reversed(self._sources_at(key))]

    def _key(self, symbol: Symbol) -> int:
        """Return the same number for all symbols that a call gives."""
        if id(symbol) in self.input_layers:
            return id(symbol)
        return id(self._made_by[id(symbol)].outputs[0])

    def _layer_at(self, key: int) -> Any:
        return self.input_layers[key] if key in self.input_layers else self._made_by[key].layer

    def _sources_at(self, key: int) -> list[Symbol]:
        return [] if key in self.input_layers else self._made_by[key].sources


def flat(value: Any) -> list[Any]:
    """Return what is no list, tuple or dict, in order, that of their keys in dicts."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in flat(each)]
    return [value]
