"""Which processor a thread runs on, and how it keeps off another one while it sleeps.

Linux may place a thread that is woken on the processor of its waker although another one idles,
as it mostly does on the virtual machine that this was measured on: there the two take turns, and
two threads were no faster than one, even on a task of 4 ms.  A thread that sleeps with all
processors allowed but the waker's runs beside it within 0.1 ms.

Other systems than Linux show no processors: every function here then does nothing.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastrnn._jit import part
from fastrnn.kernels.cpu import atomics

_IS_KNOWN = sys.platform == "linux"
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)

# Sets of 1024 processors, one bit each; where there are more, the system refuses them unread.
_WORDS = 16
_BYTES = 8 * _WORDS


@intrinsic
def current_processor(context):  # type: ignore[no-untyped-def]
    """Return the number of the processor that runs this thread, or -1."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        if not _IS_KNOWN:
            return _INT64(-1)
        return builder.sext(atomics.call(builder, "sched_getcpu", _INT32, []), _INT64)

    return types.intp(), generate


@part
def is_current(processor):  # type: ignore[no-untyped-def]
    """Return whether this thread runs on a processor."""
    return processor >= 0 and processor == current_processor()


@intrinsic
def memory(context):  # type: ignore[no-untyped-def]
    """Return the address of three sets of processors, empty, on this kernel's stack."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        kind = ir.ArrayType(_INT64, 3 * _WORDS)
        with builder.goto_entry_block():
            sets = builder.alloca(kind)
        builder.store(ir.Constant(kind, None), sets)
        return builder.ptrtoint(sets, _INT64)

    return types.intp(), generate


def _of_thread(name: str) -> Any:
    """Return an intrinsic that hands a set of processors to a system call on this thread."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> ir.Value:
        if _IS_KNOWN:
            atomics.call(builder, name, _INT32, [_INT32(0), _INT64(_BYTES), args[0]])
        return context.get_dummy_value()

    return types.void(types.intp), generate


@intrinsic
def _get(context, processors):  # type: ignore[no-untyped-def]
    """Linux sched_getaffinity."""
    return _of_thread("sched_getaffinity")


@intrinsic
def _set(context, processors):  # type: ignore[no-untyped-def]
    """Linux sched_setaffinity; an empty set is refused."""
    return _of_thread("sched_setaffinity")


@part
def keep_off(processor, sets):  # type: ignore[no-untyped-def]
    """Let this thread run on other processors than this one, if there are any.

    sets    what `memory` returned; what was allowed before is noted in it
    """
    allowed, fewer = sets, sets + _BYTES
    _get(allowed)
    _get(fewer)
    if 0 <= processor < 64 * _WORDS:
        word = fewer + 8 * (processor // 64)
        atomics.write(word, atomics.read(word) & ~(1 << (processor % 64)))
        _set(fewer)


@part
def come_back(sets):  # type: ignore[no-untyped-def]
    """Undo `keep_off`, unless somebody else has changed what is allowed since."""
    allowed, fewer, now = sets, sets + _BYTES, sets + 2 * _BYTES
    _get(now)
    for byte in range(0, _BYTES, 8):
        if atomics.read(now + byte) != atomics.read(fewer + byte):
            return
    _set(allowed)
