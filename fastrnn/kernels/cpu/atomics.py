"""Atomic words, meetings, pauses and the system's locks, for kernels that threads run at once.

A word is an aligned int64; it is given by its address, or by the pointer that an `Ints` argument
is in a kernel.
"""

from __future__ import annotations

import platform
import time
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrnn._jit import part

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_WORD = _INT64.as_pointer()

# All orderings are sequentially consistent: a few of these run per parallel region.
_ORDER = "seq_cst"

# A word that counts members in its low bits has its number of rounds above them.
_MEMBER_BITS = 20
_MEMBERS = (1 << _MEMBER_BITS) - 1

# How often a member looks whether all have come before it lets other threads run: 12 us here.
_IMPATIENCE = 400


def _place(word: types.Type) -> types.Type:
    return word if isinstance(word, types.CPointer) else types.intp


def _pointer(builder: ir.IRBuilder, word: ir.Value) -> ir.Value:
    if isinstance(word.type, ir.PointerType):
        return builder.bitcast(word, _WORD)
    return builder.inttoptr(word, _WORD)


@intrinsic
def read(context, word):  # type: ignore[no-untyped-def]
    """Return the word at an address."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.load_atomic(_pointer(builder, args[0]), _ORDER, 8)

    return types.intp(_place(word)), generate


@intrinsic
def write(context, word, value):  # type: ignore[no-untyped-def]
    """Set the word at an address."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        builder.store_atomic(args[1], _pointer(builder, args[0]), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(_place(word), types.intp), generate


@intrinsic
def add(context, word, value):  # type: ignore[no-untyped-def]
    """Add to the word at an address; return what it was."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.atomic_rmw("add", _pointer(builder, args[0]), args[1], _ORDER)

    return types.intp(_place(word), types.intp), generate


@intrinsic
def replace(context, word, old, new):  # type: ignore[no-untyped-def]
    """Set the word at an address to `new` if it is `old`; return whether it was."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        pointer = _pointer(builder, args[0])
        result = builder.cmpxchg(pointer, args[1], args[2], _ORDER, _ORDER)
        return builder.extract_value(result, 1)

    return types.boolean(_place(word), types.intp, types.intp), generate


@intrinsic
def pause(context):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a waiting loop."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            call(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        elif machine in ("aarch64", "arm64"):
            call(builder, "llvm.aarch64.hint", ir.VoidType(), [_INT32(1)])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def yield_processor(context):  # type: ignore[no-untyped-def]
    """Let another thread run (POSIX sched_yield)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        call(builder, "sched_yield", _INT32, [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def clock(context):  # type: ignore[no-untyped-def]
    """Nanoseconds since some moment (POSIX clock_gettime)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        with builder.goto_entry_block():
            span = builder.alloca(_INT64, 2)
        call(builder, "clock_gettime", _INT32, [_INT32(time.CLOCK_MONOTONIC), span])
        seconds = builder.load(span)
        rest = builder.load(builder.gep(span, [_INT64(1)]))
        return builder.add(builder.mul(seconds, _INT64(10**9)), rest)

    return types.intp(), generate


@part
def wait_a_moment(moments):  # type: ignore[no-untyped-def]
    """Pass a short time in a waiting loop, which has passed `moments` before."""
    pause()
    if moments > _IMPATIENCE:
        yield_processor()


@part
def meet(word, members):  # type: ignore[no-untyped-def]
    """Wait until all members of a team have come here: what each wrote before, all see after.

    word    on a cache line of its own; 0 before the first meeting

    The last to come leaves the word ready for the next meeting, of as many members or of others,
    also in another task.  A meeting of two takes 50 ns where both are there already.
    """
    before = add(word, 1)
    if before & _MEMBERS == members - 1:
        # One more round; nobody is here.
        add(word, (1 << _MEMBER_BITS) - members)
        return
    moments = 0
    while read(word) >> _MEMBER_BITS == before >> _MEMBER_BITS:
        wait_a_moment(moments)
        moments += 1


def _system_call(name: str, count: int) -> Any:
    """Return an intrinsic that calls a C function of `count` addresses."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        call(builder, name, _INT32, args)
        return context.get_dummy_value()

    return types.void(*[types.intp] * count), generate


@intrinsic
def lock(context, mutex):  # type: ignore[no-untyped-def]
    """POSIX pthread_mutex_lock."""
    return _system_call("pthread_mutex_lock", 1)


@intrinsic
def unlock(context, mutex):  # type: ignore[no-untyped-def]
    """POSIX pthread_mutex_unlock."""
    return _system_call("pthread_mutex_unlock", 1)


@intrinsic
def wait(context, condition, mutex):  # type: ignore[no-untyped-def]
    """POSIX pthread_cond_wait."""
    return _system_call("pthread_cond_wait", 2)


@intrinsic
def signal(context, condition):  # type: ignore[no-untyped-def]
    """POSIX pthread_cond_signal."""
    return _system_call("pthread_cond_signal", 1)


@intrinsic
def initialise(context, condition, mutex):  # type: ignore[no-untyped-def]
    """POSIX pthread_cond_init and pthread_mutex_init, with default attributes."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        call(builder, "pthread_cond_init", _INT32, [args[0], _INT64(0)])
        call(builder, "pthread_mutex_init", _INT32, [args[1], _INT64(0)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


def call(builder: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value]) -> ir.Value:
    """Call a C function, or an intrinsic of LLVM, by its name."""
    function = builder.module.globals.get(name)
    if function is None:
        shape = ir.FunctionType(result, [a.type for a in args])
        function = ir.Function(builder.module, shape, name)
    return builder.call(function, args)
