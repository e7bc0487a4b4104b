"""Arrays of given numbers, and what is no gradient's business: shapes, dtypes, conversions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.ops.operation import Result, as_is, operation, without_gradient
from fastrnn.tape import Tensor, as_array, constant

Array = NDArray[Any]

#: The dtype of new arrays where none is given.
FLOAT = np.dtype(np.float32)


def convert_to_tensor(x: Any, dtype: Any = None) -> Tensor:
    """Return x as a tensor, itself if it is one of this dtype; Python floats become float32."""
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype == np.dtype(dtype) else cast(x, dtype)
    array = as_array(x)
    return constant(array if dtype is None else array.astype(dtype, copy=False))


array = convert_to_tensor


def convert_to_numpy(x: Any) -> Array:
    """Return the array of a tensor, not a copy, or what else there is as an array."""
    return as_array(x)


def is_tensor(x: Any) -> bool:
    """Return whether x is a tensor."""
    return isinstance(x, Tensor)


def cast(x: Any, dtype: Any) -> Tensor:
    """Return x in another dtype; from floats to integers there is no gradient."""
    return _to_floats(x, dtype) if np.dtype(dtype).kind == "f" else _to_others(x, dtype)


@operation(1, as_is)
def _to_floats(x: Any, dtype: Any) -> Result:
    return x.astype(dtype, copy=False), lambda d: d


@without_gradient()
def _to_others(x: Any, dtype: Any) -> Any:
    return x.astype(dtype, copy=False)


@operation(1, as_is)
def stop_gradient(variable: Any) -> Result:
    """Return a tensor of the same array that no tape follows."""
    return variable, None


def shape(x: Any) -> tuple[int, ...]:
    """Return the lengths of the axes."""
    return tuple(x.shape) if isinstance(x, Tensor) else as_array(x).shape


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return len(shape(x))


def size(x: Any) -> int:
    """Return how many numbers there are."""
    return int(np.prod(shape(x), dtype=np.int64))


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """Return zeros."""
    return constant(np.zeros(shape, dtype or FLOAT))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """Return ones."""
    return constant(np.ones(shape, dtype or FLOAT))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """Return an array filled with a number, or with numbers stretched to its shape."""
    return constant(np.full(shape, as_array(fill_value), dtype or FLOAT))


def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """Return zeros in the shape and, if not given, the dtype of x."""
    return constant(np.zeros(shape(x), _dtype(x) if dtype is None else dtype))


def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """Return ones in the shape and, if not given, the dtype of x."""
    return constant(np.ones(shape(x), _dtype(x) if dtype is None else dtype))


def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """Return a number in the shape and, if not given, the dtype of x."""
    return constant(np.full(shape(x), as_array(fill_value), _dtype(x) if dtype is None else dtype))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """Return start, start + step, ... below stop; one argument is the stop of a start at 0."""
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    if dtype is None:
        whole = all(isinstance(x, int | np.integer) for x in (start, stop, step))
        dtype = np.int32 if whole else np.float32
    return constant(np.arange(start, stop, step, dtype=np.dtype(dtype)))


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None
) -> Tensor:
    """Return `num` numbers evenly spaced from start to stop, included if `endpoint`."""
    return constant(np.linspace(start, stop, num, endpoint, dtype=dtype or FLOAT))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Return (N, M) zeros with ones on the k-th diagonal; M is N if not given."""
    return constant(np.eye(N, M, k, dtype or FLOAT))


def identity(n: int, dtype: Any = None) -> Tensor:
    """Return the identity matrix (n, n)."""
    return eye(n, dtype=dtype)


def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None) -> Tensor:
    """Return for each integer of x zeros along a new axis with a one at its place.

    Integers that are not in 0..num_classes-1 give zeros only.
    """
    ids = as_array(x)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"x: expected integers, got {ids.dtype}")
    hot = (ids[..., None] == np.arange(num_classes)).astype(dtype or FLOAT)
    return constant(np.moveaxis(hot, -1, axis))


def _dtype(x: Any) -> np.dtype[Any]:
    return x.dtype if isinstance(x, Tensor) else as_array(x).dtype
