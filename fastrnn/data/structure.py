"""Tuples, lists and dicts of arrays, nested: taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def leaves(structure: Any) -> list[Any]:
    """Return what is in a structure, in order: of dicts, that of sorted keys."""
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in leaves(structure[key])]
    if isinstance(structure, tuple | list):
        return [leaf for part in structure for leaf in leaves(part)]
    return [] if structure is None else [structure]


def transform(function: Callable[..., Any], first: Any, *others: Any) -> Any:
    """Return a structure like `first` of what `function` makes of its leaves and the others'."""
    if type(first) is np.ndarray:  # most of them are
        return function(first, *others)
    if isinstance(first, dict):
        return {k: transform(function, v, *(o[k] for o in others)) for k, v in first.items()}
    if isinstance(first, tuple | list):
        parts = [transform(function, *each) for each in zip(first, *others, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*parts)
        return type(first)(parts)
    return None if first is None else function(first, *others)


def stack(elements: Sequence[Any]) -> Any:
    """Return one structure of arrays with one more axis, the first, out of several structures."""
    return transform(lambda *arrays: np.stack(list(map(np.asarray, arrays))), *elements)


def concatenate(batches: Sequence[Any]) -> Any:
    """Return one structure of arrays, joined along their first axes."""
    return transform(lambda *arrays: np.concatenate(list(map(np.asarray, arrays))), *batches)
