"""Cells of one's own: the formula of one step in plain Python, with a derived backward pass.

The class below `cell` runs its `step` once, on symbols in place of numbers, and so records the
formula.  The functions in it are recognised by what they are, wherever they come from: those of
`fastrnn.simd.mathematics`, of `math` and NumPy that mean the same, abs, max and min, and Python
functions and methods that call them in turn.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import numbers
from collections import namedtuple
from collections.abc import Callable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType, new_class
from typing import Any, ClassVar

import numpy as np

from fastrnn.cells import protocol
from fastrnn.cells.derive import functions
from fastrnn.cells.formula import FUNCTIONS, Graph, Value

_PARTS = ("INPUT", "RECURRENT", "BIAS")
_DECLARED = ("GATES", "STATES", *_PARTS)
_DERIVED = ("forward", "backward", "operand", "operand_backward", "INNER", "__init__", "__new__")


def cell(kind: type) -> Any:
    """Make a cell of a class that has gates, states and the formula of one step.

    Parameters
    ----------
    kind : class
        Has, as class attributes, `GATES` and `STATES` and, where they differ from GATES, `INPUT`,
        `RECURRENT` and `BIAS`: tuples of names, as `fastrnn.cells` describes them.  Annotated
        attributes are the cell's constants, floats with or without a default.  Its method
        `step(self, a, state)` returns the new states, from one pre-activation a gate in the order
        of GATES, and one number a state; `self` has the constants.  It is plain Python on
        numbers: + - * /, whole and half powers, and the functions sigmoid, tanh, exp, expm1, log,
        softplus, logsigmoid, sqrt, absolute, maximum, minimum and where_less.  It cannot branch
        on a value.

    Returns
    -------
    class
        A NamedTuple class of the constants, also a subclass of `kind`, with `forward` and
        `backward`; read them with `inspect.getsource`.

    Raises
    ------
    TypeError, ValueError
        Where something is missing or of another kind; and what `step` raises.

    Notes
    -----
    At its edge the gradient of maximum and minimum goes to the first argument, unless the second
    is the same in all hidden units: the slope of maximum(x, 0.0) is 0 at x = 0.

    Examples
    --------
    >>> from fastrnn.cells.own import cell
    >>> from fastrnn.simd.mathematics import tanh
    >>> @cell
    ... class Leaky:
    ...     GATES = ("n",)
    ...     STATES = ("h",)
    ...     rate: float = 0.1
    ...
    ...     def step(self, a, state):
    ...         (n,) = a
    ...         (h,) = state
    ...         return (h + self.rate * (tanh(n) - h),)
    >>> Leaky(rate=0.25)
    Leaky(rate=0.25)
    >>> Leaky(rate=0.25).step((0.0,), (1.0,))
    (0.75,)
    >>> Leaky(rate=0.25).forward((0.0,), (1.0,))
    ((0.0,), (0.75,))
    """
    if not isinstance(kind, type) or issubclass(kind, tuple):
        raise TypeError(f"cell: expected a plain class, got {kind!r}")
    name = kind.__name__
    for attribute in _DERIVED:
        if getattr(kind, attribute, None) is not getattr(object, attribute, None):
            raise TypeError(f"{name}.{attribute}: a cell made of its step has none of its own")
    if not isinstance(inspect.getattr_static(kind, "step", None), FunctionType):
        raise TypeError(f"{name}.step: expected a method step(self, a, state)")
    declared = {part: _names(kind, part) for part in ("GATES", "STATES")}
    for part in _PARTS:
        declared[part] = _part(kind, part, declared["GATES"])
    constants = _constants(kind)

    graph = Graph()
    gates = {g: graph.symbol(f"a_{g}") for g in declared["GATES"]}
    before = {s: graph.symbol(f"{s}_prev") for s in declared["STATES"]}
    after = _recorded(kind, graph, constants, tuple(gates.values()), tuple(before.values()))

    def fill(namespace: dict[str, Any]) -> None:
        namespace.update(declared, __slots__=(), __doc__=kind.__doc__)
        namespace.update(__module__=kind.__module__, __qualname__=kind.__qualname__)

    made: Any = new_class(name, (_fields(kind, constants), kind), {}, fill)
    for part in _PARTS:
        protocol.gate_range(made, part)
    made.forward, made.backward = functions(made, gates, before, after)
    return made


# What the class declares


def _names(kind: type, part: str) -> tuple[str, ...]:
    names = getattr(kind, part, None)
    if (
        not isinstance(names, tuple)
        or not all(isinstance(n, str) and n.isidentifier() for n in names)
        or any(keyword.iskeyword(n) for n in names)
    ):
        raise TypeError(f"{kind.__name__}.{part}: expected a tuple of names, got {names!r}")
    if not names and part in ("GATES", "STATES"):
        raise ValueError(f"{kind.__name__}.{part}: expected at least one name")
    if len(set(names)) < len(names):
        raise ValueError(f"{kind.__name__}.{part}: expected each name once, got {names}")
    return names


def _part(kind: type, part: str, gates: tuple[str, ...]) -> tuple[str, ...]:
    if not hasattr(kind, part):
        return gates
    names = _names(kind, part)
    unknown = [n for n in names if n not in gates]
    if unknown:
        raise ValueError(f"{kind.__name__}.{part}: {unknown[0]!r} is not among GATES {gates}")
    if part == "INPUT" and not names:
        raise ValueError(f"{kind.__name__}.INPUT: expected at least one gate")
    if part == "BIAS" and len(names) < len(gates):
        raise ValueError(f"{kind.__name__}.BIAS: expected all of GATES {gates}, got {names}")
    return names


_REQUIRED = object()


def _constants(kind: type) -> dict[str, Any]:
    """Return the defaults of the annotated attributes, _REQUIRED where there is none."""
    constants: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        for name, hint in inspect.get_annotations(base).items():
            if name in _DECLARED or _is_class_variable(hint):
                continue
            place = f"{kind.__name__}.{name}"
            if name in _DERIVED or name == "step" or name.startswith("_"):
                raise ValueError(f"{place}: not a name for a constant")
            if hint not in (float, int, "float", "int"):
                raise TypeError(f"{place}: expected a float, annotated as {hint!r}")
            default = inspect.getattr_static(kind, name, _REQUIRED)
            if default is not _REQUIRED:
                if not isinstance(default, numbers.Real) or isinstance(default, bool):
                    raise TypeError(f"{place}: expected a float, got {default!r}")
                default = float(default)
            constants[name] = default
    seen_default = False
    for name, default in constants.items():
        if seen_default and default is _REQUIRED:
            raise TypeError(f"{kind.__name__}.{name}: without a default after one with a default")
        seen_default = default is not _REQUIRED
    return constants


def _is_class_variable(hint: Any) -> bool:
    if isinstance(hint, str):
        return hint.partition("[")[0].rpartition(".")[2] == "ClassVar"
    return hint is ClassVar or getattr(hint, "__origin__", None) is ClassVar


def _fields(kind: type, constants: dict[str, Any]) -> Any:
    """Return a NamedTuple class of the constants."""
    defaults = [default for default in constants.values() if default is not _REQUIRED]
    return namedtuple(kind.__name__, constants, defaults=defaults, module=kind.__module__)


# Recording


def _recorded(
    kind: type,
    graph: Graph,
    constants: dict[str, Any],
    a: tuple[Value, ...],
    state: tuple[Value, ...],
) -> list[Value]:
    """Run `step` on symbols; return the new states."""
    recorder = _Recorder(graph)
    methods: dict[str, Any] = {
        name: recorder.seen(member)
        for base in reversed(kind.__mro__[:-1])
        for name, member in vars(base).items()
        if isinstance(member, FunctionType | staticmethod | classmethod | property)
    }
    methods["__setattr__"] = _refuse_memory
    stand_in: Any = object.__new__(type(kind.__name__, (kind,), methods))
    for name in constants:
        vars(stand_in)[name] = graph.symbol(f"cell.{name}", is_vector=False)
    result = stand_in.step(a, state)

    names = ", ".join(kind.STATES)  # type: ignore[attr-defined]
    if not isinstance(result, tuple | list) or len(result) != len(state):
        raise ValueError(
            f"{kind.__name__}.step: expected to return a tuple of {len(state)} states ({names}), "
            f"got {result!r}"
        )
    for new in result:
        if not isinstance(new, Value | numbers.Real):
            raise TypeError(f"{kind.__name__}.step: expected numbers as states, got {new!r}")
    return [graph.value(new) for new in result]


def _refuse_memory(self: Any, name: str, value: Any) -> None:
    raise TypeError(f"a step keeps nothing but its states: it cannot set self.{name}")


#: Names in FUNCTIONS by the identities of the functions that mean them.
_KNOWN = {
    id(function): name
    for name, known in FUNCTIONS.items()
    for function in (known.function, *known.aliases)
}


class _Recorder:
    """Copies of Python functions in which all known functions record values."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._copies: dict[int, Any] = {}

    def seen(self, value: Any) -> Any:
        """Return what is to stand for `value` where a formula names it."""
        if id(value) in _KNOWN:
            return self._recording(value, _KNOWN[id(value)])
        if isinstance(value, FunctionType):
            return self._copy(value)
        if isinstance(value, ModuleType):
            return _Module(self, value)
        if isinstance(value, staticmethod | classmethod):
            return type(value)(self.seen(value.__func__))
        if isinstance(value, property) and value.fget is not None:
            return property(self.seen(value.fget))
        if callable(value) and not isinstance(value, type):
            is_numeric = getattr(value, "__module__", None) in ("math", "numpy")
            if is_numeric or isinstance(value, np.ufunc):
                return self._refusing(value)
        return value

    def _recording(self, function: Any, name: str) -> Any:
        signature = inspect.signature(FUNCTIONS[name].function)

        def record(*arguments: Any, **options: Any) -> Any:
            if not any(isinstance(x, Value) for x in (*arguments, *options.values())):
                return function(*arguments, **options)
            try:
                bound = signature.bind(*arguments, **options)
            except TypeError as error:
                raise TypeError(f"{name}({', '.join(signature.parameters)}): {error}") from None
            for x in bound.args:
                if not isinstance(x, Value | numbers.Real):
                    raise TypeError(f"{name}: expected numbers, got {x!r}")
            return self._graph.call(name, *bound.args)

        return record

    def _refusing(self, function: Any) -> Any:
        def refuse(*arguments: Any, **options: Any) -> Any:
            if any(isinstance(x, Value) for x in arguments):
                raise TypeError(
                    f"{function.__name__}: not among the functions that fastrnn can differentiate: "
                    f"{', '.join(FUNCTIONS)}"
                )
            return function(*arguments, **options)

        return refuse

    def _copy(self, function: FunctionType) -> Any:
        """Return a function of the same code that sees what `seen` returns."""
        if id(function) in self._copies:
            return self._copies[id(function)]
        namespace: dict[str, Any] = {"__builtins__": builtins, "__name__": function.__module__}
        closure = tuple(CellType() for _ in function.__closure__ or ())
        copy = FunctionType(
            function.__code__, namespace, function.__name__, function.__defaults__, closure
        )
        # Before it looks at others: functions may call each other.
        self._copies[id(function)] = copy
        copy.__defaults__ = tuple(map(self.seen, function.__defaults__ or ())) or None
        if function.__kwdefaults__:
            copy.__kwdefaults__ = {k: self.seen(v) for k, v in function.__kwdefaults__.items()}
        for new, old in zip(closure, function.__closure__ or (), strict=True):
            try:
                new.cell_contents = self.seen(old.cell_contents)
            except ValueError:  # not yet filled
                continue
        for name in _names_in(function.__code__):
            if name in function.__globals__:
                namespace[name] = self.seen(function.__globals__[name])
            elif id(getattr(builtins, name, None)) in _KNOWN:
                namespace[name] = self.seen(getattr(builtins, name))
        return copy


class _Module:
    """A module in whose place a formula sees copies of its functions."""

    def __init__(self, recorder: _Recorder, module: ModuleType) -> None:
        self._seen: Callable[[Any], Any] = recorder.seen
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return self._seen(getattr(self._module, name))


def _names_in(code: CodeType) -> Iterator[str]:
    """Names of globals, and of attributes, in a function and those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
