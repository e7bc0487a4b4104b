"""What an optimizer keeps of each weight, and how it is read back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu.update import allocate_slots

Array = NDArray[Any]

#: Slots that any optimizer may have behind those of its rule: the average of the weight, and the
#: sum of the gradients since the last step.
AVERAGE = "average"
ACCUMULATOR = "accumulator"


class Slots(NamedTuple):
    """What is kept of one weight: an array like it for each letter."""

    memory: Array  # (slots, numbers padded), see `allocate_slots`
    shape: tuple[int, ...]
    letters: tuple[str, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the arrays."""
        return self.memory.dtype

    def arrays(self) -> list[Array]:
        """Return the slots as arrays of the weight's shape, in the memory itself."""
        return [row[: math.prod(self.shape)].reshape(self.shape) for row in self.memory]

    def array(self, letter: str) -> Array:
        """Return one slot as an array of the weight's shape, in the memory itself."""
        return self.arrays()[self.letters.index(letter)]


def allocate(
    letters: tuple[str, ...],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    initial: Mapping[str, float],
) -> Slots:
    """Return slots for a weight, zero but where `initial` has another number."""
    memory = allocate_slots(math.prod(shape), len(letters), dtype)
    slots = Slots(memory, shape, letters)
    for letter, value in initial.items():
        slots.array(letter)[...] = value
    return slots


def read(state: Mapping[str, Array], letters: Sequence[str]) -> dict[str, Slots]:
    """Return copies of the slots in `state`."""
    names: dict[str, None] = {}
    for key in state:
        name, slash, letter = key.rpartition("/")
        if slash and letter in letters:
            names[name] = None
        elif key != "iterations":
            raise ValueError(f"state: unexpected {key!r}")
    loaded = {}
    for name in names:
        arrays: list[Array] = []
        for letter in letters:
            key = f"{name}/{letter}"
            if key not in state:
                raise ValueError(f"state: {key!r} is missing")
            array = np.asarray(state[key])
            like = arrays[0] if arrays else array
            if array.dtype not in _validate.FLOATS or (array.shape, array.dtype) != (
                like.shape,
                like.dtype,
            ):
                raise ValueError(
                    f"state: {key!r}: expected {like.shape} float32 or float64 like its "
                    f"companions, got {_validate.describe(array)}"
                )
            arrays.append(array)
        loaded[name] = allocate(tuple(letters), arrays[0].shape, arrays[0].dtype, {})
        for target, array in zip(loaded[name].arrays(), arrays, strict=True):
            target[...] = array
    return loaded


def compare(state: Mapping[str, Slots], weights: Mapping[str, Any]) -> None:
    """Raise ValueError unless `state` has averages for all `weights`, of their shape and dtype."""
    for name, weight in weights.items():
        if name not in state:
            raise ValueError(f"state: averages of weight {name!r} are missing")
        slots = state[name]
        if (slots.shape, slots.dtype) != (weight.shape, weight.dtype):
            raise ValueError(
                f"state: expected averages of weight {name!r} to be {weight.shape} "
                f"{weight.dtype}, got {slots.shape} {slots.dtype}"
            )
