"""True and false positives and negatives at thresholds, and their ratios.

Predictions are probabilities; those above a threshold count as positive.  As in Keras, the mask
of y_pred is not looked at: use sample weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.losses.shapes import same_rank
from fastrnn.metrics.metric import Metric, as_array, divided

Array = NDArray[Any]

# Below every score: of what is not among the best k, and the threshold that all others are above.
_LOWEST = -1e10


class Counts:
    """Weights of true and false positives and negatives for each of N thresholds, (N, columns)."""

    def __init__(self, thresholds: Array, columns: int = 1) -> None:
        self.thresholds = thresholds
        shape = (len(thresholds), columns)
        self.true_positives = np.zeros(shape)
        self.false_positives = np.zeros(shape)
        self.true_negatives = np.zeros(shape)
        self.false_negatives = np.zeros(shape)

    def add(self, labels: Array, scores: Array, weights: Array) -> None:
        """Count predictions.

        Parameters
        ----------
        labels, scores, weights : (M, columns) arrays
            Labels are bools.
        """
        # The thresholds that a score is above are the first ones.
        above = np.searchsorted(self.thresholds.astype(scores.dtype), scores, side="left")
        N = len(self.thresholds)
        for c in range(labels.shape[1]):
            for label, positives, negatives in (
                (True, self.true_positives, self.false_negatives),
                (False, self.false_positives, self.true_negatives),
            ):
                chosen = labels[:, c] == label
                steps = np.bincount(above[chosen, c], weights[chosen, c], minlength=N + 1)
                below = np.cumsum(steps)[:N]
                negatives[:, c] += below
                positives[:, c] += steps.sum() - below


def labels_scores_weights(
    y_true: Any, y_pred: Any, sample_weight: Any
) -> tuple[Array, Array, Array]:
    """Return bools, float scores and float64 weights, all of one shape (...).

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    labels, scores = as_array(y_true), as_array(y_pred)
    shape, scores_shape = same_rank(labels.shape, scores.shape)
    labels, scores = labels.reshape(shape), scores.reshape(scores_shape)
    if labels.shape != scores.shape:
        raise ValueError(f"y_true: expected shape {scores.shape}, got {labels.shape}")
    if scores.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        scores = scores.astype(np.float32)
    weights = np.ones(()) if sample_weight is None else as_array(sample_weight).astype(np.float64)
    if 0 < weights.ndim < scores.ndim:
        weights = weights.reshape(weights.shape + (1,) * (scores.ndim - weights.ndim))
    elif weights.ndim == scores.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    try:
        weights = np.broadcast_to(weights, scores.shape)
    except ValueError as error:
        raise ValueError(
            f"sample_weight: expected a shape that broadcasts to {scores.shape}, "
            f"got {np.shape(sample_weight)}"
        ) from error
    return labels.astype(bool), scores, weights


class ThresholdMetric(Metric):
    """Base of metrics of the counts at thresholds.

    Parameters
    ----------
    thresholds : float or sequence of floats in 0..1, optional
        0.5 if not given.  With a sequence the result is an array.
    top_k : int, optional
        Only the k highest scores of a row may be positive: by default all of them are.
    class_id : int, optional
        Only this column of y_true and y_pred counts.

    Raises
    ------
    ValueError
        If a threshold is not in 0..1, or top_k or class_id is not a number that makes sense.
    """

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        default = 0.5 if top_k is None else _LOWEST
        chosen = np.atleast_1d(np.asarray(default if thresholds is None else thresholds, float))
        if thresholds is not None and not ((chosen >= 0) & (chosen <= 1)).all():
            raise ValueError(f"thresholds: expected numbers in 0..1, got {thresholds}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k: expected at least 1, got {top_k}")
        if class_id is not None and class_id < 0:
            raise ValueError(f"class_id: expected at least 0, got {class_id}")
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        # Counting wants them in order; results come in the user's.
        self._order = np.argsort(chosen, kind="stable")
        self._counts = Counts(chosen[self._order])

    @property
    def thresholds(self) -> list[float]:
        """The thresholds, in the order given."""
        return [float(number) for number in self._in_order(self._counts.thresholds[:, None])]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count predictions.

        Parameters
        ----------
        y_true : (B, ...) array of 0 and 1
        y_pred : (B, ...) array
        sample_weight : (B,) or larger array, optional
            Broadcasts from the left: (B,) for predictions (B, C).

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        labels, scores, weights = labels_scores_weights(y_true, y_pred, sample_weight)
        if self.top_k is not None:
            scores = _best(scores, self.top_k)
        if self.class_id is not None:
            if scores.ndim == 0 or self.class_id >= scores.shape[-1]:
                raise ValueError(
                    f"class_id: expected a column of y_pred {scores.shape}, got {self.class_id}"
                )
            labels, scores, weights = (
                array[..., self.class_id] for array in (labels, scores, weights)
            )
        self._counts.add(*(array.reshape(-1, 1) for array in (labels, scores, weights)))

    def reset_state(self) -> None:
        """Forget all predictions."""
        super().reset_state()
        self._counts = Counts(self._counts.thresholds)

    def _in_order(self, values: Array) -> Array:
        """Return the column (N,) of values (N, 1) in the order of the user's thresholds."""
        result: Array = np.empty(len(values))
        result[self._order] = values[:, 0]
        return result

    def _as_result(self, values: Array) -> Any:
        ordered = self._in_order(values)
        return float(ordered[0]) if len(ordered) == 1 else ordered

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "thresholds": _plain(self.init_thresholds)}


def _best(scores: Array, k: int) -> Array:
    """Return scores (..., V) with all but the k highest of a row made lowest."""
    if k >= scores.shape[-1]:
        return scores
    order = np.argsort(-scores, axis=-1, kind="stable")[..., k:]
    result: Array = scores.copy()
    np.put_along_axis(result, order, scores.dtype.type(_LOWEST), axis=-1)
    return result


def _plain(thresholds: Any) -> Any:
    if isinstance(thresholds, Sequence | np.ndarray):
        return [float(number) for number in thresholds]
    return thresholds


class TruePositives(ThresholdMetric):
    """Weight of the positives that are predicted to be; see `ThresholdMetric`."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self) -> Any:
        """Return the weight: a float, or (N,) for N thresholds."""
        return self._as_result(self._counts.true_positives)


class FalsePositives(ThresholdMetric):
    """Weight of the negatives that are predicted positive; see `ThresholdMetric`."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self) -> Any:
        """Return the weight: a float, or (N,) for N thresholds."""
        return self._as_result(self._counts.false_positives)


class TrueNegatives(ThresholdMetric):
    """Weight of the negatives that are predicted to be; see `ThresholdMetric`."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self) -> Any:
        """Return the weight: a float, or (N,) for N thresholds."""
        return self._as_result(self._counts.true_negatives)


class FalseNegatives(ThresholdMetric):
    """Weight of the positives that are predicted negative; see `ThresholdMetric`."""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self) -> Any:
        """Return the weight: a float, or (N,) for N thresholds."""
        return self._as_result(self._counts.false_negatives)


class Precision(ThresholdMetric):
    """Share of the predicted positives that are positive; see `ThresholdMetric`."""

    def result(self) -> Any:
        """Return the precision: a float, or (N,) for N thresholds; 0 without predictions."""
        found = self._counts.true_positives
        return self._as_result(divided(found, found + self._counts.false_positives))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Recall(ThresholdMetric):
    """Share of the positives that are predicted to be; see `ThresholdMetric`."""

    def result(self) -> Any:
        """Return the recall: a float, or (N,) for N thresholds; 0 without positives."""
        found = self._counts.true_positives
        return self._as_result(divided(found, found + self._counts.false_negatives))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}
