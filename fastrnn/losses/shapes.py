"""Predictions as Tensors, targets in their shape, and closed forms on the tape."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.tape import Tensor, as_array, constant, is_recording, is_watched, record

Array = NDArray[Any]
Shape = tuple[int, ...]

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class _Followed(threading.local):
    #: What was made of what, and the gradient's function, while a block of `Following` is open.
    steps: list[tuple[Tensor, Tensor, Callable[[Array], Any]]] | None = None


_followed = _Followed()


class Following:
    """A block in which a loss of this package is followed from the prediction without a tape.

    There is one way only from a prediction to its loss, and a function for each step back.
    """

    def __enter__(self) -> Following:
        self._steps = _followed.steps = []
        return self

    def __exit__(self, *error: Any) -> None:
        _followed.steps = None

    def gradient(self, loss: Tensor, y_pred: Tensor) -> Array:
        """Return the gradient of a loss () in what it was computed from in the block."""
        d: Any = np.ones(loss.shape, loss.dtype) if loss.shape else loss.dtype.type(1)
        end = loss
        for source, output, gradient in reversed(self._steps):
            if output is end:
                d, end = gradient(d), source
        if end is not y_pred:
            raise ValueError(f"y_pred: expected what {loss!r} was computed from, got {y_pred!r}")
        return np.asarray(d)


def wants_gradient(y_pred: Tensor) -> bool:
    """Return whether somebody may ask for a gradient in y_pred."""
    return _followed.steps is not None or is_watched(y_pred)


def recorded(y_pred: Tensor, values: Array, gradient: Callable[[Array], Any]) -> Tensor:
    """Return `values` as a Tensor whose gradient in y_pred is `gradient(dvalues)`."""
    output = constant(values)
    if is_recording():
        record([y_pred], [output], lambda d: [gradient(d)], repeatable=True)
    elif _followed.steps is not None:
        _followed.steps.append((y_pred, output, gradient))
    return output


def recorded_with_targets(
    y_true: Tensor, y_pred: Tensor, values: Array, gradients: Callable[[Array], Any]
) -> Tensor:
    """Return `values` as a Tensor with a gradient in y_true too: `gradients` returns both."""
    if not is_recording():
        return recorded(y_pred, values, lambda d: gradients(d)[1])
    output = constant(values)
    record([y_true, y_pred], [output], gradients, repeatable=True)
    return output


def as_prediction(y_pred: Any, dtype: np.dtype[Any] | None = None, name: str = "y_pred") -> Tensor:
    """Return y_pred as a Tensor of float32 or float64, of `dtype` if one is given.

    Raises
    ------
    ValueError
        If it holds no numbers.
    """
    try:
        given = y_pred if isinstance(y_pred, Tensor) else constant(as_array(y_pred))
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from error
    array = given.value
    wanted = dtype or (array.dtype if array.dtype in _FLOATS else np.dtype(np.float32))
    if array.dtype == wanted:
        return given
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got {array.dtype}")
    before = array.dtype
    result = recorded(given, array.astype(wanted), lambda d: d.astype(before))
    result.mask = given.mask
    return result


def same_rank(a: Shape, b: Shape) -> tuple[Shape, Shape]:
    """Return two shapes with as many axes, where one axis of length 1 at the end is what differs.

    It is dropped, or given to the other if that has a single axis.
    """
    if len(a) == len(b) + 1 and a[-1] == 1:
        return (a, (*b, 1)) if len(b) == 1 else (a[:-1], b)
    if len(b) == len(a) + 1 and b[-1] == 1:
        return ((*a, 1), b) if len(a) == 1 else (a, b[:-1])
    return a, b


def with_same_rank(y_true: Any, y_pred: Tensor) -> tuple[Any, Tensor]:
    """Return targets, an array or still a Tensor, and prediction in the shapes of `same_rank`."""
    targets = y_true if isinstance(y_true, Tensor) else np.asarray(y_true)
    if targets.shape == y_pred.shape:
        return targets, y_pred
    true_shape, pred_shape = same_rank(targets.shape, y_pred.shape)
    if pred_shape != y_pred.shape:
        y_pred = reshaped(y_pred, pred_shape)
    if true_shape == targets.shape:
        return targets, y_pred
    if isinstance(targets, Tensor):
        return reshaped(targets, true_shape), y_pred
    return targets.reshape(true_shape), y_pred


def pair(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Return targets and prediction as Tensors of one shape and of the prediction's dtype.

    Axes of length 1 at the end come and go, and lengths of 1 are repeated.

    Raises
    ------
    ValueError
        If that does not make the shapes equal.
    """
    y_pred = as_prediction(y_pred)
    targets, y_pred = with_same_rank(y_true, y_pred)
    targets = as_prediction(targets, y_pred.dtype, "y_true")
    if targets.shape == y_pred.shape:
        return targets, y_pred
    try:
        shape = np.broadcast_shapes(targets.shape, y_pred.shape)
    except ValueError as error:
        raise ValueError(
            f"y_true: expected the shape of y_pred, {y_pred.shape}, got {targets.shape}"
        ) from error
    return _repeated(targets, shape), _repeated(y_pred, shape)


def matched(y_true: Any, y_pred: Any) -> tuple[Array, Tensor]:
    """Return `pair`, of the targets the array alone: they are constant."""
    if type(y_true) is np.ndarray and isinstance(y_pred, Tensor) and _are_alike(y_true, y_pred):
        return y_true, y_pred
    targets, y_pred = pair(y_true, y_pred)
    return targets.value, y_pred


def _are_alike(y_true: Array, y_pred: Tensor) -> bool:
    dtype = y_pred.dtype
    return y_true.shape == y_pred.shape and y_true.dtype == dtype and dtype in _FLOATS


def difference(y_true: Any, y_pred: Any) -> Tensor:
    """Return y_pred - y_true, with a gradient in both; see `pair`."""
    targets, y_pred = pair(y_true, y_pred)
    return recorded_with_targets(targets, y_pred, y_pred.value - targets.value, lambda d: (-d, d))


def _repeated(tensor: Tensor, shape: Shape) -> Tensor:
    before = tensor.shape
    if before == shape:
        return tensor
    values = np.broadcast_to(tensor.value, shape)
    return recorded(tensor, values, lambda d: unbroadcast(d, before))


def reshaped(tensor: Tensor, shape: Shape) -> Tensor:
    """Return a tensor with its numbers in another shape; a mask is not kept."""
    before = tensor.shape
    return recorded(tensor, tensor.value.reshape(shape), lambda d: d.reshape(before))


def unbroadcast(d: Array, shape: Shape) -> Array:
    """Return the gradient of an array of `shape` from that of what it was broadcast to."""
    if d.shape == shape:
        return d
    padded = (1,) * (d.ndim - len(shape)) + shape
    if padded[: d.ndim] != d.shape:
        axes = tuple(i for i, length in enumerate(padded) if length == 1 and d.shape[i] != 1)
        d = d.sum(axis=axes, keepdims=True)
    return d.reshape(shape)
