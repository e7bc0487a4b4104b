"""Losses of numbers: how far a prediction is from its target, over the last axis.

All functions take y_true and y_pred of one shape (B, ..., D) and return the losses (B, ...) as a
Tensor of y_pred's dtype; e = y_pred - y_true.  Gradients flow into y_true too, if it is a Tensor,
but for mean_absolute_percentage_error, mean_squared_logarithmic_error and poisson, to which it is
constant.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.losses.loss import FunctionLoss
from fastrnn.losses.shapes import difference, matched, pair, recorded, recorded_with_targets
from fastrnn.tape import Tensor

Array = NDArray[Any]

#: Keras' epsilon: denominators and the arguments of logarithms are at least this.
EPSILON = 1e-7


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of e^2 over the last axis (B, ...).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    errors = difference(y_true, y_pred)
    e = errors.value
    scale = 2.0 / _length(e)
    return recorded(errors, _mean(e * e), lambda d: e * (_column(d, e) * e.dtype.type(scale)))


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of abs(e) over the last axis (B, ...).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    errors = difference(y_true, y_pred)
    e = errors.value
    return recorded(errors, _mean(np.abs(e)), lambda d: np.sign(e) * _mean_gradient(d, e))


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return 100 times the mean of abs(e) / max(abs(y_true), 1e-7) over the last axis (B, ...).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    e = y_pred.value - target
    scale = 100.0 / np.maximum(np.abs(target), EPSILON)
    return recorded(
        y_pred,
        _mean(np.abs(e) * scale).astype(e.dtype, copy=False),
        lambda d: (np.sign(e) * scale * _mean_gradient(d, e)).astype(e.dtype, copy=False),
    )


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of (log(1 + y_pred) - log(1 + y_true))^2 over the last axis (B, ...).

    Both are raised to 1e-7 first.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    y = np.maximum(y_pred.value, y_pred.dtype.type(EPSILON))
    e = np.log1p(y) - np.log1p(np.maximum(target, y.dtype.type(EPSILON)))

    def gradient(d: Array) -> Any:
        return np.where(y_pred.value >= EPSILON, 2 * e / (1 + y), 0) * _mean_gradient(d, e)

    return recorded(y_pred, _mean(e * e), gradient)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """Return the mean of e^2 / 2, or delta abs(e) - delta^2 / 2 beyond delta, as (B, ...).

    Source: P. J. Huber, Robust estimation of a location parameter, 1964.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    errors = difference(y_true, y_pred)
    e = errors.value
    bound = e.dtype.type(delta)
    size = np.abs(e)
    half = e.dtype.type(0.5)
    values = np.where(size <= bound, half * e * e, bound * size - half * bound * bound)
    return recorded(
        errors, _mean(values), lambda d: np.clip(e, -bound, bound) * _mean_gradient(d, e)
    )


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of log(cosh(e)) over the last axis (B, ...).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    errors = difference(y_true, y_pred)
    e = errors.value
    size = np.abs(e)
    values = size + np.log1p(np.exp(-2 * size)) - e.dtype.type(math.log(2.0))
    return recorded(errors, _mean(values), lambda d: np.tanh(e) * _mean_gradient(d, e))


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of y_pred - y_true log(y_pred + 1e-7) over the last axis (B, ...).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    y = y_pred.value
    raised = y + y.dtype.type(EPSILON)
    return recorded(
        y_pred,
        _mean(y - target * np.log(raised)),
        lambda d: (1 - target / raised) * _mean_gradient(d, y),
    )


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Return minus the cosine of the angle between y_true and y_pred along an axis, (B, ...).

    A vector shorter than 1e-7 counts as that long.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    targets, y_pred = pair(y_true, y_pred)
    a_norm, b_norm = _norm(targets.value, axis), _norm(y_pred.value, axis)
    a, b = targets.value / a_norm, y_pred.value / b_norm
    cosine = (a * b).sum(axis=axis, keepdims=True)

    def gradient(d: Array, own: Array, other: Array, norm: Array) -> Any:
        # At its lower bound the norm is constant.
        return -d * (other - np.where(norm > _SHORTEST, cosine * own, 0)) / norm

    def backward(d: Array) -> Any:
        d = np.expand_dims(d, axis)
        return gradient(d, a, b, a_norm), gradient(d, b, a, b_norm)

    return recorded_with_targets(targets, y_pred, -cosine.squeeze(axis), backward)


_SHORTEST = EPSILON


def _norm(x: Array, axis: int) -> Any:
    """Return the lengths of vectors along an axis, which stays."""
    return np.maximum(np.sqrt((x * x).sum(axis=axis, keepdims=True)), x.dtype.type(_SHORTEST))


def _length(e: Array) -> int:
    return e.shape[-1] if e.ndim else 1


def _mean(values: Array) -> Array:
    """Return the mean over the last axis; a single number as it is."""
    return np.asarray(values.mean(axis=-1)) if values.ndim else values


def _column(d: Array, e: Array) -> Any:
    return np.asarray(d)[..., None] if e.ndim else np.asarray(d)


def _mean_gradient(d: Array, e: Array) -> Any:
    """Return the gradient of what `_mean` took the mean of; it broadcasts against it."""
    return _column(d, e) * e.dtype.type(1.0 / max(1, _length(e)))


class MeanSquaredError(FunctionLoss):
    """See `mean_squared_error`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(FunctionLoss):
    """See `mean_absolute_error`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(FunctionLoss):
    """See `mean_absolute_percentage_error`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(FunctionLoss):
    """See `mean_squared_logarithmic_error`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(FunctionLoss):
    """See `huber`."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(FunctionLoss):
    """See `log_cosh`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "log_cosh",
        dtype: Any = None,
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


class Poisson(FunctionLoss):
    """See `poisson`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "poisson",
        dtype: Any = None,
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)


class CosineSimilarity(FunctionLoss):
    """See `cosine_similarity`."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)
