"""What users give to choose an object by name: also for regularizers and constraints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def identified(kind: str, known: Mapping[str, Callable[..., Any]], identifier: Any) -> Any:
    """Return the object that `identifier` stands for.

    Parameters
    ----------
    kind : str
        What messages call it.
    known : mapping
        What makes objects, by name.
    identifier : str, dict, class, callable or None
        A name; {"class_name": name, "config": arguments}; a class, which is called; or an object
        that is returned as it is.

    Raises
    ------
    ValueError
        If it is none of these, or the name is not known.
    """
    if identifier is None:
        return None
    name: Any = identifier
    config: dict[str, Any] = {}
    if isinstance(identifier, dict):
        name, config = identifier.get("class_name"), identifier.get("config") or {}
    if isinstance(name, str):
        if name not in known:
            raise ValueError(f"{kind}: expected one of {', '.join(known)}, got {name!r}")
        return known[name](**config)
    if inspect.isclass(identifier):
        return identifier()
    if not callable(identifier):
        raise ValueError(f"{kind}: expected a name, a dict or a callable, got {identifier!r}")
    return identifier


def described(thing: Any) -> Any:
    """Return for `identified` the name and arguments of an object; None for None."""
    if thing is None:
        return None
    return {"class_name": type(thing).__name__, "config": thing.get_config()}
