"""Models that are run a token at a time, and their states.

A step is a function `step(tokens, state) -> (logits, state)`: tokens (N,) int32, logits (N, V),
and a state of tuples, lists, dicts and arrays whose first axis is that of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Step = Callable[[NDArray[np.int32], Any], tuple[Any, Any]]


class Memory(NamedTuple):
    """A part of a state that no step changes, such as what an encoder has read.

    A beam search repeats it for the beams once, and then leaves it alone: all beams of a row
    share it.
    """

    value: Any


def select(state: Any, rows: Array) -> Any:
    """Return a state whose row i is row rows[i] of `state`."""
    if state is None:
        return None
    if isinstance(state, dict):
        return {key: select(part, rows) for key, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(select(part, rows) for part in state))
    if isinstance(state, tuple | list):
        return type(state)(select(part, rows) for part in state)
    array = np.asarray(state)
    if array.ndim == 0:
        raise ValueError(f"state: expected arrays with an axis of rows, got {state!r}")
    return array[rows]


def reorder(state: Any, rows: Array) -> Any:
    """Return `select(state, rows)` but for `Memory`, which stays."""
    if isinstance(state, Memory):
        return state
    if isinstance(state, dict):
        return {key: reorder(part, rows) for key, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(reorder(part, rows) for part in state))
    if isinstance(state, tuple | list):
        return type(state)(reorder(part, rows) for part in state)
    return select(state, rows)


def read(step: Step, tokens: ArrayLike, state: Any) -> tuple[Any, Any]:
    """Return logits and state after tokens (N,) or (N, P): the first of the text, or a prompt.

    Raises
    ------
    ValueError
        If tokens are not integers of that shape, with at least one row and one column.
    """
    prompt = np.asarray(tokens)
    if prompt.ndim not in (1, 2) or prompt.size == 0 or prompt.dtype.kind not in "iu":
        raise ValueError(
            f"tokens: expected (N,) or (N, P) integers, got {prompt.shape} {prompt.dtype}"
        )
    columns = prompt.reshape(len(prompt), -1).T.astype(np.int32)
    for column in columns:
        logits, state = step(column, state)
    return logits, state


def stop_tokens(stop: int | Collection[int] | None) -> list[int]:
    """Return the tokens that end a text, in the order given.

    Raises
    ------
    ValueError
        If they are not integers of at least 0.
    """
    if stop is None:
        return []
    tokens = [stop] if isinstance(stop, int | np.integer) else list(stop)
    for token in tokens:
        if isinstance(token, bool) or not isinstance(token, int | np.integer) or token < 0:
            raise ValueError(f"stop: expected integers of at least 0, got {stop!r}")
    return [int(token) for token in tokens]


def positive(name: str, number: Any) -> int:
    """Return a whole number of at least 1.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise ValueError(f"{name}: expected an int of at least 1, got {number!r}")
    return int(number)
