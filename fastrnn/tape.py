"""Reverse-mode differentiation over the closures of `fastrnn.functional`.

A computation that wants a gradient records its inputs, its outputs and a closure on every tape
that is open in the calling thread; `GradientTape.gradient` runs the closures backwards.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Tensor:
    """An array with a place in a computation; `numpy.asarray(tensor)` is its value."""

    def __init__(self, value: Array) -> None:
        self._value = value

    @property
    def value(self) -> Array:
        """The array itself, not a copy."""
        return self._value

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array."""
        return self.value.dtype

    def numpy(self) -> Array:
        """Return the array itself, not a copy."""
        return self.value

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            return np.asarray(self.value, dtype)
        return np.array(self.value, dtype) if copy else np.asarray(self.value, dtype)

    def __float__(self) -> float:
        return float(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"


class Variable(Tensor):
    """A weight: a named array that optimizers change in place.

    Parameters
    ----------
    value : array
        Copied, C-contiguous.
    name : str
        What messages and files call it.
    trainable : bool
        Whether optimizers change it.
    """

    def __init__(self, value: Any, name: str, trainable: bool = True) -> None:
        super().__init__(np.array(value, order="C"))
        self.name = name
        self.trainable = trainable

    def assign(self, value: Any) -> None:
        """Overwrite the array.

        Raises
        ------
        ValueError
            If `value` has another shape.
        """
        array = np.asarray(value)
        if array.shape != self.shape:
            raise ValueError(f"{self.name}: expected shape {self.shape}, got {array.shape}")
        self._value[...] = array

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, shape={self.shape}, dtype={self.dtype})"


class _Record:
    """One computation: `backward(*output gradients)` gives a gradient for each input."""

    def __init__(
        self,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        backward: Callable[..., Sequence[Any]],
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.backward = backward


class _OpenTapes(threading.local):
    def __init__(self) -> None:
        self.tapes: list[GradientTape] = []


_open = _OpenTapes()


def is_recording() -> bool:
    """Return whether a tape is open, so that closures are wanted."""
    return bool(_open.tapes)


def record(
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    backward: Callable[..., Sequence[Any]],
) -> None:
    """Write a computation on the open tapes.

    Parameters
    ----------
    inputs, outputs : sequences of Tensor
    backward : callable
        Takes a gradient, or None, for each output; returns one, or None, for each input.
    """
    for tape in _open.tapes:
        tape._records.append(_Record(inputs, outputs, backward))


class GradientTape:
    """Records computations within its `with` block.

    Examples
    --------
    >>> from fastrnn import GradientTape, layers
    >>> dense = layers.Dense(2, 3)
    >>> with GradientTape() as tape:
    ...     y = dense(np.ones((4, 3), np.float32))
    >>> [gradient.shape for gradient in tape.gradient(y, dense.trainable_variables)]
    [(3, 2), (2,)]
    """

    def __init__(self) -> None:
        self._records: list[_Record] = []

    def __enter__(self) -> GradientTape:
        _open.tapes.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _open.tapes.remove(self)

    def gradient(
        self, target: Tensor, sources: Sequence[Tensor], output_gradient: Any = None
    ) -> list[Array | None]:
        """Return the gradient of `target` with respect to each source.

        Parameters
        ----------
        target : Tensor
            Computed while the tape was open.
        sources : sequence of Tensor
        output_gradient : array, optional
            Gradient of what is finally differentiated with respect to `target`; ones if not
            given.

        Returns
        -------
        list of arrays
            None where `target` does not depend on a source.

        Raises
        ------
        RuntimeError
            If the tape was used already: closures overwrite what they saved.
        """
        if not self._records:
            raise RuntimeError("GradientTape: nothing recorded, or the tape was used already")
        records, self._records = self._records, []
        seed = np.ones(target.shape, target.dtype) if output_gradient is None else output_gradient
        gradients: dict[int, Any] = {id(target): seed}
        kept = {id(tensor) for tensor in sources}
        while records:
            step = records.pop()
            arriving = [gradients.get(id(output)) for output in step.outputs]
            if all(gradient is None for gradient in arriving):
                continue
            for output in step.outputs:
                if id(output) not in kept:
                    gradients.pop(id(output), None)
            leaving = step.backward(*arriving)
            for tensor, gradient in zip(step.inputs, leaving, strict=True):
                if gradient is not None:
                    known = gradients.get(id(tensor))
                    gradients[id(tensor)] = gradient if known is None else known + gradient
        return [gradients.get(id(tensor)) for tensor in sources]
