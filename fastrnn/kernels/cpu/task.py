"""Tasks: kernels that several workers run side by side, with arguments by address.

A task is a kernel `body(cell, args, worker, workers)`; `cell` and `args` are NamedTuples.  It is
compiled once for each type of cell and number format, and the thread pool calls it through its
machine address: a parallel loop of Numba's own costs a second or more to compile, each.  The
annotations of `args` say what a field is in the kernel:

| annotation | given | in the kernel |
|---|---|---|
| `Floats` | array of the task's float dtype, or None | pointer to its first number |
| `Doubles` | float64 array, or None | pointer |
| `Ints` | int64 array, or None | pointer |
| `Ids` | int32 array, or None | pointer |
| `int` | int | intp |
| `float` | float | float64 |
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, NewType, get_type_hints

import numpy as np
from numba import types
from numpy.typing import NDArray

from fastrnn._jit import is_stamped, kernel, machine_address
from fastrnn.kernels.cpu import pool
from fastrnn.kernels.cpu.threads import usable_processors
from fastrnn.simd import microkernel

if TYPE_CHECKING:
    Floats = NDArray[Any] | None
    Doubles = NDArray[np.float64] | None
    Ints = NDArray[np.int64] | None
    Ids = NDArray[np.int32] | None
else:
    Floats = NewType("Floats", object)
    Doubles = NewType("Doubles", object)
    Ints = NewType("Ints", object)
    Ids = NewType("Ids", object)

_NUMBA_FLOATS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}


class NoCell(NamedTuple):
    """The cell of tasks that have no formula to choose."""


_NO_CELL = NoCell()


class Task:
    """A kernel that several workers run side by side; made by `@task`."""

    def __init__(self, body: Callable[..., None]) -> None:
        self.__doc__ = body.__doc__
        self.__name__ = body.__name__
        self._body = kernel(body)
        self._uncached: list[Any] = []  # kept: machine code goes with its last reference
        self._addresses: dict[tuple[Any, ...], int] = {}

    def __call__(self, cell: Any, args: Any, workers: int) -> None:
        """Run the kernel on `workers` workers, on as many threads as there are.

        Parameters
        ----------
        cell : NamedTuple of floats or None
            Its class chooses the formula, where the kernel has one to choose.
        args : NamedTuple
            See the module's table.  All `Floats` have one dtype.
        workers : int
            At least 1.  What a worker does depends on its number only, never on its thread.
        """
        if cell is None:
            cell = _NO_CELL
        arguments: Any = type(args)
        layout = _layout(arguments)
        packed, dtype = layout.pack(args)
        key = (type(cell), layout, dtype)
        address = self._addresses.get(key)
        if address is None:
            microkernel.load(_NUMBA_FLOATS[dtype])
            address = self._addresses[key] = self._compile(cell, layout.numba_type(dtype))
        constants = struct.pack(f"{len(cell)}d", *cell)
        pool.run(address, constants, packed, workers, min(workers, usable_processors()))

    def _compile(self, cell: Any, args_type: types.Type) -> int:
        """Return the machine address of the kernel for these types."""
        cell_type = types.NamedTuple([types.float64] * len(cell), type(cell))
        signature = types.void(
            types.CPointer(cell_type), types.CPointer(args_type), types.intp, types.intp
        )
        if is_stamped(type(cell)):
            return machine_address(self._body, signature)
        # The cache would neither notice that a user's formula has changed nor, in a process
        # without the module of the cell, be readable.
        body = kernel(self._body.py_func, is_cached=False)
        self._uncached.append(body)
        return machine_address(body, signature)


def task(body: Callable[..., None]) -> Task:
    """Make a task of the kernel `body(cell, args, worker, workers)`.

    `cell` and `args` arrive as pointers to one NamedTuple each: `args = args[0]`.
    """
    return Task(body)


class _Layout:
    """How the NamedTuple class of a task's arguments lies in memory: 8 bytes a field."""

    def __init__(self, arguments: type) -> None:
        self.name = arguments.__name__
        self.arguments = arguments
        hints = get_type_hints(arguments)
        self.hints = [hints[field] for field in arguments._fields]  # type: ignore[attr-defined]
        self._pointers = [
            (place, hint is Floats)
            for place, hint in enumerate(self.hints)
            if hint is not int and hint is not float
        ]
        self._packer = struct.Struct("".join("d" if h is float else "q" for h in self.hints))

    def pack(self, args: Any) -> tuple[bytes, np.dtype[Any]]:
        """Return the fields of `args` as bytes, arrays by address, and the float dtype."""
        dtype = None
        values = list(args)
        for place, is_float in self._pointers:
            array = values[place]
            if array is None:
                values[place] = 0
                continue
            values[place] = array.__array_interface__["data"][0]
            if is_float:
                if dtype is not None and array.dtype != dtype:
                    raise TypeError(f"{self.name}: {array.dtype} beside {dtype}")
                dtype = array.dtype
        if dtype is None:
            raise TypeError(f"{self.name}: no float array among its fields")
        return self._packer.pack(*values), dtype

    def numba_type(self, dtype: np.dtype[Any]) -> types.Type:
        """Return the type of the arguments in the kernel."""
        pointers = {
            Floats: types.CPointer(_NUMBA_FLOATS[dtype]),
            Doubles: types.CPointer(types.float64),
            Ints: types.CPointer(types.int64),
            Ids: types.CPointer(types.int32),
            int: types.intp,
            float: types.float64,
        }
        return types.NamedTuple([pointers[hint] for hint in self.hints], self.arguments)


_layout = cache(_Layout)
