"""Tensors whose value is computed when somebody asks for it.

Many small computations cost less when they are run together, so some wait: for the value of one of
their tensors to be asked for, at the latest for `records.settle`, before anything changes that a
program could see: a weight, or which tapes are open.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastrnn.tape.records import Node
from fastrnn.tape.tensor import Tensor

Array = NDArray[Any]
_NOTHING: Array = np.empty(0)


class Computation(Protocol):
    """What is postponed."""

    def run(self) -> None:
        """Compute now: each tensor that waits for this, and is still held, `become`s another."""


class PostponedTensor(Tensor):
    """A tensor that waits for a computation.

    Parameters
    ----------
    computation : Computation
    shape : tuple of ints
    dtype : numpy.dtype
    """

    is_source = False

    _value = _NOTHING
    _known: Node | None = None

    def __init__(
        self, computation: Computation, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._waits_for: Computation | None = computation
        self._shape = shape
        self._dtype = dtype

    @property
    def is_waiting(self) -> bool:
        """Whether there is no value yet."""
        return self._waits_for is not None

    def become(self, other: Tensor) -> None:
        """Take the value of another tensor, and its place in computations."""
        self._value = other.value
        self._known = other._node
        self._made_by = other._made_by
        self._waits_for = None

    def _settled(self) -> PostponedTensor:
        if self._waits_for is not None:
            self._waits_for.run()
        return self

    @property
    def value(self) -> Array:
        """The array itself, not a copy."""
        return self._settled()._value

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array."""
        return self._dtype

    @property
    def _node(self) -> Node | None:
        return self._settled()._known

    @_node.setter
    def _node(self, node: Node | None) -> None:
        self._known = node
