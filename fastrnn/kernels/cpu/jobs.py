"""How a job gets from its caller to the threads of the pool, and who does what part of it.

All of it is compiled code on one block of shared memory, in words of 8 bytes:

    TICKET     job number, number of workers, next worker to claim; claimed by compare-and-swap.
               A team of fewer than were asked for is closed by lowering the number of workers
    FINISHED   workers that are done; of a team, without the caller
    BUSY       1 while a job runs; a second caller works alone meanwhile
    SLEEPERS   threads that wait on the condition
    STOP       1 when the threads are to end
    JOB        address of the task, its cell, its arguments; 1 for a team; the caller's processor
    MISSED     teams in a row to which a woken thread came too late

A thread that claims a number has seen the whole ticket unchanged, so the job it reads afterwards
is the ticket's: the next one cannot start before that number is done.  A thread on the caller's
own processor claims nothing: it would only take the caller's time.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrnn._jit import kernel
from fastrnn.kernels.cpu import atomics, placement

# Byte offsets; each word that several threads write has a cache line of its own.
_TICKET, _FINISHED, _BUSY, _SLEEPERS, _STOP, _JOB, _CONDITION, _MUTEX = range(0, 8 * 128, 128)
_TASK, _CELL, _ARGS, _IS_TEAM, _CALLER, _MISSED = range(_JOB, _JOB + 48, 8)

#: Size of the shared memory, which is zero at first and begins a cache line.
BYTES = 8 * 128

_CLAIM_BITS = 20
_JOB_NUMBERS = (1 << (63 - 2 * _CLAIM_BITS)) - 1

#: More workers than this have no place in a ticket.
MOST_WORKERS = (1 << _CLAIM_BITS) - 1

# Nanoseconds.  How long a thread looks out for the next job, after the end of one, before it
# sleeps: longer than what the interpreter needs between two regions of one layer.
_LOOKOUT = 600_000
# How long at most while a job runs that has no work left for it.
_LONGEST_LOOKOUT = 5_000_000
# How long a team waits for its members, while threads look out and while they sleep.  They come
# within 1 us here, and 40 us (75 %: 60 us) after 2 ms of sleep, but 100 us after 30 ms of it: for
# longer than this, only large tasks would gain by waiting.
_GATHERING = 3_000
_WAKING = 60_000

# Of the teams that would have to wait for sleeping threads after one that did so in vain, one in
# so many tries again.
_RETRY = 16

# How often a thread looks out for a job before it looks at the clock: 2 us here.
_LOOKS = 64

_INT64 = ir.IntType(64)


@intrinsic
def call_task(context, address, cell, args, worker, workers):  # type: ignore[no-untyped-def]
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
        worker = ticket & MOST_WORKERS
        workers = (ticket >> _CLAIM_BITS) & MOST_WORKERS
        if worker >= workers:
            return ticket >> (2 * _CLAIM_BITS)
        if atomics.replace(pool + _TICKET, ticket, ticket + 1):
            if _word(pool + _IS_TEAM):
                workers = _await_team(pool)
            call_task(
                _word(pool + _TASK), _word(pool + _CELL), _word(pool + _ARGS), worker, workers
            )
            atomics.add(pool + _FINISHED, 1)


@kernel
def _await_team(pool):  # type: ignore[no-untyped-def]
    """Wait until the team is closed; return how many members it has."""
    moments = 0
    while True:
        ticket = atomics.read(pool + _TICKET)
        members = (ticket >> _CLAIM_BITS) & MOST_WORKERS
        if ticket & MOST_WORKERS == members:
            return members
        atomics.wait_a_moment(moments)
        moments += 1


@kernel
def _close_team(pool, patience):  # type: ignore[no-untyped-def]
    """Wait until the team is full, `patience` ns at most; return how many members it has."""
    end = atomics.clock() + patience
    while True:
        ticket = atomics.read(pool + _TICKET)
        joined = ticket & MOST_WORKERS
        missing = ((ticket >> _CLAIM_BITS) & MOST_WORKERS) - joined
        if missing == 0:
            return joined
        if atomics.clock() > end:
            if atomics.replace(pool + _TICKET, ticket, ticket - (missing << _CLAIM_BITS)):
                return joined
        atomics.pause()


@kernel
def serve(pool):  # type: ignore[no-untyped-def]
    """Run a pool thread: work on each job, look out for the next, at length sleep."""
    processors = placement.memory()
    while True:
        while placement.is_current(atomics.read(pool + _CALLER)) and atomics.read(pool + _BUSY):
            placement.keep_off(atomics.read(pool + _CALLER), processors)
            placement.come_back(processors)
            atomics.yield_processor()
        seen = _work(pool)
        if atomics.read(pool + _STOP):
            return
        if not _look_out(pool, seen):
            placement.keep_off(atomics.read(pool + _CALLER), processors)
            _sleep(pool, seen)
            placement.come_back(processors)


@kernel
def _look_out(pool, seen):  # type: ignore[no-untyped-def]
    """Wait for a job after number `seen`; return whether one came before it is time to sleep."""
    now = begin = idle = atomics.clock()
    while now - idle < _LOOKOUT and now - begin < _LONGEST_LOOKOUT:
        for _ in range(_LOOKS):
            if atomics.read(pool + _TICKET) >> (2 * _CLAIM_BITS) != seen:
                return True
            atomics.pause()
        if placement.is_current(atomics.read(pool + _CALLER)):
            atomics.yield_processor()
        now = atomics.clock()
        if atomics.read(pool + _BUSY):
            idle = now
    return False


@kernel
def _sleep(pool, seen):  # type: ignore[no-untyped-def]
    """Wait on the condition for a job after number `seen`."""
    atomics.lock(pool + _MUTEX)
    atomics.add(pool + _SLEEPERS, 1)
    while atomics.read(pool + _TICKET) >> (2 * _CLAIM_BITS) == seen:
        atomics.wait(pool + _CONDITION, pool + _MUTEX)
    atomics.add(pool + _SLEEPERS, -1)
    atomics.unlock(pool + _MUTEX)


@kernel
def _publish(pool, workers, first, wanted):  # type: ignore[no-untyped-def]
    """Write the ticket of a new job, of which worker `first` is claimed next.

    Wakes up to `wanted` sleeping threads; returns how many.
    """
    number = (atomics.read(pool + _TICKET) >> (2 * _CLAIM_BITS)) + 1
    number &= _JOB_NUMBERS
    ticket = (((number << _CLAIM_BITS) | workers) << _CLAIM_BITS) | first
    atomics.write(pool + _TICKET, ticket)
    asleep = min(wanted, atomics.read(pool + _SLEEPERS))
    if asleep > 0:
        # Who has found no job and does not wait yet is let through to do so.
        atomics.lock(pool + _MUTEX)
        atomics.unlock(pool + _MUTEX)
        for _ in range(asleep):
            atomics.signal(pool + _CONDITION)
    return asleep


@kernel
def _begin(pool, address, cell, args, is_team):  # type: ignore[no-untyped-def]
    """Take the pool and write down the job; return whether it was free."""
    if not atomics.replace(pool + _BUSY, 0, 1):
        return False
    atomics.write(pool + _TASK, address)
    atomics.write(pool + _CELL, cell)
    atomics.write(pool + _ARGS, args)
    atomics.write(pool + _IS_TEAM, is_team)
    atomics.write(pool + _CALLER, placement.current_processor())
    atomics.write(pool + _FINISHED, 0)
    return True


@kernel
def _end(pool, workers):  # type: ignore[no-untyped-def]
    """Wait until `workers` workers are done; give the pool back."""
    moments = 0
    while atomics.read(pool + _FINISHED) < workers:
        atomics.wait_a_moment(moments)
        moments += 1
    atomics.write(pool + _BUSY, 0)


@kernel
def dispatch(pool, address, cell, args, workers):  # type: ignore[no-untyped-def]
    """Run a task on `workers` workers, helped by the pool's threads unless they are busy."""
    if not _begin(pool, address, cell, args, 0):
        for worker in range(workers):
            call_task(address, cell, args, worker, workers)
        return
    _publish(pool, workers, 0, workers - 1)
    _work(pool)
    _end(pool, workers)


@kernel
def gather(pool, address, cell, args, workers):  # type: ignore[no-untyped-def]
    """Run a task on a team of up to `workers` members, this thread the first of them."""
    if not _begin(pool, address, cell, args, 1):
        call_task(address, cell, args, 0, 1)
        return
    asleep = _publish(pool, workers, 1, workers - 1)
    missed = _word(pool + _MISSED)
    patience = _WAKING if asleep > 0 and missed % _RETRY == 0 else _GATHERING
    members = _close_team(pool, patience)
    if asleep > 0:
        atomics.write(pool + _MISSED, 0 if members == workers else missed + 1)
    call_task(address, cell, args, 0, members)
    _end(pool, members - 1)


@kernel
def run_lists(_, lists, worker, workers):  # type: ignore[no-untyped-def]
    """Run lists of calls, each on one thread: a task like others, whose arguments are words.

    lists    their number; then of each the address of its calls, and how many there are.  A call
             is the addresses of the task, its cell and its arguments, and its workers: 0 for a
             team, which is one of a single member here
    """
    count = _word(lists)
    for n in range(count * worker // workers, count * (worker + 1) // workers):
        calls = _word(lists + 8 + 16 * n)
        for i in range(_word(lists + 16 + 16 * n)):
            call = calls + 32 * i
            members = max(1, _word(call + 24))
            for member in range(members):
                call_task(_word(call), _word(call + 8), _word(call + 16), member, members)


@kernel
def run_list(lists):  # type: ignore[no-untyped-def]
    """Run lists of calls on this thread; see `run_lists`."""
    run_lists(0, lists, 0, 1)


@kernel
def stop(pool):  # type: ignore[no-untyped-def]
    """Let the threads end when the present job is done; later callers work alone."""
    if not atomics.replace(pool + _STOP, 0, 1):
        return
    while not atomics.replace(pool + _BUSY, 0, 1):
        atomics.yield_processor()
    atomics.write(pool + _CALLER, -1)  # on no thread's processor: all may go on
    _publish(pool, 0, 0, MOST_WORKERS)


@kernel
def prepare(pool):  # type: ignore[no-untyped-def]
    """Make the condition and the mutex of a new pool."""
    atomics.initialise(pool + _CONDITION, pool + _MUTEX)
