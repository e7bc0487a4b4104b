"""The threads that run tasks: a pool in which nobody waits for a thread that has not come.

The caller publishes a job and works on it at once; the pool's threads join in if and when the
system lets them run.  Whoever is free claims the next worker number, and the job is done when
all numbers are done.  A parallel loop of OpenMP, in contrast, ends only when every thread has
passed through it: with one busy neighbour on a machine of two processors a region of 1 ms then
takes 8 ms, against 2 ms here.  The price: right after a sleep of the caller the threads may come
too late, and it works alone for the first milliseconds, where OpenMP's come sooner.

All of it is compiled code on one block of shared memory, in words of 8 bytes:

    TICKET     job number, number of workers, next worker to claim; claimed by compare-and-swap
    FINISHED   workers that are done
    BUSY       1 while a job runs; a second caller works alone meanwhile
    SLEEPERS   threads that wait on the condition
    STOP       1 when the threads are to end
    JOB        address of the task, its cell, its arguments

A thread that claims a number has seen the whole ticket unchanged, so the job it reads afterwards
is the ticket's: the next one cannot start before that number is done.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from fastrnn._jit import kernel, machine_address
from fastrnn.kernels.cpu import atomics

# Byte offsets; each word that several threads write has a cache line of its own.
_TICKET, _FINISHED, _BUSY, _SLEEPERS, _STOP, _JOB, _CONDITION, _MUTEX = range(0, 8 * 128, 128)
_BYTES = 8 * 128

_CLAIM_BITS = 20
_MOST_WORKERS = (1 << _CLAIM_BITS) - 1
_JOB_NUMBERS = (1 << (63 - 2 * _CLAIM_BITS)) - 1

# How long a thread looks out for the next job before it sleeps: between 400 and 800 us here,
# longer than what the interpreter needs between two regions of one layer.
_SPINS = 20000
# How long the caller waits for the last workers before it lets other threads run: some 10 us.
_IMPATIENCE = 400

_INT64 = ir.IntType(64)


@intrinsic
def _call(context, address, cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Call the task at machine address `address`."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        function = ir.FunctionType(ir.VoidType(), [_INT64] * 4).as_pointer()
        builder.call(builder.inttoptr(args[0], function), args[1:])
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), generate


@intrinsic
def _word(context, address):  # type: ignore[no-untyped-def]
    """Return the word at an address, read plainly."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.load(builder.inttoptr(args[0], _INT64.as_pointer()))

    return types.intp(types.intp), generate


@kernel
def _work(pool):  # type: ignore[no-untyped-def]
    """Claim and run workers of the present job until none is left; return the job's number."""
    while True:
        ticket = atomics.read(pool + _TICKET)
        worker = ticket & _MOST_WORKERS
        workers = (ticket >> _CLAIM_BITS) & _MOST_WORKERS
        if worker >= workers:
            return ticket >> (2 * _CLAIM_BITS)
        if atomics.replace(pool + _TICKET, ticket, ticket + 1):
            job = pool + _JOB
            _call(_word(job), _word(job + 8), _word(job + 16), worker, workers)
            atomics.add(pool + _FINISHED, 1)


@kernel
def _serve(pool):  # type: ignore[no-untyped-def]
    """Run a pool thread: work on each job, look out for the next, at length sleep."""
    while True:
        seen = _work(pool)
        if atomics.read(pool + _STOP):
            return
        spins = 0
        while atomics.read(pool + _TICKET) >> (2 * _CLAIM_BITS) == seen:
            spins += 1
            atomics.pause()
            if spins == _SPINS:
                atomics.lock(pool + _MUTEX)
                atomics.add(pool + _SLEEPERS, 1)
                while atomics.read(pool + _TICKET) >> (2 * _CLAIM_BITS) == seen:
                    atomics.wait(pool + _CONDITION, pool + _MUTEX)
                atomics.add(pool + _SLEEPERS, -1)
                atomics.unlock(pool + _MUTEX)


@kernel
def _publish(pool, workers, wanted):  # type: ignore[no-untyped-def]
    """Write the ticket of a new job and wake up to `wanted` sleeping threads."""
    number = (atomics.read(pool + _TICKET) >> (2 * _CLAIM_BITS)) + 1
    number &= _JOB_NUMBERS
    atomics.write(pool + _TICKET, (number << (2 * _CLAIM_BITS)) | (workers << _CLAIM_BITS))
    asleep = min(wanted, atomics.read(pool + _SLEEPERS))
    if asleep > 0:
        atomics.lock(pool + _MUTEX)
        for _ in range(asleep):
            atomics.signal(pool + _CONDITION)
        atomics.unlock(pool + _MUTEX)


@kernel
def _dispatch(pool, address, cell, args, workers):  # type: ignore[no-untyped-def]
    """Run a task on `workers` workers, helped by the pool's threads unless they are busy."""
    if not atomics.replace(pool + _BUSY, 0, 1):
        for worker in range(workers):
            _call(address, cell, args, worker, workers)
        return
    job = pool + _JOB
    atomics.write(job, address)
    atomics.write(job + 8, cell)
    atomics.write(job + 16, args)
    atomics.write(pool + _FINISHED, 0)
    _publish(pool, workers, workers - 1)
    _work(pool)
    waits = 0
    while atomics.read(pool + _FINISHED) < workers:
        atomics.pause()
        waits += 1
        if waits > _IMPATIENCE:
            atomics.yield_processor()
    atomics.write(pool + _BUSY, 0)


@kernel
def _stop(pool):  # type: ignore[no-untyped-def]
    """Let the threads end."""
    atomics.write(pool + _STOP, 1)
    _publish(pool, 0, _MOST_WORKERS)


@kernel
def _prepare(pool):  # type: ignore[no-untyped-def]
    """Make the condition and the mutex of a new pool."""
    atomics.initialise(pool + _CONDITION, pool + _MUTEX)


class _Pool:
    """Shared memory and as many threads as any job has asked for."""

    def __init__(self) -> None:
        self._memory: NDArray[np.int64] = np.zeros((_BYTES + 64) // 8, np.int64)
        start = self._memory.__array_interface__["data"][0]
        self._address = start + -start % 64
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        word, memory = ctypes.c_int64, ctypes.c_char_p
        self._serve = _function(_serve, word)
        self._dispatch = _function(_dispatch, word, word, memory, memory, word)
        _function(_prepare, word)(self._address)

    def run(self, address: int, cell: bytes, args: bytes, workers: int, threads: int) -> None:
        """Run a task, on `threads` threads at least where the system gives as many."""
        if len(self._threads) < threads - 1:
            self._start(threads - 1)
        self._dispatch(self._address, address, cell, args, workers)

    def stop(self) -> None:
        """End the threads: their code and their memory are about to go."""
        _function(_stop, ctypes.c_int64)(self._address)
        for thread in self._threads:
            thread.join(timeout=5)

    def _start(self, count: int) -> None:
        with self._lock:
            while len(self._threads) < count:
                name = f"fastrnn-{len(self._threads) + 1}"
                thread = threading.Thread(
                    target=self._serve, args=(self._address,), name=name, daemon=True
                )
                try:
                    thread.start()
                except RuntimeError:  # the interpreter is shutting down, or there are too many
                    break
                self._threads.append(thread)


def _function(compiled: Any, *arguments: Any) -> Any:
    """Return a compiled function of words as a C function, which releases the GIL."""
    address = machine_address(compiled, types.void(*[types.intp] * len(arguments)))
    return ctypes.CFUNCTYPE(None, *arguments)(address)


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


def run(address: int, cell: bytes, args: bytes, workers: int, threads: int) -> None:
    """Call the task at machine address `address` for each worker.

    cell, args   the memory that it gets the addresses of

    On `threads` threads, this one included; further workers take turns.  May be called from many
    Python threads at once.
    """
    global _pool
    is_alone = workers == 1 or threads == 1 or workers > _MOST_WORKERS
    if is_alone or _is_closed or sys.platform == "win32":
        call = _task_type(address)
        for worker in range(workers):
            call(cell, args, worker, workers)
        return
    if _pool is None:
        with _pool_lock:
            if _pool is None:
                _pool = _Pool()
    _pool.run(address, cell, args, workers, threads)
