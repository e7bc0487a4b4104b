"""What a model was compiled with, as a dictionary that JSON can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastrnn import losses, metrics, optimizers

_OBJECT = "__object__"


def written(model: Any) -> dict[str, Any]:
    """Return the configuration of a model's optimizer, losses and metrics.

    Raises
    ------
    TypeError, ValueError
        If one of them is a function without a name, or has no configuration.
    """
    given = model._compiled_with
    return {
        "optimizer": {
            "class_name": type(model.optimizer).__name__,
            "config": model.optimizer.get_config(),
        },
        **{name: _written(given[name]) for name in sorted(given)},
    }


def compile_like(
    model: Any, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None
) -> Any:
    """Compile a model as another one was; return its optimizer.

    Raises
    ------
    ValueError
        If the configuration is damaged or names what nobody knows.
    """
    custom = dict(custom_objects or {})
    try:
        optimizer = _optimizer(config["optimizer"], custom)
        options = {
            name: _read(config[name], custom)
            for name in ("loss", "loss_weights", "metrics", "weighted_metrics")
        }
    except (KeyError, TypeError) as error:
        raise ValueError(f"compiled: damaged, {type(error).__name__}: {error}") from error
    model.compile(optimizer=optimizer, **options)
    return optimizer


def _optimizer(config: Mapping[str, Any], custom: dict[str, Any]) -> Any:
    name = config["class_name"]
    known = custom.get(name) or getattr(optimizers, name, None)
    if not (isinstance(known, type) and issubclass(known, optimizers.Optimizer)):
        raise ValueError(f"optimizer: {name!r} is not known; pass it in custom_objects")
    return known.from_config(dict(config["config"]))


def _written(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key: _written(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_written(part) for part in value]
    for kind, module in (("loss", losses), ("metric", metrics)):
        base = module.Loss if kind == "loss" else module.Metric
        if isinstance(value, base):
            config = {"class_name": type(value).__name__, "config": value.get_config()}
            return {_OBJECT: kind, **config}
    name = getattr(value, "__name__", "<lambda>")
    if name == "<lambda>":
        raise TypeError(f"{value!r} has no name to be saved under")
    return {_OBJECT: "function", "name": name}


def _read(value: Any, custom: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_read(part, custom) for part in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_OBJECT)
    if kind is None:
        return {key: _read(part, custom) for key, part in value.items()}
    if kind == "function":
        name = value["name"]
        if name in custom:
            return custom[name]
        for module in (losses, metrics):
            found = getattr(module, name, None)
            if callable(found) and not name.startswith("_"):
                return found
        raise ValueError(f"compiled: the function {name!r} is not known; pass it in custom_objects")
    if kind not in ("loss", "metric"):
        raise ValueError(f"compiled: damaged, got {kind!r}")
    module = losses if kind == "loss" else metrics
    return module.deserialize({k: value[k] for k in ("class_name", "config")}, custom)
