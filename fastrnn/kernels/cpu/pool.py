"""The threads that run tasks: a pool in which nobody waits for a thread that has not come.

The caller publishes a job and works on it at once; the pool's threads join in if and when the
system lets them run.  Whoever is free claims the next worker number, and the job is done when
all numbers are done.  A parallel loop of OpenMP, in contrast, ends only when every thread has
passed through it: with one busy neighbour on a machine of two processors, a task of 1.5 ms then
takes 8 ms, against 0.8 ms here (medians).

A *team* is a job whose workers meet on the way, so they must all run at once.  Each of its
numbers is claimed by another thread; the caller closes the team when it is full or a short time
has passed, and those who have come then begin.  Who comes later does not belong to it, and a
caller to whom nobody comes works alone: a team that has begun cannot lack a member.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fastrnn._jit import machine_address
from fastrnn.kernels.cpu import jobs
from fastrnn.kernels.cpu.openmp import lent

Memory = bytes | ctypes.Array[ctypes.c_char]


class _Pool:
    """Shared memory and as many threads as any job has asked for."""

    def __init__(self) -> None:
        self._memory: NDArray[np.int64] = np.zeros((jobs.BYTES + 64) // 8, np.int64)
        start = self._memory.__array_interface__["data"][0]
        self._address = start + -start % 64
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        word, memory = ctypes.c_int64, ctypes.c_char_p
        self._serve = _function(jobs.serve, word)
        self._dispatch = _function(jobs.dispatch, word, word, memory, memory, word)
        self._gather = _function(jobs.gather, word, word, memory, memory, word)
        _function(jobs.prepare, word)(self._address)

    def run(self, address: int, cell: Memory, args: Memory, workers: int, threads: int) -> None:
        """Run a task, on `threads` threads at least where the system gives as many."""
        if len(self._threads) < threads - 1:
            self._start(threads - 1)
        self._dispatch(self._address, address, cell, args, workers)

    def team(self, address: int, cell: Memory, args: Memory, workers: int) -> None:
        """Run a task on a team of up to `workers` members."""
        if len(self._threads) < workers - 1:
            self._start(workers - 1)
        self._gather(self._address, address, cell, args, workers)

    def stop(self) -> None:
        """End the threads: their code and their memory are about to go."""
        _function(jobs.stop, ctypes.c_int64)(self._address)
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, count: int) -> None:
        with self._lock:
            while len(self._threads) < count:
                name = f"fastrnn-{len(self._threads) + 1}"
                arguments = self._serve, self._address, self._memory
                thread = threading.Thread(target=_serve, args=arguments, name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down, or there are too many
                    break
                self._threads.append(thread)


def _serve(serve: Callable[[int], None], address: int, memory: NDArray[np.int64]) -> None:
    """Run a thread, which keeps its memory: on a busy machine it may outlive its pool."""
    serve(address)


def _function(compiled: Any, *arguments: Any) -> Any:
    """Return a compiled function of words as a C function, which releases the GIL."""
    address = machine_address(compiled, types.void(*[types.intp] * len(arguments)))
    return ctypes.CFUNCTYPE(None, *arguments)(address)


@cache
def run_alone() -> Callable[[int], None]:
    """Return `jobs.run_list` as a C function: what this thread needs nobody's help for."""
    run: Callable[[int], None] = _function(jobs.run_list, ctypes.c_int64)
    return run


@cache
def address_of_lists() -> int:
    """Return the machine address of the task `jobs.run_lists`."""
    return machine_address(jobs.run_lists, types.void(*[types.intp] * 4))


_pool: _Pool | None = None
_is_closed = False
_pool_lock = threading.Lock()


def _forget() -> None:
    """In a forked child the pool's threads are gone; it makes a new pool when it needs one."""
    global _pool, _pool_lock
    _pool = None
    _pool_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@atexit.register
def _close() -> None:
    global _pool, _is_closed
    _is_closed = True
    with _pool_lock:
        pool, _pool = _pool, None
    if pool is not None:
        pool.stop()


_task_type = ctypes.CFUNCTYPE(
    None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64
)


@cache
def _as_function(address: int) -> Any:
    """Return the task at a machine address as a C function, which releases the GIL."""
    return _task_type(address)


def run(address: int, cell: Memory, args: Memory, workers: int, threads: int) -> None:
    """Call the task at machine address `address` for each worker.

    cell, args   the memory that it gets the addresses of

    On `threads` threads, this one included; further workers take turns.  May be called from many
    Python threads at once.
    """
    is_alone = workers == 1 or threads == 1 or workers > jobs.MOST_WORKERS
    if lent.openmp is not None and not is_alone and threads <= lent.threads:
        lent.openmp.run(lent.threads, address, cell, args, workers)
        return
    pool = None if is_alone else _opened()
    if pool is not None:
        pool.run(address, cell, args, workers, threads)
        return
    call = _as_function(address)
    for worker in range(workers):
        call(cell, args, worker, workers)


def team(address: int, cell: Memory, args: Memory, workers: int) -> None:
    """Call the task at machine address `address` on a team of up to `workers` members.

    Each member is a thread and gets its number and how many they are: `workers`, or as many of
    them as have come at once, or 1, this thread alone.  Otherwise like `run`.
    """
    if lent.openmp is not None and 1 < workers <= lent.threads:
        lent.openmp.team(lent.threads, address, cell, args, workers)
        return
    pool = None if workers == 1 else _opened()
    if pool is not None:
        pool.team(address, cell, args, workers)
    else:
        _as_function(address)(cell, args, 0, 1)


def _opened() -> _Pool | None:
    """Return the pool of this process, made the first time, or None where there can be none."""
    global _pool
    pool = _pool
    if pool is None and sys.platform != "win32":
        with _pool_lock:
            if _pool is None and not _is_closed:
                _pool = _Pool()
            pool = _pool
    return pool
