"""Losses of probabilities.

Logits go through a stable log-sum-exp.  Probabilities are clipped to [1e-7, 1 - 1e-7], and those
of classes are divided by their sum first, all as in Keras; where one is clipped, its gradient is
0.  All losses are in nats and of y_pred's dtype; y_true is constant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.losses.loss import FunctionLoss
from fastrnn.losses.regression import EPSILON
from fastrnn.losses.shapes import as_prediction, matched, recorded, wants_gradient
from fastrnn.tape import Tensor

Array = NDArray[Any]


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return the mean of -t log p - (1 - t) log(1 - p) over an axis.

    Parameters
    ----------
    y_true : (B, ..., D) array
        Probabilities t, mostly 0 or 1.
    y_pred : Tensor or (B, ..., D) array
        Probabilities p, or logits.
    from_logits : bool
        Whether y_pred are logits: p = sigmoid(y_pred).
    label_smoothing : float in [0, 1]
        Draws targets to 1/2: t becomes (1 - s) t + s / 2.
    axis : int
        Averaged over.

    Returns
    -------
    Tensor (B, ...)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    y = y_pred.value
    if label_smoothing:
        target = target * y.dtype.type(1 - label_smoothing) + y.dtype.type(0.5 * label_smoothing)
    values, backward = functional.binary_cross_entropy(
        y, target, from_logits=from_logits, training=wants_gradient(y_pred)
    )
    share = y.dtype.type(1.0 / y.shape[axis])
    if y.shape[axis] == 1:
        means, shape = values.squeeze(axis), y.shape
        return recorded(y_pred, means, lambda d: backward(d.reshape(shape)))
    means = np.asarray(values.mean(axis=axis))

    def gradient(d: Array) -> Array:
        shares = np.expand_dims(d, axis) * share
        return backward(np.broadcast_to(shares, y.shape))

    return recorded(y_pred, means, gradient)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Return -sum_k t_k log p_k over the classes of an axis.

    Parameters
    ----------
    y_true : (B, ..., V) array
        Probabilities t of the V classes, mostly one-hot.
    y_pred : Tensor or (B, ..., V) array
        Probabilities p, or logits.
    from_logits : bool
        Whether y_pred are logits: p = softmax(y_pred).
    label_smoothing : float in [0, 1]
        t becomes (1 - s) t + s / V.
    axis : int
        Of the classes.

    Returns
    -------
    Tensor (B, ...)

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    y_pred = as_prediction(y_pred)
    y = y_pred.value
    target = np.asarray(y_true).astype(y.dtype, copy=False)
    if target.shape != y.shape or not y.ndim:
        raise ValueError(f"y_true: expected the shape of y_pred, {y.shape}, got {target.shape}")
    if label_smoothing:
        shift = y.dtype.type(label_smoothing / y.shape[axis])
        target = target * y.dtype.type(1 - label_smoothing) + shift
    if from_logits:
        log_p = y - y.max(axis=axis, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=axis, keepdims=True))
        values = -_products(target, log_p).sum(axis=axis)

        def gradient(d: Array) -> Any:
            mass = target.sum(axis=axis, keepdims=True)
            return (np.exp(log_p) * mass - target) * np.expand_dims(d, axis)

    else:
        total = y.sum(axis=axis, keepdims=True)
        p = y / total
        low, high = _bounds(y.dtype)
        values = -(target * np.log(np.clip(p, low, high))).sum(axis=axis)

        def gradient(d: Array) -> Any:
            inside = (p >= low) & (p <= high)
            dp = -np.divide(target, p, out=np.zeros_like(p), where=inside)
            pull = (dp * p).sum(axis=axis, keepdims=True)
            return (dp - pull) / total * np.expand_dims(d, axis)

    return recorded(y_pred, values, gradient)


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """Return -log p_k for the class k of every row.

    Parameters
    ----------
    y_true : (B, ...) or (B, ..., 1) array
        Classes in 0..V-1, also as floating-point numbers.
    y_pred : Tensor or (B, ..., V) array
        Probabilities p of the V classes, or logits.
    from_logits : bool
        Whether y_pred are logits: p = softmax(y_pred).
    ignore_class : int, optional
        Rows of this class, which need not be in 0..V-1, have loss 0 and are left out of means.
    axis : int
        Of the classes.

    Returns
    -------
    Tensor (B, ...)
        Its mask, with `ignore_class`, tells the rows that count.

    Raises
    ------
    ValueError
        If the shapes do not fit or a class is out of range.
    """
    y_pred = as_prediction(y_pred)
    y = y_pred.value
    if y.ndim:
        y = np.moveaxis(y, axis, -1)
    classes = np.asarray(y_true)
    if classes.ndim == y.ndim and classes.ndim and classes.shape[-1] == 1:
        classes = classes[..., 0]
    if not y.ndim or classes.shape != y.shape[:-1]:
        raise ValueError(
            f"y_true: expected shape {y.shape[:-1]} for y_pred {y_pred.shape} with classes on axis "
            f"{axis}, got {np.shape(y_true)}"
        )
    classes = _as_classes(classes)
    valid = None
    if ignore_class is not None:
        valid = classes != ignore_class
        classes = np.where(valid, classes, 0)
    if classes.size and not 0 <= classes.min() <= classes.max() < y.shape[-1]:
        wrong = classes.min() if classes.min() < 0 else classes.max()
        raise ValueError(f"y_true: expected classes in 0..{y.shape[-1] - 1}, got {wrong}")
    values: Array
    gradient: Callable[[Array], Array]
    if from_logits and classes.size:
        values, gradient = functional.softmax_cross_entropy(y, classes)
    else:
        values, gradient = _sparse_of_probabilities(classes, y)
    if valid is not None:
        values = np.where(valid, values, y.dtype.type(0))

    def backward(d: Array) -> Any:
        d = np.asarray(d, y.dtype)
        if valid is not None:
            d = np.where(valid, d, y.dtype.type(0))
        dy = gradient(d)
        if valid is not None and not from_logits:
            dy[~valid] = 0  # of a row of zeros it is NaN
        return np.moveaxis(dy, -1, axis)

    result = recorded(y_pred, values, backward)
    if valid is not None:
        result.mask = valid
    return result


def _sparse_of_probabilities(classes: Array, y: Array) -> tuple[Array, Any]:
    """Return losses (...) of y (..., V) and their gradient: y_k / sum(y), clipped."""
    total = y.sum(axis=-1)
    right = np.take_along_axis(y, classes[..., None], axis=-1)[..., 0]
    p = right / total
    low, high = _bounds(y.dtype)

    def gradient(d: Array) -> Any:
        d = np.where((p >= low) & (p <= high), d, y.dtype.type(0))
        dy = np.empty_like(y)
        dy[...] = (d / total)[..., None]
        there = d / total - np.divide(d, right, out=np.zeros_like(d), where=d != 0)
        np.put_along_axis(dy, classes[..., None], there[..., None], axis=-1)
        return dy

    return -np.log(np.clip(p, low, high)), gradient


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """Return sum_k t_k log(t_k / p_k) over the last axis, both clipped to [1e-7, 1].

    Parameters
    ----------
    y_true, y_pred : (B, ..., V)
        Probabilities t and p.

    Returns
    -------
    Tensor (B, ...)

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    y = y_pred.value
    t = np.clip(target, y.dtype.type(EPSILON), 1)
    p = np.clip(y, y.dtype.type(EPSILON), 1)
    values = np.asarray((t * np.log(t / p)).sum(axis=-1))
    inside = (y >= y.dtype.type(EPSILON)) & (y <= 1)
    return recorded(y_pred, values, lambda d: -(inside * t / p) * d[..., None])


def _bounds(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    return dtype.type(EPSILON), dtype.type(1 - EPSILON)


def _products(target: Array, log_p: Array) -> Array:
    """Return t log p, which is 0 where t is: also where p is."""
    return np.multiply(target, log_p, out=np.zeros_like(log_p), where=target != 0)


def _as_classes(classes: Array) -> Array:
    """Return whole numbers of any dtype as integers."""
    if classes.dtype.kind in "iu":
        return classes.astype(np.int64)
    with np.errstate(invalid="ignore"):  # NaN is no whole number: found below
        whole = classes.astype(np.int64) if classes.dtype.kind in "bf" else None
    if whole is None or not (whole == classes).all():
        raise ValueError(f"y_true: expected whole numbers, got {classes.dtype} {classes!r}"[:160])
    return whole


class BinaryCrossentropy(FunctionLoss):
    """See `binary_crossentropy`."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class CategoricalCrossentropy(FunctionLoss):
    """See `categorical_crossentropy`."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(FunctionLoss):
    """See `sparse_categorical_crossentropy`."""

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip


class KLDivergence(FunctionLoss):
    """See `kl_divergence`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "kl_divergence",
        dtype: Any = None,
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)
