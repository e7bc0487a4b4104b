"""Atomic words, pauses and the system's locks, for kernels that several threads run at once.

Addresses are plain integers; a word is an aligned int64.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)
_WORD = _INT64.as_pointer()

# All orderings are sequentially consistent: a few of these run per parallel region.
_ORDER = "seq_cst"


@intrinsic
def read(context, word):  # type: ignore[no-untyped-def]
    """Return the word at an address."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.load_atomic(builder.inttoptr(args[0], _WORD), _ORDER, 8)

    return types.intp(types.intp), generate


@intrinsic
def write(context, word, value):  # type: ignore[no-untyped-def]
    """Set the word at an address."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        builder.store_atomic(args[1], builder.inttoptr(args[0], _WORD), _ORDER, 8)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic
def add(context, word, value):  # type: ignore[no-untyped-def]
    """Add to the word at an address; return what it was."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        return builder.atomic_rmw("add", builder.inttoptr(args[0], _WORD), args[1], _ORDER)

    return types.intp(types.intp, types.intp), generate


@intrinsic
def replace(context, word, old, new):  # type: ignore[no-untyped-def]
    """Set the word at an address to `new` if it is `old`; return whether it was."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        pointer = builder.inttoptr(args[0], _WORD)
        result = builder.cmpxchg(pointer, args[1], args[2], _ORDER, _ORDER)
        return builder.extract_value(result, 1)

    return types.boolean(types.intp, types.intp, types.intp), generate


@intrinsic
def pause(context):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a waiting loop."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            _call(builder, "llvm.x86.sse2.pause", ir.VoidType(), [])
        elif machine in ("aarch64", "arm64"):
            _call(builder, "llvm.aarch64.hint", ir.VoidType(), [_INT32(1)])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def yield_processor(context):  # type: ignore[no-untyped-def]
    """Let another thread run (POSIX sched_yield)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        _call(builder, "sched_yield", _INT32, [])
        return context.get_dummy_value()

    return types.void(), generate


def _system_call(name: str, count: int) -> Any:
    """Return an intrinsic that calls a C function of `count` addresses."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        _call(builder, name, _INT32, args)
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
        _call(builder, "pthread_cond_init", _INT32, [args[0], _INT64(0)])
        _call(builder, "pthread_mutex_init", _INT32, [args[1], _INT64(0)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


def _call(builder: ir.IRBuilder, name: str, result: ir.Type, args: list[ir.Value]) -> ir.Value:
    function = builder.module.globals.get(name)
    if function is None:
        shape = ir.FunctionType(result, [a.type for a in args])
        function = ir.Function(builder.module, shape, name)
    return builder.call(function, args)
