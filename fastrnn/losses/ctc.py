"""Connectionist temporal classification as a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.losses.loss import FunctionLoss
from fastrnn.losses.shapes import as_prediction, recorded, wants_gradient
from fastrnn.tape import Tensor

Array = NDArray[Any]

#: The class that stands for no label, and fills up targets.
BLANK = 0


def ctc(y_true: Any, y_pred: Any) -> Tensor:
    """Return -log p(labels | input) of every sequence.

    Parameters
    ----------
    y_true : (B, L) array
        Labels in 1..K-1; 0, the blank, fills up a row at its end.
    y_pred : Tensor or (B, T, K) array
        Logits.  Its mask, if it has one, tells how long the sequences are: a row of True, then
        False.

    Returns
    -------
    Tensor (B,)
        inf for a sequence too short for its labels.

    Raises
    ------
    ValueError
        If the shapes do not fit, a label is out of range, or 0s or a mask have gaps.
    """
    y_pred = as_prediction(y_pred)
    labels = np.asarray(y_true)
    if len(y_pred.shape) != 3:
        raise ValueError(f"y_pred: expected shape (B, T, K), got {y_pred.shape}")
    B, T, _ = y_pred.shape
    if labels.ndim != 2 or len(labels) != B:
        raise ValueError(f"y_true: expected shape ({B}, L), got {labels.shape}")
    if labels.dtype.kind not in "iu":
        if not (labels == np.floor(labels)).all():
            raise ValueError(f"y_true: expected whole numbers, got {labels.dtype}")
        labels = labels.astype(np.int64)
    steps = None
    if y_pred.mask is not None:
        steps = _filled("mask", np.asarray(y_pred.mask, bool).reshape(B, T))
    losses, backward = functional.ctc(
        y_pred.value.swapaxes(0, 1), labels, steps, _filled("y_true", labels != BLANK),
        blank=BLANK, training=wants_gradient(y_pred),
    )  # fmt: skip
    return recorded(y_pred, losses, lambda d: backward(d).swapaxes(0, 1))


def _filled(name: str, given: Array) -> Array:
    """Return how many are given in each row, before all that are not."""
    counts: Array = given.sum(axis=1)
    if not (given == (np.arange(given.shape[1]) < counts[:, None])).all():
        raise ValueError(f"{name}: expected rows that are filled up at their end, got gaps")
    return counts


class CTC(FunctionLoss):
    """See `ctc`; sequences of one batch may end where the mask of y_pred says so."""

    takes_mask = True

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "ctc",
        dtype: Any = None,
    ) -> None:
        super().__init__(ctc, reduction, name, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the loss of every sequence."""
        return ctc(y_true, y_pred)
