"""Calls of tasks that are written down, to be made again with other arrays of the same kind.

To say to a kernel what is where costs Python some microseconds a call, and a small training step
makes a dozen calls.  Made again, all that changes is where some arrays begin.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu import pool
from fastrnn.kernels.cpu.task import Call, address_of
from fastrnn.kernels.cpu.threads import get_num_threads, usable_processors

Array = NDArray[Any]
# A function and its arguments.
Made = tuple[Callable[..., None], tuple[Any, ...]]


class Recording:
    """Calls that have been made once, on `arrays` among others.

    Parameters
    ----------
    calls : sequence of Call
        From `task.recorded`.
    arrays : mapping
        Those that will be others when the calls are made again, by names of the caller's choice.
        All other arrays are kept, and written again by each run.

    Attributes
    ----------
    words : memoryview
        The arguments of all calls.
    places : mapping
        For each name where among the words the address of a number of that array is, and how far
        that is from its first: a list of pairs.
    runs : list of tuples
        Functions that make the calls, each with a tuple of its arguments.
    found : set
        Names of the arrays that were found in a call.
    is_apart : bool
        Whether none of them lies within another one.
    is_complete : bool
        Whether each of the arrays was found, and they are apart.  If not, the calls worked on a
        copy of one, and cannot be made again.
    is_alone : bool
        Whether no call is for several threads.
    """

    def __init__(self, calls: Sequence[Call], arrays: Mapping[Any, Array]) -> None:
        bounds = [(name, *_bounds(a), address_of(a)) for name, a in arrays.items()]
        self.places: dict[Hashable, list[tuple[int, int]]] = {name: [] for name in arrays}
        # The arguments of all calls lie one behind the other.
        memory = ctypes.create_string_buffer(sum(len(call.packed) for call in calls) or 1)
        self.words = memoryview(memory).cast("B")[: len(memory) // 8 * 8].cast("q")
        self._kept: list[Any] = [memory]
        table: list[tuple[int, ...]] = []
        made: list[Made] = []
        first = 0
        for call in calls:
            size = len(call.packed)
            start = ctypes.addressof(memory) + 8 * first
            ctypes.memmove(start, call.packed, size)
            for place, array in call.arrays():
                address = self.words[first + place]
                found = [b for b in bounds if b[1] <= address < b[2]]
                for name, _, _, begin in found:
                    self.places[name].append((first + place, address - begin))
                if not found:
                    self._kept.append(array)
            constants = ctypes.create_string_buffer(call.constants, len(call.constants) + 1)
            self._kept += call.task, constants  # the machine code goes with its task
            where = call.address, ctypes.addressof(constants), start
            table.append((*where, 0 if call.is_team else call.workers))
            arguments = (ctypes.c_char * size).from_address(start)
            run = pool.team if call.is_team else pool.run
            sizes = (call.threads,) if call.is_team else (call.workers, call.threads)
            made.append((run, (call.address, constants, arguments, *sizes)))
            first += size // 8
        self._table = np.array(table, np.int64).reshape(-1, 4)
        self.runs = self._joined(made, [c.workers == 1 or c.threads == 1 for c in calls])
        self.is_alone = len(self.runs) == 1 and self.runs[0][0] is pool.run_alone()
        ordered = sorted((low, high) for _, low, high, _ in bounds)
        self.is_apart = all(a[1] <= b[0] for a, b in pairwise(ordered))
        self.found = {name for name, places in self.places.items() if places}
        self.is_complete = self.is_apart and len(self.found) == len(self.places)

    def _joined(self, made: list[Made], alone: list[bool]) -> list[Made]:
        """Return the calls with those next to each other as one that are for one thread."""
        runs: list[Made] = []
        for is_alone, group in groupby(range(len(made)), alone.__getitem__):
            numbers = list(group)
            if is_alone:
                start = address_of(self._table) + self._table.strides[0] * numbers[0]
                words = np.array([1, start, len(numbers)], np.int64)
                self._kept.append(words)
                runs.append((pool.run_alone(), (address_of(words),)))
            else:
                runs += [made[n] for n in numbers]
        return runs

    def point(self, arrays: Mapping[Any, Array]) -> None:
        """Let the calls work on other arrays, which live until they have been made.

        arrays    of the shapes, strides and dtype of those that were recorded
        """
        words, places = self.words, self.places
        for name, array in arrays.items():
            address = address_of(array)
            for place, offset in places[name]:
                words[place] = address + offset

    def point_at(self, name: Hashable, address: int) -> None:
        """Let the calls work on another array, as of `point`, whose first number is there.

        Of an array that was not found there is nothing to do.
        """
        for place, offset in self.places[name]:
            self.words[place] = address + offset

    def run(self) -> None:
        """Make the calls again."""
        for run, arguments in self.runs:
            run(*arguments)

    @property
    def table(self) -> NDArray[np.int64]:
        """The calls as `jobs.run_lists` takes them, (calls, 4)."""
        return self._table


def run_side_by_side(recordings: Sequence[Recording]) -> None:
    """Make the calls of several recordings, each on one thread."""
    words = [len(recordings)]
    for recording in recordings:
        words += address_of(recording.table), len(recording.table)
    memory = np.array(words, np.int64).tobytes()
    threads = min(len(recordings), get_num_threads(), usable_processors())
    pool.run(pool.address_of_lists(), b"", memory, len(recordings), threads)


def _bounds(array: Array) -> tuple[int, int]:
    """Return the addresses of an array's first byte, and behind its last one."""
    low = high = address_of(array)
    for length, stride in zip(array.shape, array.strides, strict=True):
        low += min(0, (length - 1) * stride)
        high += max(0, (length - 1) * stride)
    return low, high + array.itemsize
