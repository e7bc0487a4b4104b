"""How often a prediction is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.losses.shapes import matched
from fastrnn.metrics.metric import MeanMetricWrapper, as_array

Array = NDArray[Any]


def accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return 1 where two arrays are equal, else 0.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, prediction = matched(y_true, y_pred)
    return np.asarray(target == prediction.value, np.float64)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Array:
    """Return 1 where a probability is on its target's side of a threshold, else 0.

    Parameters
    ----------
    y_true : (B, ...) array
        0 or 1.
    y_pred : (B, ...) array
    threshold : float
        What is above it counts as 1.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    target, prediction = matched(y_true, y_pred)
    side = prediction.value > prediction.dtype.type(threshold)
    return np.asarray(target == side, np.float64)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return (...) 1 where the highest score is at the highest target, else 0.

    Parameters
    ----------
    y_true, y_pred : (..., V) arrays
        Targets, mostly one-hot, and scores of V classes.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    targets, scores = as_array(y_true), _scores(y_pred)
    if targets.shape != scores.shape:
        raise ValueError(f"y_true: expected shape {scores.shape}, got {targets.shape}")
    return np.asarray(targets.argmax(axis=-1) == scores.argmax(axis=-1), np.float64)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Return (...) 1 where the highest score is that of the right class, else 0.

    Parameters
    ----------
    y_true : (...) or (..., 1) array
        Classes.
    y_pred : (..., V) array
        Scores.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    scores = _scores(y_pred)
    return np.asarray(_classes(y_true, scores) == scores.argmax(axis=-1), np.float64)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Array:
    """Return (...) 1 where fewer than k scores are above that of the highest target, else 0.

    Parameters
    ----------
    y_true, y_pred : (..., V) arrays
        Targets, mostly one-hot, and scores of V classes.
    k : int

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    targets, scores = as_array(y_true), _scores(y_pred)
    if targets.shape != scores.shape:
        raise ValueError(f"y_true: expected shape {scores.shape}, got {targets.shape}")
    return sparse_top_k_categorical_accuracy(targets.argmax(axis=-1), scores, k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """Return (...) 1 where fewer than k scores are above that of the right class, else 0.

    Parameters
    ----------
    y_true : (...) or (..., 1) array
        Classes.
    y_pred : (..., V) array
        Scores, or classes from the best on with `from_sorted_ids`.
    k : int
    from_sorted_ids : bool
        Whether y_pred are classes.

    Raises
    ------
    ValueError
        If the shapes do not fit or a class is out of range.
    """
    if from_sorted_ids:
        ids = as_array(y_pred)
        is_there = (ids[..., :k] == _classes(y_true, ids)[..., None]).any(axis=-1)
        return np.asarray(is_there, np.float64)
    scores = _scores(y_pred)
    classes = _classes(y_true, scores).astype(np.int64)
    V = scores.shape[-1]
    is_class = (classes >= 0) & (classes < V)
    own = np.take_along_axis(scores, np.where(is_class, classes, 0)[..., None], axis=-1)
    above = (scores > own).sum(axis=-1)
    return np.asarray(is_class & np.isfinite(own[..., 0]) & (above < k), np.float64)


def _scores(y_pred: Any) -> Array:
    scores = as_array(y_pred)
    if scores.ndim == 0 or scores.shape[-1] == 0:
        raise ValueError(f"y_pred: expected shape (..., V), got {scores.shape}")
    return scores


def _classes(y_true: Any, scores: Array) -> Array:
    classes = as_array(y_true)
    if classes.ndim == scores.ndim and classes.shape[-1] == 1:
        classes = classes[..., 0]
    if classes.shape != scores.shape[:-1]:
        raise ValueError(f"y_true: expected shape {scores.shape[:-1]}, got {classes.shape}")
    return classes


class Accuracy(MeanMetricWrapper):
    """See `accuracy`."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """See `binary_accuracy`; a threshold of 0 is for logits.

    Raises
    ------
    ValueError
        If the threshold is infinite or NaN.
    """

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        if not math.isfinite(threshold):
            raise ValueError(f"threshold: expected a finite number, got {threshold}")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """See `categorical_accuracy`."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """See `sparse_categorical_accuracy`."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """See `top_k_categorical_accuracy`."""

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """See `sparse_top_k_categorical_accuracy`."""

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )
