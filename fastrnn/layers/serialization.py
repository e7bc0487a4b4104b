"""Layers as dictionaries that JSON can hold, and back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

#: Classes by the name that configurations give them.
CLASSES: dict[str, type[Any]] = {}


class _Custom(threading.local):
    """Classes that the caller of `deserialize` named, while it runs."""

    def __init__(self) -> None:
        self.classes: dict[str, Any] = {}


_custom = _Custom()


def register(cls: Any = None, *, package: str | None = None, name: str | None = None) -> Any:
    """Make a class of your own known, so that models that have it can be loaded.

    Use it as a decorator, `@register` or `@register(name="Block")`.

    Parameters
    ----------
    package : str, optional
        Comes before the name, as in "package>Block".
    name : str, optional
        What configurations call the class; its own name if not given.

    Raises
    ------
    ValueError
        If the name is taken by another class.

    Examples
    --------
    >>> from fastrnn import layers
    >>> @layers.register
    ... class Twice(layers.Layer):
    ...     def call(self, inputs):
    ...         return 2 * inputs
    >>> layers.deserialize(layers.serialize(Twice(name="twice"))).name
    'twice'
    """

    def enter(given: type[Any]) -> type[Any]:
        key = given.__name__ if name is None else name
        key = key if package is None else f"{package}>{key}"
        known = CLASSES.get(key)
        # The same class made again, as notebooks do, takes its own place.
        is_same = known is None or (known.__module__, known.__qualname__) == (
            given.__module__,
            given.__qualname__,
        )
        if not is_same:
            raise ValueError(f"name: {key!r} is taken by {known}")
        CLASSES[key] = given
        return given

    return enter if cls is None else enter(cls)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Any:
    """Return the decorator `register`, as programs for Keras write it."""
    return register(package=package, name=name)


def registered_name(cls: type[Any]) -> str:
    """Return what configurations call `cls`."""
    for name, known in CLASSES.items():
        if known is cls:
            return name
    return cls.__name__


def serialize(value: Any) -> Any:
    """Return {"class_name": ..., "config": ...} of a layer.

    Also of initializers, regularizers and constraints; lists, tuples and dicts of them are
    gone through, numbers, strings and None stay.

    Raises
    ------
    TypeError
        If there is no such dictionary of a value.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [serialize(each) for each in value]
    if isinstance(value, dict):
        return {key: serialize(each) for key, each in value.items()}
    if hasattr(value, "get_config"):
        return {"class_name": registered_name(type(value)), "config": value.get_config()}
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return value.item()  # a number of NumPy's
    if hasattr(value, "__name__") and callable(value) and value.__name__ != "<lambda>":
        return value.__name__
    raise TypeError(f"cannot write {value!r} into a configuration")


def deserialize(config: Any, custom_objects: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """Return the layer that `serialize` made a dictionary of.

    Parameters
    ----------
    config : dict
        {"class_name": ..., "config": ...}
    custom_objects : mapping, optional
        Classes by name, besides those that are registered.

    Raises
    ------
    ValueError
        If it is no such dictionary, or names a class that is not known.
    """
    if not isinstance(config, Mapping) or not {"class_name", "config"} <= config.keys():
        raise ValueError(f"config: expected a dict of class_name and config, got {config!r}"[:200])
    name = config["class_name"]
    known = {**CLASSES, **_custom.classes, **(custom_objects or {})}
    without_package = {key.split(">")[-1]: each for key, each in known.items()}
    cls: Any = known.get(name, without_package.get(name))
    if cls is None:
        raise ValueError(
            f"config: {name!r} is not known; put @fastrnn.layers.register before the class, or "
            "pass it in custom_objects"
        )
    outer = _custom.classes
    _custom.classes = {**outer, **(custom_objects or {})}
    try:
        return cls.from_config(dict(config["config"]))
    finally:
        _custom.classes = outer


def revived(config: Any) -> Any:
    """Return a configuration with the layers in it made; all else stays as it is."""
    if isinstance(config, list | tuple):
        return [revived(each) for each in config]
    if isinstance(config, Mapping):
        known = {**CLASSES, **_custom.classes}
        if config.get("class_name") in known and "config" in config:
            return deserialize(config)
        return {key: revived(each) for key, each in config.items()}
    return config
