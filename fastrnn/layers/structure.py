"""Arguments of a layer as they come: one array, or lists, tuples and dicts of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Return `value` with `function` of each of its leaves: what is no list, tuple or dict."""
    if isinstance(value, dict):
        return {key: mapped(function, each) for key, each in value.items()}
    if isinstance(value, list):
        return [mapped(function, each) for each in value]
    if isinstance(value, tuple):
        parts = [mapped(function, each) for each in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return function(value)


def leaves(value: Any) -> list[Any]:
    """Return what is no list, tuple or dict, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in leaves(each)]
    return [value]


def is_shape(value: Any) -> bool:
    """Return whether `value` is one shape, and not several."""
    return isinstance(value, list | tuple) and all(
        length is None or isinstance(length, int) for length in value
    )


def mapped_shapes(function: Callable[[tuple[int | None, ...]], Any], shapes: Any) -> Any:
    """Return `function` of each shape of a structure of shapes."""
    if is_shape(shapes):
        return function(tuple(shapes))
    if isinstance(shapes, dict):
        return {key: mapped_shapes(function, each) for key, each in shapes.items()}
    return [mapped_shapes(function, each) for each in shapes]
