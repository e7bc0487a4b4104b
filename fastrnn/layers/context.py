"""What a layer's call leaves to the calls within it: whether this is training, and names."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastrnn.tape import Postponing


class _Context(threading.local):
    def __init__(self) -> None:
        self.calls: list[bool] = []
        self.names: list[str] = []


_context = _Context()
_names: Counter[str] = Counter()
_names_lock = threading.Lock()


def is_outermost() -> bool:
    """Return whether no layer is being called in this thread."""
    return not _context.calls


def training_of_call(training: bool | None) -> bool:
    """Return `training`, or where it is None what the enclosing call was told, or False."""
    if training is not None:
        return bool(training)
    return bool(_context.calls) and _context.calls[-1]


class Calling:
    """A block in which the layer `name` is called."""

    __slots__ = ("_block", "_is_named", "_name", "_training")

    def __init__(self, name: str, training: bool) -> None:
        self._name, self._training = name, training
        self._block = None if _context.calls else Postponing()

    def __enter__(self) -> None:
        _context.calls.append(self._training)
        self._is_named = _enter(self._name)
        if self._block is not None:
            self._block.__enter__()

    def __exit__(self, *error: Any) -> None:
        try:
            if self._block is not None:
                self._block.__exit__(*error)
        finally:
            if self._is_named:
                _context.names.pop()
            _context.calls.pop()


@contextmanager
def naming(name: str) -> Iterator[None]:
    """While weights that are made belong to the layer `name`.

    A layer that has the name of the one around it, or is it, is not named twice.
    """
    is_new = _enter(name)
    try:
        yield
    finally:
        if is_new:
            _context.names.pop()


def _enter(name: str) -> bool:
    """Add a name unless it is the last one; return whether it was added."""
    names = _context.names
    is_new = not names or names[-1] != name
    if is_new:
        names.append(name)
    return is_new


def path(name: str) -> str:
    """Return what a weight made now is called: the layers around it and `name`."""
    return "/".join([*_context.names, name])


def clear_session(free_memory: bool = True) -> None:
    """Let automatic names start anew; for Keras' sake, as nothing else outlives its model."""
    with _names_lock:
        _names.clear()


def automatic_name(class_name: str) -> str:
    """Return a name for a layer that nobody named: `lstm`, `lstm_1`, `simple_rnn`, ..."""
    words = re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", class_name)
    stem = words.lower().strip("_") or "layer"
    with _names_lock:
        count = _names[stem]
        _names[stem] += 1
    return f"{stem}_{count}" if count else stem
