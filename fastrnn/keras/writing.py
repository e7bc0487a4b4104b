"""Descriptions of models of our layers as Keras reads them."""

from __future__ import annotations

from typing import Any

from fastrnn import activations
from fastrnn.keras.graph import Call, Graph
from fastrnn.keras.operation import FUNCTIONS, Operation, Part
from fastrnn.keras.reading import SHARED
from fastrnn.layers import RNN, Bidirectional, Layer, StackedRNNCells, TimeDistributed
from fastrnn.layers.symbol import Symbol
from fastrnn.models import Model, Sequential

_FUNCTION_CLASSES = {name: kind for kind, name in FUNCTIONS.items()}
_FUNCTION_MODULES = {
    "ConvertToTensor": "keras.src.ops.core", "Relu": "keras.src.ops.nn",
    "Sigmoid": "keras.src.ops.nn",
}  # fmt: skip
_MODULES = {
    "initializer": "keras.initializers", "regularizer": "keras.regularizers",
    "constraint": "keras.constraints",
}  # fmt: skip
# Arguments of ours that say nothing about results, or that Keras has no more.
_OWN = (
    "autocast", "batch_input_shape", "batch_shape", "batch_size", "implementation",
    "input_length", "input_shape", "stream", "weights",
)  # fmt: skip


def described(model: Any) -> dict[str, Any]:
    """Return the description of a model.

    Raises
    ------
    ValueError
        If it is no Sequential or functional model with known shapes, or has layers that Keras
        lacks: all of them are named.
    """
    problems = list(dict.fromkeys(_problems(model)))
    if problems:
        raise ValueError(f"{model.name}: Keras has no place for:\n- " + "\n- ".join(problems))
    return _layer(model)


def _problems(layer: Any) -> list[str]:
    """Return what of a layer Keras has not, and of the layers in it."""
    if isinstance(layer, Model):
        if type(layer) not in (Model, Sequential):
            return [f"the model {type(layer).__name__} ({layer.name}) of a class of its own"]
        if layer._graph is None:
            return [f"the model {layer.name} before its input's shape is known; build it first"]
        return [found for each in layer.layers_inside for found in _problems(each)]
    if type(layer).__name__ == "InputLayer" or type(layer).__module__.startswith("fastrnn.keras."):
        return []
    if type(layer) not in SHARED.values():
        return [f"the layer {type(layer).__name__} ({layer.name})"]
    found = []
    for name in ("activation", "recurrent_activation"):
        function = getattr(layer, name, activations.linear)
        if function not in activations.ACTIVATIONS.values():
            found.append(f"{layer.name}: the {name} {function!r}")
    try:
        layer.get_config()
    except NotImplementedError as error:
        found.append(f"{layer.name}: {error}")
    if isinstance(layer, RNN) and not isinstance(layer.cell, Layer):
        found.append(f"{layer.name}: the cell {layer.cell!r}")
    return found + [each for inner in layer.layers_inside for each in _problems(inner)]


def _layer(layer: Any, **more: Any) -> dict[str, Any]:
    """Return the description of a layer, model or operation."""
    if isinstance(layer, Sequential):
        return _entry("keras", "Sequential", _sequential(layer), **more)
    if isinstance(layer, Model):
        return _entry("keras.src.models.functional", "Functional", _functional(layer), **more)
    if isinstance(layer, Part):
        return _entry("keras.src.ops.numpy", "GetItem", {"name": layer.name}, **more)
    if isinstance(layer, Operation):
        config = {"name": layer.name, **layer.arguments}
        kind = _FUNCTION_CLASSES[layer.function]
        module = _FUNCTION_MODULES.get(kind, "keras.src.ops.numpy")
        return _entry(module, kind, config, **more)
    config = {
        key: value for key, value in layer.get_config().items()
        if not _is_own(layer, key, value)
    }  # fmt: skip
    for key, value in config.items():
        kind = key.rpartition("_")[2]
        if kind in _MODULES and isinstance(value, dict):
            config[key] = {"module": _MODULES[kind], "registered_name": None, **value}
    match layer:
        case Bidirectional():
            config["layer"] = _layer(layer.forward_layer)
            config["backward_layer"] = _layer(layer.backward_layer)
        case TimeDistributed():
            config["layer"] = _layer(layer.layer)
        case StackedRNNCells():
            config["cells"] = [_layer(cell) for cell in layer.cells]
        case RNN() if "cell" in config:
            config["cell"] = _layer(layer.cell)
    return _entry("keras.layers", type(layer).__name__, config, **more)


def _is_own(layer: Any, key: str, value: Any) -> bool:
    # Not all of Keras' layers take these.
    if (key in ("activity_regularizer", "seed") and value is None) or (
        key == "trainable" and value is True
    ):
        return True
    return key in _OWN or (key == "input_dim" and type(layer).__name__ != "Embedding")


def _entry(module: str, kind: str, config: Any, **more: Any) -> dict[str, Any]:
    return {
        "module": module, "class_name": kind, "config": config, "registered_name": None, **more
    }  # fmt: skip


def _input(called: str, shape: Any, dtype: Any, **more: Any) -> dict[str, Any]:
    config = {
        "batch_shape": list(shape), "dtype": str(dtype), "sparse": False, "ragged": False,
        "name": called,
    }  # fmt: skip
    return _entry("keras.layers", "InputLayer", config, **more)


def _sequential(model: Sequential) -> dict[str, Any]:
    (start,) = model.inputs
    return {
        "name": model.name,
        "trainable": model.trainable,
        "dtype": str(model.dtype),
        "layers": [
            _input(start.name, start.shape, start.dtype),
            *(_layer(each) for each in model.layers),
        ],
        "build_input_shape": list(start.shape),
    }


def _functional(model: Any) -> dict[str, Any]:
    graph = Graph(model)
    starts = {id(layer): key for key, layer in graph.input_layers.items()}
    symbols = {id(symbol): symbol for symbol in model.inputs}
    layers = []
    for layer in graph.layers:
        if id(layer) in starts:
            symbol = symbols[starts[id(layer)]]
            layers.append(
                _input(layer.name, symbol.shape, symbol.dtype, name=layer.name, inbound_nodes=[])
            )
            continue
        nodes = [_node(graph, call) for call in graph.calls_of(layer)]
        layers.append(_layer(layer, name=layer.name, inbound_nodes=nodes))
    return {
        "name": model.name,
        "trainable": model.trainable,
        "layers": layers,
        "input_layers": _places(graph, graph.inputs),
        "output_layers": _places(graph, graph.outputs),
    }


def _node(graph: Graph, call: Call) -> dict[str, Any]:
    args = [*call.args, call.layer.key] if isinstance(call.layer, Part) else call.args
    return {"args": _arguments(graph, args), "kwargs": _arguments(graph, call.kwargs)}


def _arguments(graph: Graph, value: Any) -> Any:
    """Return arguments of a call as JSON can hold them."""
    if isinstance(value, dict):
        return {key: _arguments(graph, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_arguments(graph, part) for part in value]
    if isinstance(value, Symbol):
        config = {
            "shape": list(value.shape), "dtype": str(value.dtype),
            "keras_history": list(graph.place_of(value)),
        }  # fmt: skip
        return {"class_name": "__keras_tensor__", "config": config}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"cannot write the argument {value!r} of a call for Keras"[:200])


def _places(graph: Graph, structure: Any) -> Any:
    """Return inputs or outputs as Keras refers to them."""
    if isinstance(structure, dict):
        return {key: _places(graph, part) for key, part in structure.items()}
    if isinstance(structure, list | tuple):
        return [_places(graph, part) for part in structure]
    name, number, place = graph.place_of(structure)
    made_by = [each for each in graph.layers if each.name == name]
    # Keras counts a functional model's own graph as its first call.
    is_nested = isinstance(made_by[0], Model) and not isinstance(made_by[0], Sequential)
    return [name, number + is_nested, place]
