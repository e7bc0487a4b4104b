"""A formula as a graph of values, recorded by running plain Python on symbols.

Equal expressions are one value, so a graph has no common subexpressions left.  Sums and products
are kept in the order in which they were written, except for constant factors; a division by a
constant is a product with its reciprocal.
"""

from __future__ import annotations

import ast
import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastrnn.simd import mathematics, vector

_NO_BRANCH = (
    "a formula runs on many hidden units at once and cannot branch on the value of one: in place "
    "of if, and, or, not and comparisons, use where_less(x, bound, yes, no), maximum or minimum"
)


class Value:
    """A number of a formula: a symbol, a constant, or an operation on other values."""

    __slots__ = ("content", "graph", "index", "is_vector", "operands", "operation")

    # NumPy's own numbers then leave arithmetic with a value to the value.
    __array_ufunc__ = None
    __hash__ = object.__hash__

    def __init__(
        self, graph: Graph, operation: str, operands: tuple[Value, ...], content: Any, index: int
    ) -> None:
        self.graph = graph
        self.operation = operation
        self.operands = operands
        self.content = content  # of a symbol its name, of a constant its number
        self.index = index  # operands have lower ones
        # Else it is the same number in all hidden units.
        self.is_vector: bool = any(operand.is_vector for operand in operands)

    def __repr__(self) -> str:
        return ast.unparse(expression(self, _names_below(self, 3)))

    def __add__(self, other: Any) -> Any:
        return self._apply(Graph.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return self._apply(Graph.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return self._apply(Graph.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._apply(Graph.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return self._apply(Graph.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply(Graph.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._apply(Graph.divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._apply(Graph.divide, other, self)

    def __neg__(self) -> Value:
        return self.graph.negate(self)

    def __pos__(self) -> Value:
        return self

    def __abs__(self) -> Value:
        return self.graph.call("absolute", self)

    def __pow__(self, power: Any) -> Any:
        if not isinstance(power, numbers.Real) or not (2.0 * float(power)).is_integer():
            raise TypeError(
                f"{self!r} ** {power!r}: expected a whole or half number as the power; for others "
                "use exp(power * log(x))"
            )
        return self.graph.power(self, float(power))

    def __rpow__(self, base: Any) -> Any:
        raise TypeError(f"{base!r} ** {self!r}: use exp(power * log(x))")

    def _no_number(self) -> Any:
        raise TypeError(
            f"a formula has no number for {self!r} yet: float(), int() and functions other than "
            f"{', '.join(FUNCTIONS)} cannot take it, nor can these through super() or a container"
        )

    def _no_branch(self, other: Any = None) -> Any:
        raise TypeError(f"{_NO_BRANCH}; this one asks about {self!r}")

    __float__ = __int__ = __index__ = __complex__ = _no_number
    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _no_branch

    def _apply(self, operation: Any, *operands: Any) -> Any:
        if not all(isinstance(x, Value | numbers.Real) for x in operands):
            return NotImplemented
        return operation(self.graph, *map(self.graph.value, operands))


class Graph:
    """All values of a formula; what makes one simplifies it."""

    def __init__(self) -> None:
        self._values: dict[tuple[object, ...], Value] = {}
        #: Stands for any vector, where only its lanes matter.
        self.like = self.symbol("like")

    def symbol(self, name: str, *, is_vector: bool = True) -> Value:
        """Return a value that has a name and is known when the formula runs."""
        symbol = Value(self, "symbol", (), name, len(self._values))
        symbol.is_vector = is_vector
        # Two symbols of one name are two values.
        self._values[symbol.index,] = symbol
        return symbol

    def value(self, x: Any) -> Value:
        """Return a number, or a value of this graph, as a value."""
        if not isinstance(x, Value):
            return self._value("number", content=float(x))
        if x.graph is not self:
            raise ValueError(f"{x!r} belongs to another formula")
        return x

    def add(self, x: Value, y: Value) -> Value:
        """Return x + y."""
        if _are_numbers(x, y):
            return self.value(x.content + y.content)
        if _is_number(x, 0.0):
            return y
        if _is_number(y, 0.0):
            return x
        if y.operation == "neg":
            return self.subtract(x, y.operands[0])
        if x.operation == "neg":
            return self.subtract(y, x.operands[0])
        if x is y:
            return self.multiply(self.value(2.0), x)
        return self._value("+", x, y)

    def subtract(self, x: Value, y: Value) -> Value:
        """Return x - y."""
        if _are_numbers(x, y):
            return self.value(x.content - y.content)
        if _is_number(x, 0.0):
            return self.negate(y)
        if _is_number(y, 0.0):
            return x
        if y.operation == "neg":
            return self.add(x, y.operands[0])
        if x.operation == "neg":
            return self.negate(self.add(x.operands[0], y))
        return self._value("-", x, y)

    def negate(self, x: Value) -> Value:
        """Return -x."""
        if _are_numbers(x):
            return self.value(0.0 - x.content)
        if x.operation == "neg":
            return x.operands[0]
        if x.operation == "-":
            return self.subtract(x.operands[1], x.operands[0])
        if x.operation == "*" and _are_numbers(x.operands[0]):
            return self.multiply(self.negate(x.operands[0]), x.operands[1])
        return self._value("neg", x)

    def multiply(self, x: Value, y: Value) -> Value:
        """Return x * y, a constant first."""
        if _are_numbers(x, y):
            return self.value(x.content * y.content)
        if _are_numbers(y):
            x, y = y, x
        if _is_number(x, 1.0):
            return y
        if _is_number(x, -1.0):
            return self.negate(y)
        if x.operation == "neg":
            return self.negate(self.multiply(x.operands[0], y))
        if y.operation == "neg":
            return self.negate(self.multiply(x, y.operands[0]))
        if _are_numbers(x) and y.operation == "*" and _are_numbers(y.operands[0]):
            return self.multiply(self.multiply(x, y.operands[0]), y.operands[1])
        return self._value("*", x, y)

    def divide(self, x: Value, y: Value) -> Value:
        """Return x / y."""
        if _are_numbers(x, y) and not _is_number(y, 0.0):
            return self.value(x.content / y.content)
        if _is_number(y, 1.0):
            return x
        if x.operation == "neg":
            return self.negate(self.divide(x.operands[0], y))
        if y.operation == "neg":
            return self.negate(self.divide(x, y.operands[0]))
        if x.is_vector and not y.is_vector and not _is_number(y, 0.0):
            return self.multiply(self.divide(self.value(1.0), y), x)
        return self._value("/", x, y)

    def power(self, x: Value, power: float) -> Value:
        """Return x ** power of a whole or half power, as products."""
        if power < 0:
            return self.divide(self.value(1.0), self.power(x, -power))
        whole, half = divmod(power, 1.0)
        result = self.call("sqrt", x) if half else self.value(1.0)
        for digit in f"{int(whole):b}".lstrip("0")[::-1]:
            if digit == "1":
                result = self.multiply(result, x)
            x = self.multiply(x, x)
        return result

    def call(self, name: str, *arguments: Any) -> Value:
        """Return a function of FUNCTIONS applied to values and numbers."""
        values = [self.value(argument) for argument in arguments]
        if _are_numbers(*values):
            return self.value(FUNCTIONS[name].function(*(value.content for value in values)))
        # Compiled, the first argument has to be a vector.
        first = values[0]
        if not first.is_vector and any(value.is_vector for value in values[1:2]):
            if name in ("maximum", "minimum"):
                values.reverse()
            elif name == "where_less":
                values[:2] = [self.negate(values[1]), self.negate(first)]
        if not values[0].is_vector:
            # like < like holds nowhere: `first` in all lanes.
            values[0] = self._value("where_less", self.like, self.like, self.like, first)
        return self._value(name, *values)

    def _value(self, operation: str, *operands: Value, content: Any = None) -> Value:
        key = [operand.index for operand in operands]
        if operation in ("+", "*"):
            key.sort()
        identity = (operation, *key, repr(content))
        if identity not in self._values:
            index = len(self._values)
            self._values[identity] = Value(self, operation, operands, content, index)
        return self._values[identity]


def _are_numbers(*values: Value) -> bool:
    return all(value.operation == "number" for value in values)


def _is_number(value: Value, number: float) -> bool:
    return value.operation == "number" and value.content == number


_OPERATORS = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult, "/": ast.Div}


def expression(value: Value, names: dict[int, str]) -> ast.expr:
    """Return the Python expression that computes `value` from what has names."""
    if value.index in names:
        return ast.Name(names[value.index], ast.Load())
    if value.operation == "number":
        return ast.Constant(value.content)
    if value.operation == "symbol":
        parsed: ast.expr = ast.parse(value.content, mode="eval").body
        return parsed
    operands = [expression(operand, names) for operand in value.operands]
    if value.operation == "neg":
        return ast.UnaryOp(ast.USub(), operands[0])
    if value.operation in _OPERATORS:
        return ast.BinOp(operands[0], _OPERATORS[value.operation](), operands[1])
    return ast.Call(ast.Name(value.operation, ast.Load()), operands, [])


def _names_below(value: Value, depth: int) -> dict[int, str]:
    """Return "..." for all operations that are deeper than this."""
    if not value.operands:
        return {}
    if depth == 0:
        return {value.index: "..."}
    names: dict[int, str] = {}
    for operand in value.operands:
        names |= _names_below(operand, depth - 1)
    return names


# The functions of a formula

Pullback = Callable[..., tuple["Value | None", ...]]


class Function(NamedTuple):
    """A function that a formula may call.

    function   of vectors in kernels, of floats elsewhere
    cost       in additions
    pullback   (d, y, *x) -> gradients of the arguments x, from y = function(*x) and its gradient d
    aliases    what else means it in a formula
    """

    function: Any
    cost: int
    pullback: Pullback
    aliases: tuple[Any, ...] = ()


def _where_less(x: Value, bound: Any, yes: Any, no: Any) -> Value:
    return x.graph.call("where_less", x, bound, yes, no)


def _expm1(x: Value) -> Value:
    return x.graph.call("expm1", x)


def _absolute_pullback(d: Value, y: Value, x: Value) -> tuple[Value, ...]:
    return (_where_less(x, 0.0, -d, d),)


def _maximum_pullback(d: Value, y: Value, x: Value, bound: Value) -> tuple[Value | None, ...]:
    if bound.is_vector:
        return _where_less(x, bound, 0.0, d), _where_less(x, bound, d, 0.0)
    # Of y alone, so that x need not be kept; y - bound is 0 or NaN.
    return _where_less(bound, y, d, y - bound), None


def _minimum_pullback(d: Value, y: Value, x: Value, bound: Value) -> tuple[Value | None, ...]:
    if bound.is_vector:
        return _where_less(bound, x, 0.0, d), _where_less(bound, x, d, 0.0)
    return _where_less(y, bound, d, y - bound), None


def _where_less_pullback(
    d: Value, y: Value, x: Value, bound: Value, yes: Value, no: Value
) -> tuple[Value | None, ...]:
    return None, None, _where_less(x, bound, d, 0.0), _where_less(x, bound, 0.0, d)


#: Every function by the name that derived sources call it.
FUNCTIONS: dict[str, Function] = {
    "sigmoid": Function(mathematics.sigmoid, 16, lambda d, y, x: (d * (y * (1.0 - y)),)),
    "tanh": Function(
        mathematics.tanh, 16, lambda d, y, x: (d * (1.0 - y * y),), (math.tanh, np.tanh)
    ),
    "exp": Function(mathematics.exp, 12, lambda d, y, x: (d * y,), (math.exp, np.exp)),
    "expm1": Function(
        mathematics.expm1, 13, lambda d, y, x: (d * (y + 1.0),), (math.expm1, np.expm1)
    ),
    "log": Function(mathematics.log, 24, lambda d, y, x: (d / x,), (math.log, np.log)),
    "softplus": Function(mathematics.softplus, 24, lambda d, y, x: (-d * _expm1(-y),)),
    "logsigmoid": Function(mathematics.logsigmoid, 24, lambda d, y, x: (-d * _expm1(y),)),
    "sqrt": Function(
        mathematics.sqrt, 8, lambda d, y, x: (0.5 * d / y,), (math.sqrt, np.sqrt, vector.sqrt)
    ),
    "absolute": Function(
        mathematics.absolute, 1, _absolute_pullback,
        (abs, math.fabs, np.absolute, np.fabs, vector.absolute),
    ),
    "maximum": Function(
        mathematics.maximum, 1, _maximum_pullback, (max, np.maximum, vector.maximum)
    ),
    "minimum": Function(
        mathematics.minimum, 1, _minimum_pullback, (min, np.minimum, vector.minimum)
    ),
    "where_less": Function(mathematics.where_less, 2, _where_less_pullback, (vector.where_less,)),
}  # fmt: skip
