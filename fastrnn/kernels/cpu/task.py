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

import ctypes
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

_DTYPES: dict[Any, np.dtype[Any]] = {
    Doubles: np.dtype(np.float64),
    Ints: np.dtype(np.int64),
    Ids: np.dtype(np.int32),
}
_NUMBA_FLOATS = {np.dtype(np.float32): types.float32, np.dtype(np.float64): types.float64}


class NoCell(NamedTuple):
    """The cell of tasks that have no formula to choose."""


_NO_FORMULA = ((NoCell,), b"")


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
        threads = min(workers, usable_processors())
        address, constants, packed = self.pack(cell, args)
        if _recorder.calls is not None:
            call = Call(self, args, address, constants, packed, workers, threads, False)
            _recorder.calls.append(call)
        pool.run(address, constants, packed, workers, threads)

    def team(self, cell: Any, args: Any, workers: int) -> None:
        """Run the kernel on threads that all run at once: workers that may `meet` on the way.

        Parameters are those of a call.  The kernel learns by its own `workers` how many have come
        together, from 1 to as many as were asked for or there are processors, and does all its
        work with any number of them.
        """
        threads = min(workers, usable_processors())
        address, constants, packed = self.pack(cell, args)
        if _recorder.calls is not None:
            call = Call(self, args, address, constants, packed, workers, threads, True)
            _recorder.calls.append(call)
        pool.team(address, constants, packed, threads)

    def prepare(self, cell: Any, args: Any, workers: int) -> Prepared:
        """Return a call, or a team, that can be run again and again; parameters as of a call."""
        return Prepared(self, cell, args, workers)

    def pack(self, cell: Any, args: Any) -> tuple[int, bytes, bytes]:
        """Return the kernel's machine address, the cell's constants and the arguments."""
        arguments: Any = type(args)
        layout = _layout(arguments)
        packed, dtype = layout.pack(args)
        kinds, constants = _NO_FORMULA if cell is None else formula(cell)
        key = (kinds, layout, dtype)
        address = self._addresses.get(key)
        if address is None:
            microkernel.load(_NUMBA_FLOATS[dtype])
            address = self._addresses[key] = self._compile(kinds, layout.numba_type(dtype))
        return address, constants, packed

    def _compile(self, kinds: Any, args_type: types.Type) -> int:
        """Return the machine address of the kernel for a cell of these classes."""
        cell_type = _numba_type(kinds)
        signature = types.void(
            types.CPointer(cell_type), types.CPointer(args_type), types.intp, types.intp
        )
        if _are_stamped(kinds):
            return machine_address(self._body, signature)
        # The cache would neither notice that a user's formula has changed nor, in a process
        # without the module of the cell, be readable.
        body = kernel(self._body.py_func, is_cached=False)
        self._uncached.append(body)
        return machine_address(body, signature)


# Cells that have been seen lately, by their identity: equal tuples may be of different classes.
_formulas: dict[int, tuple[Any, tuple[Any, bytes]]] = {}


def formula(cell: Any) -> tuple[Any, bytes]:
    """Return the classes of a cell, and its constants as bytes: equal for equal formulas only."""
    known = _formulas.get(id(cell))
    if known is not None and known[0] is cell:
        return known[1]
    try:  # most cells, and all rules of optimizers, have numbers alone
        kinds: Any = (type(cell), *[None] * len(cell))
        formula = kinds, struct.pack(f"{len(cell)}d", *cell)
    except struct.error:
        numbers = _constants(cell)
        formula = _classes(cell), struct.pack(f"{len(numbers)}d", *numbers)
    if len(_formulas) >= 64:
        _formulas.clear()
    _formulas[id(cell)] = cell, formula
    return formula


def _classes(cell: Any) -> Any:
    """Return the class of a cell, and of its fields those that are NamedTuples themselves."""
    return (type(cell), *[_classes(field) if isinstance(field, tuple) else None for field in cell])


def _constants(cell: Any) -> tuple[float, ...]:
    """Return the numbers of a cell and of the NamedTuples within, depth first."""
    numbers: tuple[float, ...] = ()
    for field in cell:
        numbers += _constants(field) if isinstance(field, tuple) else (field,)
    return numbers


def _numba_type(kinds: Any) -> types.Type:
    kind, *fields = kinds
    return types.NamedTuple(
        [types.float64 if field is None else _numba_type(field) for field in fields], kind
    )


def _are_stamped(kinds: Any) -> bool:
    kind, *fields = kinds
    return is_stamped(kind) and all(_are_stamped(field) for field in fields if field is not None)


def task(body: Callable[..., None]) -> Task:
    """Make a task of the kernel `body(cell, args, worker, workers)`.

    `cell` and `args` arrive as pointers to one NamedTuple each: `args = args[0]`.
    """
    return Task(body)


class Call(NamedTuple):
    """A call of a task that has been made; see `recorded`."""

    task: Task
    args: Any
    address: int
    constants: bytes
    packed: bytes
    workers: int
    threads: int
    is_team: bool

    def arrays(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Return the arrays among the arguments, each with its place."""
        arguments: Any = type(self.args)
        for place, _ in _layout(arguments).pointers:
            if self.args[place] is not None:
                yield place, self.args[place]


class _Recorder(threading.local):
    calls: list[Call] | None = None


_recorder = _Recorder()


@contextmanager
def recorded() -> Iterator[list[Call]]:
    """Write down the calls that this thread makes of tasks, which are made as ever."""
    calls: list[Call] = []
    _recorder.calls = calls
    try:
        yield calls
    finally:
        _recorder.calls = None


class Prepared:
    """A call of a task with packed arguments, to be run any number of times; see `Task.prepare`.

    It keeps the arrays among its arguments alive, until they are replaced or it is gone itself.
    One thread may run or change it at a time.
    """

    def __init__(self, task: Task, cell: Any, args: Any, workers: int) -> None:
        self._task = task  # kept: the machine code goes with it
        self._address, self._constants, packed = task.pack(cell, args)
        arguments: Any = type(args)
        layout = _layout(arguments)
        self._places = layout.places
        self._dtypes = _DTYPES | {Floats: layout.pack(args)[1]}
        self._memory = ctypes.create_string_buffer(packed, len(packed))
        self._words = memoryview(self._memory).cast("B").cast("q")
        self._numbers = memoryview(self._memory).cast("B").cast("d")
        self._args = list(args)
        self._workers = workers
        self._threads = min(workers, usable_processors())

    def run(self) -> None:
        """Run the kernel as a call of the task would."""
        pool.run(self._address, self._constants, self._memory, self._workers, self._threads)

    def team(self) -> None:
        """Run the kernel as `Task.team` would."""
        pool.team(self._address, self._constants, self._memory, self._threads)

    def set(self, field: str, value: Any) -> None:
        """Change an argument for the runs to come.

        Parameters
        ----------
        field : str
            The name of a field of the arguments.
        value : int, float, array or None
            What the field holds from now on.  An array has the dtype of the one before, and is
            kept alive; for one that is known to live long enough, its address will do.
        """
        place, kind = self._places[field]
        if kind is float:
            self._numbers[place] = value
        elif kind is int or isinstance(value, int):
            self._words[place] = value
        elif value is None:
            self._words[place] = 0
        elif value.dtype == self._dtypes[kind]:
            self._words[place] = address_of(value)
        else:
            raise TypeError(f"{field}: expected {self._dtypes[kind]}, got {value.dtype}")
        self._args[place] = value


class _Layout:
    """How the NamedTuple class of a task's arguments lies in memory: 8 bytes a field."""

    def __init__(self, arguments: type) -> None:
        self.name = arguments.__name__
        self.arguments = arguments
        hints = get_type_hints(arguments)
        fields: tuple[str, ...] = arguments._fields  # type: ignore[attr-defined]
        self.hints = [hints[field] for field in fields]
        self.pointers = [
            (place, hint is Floats)
            for place, hint in enumerate(self.hints)
            if hint is not int and hint is not float
        ]
        self.places = {field: (place, hints[field]) for place, field in enumerate(fields)}
        self._packer = struct.Struct("".join("d" if h is float else "q" for h in self.hints))

    def pack(self, args: Any) -> tuple[bytes, np.dtype[Any]]:
        """Return the fields of `args` as bytes, arrays by address, and the float dtype."""
        dtype = None
        values = list(args)
        for place, is_float in self.pointers:
            array = values[place]
            if array is None:
                values[place] = 0
                continue
            is_plain = type(array) is _ndarray  # as in `address_of`, at half its price
            values[place] = _word_at(id(array) + _DATA).value if is_plain else address_of(array)
            if is_float and array.dtype is not dtype:
                if dtype is None:
                    dtype = array.dtype
                elif array.dtype != dtype:
                    raise TypeError(f"{self.name}: {array.dtype} beside {dtype}")
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

# Where NumPy's array object holds the address of its numbers: behind what every object begins
# with.  `__array_interface__` takes 0.9 us to say it, most of a call of a small task.
_DATA = object.__basicsize__
_word_at = ctypes.c_ssize_t.from_address
_ndarray = np.ndarray


def address_of(array: Any) -> int:
    """Return the address of an array's first number."""
    if type(array) is np.ndarray:
        return _word_at(id(array) + _DATA).value
    return int(array.__array_interface__["data"][0])
