"""How an operation is written: its value, and a function of gradients for each array.

    @operation(2, common)
    def multiply(x1, x2):
        return x1 * x2, lambda d: d * x2, lambda d: d * x1

The body sees arrays.  Each function takes the gradient of the value and returns that of one
argument; it may have the value's shape where NumPy stretched the argument, and is then summed
back.  Only those that are wanted are kept and called.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from fastrnn.tape import (
    PartialGradient,
    Tensor,
    Variable,
    as_array,
    constant,
    is_recording,
    is_watched,
    record,
)

Array = NDArray[Any]
P = ParamSpec("P")
#: What the body of an operation returns: the value, and a function for each array.
Result = tuple[Any, ...]

_NUMBERS = (bool, int, float, np.generic)
_PLAIN = frozenset([Tensor, Variable, np.ndarray, bool, int, float])
#: The bodies of operations.
_bodies: dict[Any, Callable[..., Any]] = {}


def as_is(values: Sequence[Any]) -> list[Array]:
    """Return arrays of whatever dtypes they have."""
    return [as_array(value) for value in values]


def floats(values: Sequence[Any]) -> list[Array]:
    """Return arrays of floats: integers and bools become float32."""
    arrays = [as_array(value) for value in values]
    return [a.astype(np.float32) if a.dtype.kind in "biu" else a for a in arrays]


def common(values: Sequence[Any]) -> list[Array]:
    """Return arrays of one dtype.

    Floats win over integers whatever their size, and Python numbers and NumPy scalars take the
    dtype of arrays where these have one of their kind: float32 stays float32.
    """
    arrays = [as_array(value) for value in values]
    is_weak = [isinstance(value, _NUMBERS) for value in values]
    if not any(is_weak) and all(array.dtype == arrays[0].dtype for array in arrays):
        return arrays
    strong = [array.dtype for array, weak in zip(arrays, is_weak, strict=True) if not weak]
    dtypes = strong or [array.dtype for array in arrays]
    real = [dtype for dtype in dtypes if dtype.kind in "fc"]
    dtype = np.result_type(*(real or dtypes))
    if not real and any(array.dtype.kind == "f" for array in arrays):
        dtype = np.dtype(np.float32)
    elif dtype.kind == "b":
        dtype = np.result_type(*(array.dtype for array in arrays))
    # Numbers are converted themselves: as arrays they are float32 and have lost digits.
    return [
        np.asarray(value if weak else array, dtype)
        for value, array, weak in zip(values, arrays, is_weak, strict=True)
    ]


def common_floats(values: Sequence[Any]) -> list[Array]:
    """Return arrays of one dtype of floats; see `common` and `floats`."""
    return floats(common(values))


def operation(
    arrays: int = 1, convert: Callable[[Sequence[Any]], list[Array]] = floats
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Return a decorator that makes an operation on tensors out of one on arrays.

    Parameters
    ----------
    arrays : int
        How many of the first arguments are arrays.
    convert : callable
        Makes arrays of them: `as_is`, `floats`, `common` or `common_floats`.
    """

    def decorate(body: Callable[P, Any]) -> Callable[P, Tensor]:
        names = list(inspect.signature(body).parameters)[:arrays]

        @functools.wraps(body)
        def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            given: tuple[Any, ...] = args
            for name in names[len(args) :]:
                if name not in kwargs:
                    raise TypeError(f"{body.__name__}: expected the argument {name!r}")
                given = (*given, kwargs.pop(name))
            elsewhere = symbolic(call, given[:arrays], given, kwargs)
            if elsewhere is not NotImplemented:
                return elsewhere  # type: ignore[no-any-return]
            values = convert(given[:arrays])
            with np.errstate(all="ignore"):  # NaN and infinity pass through without a word
                result = body(*values, *given[arrays:], **kwargs)  # type: ignore
            return finish(body.__name__, given[:arrays], values, result)

        _bodies[call] = body
        return call

    return decorate


def body_of(function: Any) -> Callable[..., Any] | None:
    """Return what an `operation` does to arrays of floats, None of what is none.

    It is to be called where NumPy's warnings are ignored, as are the functions that it returns.
    """
    return _bodies.get(function)


def sequence_operation(
    convert: Callable[[Sequence[Any]], list[Array]] = common,
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Return a decorator as `operation` does, for a first argument that is a list of arrays."""

    def decorate(body: Callable[P, Any]) -> Callable[P, Tensor]:
        @functools.wraps(body)
        def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            given: tuple[Any, ...] = args
            parts = list(given[0])
            if not parts:
                raise ValueError(f"{body.__name__}: expected at least one array, got none")
            elsewhere = symbolic(call, parts, given, kwargs)
            if elsewhere is not NotImplemented:
                return elsewhere  # type: ignore[no-any-return]
            values = convert(parts)
            result = body(values, *given[1:], **kwargs)  # type: ignore
            return finish(body.__name__, parts, values, result)

        return call

    return decorate


def without_gradient(
    arrays: int = 1, convert: Callable[[Sequence[Any]], list[Array]] = as_is
) -> Callable[[Callable[P, Any]], Callable[P, Tensor]]:
    """Return a decorator as `operation` does, for operations that have no gradient.

    A result of theirs is constant to every tape; it is an error to differentiate it itself.
    """

    def decorate(body: Callable[P, Any]) -> Callable[P, Tensor]:
        inner = operation(arrays, convert)(body)

        @functools.wraps(body)
        def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            result = inner(*args, **kwargs)
            if isinstance(result, Tensor):
                result._made_by = body.__name__
            return result

        return call

    return decorate


def symbolic(function: Any, arrays: Sequence[Any], args: Sequence[Any], kwargs: Any) -> Any:
    """Return what an argument makes of the call, NotImplemented if none takes it over.

    An argument whose class has a method `__operation__(function, args, kwargs)` does, as the
    symbols do of which models are built before there are arrays.
    """
    for array in arrays:
        if type(array) not in _PLAIN:
            handler = getattr(type(array), "__operation__", None)
            if handler is not None:
                return handler(array, function, tuple(args), dict(kwargs))
    return NotImplemented


def finish(name: str, inputs: Sequence[Any], values: Sequence[Array], result: Any) -> Tensor:
    """Return the value of an operation as a tensor, recorded where a gradient is wanted.

    `result` is what its body returned for the arrays `values` of `inputs`.
    """
    value, *functions = result if isinstance(result, tuple) else (result,)
    output = constant(np.asarray(value))
    if functions and is_recording() and output.dtype.kind == "f":
        pulls = [
            (tensor, function, array.shape)
            for tensor, function, array in zip(inputs, functions, values, strict=True)
            if function is not None and is_watched(tensor) and tensor.dtype.kind == "f"
        ]
        if pulls:
            backward = _backward([pull[1:] for pull in pulls])
            record([pull[0] for pull in pulls], [output], backward, repeatable=True)
    return output


def _backward(pulls: list[Any]) -> Callable[[Array], list[Any]]:
    def backward(d: Array) -> list[Any]:
        with np.errstate(all="ignore"):
            return [_fitted(function(d), shape) for function, shape in pulls]

    return backward


def _fitted(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Return a gradient summed over the axes along which its array was stretched."""
    if isinstance(gradient, PartialGradient):
        return gradient
    gradient = np.asarray(gradient)
    if gradient.shape != shape:
        added = gradient.ndim - len(shape)
        axes = tuple(range(added)) + tuple(
            added + axis
            for axis, length in enumerate(shape)
            if length == 1 and gradient.shape[added + axis] != 1
        )
        gradient = gradient.sum(axis=axes, keepdims=True).reshape(shape)
    return gradient
