"""Margin losses, over the last axis.

All functions take y_true and y_pred (B, ..., D) and return the losses (B, ...) as a Tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.losses.loss import FunctionLoss
from fastrnn.losses.shapes import matched, recorded
from fastrnn.tape import Tensor

Array = NDArray[Any]


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of max(1 - y_true y_pred, 0) over the last axis (B, ...).

    Parameters
    ----------
    y_true : (B, ..., D) array
        -1 or 1; where all are 0 or 1, 0 stands for -1.
    y_pred : Tensor or (B, ..., D) array

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    sign = _signs(target)
    margin = np.maximum(1 - sign * y_pred.value, 0)
    return recorded(
        y_pred,
        np.asarray(margin.mean(axis=-1)),
        lambda d: -sign * (margin > 0) * (d[..., None] / margin.shape[-1]),
    )


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return the mean of max(1 - y_true y_pred, 0)^2 over the last axis (B, ...); see `hinge`.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    sign = _signs(target)
    margin = np.maximum(1 - sign * y_pred.value, 0)
    return recorded(
        y_pred,
        np.asarray((margin * margin).mean(axis=-1)),
        lambda d: -2 * sign * margin * (d[..., None] / margin.shape[-1]),
    )


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """Return max(1 + best score of a wrong class - score of the right class, 0), (B, ...).

    Parameters
    ----------
    y_true : (B, ..., D) array
        0 or 1.
    y_pred : Tensor or (B, ..., D) array

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, y_pred = matched(y_true, y_pred)
    wrong = (1 - target) * y_pred.value
    best = wrong.argmax(axis=-1)[..., None]
    highest = np.take_along_axis(wrong, best, axis=-1)[..., 0]
    margin = np.maximum(1 + highest - (target * y_pred.value).sum(axis=-1), 0)

    def gradient(d: Array) -> Any:
        d = (d * (margin > 0))[..., None]
        dy = -target * d
        there = np.take_along_axis(dy, best, axis=-1)
        there = there + np.take_along_axis(1 - target, best, axis=-1) * d
        np.put_along_axis(dy, best, there, axis=-1)
        return dy

    return recorded(y_pred, margin, gradient)


def _signs(target: Array) -> Array:
    """Return labels of 0 and 1 as -1 and 1, others as they are."""
    return 2 * target - 1 if ((target == 0) | (target == 1)).all() else target


class Hinge(FunctionLoss):
    """See `hinge`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(FunctionLoss):
    """See `squared_hinge`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "squared_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(FunctionLoss):
    """See `categorical_hinge`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_hinge",
        dtype: Any = None,
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)
