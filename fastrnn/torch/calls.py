"""Recorded kernel calls of a layer, told by name where its tensors are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from fastrnn.kernels.cpu.recording import Recording, run_side_by_side
from fastrnn.kernels.cpu.task import Call
from fastrnn.torch.threads import on_threads_of_torch

Array = NDArray[Any]
Tensors = Sequence[Tensor]

# Where the address of an array is to be written, and how far on it is to point.
Places = list[tuple[memoryview, int, int]]


class Calls:
    """Recorded calls of one or two directions, and those that come after both.

    Parameters
    ----------
    directions : one or two lists of calls
    last : list of calls
    arrays : mapping
        Arrays that will be others, by name: numbers for tensors that are read.
    is_beside : bool
        Whether both directions run at the same time.
    """

    def __init__(
        self,
        directions: Sequence[list[Call]],
        last: list[Call],
        arrays: dict[Any, Array],
        *,
        is_beside: bool,
    ) -> None:
        lists = [*directions, last] if is_beside else [[*chain(*directions), *last]]
        self._recordings = [Recording(calls, arrays) for calls in lists]
        self._is_beside = is_beside
        #: Of each array by its name.
        self.places: dict[Any, Places] = {
            name: [(r.words, *place) for r in self._recordings for place in r.places[name]]
            for name in arrays
        }
        self._reads = [
            (*place, name)
            for name in arrays
            if isinstance(name, int)
            for place in self.places[name]
        ]
        self.is_complete = self._recordings[0].is_apart and all(self.places.values())
        is_alone = not is_beside and self._recordings[0].is_alone
        self._alone = self._recordings[0].runs[0] if is_alone else None

    def read(self, tensors: Tensors) -> None:
        """Let the calls read these tensors."""
        for words, place, offset, name in self._reads:
            words[place] = tensors[name].data_ptr() + offset

    def point_at(self, name: Hashable, address: int) -> None:
        """Let the calls work on another array of that name."""
        for words, place, offset in self.places[name]:
            words[place] = address + offset

    def run(self) -> None:
        """Make the calls."""
        if self._alone is not None:
            function, (address,) = self._alone
            function(address)
            return
        with on_threads_of_torch():
            rest = self._recordings
            if self._is_beside:
                run_side_by_side(rest[:2])
                rest = rest[2:]
            for recording in rest:
                recording.run()
