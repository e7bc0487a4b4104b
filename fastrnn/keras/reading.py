"""Models of our layers from the descriptions that Keras writes into its files."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fastrnn import activations, constraints, initializers, regularizers
from fastrnn.keras.operation import FUNCTIONS, Operation, PartOf, Remasked, Unmasked
from fastrnn.layers import LAYERS, RNN, Bidirectional, FormulaCell, Input, Layer, Recurrent
from fastrnn.layers.serialization import CLASSES
from fastrnn.layers.structure import leaves
from fastrnn.layers.symbol import Symbol
from fastrnn.models import Model, Sequential

#: Our layers that Keras has, by name.
SHARED: dict[str, Any] = {
    layer.__name__: layer for layer in LAYERS if layer not in (FormulaCell, Recurrent)
}
_MODELS = ("Functional", "Model", "Sequential")
# Where layers lie within the configurations of others.
_WITHIN = ("layer", "backward_layer", "cell")
_DTYPES = ("float32", "float64")
_INPUT_DTYPES = (*_DTYPES, "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
_REGISTRIES = {
    "initializer": initializers, "regularizer": regularizers, "constraint": constraints,
}  # fmt: skip
# What an option that we do not have must be to mean nothing.
_NEUTRAL: tuple[Any, ...] = (None, False, "auto", [], {})


class Budget:
    """Weights of zeros, as many as a file can have; the file's own take their place.

    Parameters
    ----------
    size : int
        Numbers that all weights together may have.
    """

    def __init__(self, size: int) -> None:
        self._left = size
        self._given: list[_Start] = []

    def start(self, initializer: Any) -> Any:
        """Return what makes zeros instead of `initializer`."""
        self._given.append(_Start(self, initializer))
        return self._given[-1]

    def zeros(self, shape: Any, dtype: Any) -> Any:
        """Return zeros of a shape.

        Raises
        ------
        ValueError
            If there would be more than the file has bytes for.
        """
        self._left -= int(np.prod([int(length) for length in shape], dtype=object))
        if self._left < 0:
            raise ValueError(f"a weight of shape {tuple(shape)} is larger than the file")
        return np.zeros(shape, dtype)

    def end(self, layers: list[Any]) -> None:
        """Let the layers remember their initializers again."""
        for layer in layers:
            for name, value in layer._arguments.items():
                if isinstance(value, _Start):
                    layer._arguments[name] = value.initializer


class _Start:
    def __init__(self, budget: Budget, initializer: Any) -> None:
        self._budget = budget
        self.initializer = initializer

    def __call__(self, shape: Any, dtype: Any = "float32") -> Any:
        return self._budget.zeros(shape, dtype)


def model(where: str, described: Any, size: int, custom_objects: Mapping[str, Any] | None) -> Any:
    """Return the model that Keras described, its weights zeros.

    Parameters
    ----------
    where : str
        Name of the file, for messages.
    described : dict
        module, class_name and config.
    size : int
        Numbers that its weights may have.
    custom_objects : mapping, optional
        Layers and activations of your own by name.

    Raises
    ------
    ValueError
        If the description is damaged, or has layers or options that we do not have: all of them
        are named.
    """
    reader = _Reader(size, dict(custom_objects or {}))
    try:
        if not isinstance(described, dict) or described.get("class_name") not in _MODELS:
            name = described.get("class_name") if isinstance(described, dict) else described
            raise ValueError(f"expected a Sequential or functional model, got {name!r}"[:200])
        problems = list(dict.fromkeys(reader.problems(described)))
        if problems:
            raise ValueError("cannot be a model here:\n- " + "\n- ".join(problems))
        return reader.made(described)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    except (
        AttributeError, IndexError, KeyError, MemoryError, OverflowError, RecursionError,
        StopIteration, TypeError,
    ) as error:  # fmt: skip
        raise ValueError(f"{where}: damaged, {type(error).__name__}: {error}") from error


class _Reader:
    def __init__(self, size: int, custom: dict[str, Any]) -> None:
        self.budget = Budget(size)
        self.custom = custom

    # What cannot be.

    def problems(self, described: Any) -> Iterator[str]:
        """Yield what of a description has no counterpart here."""
        kind, config = described["class_name"], described["config"]
        name = config.get("name", kind)
        if kind in _MODELS:
            for each in config["layers"]:
                yield from self.problems(each)
            return
        if kind == "InputLayer":
            if config.get("dtype") not in _INPUT_DTYPES or config.get("sparse"):
                yield f"the input {name}: dtype {config.get('dtype')!r}, or sparse"
            return
        if _is_operation(described):
            if kind not in FUNCTIONS and kind != "GetItem":
                yield f"the function {kind} ({name})"
            return
        cls = self.cls(described)
        if cls is None:
            yield f"the layer {kind} ({name}); classes of your own go to custom_objects"
            return
        for within in _layers_within(config):
            yield from self.problems(within)
        if cls in SHARED.values():
            yield from self.option_problems(cls, name, config)

    def option_problems(self, cls: Any, name: str, config: dict[str, Any]) -> Iterator[str]:
        """Yield the options of a layer that its class here lacks."""
        known = _parameters(cls)
        for key, value in config.items():
            if key == "dtype":
                if _dtype(value) not in _DTYPES:
                    yield f"{name}: dtype {_dtype(value)}"
            elif key.endswith("activation"):
                if self.activation(value) is None:
                    yield f"{name}: {key}={value!r}"[:200]
            elif key.rpartition("_")[2] in _REGISTRIES and value is not None:
                try:
                    _REGISTRIES[key.rpartition("_")[2]].get(_plain(value))
                except (ValueError, TypeError):
                    yield f"{name}: {key}={_short(value)}"
            elif key not in known and value not in _NEUTRAL:
                yield f"{name}: {key}={value!r}"[:200]

    # What is made.

    def made(self, described: dict[str, Any]) -> Any:
        """Return a layer or model."""
        kind, config = described["class_name"], described["config"]
        if kind == "Sequential":
            return self.sequential(config)
        if kind in _MODELS:
            return self.functional(config)
        if _is_operation(described) and kind == "GetItem":
            return PartOf(config["name"])
        if _is_operation(described):
            options = {k: v for k, v in config.items() if k != "name" and v not in (None, False)}
            return Operation(FUNCTIONS[kind], options, name=config["name"])
        cls = self.cls(described)
        if cls not in SHARED.values():
            return cls.from_config(_plain(config))
        layer = cls(**self.options(cls, config))
        if cls is Bidirectional:
            for key, each in (("layer", layer.forward_layer), ("backward_layer", None)):
                if each is not None and key in config:
                    each.name = config[key]["config"]["name"]
        return layer

    def options(self, cls: Any, config: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a layer's constructor."""
        known = _parameters(cls)
        options: dict[str, Any] = {}
        for key, value in config.items():
            if key in _WITHIN and value is not None:
                options[key] = self.made(value)
            elif key == "cells":
                options[key] = [self.made(each) for each in value]
            elif key == "dtype":
                options[key] = _dtype(value)
            elif key.endswith("activation"):
                options[key] = self.activation(value)
            elif key.endswith("_initializer"):
                options[key] = self.budget.start(_plain(value))
            elif key == "seed":
                options[key] = value if isinstance(value, int) else None
            elif key in known:
                options[key] = _plain(value)
        # Weights start as our layers have it, but no larger than the file.
        for key in known:
            if key.endswith("_initializer") and key not in options:
                options[key] = self.budget.start(known[key])
        return options

    def sequential(self, config: dict[str, Any]) -> Any:
        """Return a Sequential."""
        layers = []
        for each in config["layers"]:
            is_input = each["class_name"] == "InputLayer"
            layers.append(_input(each["config"]) if is_input else self.made(each))
        model = Sequential(layers, name=config["name"])
        shape = config.get("build_input_shape")
        if not model.built and isinstance(shape, list):
            model.build(tuple(shape))
        return self.ended(model, config)

    def functional(self, config: dict[str, Any]) -> Any:
        """Return a Model."""
        layers: dict[str, Any] = {}
        made: dict[str, list[list[Any]]] = {}
        waiting: list[tuple[str, Any]] = []
        nested = set()
        for each in config["layers"]:
            name = each.get("name", each["config"]["name"])
            if name in layers:
                raise ValueError(f"damaged, there are two layers {name!r}")
            if each["class_name"] == "InputLayer":
                layers[name] = None
                made[name] = [[_input(each["config"])]]
                continue
            layers[name] = self.made(each)
            made[name] = []
            if each["class_name"] in ("Functional", "Model"):
                nested.add(name)
            waiting += [(name, node) for node in each["inbound_nodes"]]
        while waiting:
            late: list[tuple[str, Any]] = []
            for name, node in waiting:
                is_turn = name not in {other for other, _ in late}
                if is_turn and all(_is_made(made, history) for history in _histories(node)):
                    made[name].append(_called(layers[name], node, made))
                else:
                    late.append((name, node))
            if len(late) == len(waiting):
                names = ", ".join(sorted({name for name, _ in late}))
                raise ValueError(f"damaged, {names} depend on themselves or on what is not there")
            waiting = late

        def symbols(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: symbols(part) for key, part in value.items()}
            if value and isinstance(value[0], str):
                name, node, place = value
                # Keras counts a functional model's own graph as its first call.
                return made[name][node - (name in nested)][place]
            parts = [symbols(part) for part in value]
            return parts[0] if len(parts) == 1 else parts

        inputs, outputs = symbols(config["input_layers"]), symbols(config["output_layers"])
        return self.ended(Model(inputs, outputs, name=config["name"]), config)

    def ended(self, model: Any, config: dict[str, Any]) -> Any:
        """Return a model with the initializers of its description."""
        self.budget.end(list(_with_templates(model._all_layers())))
        if config.get("trainable") is False:
            model.trainable = False
        return model

    # Names.

    def cls(self, described: dict[str, Any]) -> Any:
        """Return the class of a layer, None if it is not known."""
        kind, registered = described["class_name"], described.get("registered_name")
        if str(described.get("module")).split(".")[0] in ("keras", "None"):
            if kind in SHARED:
                return SHARED[kind]
        for name in (registered, kind):
            found = self.custom.get(str(name)) or CLASSES.get(str(name))
            if isinstance(found, type) and found not in LAYERS:
                return found
        return None

    def activation(self, value: Any) -> Any:
        """Return an activation function, None if it is not known."""
        if isinstance(value, dict):
            value = value.get("config") if value.get("class_name") == "function" else None
            if value is None:
                return None
        if value is None:
            return activations.linear
        found = self.custom.get(value) or activations.ACTIVATIONS.get(value)
        return found if callable(found) else None


def _called(layer: Any, node: Any, made: dict[str, list[list[Any]]]) -> list[Any]:
    """Return the symbols that a layer gives for the arguments of a call."""
    if isinstance(layer, PartOf):
        given, key = list(node["args"]) + list(node["kwargs"].values())
        return leaves(layer.made(key)(_argument(given, made)))
    args = [_argument(each, made) for each in node["args"]]
    named = {key: _argument(each, made) for key, each in node["kwargs"].items()}
    # Whether it is training is up to the call of the model.
    named = {k: v for k, v in named.items() if v is not None and k != "training"}
    if isinstance(layer, Operation):
        layer.arguments |= {k: v for k, v in named.items() if not _symbols(v)}
        args, named = [[*args, *(v for v in named.values() if _symbols(v))]], {}
    elif isinstance(layer, RNN | Bidirectional) and "mask" not in named:
        if len([value for value in (*args, *named.values()) if _symbols(value)]) > 1:
            # Keras gives no mask to layers of several arguments, but their outputs have it.
            source = args[0]
            args[0] = Unmasked()(source)
            outputs = leaves(layer(*args, **named))
            masked = layer.return_sequences * (2 if getattr(layer, "merge_mode", "") is None else 1)
            return [Remasked()([y, source]) for y in outputs[:masked]] + outputs[masked:]
    return leaves(layer(*args, **named))


def _argument(value: Any, made: dict[str, list[list[Any]]]) -> Any:
    if isinstance(value, list):
        return [_argument(each, made) for each in value]
    if not isinstance(value, dict):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == "__keras_tensor__":
        name, node, place = value["config"]["keras_history"]
        return made[name][node][place]
    if kind == "__tuple__":
        return tuple(_argument(each, made) for each in value["items"])
    if kind in ("__tensor__", "__numpy__") and isinstance(config, dict):
        return np.asarray(config["value"], config["dtype"])
    if kind is not None:
        raise ValueError(f"the argument {kind} of a call is not known")
    return {key: _argument(each, made) for key, each in value.items()}


def _histories(value: Any) -> Iterator[Any]:
    """Yield where the symbols among arguments come from."""
    if isinstance(value, list):
        for each in value:
            yield from _histories(each)
    elif isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"]
        else:
            yield from _histories(list(value.values()))


def _is_made(made: dict[str, list[list[Any]]], history: Any) -> bool:
    name, node, _ = history
    return bool(len(made[name]) > node)


def _symbols(value: Any) -> list[Any]:
    return [leaf for leaf in leaves(value) if isinstance(leaf, Symbol)]


def _input(config: dict[str, Any]) -> Symbol:
    return Input(
        batch_shape=tuple(config["batch_shape"]), dtype=config["dtype"], name=config["name"]
    )


def _with_templates(layers: list[Any]) -> Iterator[Any]:
    """Yield layers, and those that their constructors were given, which made copies of them."""
    for layer in layers:
        yield layer
        given = leaves(list(layer._arguments.values()))
        yield from _with_templates([value for value in given if isinstance(value, Layer)])


def _is_operation(described: dict[str, Any]) -> bool:
    return str(described.get("module")).startswith("keras.src.ops")


def _layers_within(config: dict[str, Any]) -> Iterator[Any]:
    for key in _WITHIN:
        if isinstance(config.get(key), dict):
            yield config[key]
    if isinstance(config.get("cells"), list):
        yield from config["cells"]


def _dtype(value: Any) -> str:
    """Return the name of a dtype, or of the policy that Keras writes for one."""
    if isinstance(value, dict):
        value = value["config"]["name"]
    return "float32" if value is None else str(value)


def _plain(value: Any) -> Any:
    """Return a configuration without what only Keras' own loader needs."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "class_name" in value and "config" in value:
        config = value["config"]
        if isinstance(config, dict):
            config = {k: v for k, v in config.items() if not (k.endswith("_axes") and v is None)}
            if not isinstance(config.get("seed", 0), int):
                config["seed"] = None
        return {"class_name": value["class_name"], "config": _plain(config)}
    return {key: _plain(each) for key, each in value.items()}


def _short(value: Any) -> str:
    return str(value.get("class_name", value) if isinstance(value, dict) else value)[:100]


def _parameters(cls: Any) -> dict[str, Any]:
    """Return all arguments of a layer's constructor with their defaults, inherited ones too."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        if not issubclass(base, Layer):
            continue
        parameters = list(inspect.signature(base.__init__).parameters.values())
        for each in parameters[1:]:
            if each.kind is not each.VAR_KEYWORD:
                found.setdefault(each.name, each.default)
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    return found
