"""Calls of tasks that are written down, to be made again with other arrays of the same kind.

To say to a kernel what is where costs Python some microseconds a call, and a small training step
makes a dozen calls.  Made again, all that changes is where some arrays begin.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu import pool
from fastrnn.kernels.cpu.task import Call, address_of
from fastrnn.kernels.cpu.threads import get_num_threads, usable_processors

Array = NDArray[Any]


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
    is_complete : bool
        Whether each of the arrays was found in a call, and none within another one.  If not, the
        calls worked on a copy of one, and cannot be made again.
    """

    def __init__(self, calls: Sequence[Call], arrays: Mapping[str, Array]) -> None:
        bounds = [(name, *_bounds(a), address_of(a)) for name, a in arrays.items()]
        self._places: dict[str, list[tuple[memoryview, int, int]]] = {name: [] for name in arrays}
        self._runs: list[tuple[Any, ...]] = []
        table: list[tuple[int, ...]] = []
        self._kept: list[Any] = []
        for call in calls:
            memory = ctypes.create_string_buffer(call.packed, len(call.packed))
            words = memoryview(memory).cast("B").cast("q")
            for place, array in call.arrays():
                address = words[place]
                found = [b for b in bounds if b[1] <= address < b[2]]
                for name, _, _, start in found:
                    self._places[name].append((words, place, address - start))
                if not found:
                    self._kept.append(array)
            constants = ctypes.create_string_buffer(call.constants, len(call.constants) + 1)
            self._kept += call.task, constants, memory  # the machine code goes with its task
            where = call.address, ctypes.addressof(constants), ctypes.addressof(memory)
            table.append((*where, 0 if call.is_team else call.workers))
            run = pool.team if call.is_team else pool.run
            sizes = (call.threads,) if call.is_team else (call.workers, call.threads)
            self._runs.append((run, call.address, constants, memory, *sizes))
        self._table = np.array(table, np.int64)
        self._list = np.array([1, address_of(self._table), len(table)], np.int64)
        if all(call.workers == 1 or call.threads == 1 for call in calls):
            self._runs = [(pool.run_alone(), address_of(self._list))]
        ordered = sorted((low, high) for _, low, high, _ in bounds)
        is_apart = all(a[1] <= b[0] for a, b in pairwise(ordered))
        self.is_complete = is_apart and all(self._places.values())

    def point(self, arrays: Mapping[str, Array]) -> None:
        """Let the calls work on other arrays, which live until they have been made.

        arrays    of the shapes, strides and dtype of those that were recorded
        """
        for name, array in arrays.items():
            start = address_of(array)
            for words, place, offset in self._places[name]:
                words[place] = start + offset

    def run(self) -> None:
        """Make the calls again."""
        for run, *arguments in self._runs:
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
