"""Tasks on the OpenMP threads of another library, instead of those of `pool`.

Threads of OpenMP look out for more work for up to 20 ms after each parallel region (GNU libgomp:
300,000 looks).  Where a program goes to and fro between fastrnn and such a library, those threads
are awake on the processors that ours need: two threads of each kind on two processors get half of
them each.  In one region of theirs, on the contrary, both work at once.

The library calls a function on every thread of a team.  Each then claims worker numbers, as the
threads of the pool do, until there are no more; workers that meet get one number each.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrnn._jit import kernel, machine_address
from fastrnn.kernels.cpu import atomics
from fastrnn.kernels.cpu.jobs import call_task

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)

# Words of a job, which lies on the stack of its caller.  The next number to be claimed has a cache
# line of its own.
_TASK, _CELL, _ARGS, _WORKERS, _IS_TEAM, _COUNT, _NEXT = (*range(0, 48, 8), 128)
_BYTES = 256


@intrinsic
def _memory(context):  # type: ignore[no-untyped-def]
    """Return the address of a job on this kernel's stack."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        with builder.goto_entry_block():
            job = builder.alloca(ir.ArrayType(_INT64, _BYTES // 8))
        return builder.ptrtoint(job, _INT64)

    return types.intp(), generate


@intrinsic
def _count(context, address):  # type: ignore[no-untyped-def]
    """Call `omp_get_num_threads`, or another function of no arguments, at an address."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        function = ir.FunctionType(_INT32, []).as_pointer()
        return builder.sext(builder.call(builder.inttoptr(args[0], function), []), _INT64)

    return types.intp(types.intp), generate


@intrinsic
def _parallel(context, address, function, job, threads):  # type: ignore[no-untyped-def]
    """Call `GOMP_parallel` at an address: run `function(job)` on so many threads."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        address, function, job, threads = args
        kind = ir.FunctionType(ir.VoidType(), [_INT64, _INT64, _INT32, _INT32]).as_pointer()
        count = builder.trunc(threads, _INT32)
        builder.call(builder.inttoptr(address, kind), [function, job, count, _INT32(0)])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


@kernel
def join(job):  # type: ignore[no-untyped-def]
    """Do the part of one thread of the team in a job."""
    workers = atomics.read(job + _WORKERS)
    is_team = atomics.read(job + _IS_TEAM)
    if is_team:
        # They all run, but may be fewer than were asked for.
        workers = min(workers, _count(atomics.read(job + _COUNT)))
    while True:
        worker = atomics.add(job + _NEXT, 1)
        if worker >= workers:
            return
        task, cell = atomics.read(job + _TASK), atomics.read(job + _CELL)
        call_task(task, cell, atomics.read(job + _ARGS), worker, workers)
        if is_team:
            return


@kernel
def dispatch(parallel, count, member, threads, task, cell, args, workers, is_team):  # type: ignore[no-untyped-def]
    """Run a task on a team of `threads` threads of OpenMP.

    parallel, count, member   addresses of GOMP_parallel, omp_get_num_threads and `join`
    """
    job = _memory()
    atomics.write(job + _TASK, task)
    atomics.write(job + _CELL, cell)
    atomics.write(job + _ARGS, args)
    atomics.write(job + _WORKERS, workers)
    atomics.write(job + _IS_TEAM, is_team)
    atomics.write(job + _COUNT, count)
    atomics.write(job + _NEXT, 0)
    _parallel(parallel, member, job, threads)


class OpenMP:
    """The threads of a library that has been loaded and runs on OpenMP.

    Parameters
    ----------
    library : ctypes.CDLL
        What has the functions GOMP_parallel and omp_get_num_threads, or depends on it.

    Raises
    ------
    AttributeError
        If it has them not.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        word, memory = ctypes.c_int64, ctypes.c_char_p
        parallel, count = (
            ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
            for name in ("GOMP_parallel", "omp_get_num_threads")
        )
        member = machine_address(join, types.void(types.intp))
        address = machine_address(dispatch, types.void(*[types.intp] * 9))
        kind = ctypes.CFUNCTYPE(None, *[word] * 5, memory, memory, word, word)
        self._functions = word(parallel), word(count), word(member)
        self._dispatch = kind(address)

    def run(self, threads: int, address: int, cell: Any, args: Any, workers: int) -> None:
        """Run a task on a team of `threads` threads; see `pool.run`."""
        self._dispatch(*self._functions, threads, address, cell, args, workers, 0)

    def team(self, threads: int, address: int, cell: Any, args: Any, workers: int) -> None:
        """Run a task on a team of which `workers` threads take part; see `pool.team`."""
        self._dispatch(*self._functions, threads, address, cell, args, workers, 1)


class _Lent(threading.local):
    """The threads that the tasks of this Python thread run on: those of `pool` where None."""

    openmp: OpenMP | None = None
    threads = 1


lent = _Lent()
_is_child = False


def _after_fork() -> None:
    """Lend nothing in a forked child: it has none of the threads that the library counts on."""
    global _is_child
    _is_child = True
    lent.openmp = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Lending:
    """A context within which tasks of this Python thread run on the threads of another library.

    Parameters
    ----------
    openmp : OpenMP or None
        None for the threads of `pool`.
    threads : int
        How many the library uses itself, at present: a team of another size costs it the threads
        that it has.  Tasks that want more run on the pool.
    """

    def __init__(self, openmp: OpenMP | None, threads: int) -> None:
        self._new = (None, 1) if _is_child or threads < 2 else (openmp, threads)

    def __enter__(self) -> None:
        self._old = lent.openmp, lent.threads
        lent.openmp, lent.threads = self._new

    def __exit__(self, *_: object) -> None:
        lent.openmp, lent.threads = self._old
