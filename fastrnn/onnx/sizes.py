"""How large an array an operator may make: what a small file asks for can be larger than memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

#: Elements of the largest array, unless `limited` says otherwise: 1 GiB of float32.
LIMIT = 1 << 28

#: Elements that are not worth a closer look.
SMALL = 1 << 16

_limit: ContextVar[int] = ContextVar("limit", default=LIMIT)


class TooLargeError(ValueError):
    """An operator was asked for an array beyond the limit."""


@contextmanager
def limited(elements: int) -> Iterator[None]:
    """Let `check` refuse arrays of more than so many elements, in this thread and for now."""
    token = _limit.set(elements)
    try:
        yield
    finally:
        _limit.reset(token)


def check(shape: Iterable[int]) -> tuple[int, ...]:
    """Return `shape` as a tuple if an array of that shape may be made.

    Raises
    ------
    ValueError
        If a length is negative, or the array has more elements than the limit.
    """
    lengths = tuple(map(int, shape))
    if any(length < 0 for length in lengths):
        raise ValueError(f"shape: expected no negative length, got {lengths}")
    check_elements(prod(lengths))
    return lengths


def check_elements(elements: int) -> None:
    """Raise TooLargeError if an array of so many elements is beyond the limit."""
    if elements > _limit.get():
        raise TooLargeError(
            f"an array of {elements} elements is larger than the limit of {_limit.get()}; "
            "load(..., limit=...) sets another"
        )
