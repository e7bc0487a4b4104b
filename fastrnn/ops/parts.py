"""Disjoint parts of an array, and its slices along an axis, made when they are needed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.tape import PostponedTensor, Tensor, constant, is_watched, postpone, record

Array = NDArray[Any]


def parts(x: Tensor, indices: list[Any]) -> list[Tensor]:
    """Return what disjoint indices select of x (...); all their gradients make one array."""
    array = x.value
    outputs = [constant(np.asarray(array[index])) for index in indices]
    if outputs and is_watched(x) and array.dtype.kind == "f":
        shape, dtype = array.shape, array.dtype

        def backward(*gradients: Array | None) -> list[Array]:
            total = np.zeros(shape, dtype)
            for index, d in zip(indices, gradients, strict=True):
                if d is not None:
                    total[index] += d
            return [total]

        record([x], outputs, backward, repeatable=True)
    return outputs


def whole(axes: int) -> tuple[slice, ...]:
    """Return an index of all of so many axes."""
    return (slice(None),) * axes


class Step(PostponedTensor):
    """One slice of an array along an axis.

    Parameters
    ----------
    unstacking : Unstacking
    index : int
    """

    def __init__(self, unstacking: Unstacking, index: int) -> None:
        self._waits_for = unstacking
        self._shape = unstacking.shape
        self._dtype = unstacking.dtype
        self.source = unstacking.source
        self.axis = unstacking.axis
        self.index = index


class Unstacking:
    """Slices of an array that are all made when the first of them is needed.

    What needs them all together looks at their `source` instead.

    Parameters
    ----------
    source : Tensor
    axis : int
        From 0.
    indices : iterable of ints
        Of the slices, from 0, each once.
    """

    def __init__(self, source: Tensor, axis: int, indices: Iterable[int]) -> None:
        self.source = source
        self.axis = axis
        #: Of a slice.
        self.shape = source.shape[:axis] + source.shape[axis + 1 :]
        self.dtype = source.dtype
        self._indices = indices
        self._steps: list[weakref.ref[Step]] = []
        postpone(self)

    def steps(self) -> Iterator[Step]:
        """Make the tensors."""
        for index in self._indices:
            step = Step(self, index)
            self._steps.append(weakref.ref(step))
            yield step

    def run(self) -> None:
        """Give the slices that are still held their values."""
        held = [step for reference in self._steps if (step := reference()) is not None]
        self._steps.clear()
        made = parts(self.source, [(*whole(self.axis), step.index) for step in held])
        for step, part in zip(held, made, strict=True):
            step.become(part)
