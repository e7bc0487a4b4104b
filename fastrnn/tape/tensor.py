"""Arrays with a place in a computation, and weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.tape.records import Node, settle

Array = NDArray[Any]


class Tensor:
    """An array with a place in a computation; `numpy.asarray(tensor)` is its value.

    A tensor that is made by hand is a source of gradients to every tape, as a Variable is; what
    operations return and `fastrnn.ops.convert_to_tensor` makes of arrays is not until a tape is
    asked to watch it.

    Operators are the functions of that name of `fastrnn.ops`; so `==` compares element by element,
    and tensors are told apart by identity in sets and dictionaries.

    Parameters
    ----------
    value : array
        Is not copied.  What is not an array yet becomes one; Python floats become float32.

    Attributes
    ----------
    mask : (B, T) array of bools or None
        The steps of a batch of sequences that count; layers hand it on.
    """

    # A NumPy array on the left of an operator leaves the operation to the tensor.
    __array_priority__ = 100

    mask: Array | None = None
    _node: Node | None = None
    # Whether a computation or a conversion made it.
    _is_made = False
    # The operation that made this tensor, where it has no gradient.
    _made_by: str | None = None

    def __init__(self, value: Any) -> None:
        self._value: Array = value if type(value) is np.ndarray else as_array(value)

    @property
    def value(self) -> Array:
        """The array itself, not a copy."""
        return self._value

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._value.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the array."""
        return self._value.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def node(self) -> Node:
        """What records know of the tensor; it does not keep the array alive."""
        if self._node is None:
            self._node = Node()
        return self._node

    @property
    def is_source(self) -> bool:
        """Whether tapes watch the tensor without being asked to."""
        return not self._is_made

    def numpy(self) -> Array:
        """Return the array itself, not a copy."""
        return self.value

    def item(self) -> Any:
        """Return the only element as a Python number."""
        return self.value.item()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            return np.asarray(self.value, dtype)
        return np.array(self.value, dtype) if copy else np.asarray(self.value, dtype)

    def __float__(self) -> float:
        return float(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __index__(self) -> int:
        return self.value.__index__()

    def __bool__(self) -> bool:
        return bool(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise TypeError("a tensor without axes cannot be iterated over")
        return iter(_operations().unstack(self))

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.value}, shape={self.shape}, dtype={self.dtype})"

    def __format__(self, specification: str) -> str:
        return format(self.value[()], specification) if specification else str(self)

    def __getitem__(self, index: Any) -> Tensor:
        return _apply("get_item", self, index)

    def __neg__(self) -> Tensor:
        return _apply("negative", self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return _apply("absolute", self)

    def __invert__(self) -> Tensor:
        return _apply("logical_not", self)

    def __add__(self, other: Any) -> Tensor:
        return _apply("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return _apply("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return _apply("subtract", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return _apply("subtract", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return _apply("multiply", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return _apply("multiply", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return _apply("divide", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return _apply("divide", other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return _apply("floor_divide", self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return _apply("floor_divide", other, self)

    def __mod__(self, other: Any) -> Tensor:
        return _apply("mod", self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return _apply("mod", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return _apply("power", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return _apply("power", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return _apply("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _apply("matmul", other, self)

    def __and__(self, other: Any) -> Tensor:
        return _apply("logical_and", self, other)

    def __rand__(self, other: Any) -> Tensor:
        return _apply("logical_and", other, self)

    def __or__(self, other: Any) -> Tensor:
        return _apply("logical_or", self, other)

    def __ror__(self, other: Any) -> Tensor:
        return _apply("logical_or", other, self)

    def __eq__(self, other: Any) -> Any:
        return NotImplemented if _is_no_number(other) else _apply("equal", self, other)

    def __ne__(self, other: Any) -> Any:
        return NotImplemented if _is_no_number(other) else _apply("not_equal", self, other)

    def __lt__(self, other: Any) -> Tensor:
        return _apply("less", self, other)

    def __le__(self, other: Any) -> Tensor:
        return _apply("less_equal", self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _apply("greater", self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _apply("greater_equal", self, other)


class Variable(Tensor):
    """A weight: a named array that optimizers change in place.

    Parameters
    ----------
    value : array
        Copied, C-contiguous.  Python floats become float32.
    name : str
        What messages and files call it.
    trainable : bool
        Whether optimizers change it; tapes watch only those that they do.
    dtype : dtype, optional
        Of the array; that of `value` if not given.
    regularizer : callable, optional
        Takes the variable, returns a scalar Tensor to add to the loss.
    constraint : callable, optional
        Takes the array, returns what it is to be after a step of an optimizer.
    """

    def __init__(
        self,
        value: Any,
        name: str = "variable",
        trainable: bool = True,
        *,
        dtype: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
    ) -> None:
        super().__init__(np.array(as_array(value), dtype, order="C"))
        self.name = name
        self.trainable = trainable
        self.regularizer = regularizer
        self.constraint = constraint

    #: Whether any variable has had a regularizer; where none has, nobody need look for them.
    are_regularized = False

    #: Grows whenever a variable is made, or its `trainable` is set.
    generation = 0

    @property
    def trainable(self) -> bool:
        """Whether optimizers change the variable."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        """Freeze the variable, or let it go."""
        self._trainable = value
        Variable.generation += 1

    @property
    def regularizer(self) -> Any:
        """What takes the variable and returns a scalar to add to the loss, or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, function: Any) -> None:
        """Choose what is added to the loss; None for nothing."""
        self._regularizer = function
        if function is not None:
            Variable.are_regularized = True

    @property
    def is_source(self) -> bool:
        """Whether tapes watch the variable without being asked to."""
        return self._trainable

    def assign(self, value: Any) -> Variable:
        """Overwrite the array, and return the variable.

        Raises
        ------
        ValueError
            If `value` has another shape.
        """
        self._value[...] = self._fitting(value)
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the array in place, and return the variable; errors as of `assign`."""
        self._value += self._fitting(value)
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the array in place, and return the variable; errors as of `assign`."""
        self._value -= self._fitting(value)
        return self

    def _fitting(self, value: Any) -> Array:
        array = np.asarray(value, self.dtype)
        if array.shape != self.shape:
            raise ValueError(f"{self.name}: expected shape {self.shape}, got {array.shape}")
        settle()
        return array

    def __repr__(self) -> str:
        return f"Variable({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def __str__(self) -> str:
        return f"Variable({self.name!r}, {self.value}, shape={self.shape}, dtype={self.dtype})"


def constant(value: Any) -> Tensor:
    """Return an array (...) as a tensor that tapes watch only when they are asked to."""
    tensor = Tensor(value)
    tensor._is_made = True
    return tensor


def as_array(value: Any) -> Array:
    """Return `value` as an array (...): a tensor's own, and float32 for Python floats.

    Raises
    ------
    TypeError
        If it holds no numbers.
    """
    if isinstance(value, Tensor):
        return value.value
    if type(value) is float:
        return np.asarray(value, np.float32)
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"expected numbers, got {type(value).__name__} {value!r}"[:200])
    if array.dtype == np.float64 and not hasattr(value, "__array__"):
        return array.astype(np.float32)
    return array


def _is_no_number(value: Any) -> bool:
    return value is None or isinstance(value, str)


@cache
def _operations() -> ModuleType:
    """Return `fastrnn.ops`, which is made of tensors and so can only be imported after them."""
    from fastrnn import ops

    return ops


def _apply(name: str, *arguments: Any) -> Tensor:
    result: Tensor = getattr(_operations(), name)(*arguments)
    return result
