"""The area under a curve of rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.metrics.confusion import Counts, labels_scores_weights
from fastrnn.metrics.metric import Metric, divided

Array = NDArray[Any]

_CURVES = ("ROC", "PR")
_METHODS = ("interpolation", "minoring", "majoring")
_EPSILON = 1e-7


class AUC(Metric):
    """The area under the ROC or the precision-recall curve, of the counts at thresholds.

    Parameters
    ----------
    num_thresholds : int
        At least 2, evenly spaced from a little below 0 to a little above 1.
    curve : "ROC" or "PR"
        True over false positive rate, or precision over recall.
    summation_method : "interpolation", "minoring" or "majoring"
        How the curve goes from one threshold to the next.  Under "PR" interpolation is that of
        the counts, along which the precision is not linear (J. Davis and M. Goadrich, The
        relationship between precision-recall and ROC curves, ICML 2006).
    thresholds : sequence of floats in 0..1, optional
        Instead of evenly spaced ones; the ends are added.
    multi_label : bool
        Take each column of predictions (B, C) on its own and average the areas.
    num_labels : int, optional
        C, for checks.
    label_weights : (C,) sequence of floats, optional
        Of the columns: of their areas under `multi_label`, else of their predictions.
    from_logits : bool
        Whether predictions are logits, not probabilities.

    Raises
    ------
    ValueError
        If an argument is none of these.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if curve not in _CURVES:
            raise ValueError(f"curve: expected one of {_CURVES}, got {curve!r}")
        if summation_method not in _METHODS:
            raise ValueError(
                f"summation_method: expected one of {_METHODS}, got {summation_method!r}"
            )
        if num_labels is not None and not multi_label:
            raise ValueError("num_labels: expected None without multi_label")
        self._given = None if thresholds is None else [float(number) for number in thresholds]
        if self._given is not None:
            inner = np.sort(np.array(self._given, float))
            if inner.size and not 0 <= inner[0] <= inner[-1] <= 1:
                raise ValueError(f"thresholds: expected numbers in 0..1, got {thresholds}")
        elif isinstance(num_thresholds, int) and num_thresholds > 1:
            inner = np.arange(1, num_thresholds - 1) / (num_thresholds - 1)
        else:
            raise ValueError(f"num_thresholds: expected an int above 1, got {num_thresholds!r}")
        self._thresholds = np.concatenate([[-_EPSILON], inner, [1 + _EPSILON]])
        self.num_thresholds = len(self._thresholds)
        self.curve = curve
        self.summation_method = summation_method
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights, float)
        self.from_logits = from_logits
        self._counts: Counts | None = None

    @property
    def thresholds(self) -> list[float]:
        """All thresholds, the added ones too."""
        return [float(number) for number in self._thresholds]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count predictions; as in Keras, their mask is not looked at.

        Parameters
        ----------
        y_true : (B, ...) array of 0 and 1
        y_pred : (B, ...) array
        sample_weight : (B,) or larger array, optional
            Broadcasts from the left.

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        labels, scores, weights = labels_scores_weights(y_true, y_pred, sample_weight)
        if self.from_logits:
            e = np.exp(-np.abs(scores))
            scores = np.where(scores >= 0, 1 / (1 + e), e / (1 + e))
        # The lowest threshold is to be below all scores, and the highest above.
        scores = np.clip(scores, 0, 1)
        columns = 1
        if self.multi_label:
            if scores.ndim != 2 or self.num_labels not in (None, scores.shape[1]):
                wanted = f"(B, {self.num_labels or 'C'})"
                raise ValueError(f"y_pred: expected shape {wanted}, got {scores.shape}")
            columns = scores.shape[1]
        elif self.label_weights is not None:
            if scores.ndim == 0 or scores.shape[-1] != len(self.label_weights):
                raise ValueError(
                    f"label_weights: expected one for each column of {scores.shape}, "
                    f"got {len(self.label_weights)}"
                )
            weights = weights * self.label_weights
        if self._counts is None:
            self._counts = Counts(self._thresholds, columns)
        elif self._counts.true_positives.shape[1] != columns:
            raise ValueError(
                f"y_pred: expected {self._counts.true_positives.shape[1]} columns as before, "
                f"got {columns}"
            )
        self._counts.add(*(array.reshape(-1, columns) for array in (labels, scores, weights)))

    def result(self) -> float:
        """Return the area, or the mean of the areas of the labels; 0 before the first update."""
        if self._counts is None:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated_precision(self._counts)
        else:
            areas = self._sums(self._counts)
        if self.multi_label and self.label_weights is not None:
            return float(divided((areas * self.label_weights).sum(), self.label_weights.sum()))
        return float(areas.mean())

    def _sums(self, counts: Counts) -> Array:
        """Return the sums (columns,) of rectangles under the curve, in Keras' three ways."""
        recall = divided(counts.true_positives, counts.true_positives + counts.false_negatives)
        if self.curve == "ROC":
            x = divided(counts.false_positives, counts.false_positives + counts.true_negatives)
            y = recall
        else:
            x = recall
            y = divided(counts.true_positives, counts.true_positives + counts.false_positives)
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        areas: Array = ((x[:-1] - x[1:]) * heights).sum(axis=0)
        return areas

    def reset_state(self) -> None:
        """Forget all predictions."""
        super().reset_state()
        self._counts = None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        weights = self.label_weights
        config = {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else [float(weight) for weight in weights],
            "from_logits": self.from_logits,
        }
        if self._given is not None:
            config["thresholds"] = self._given
        return config


def _interpolated_precision(counts: Counts) -> Array:
    """Return the areas (columns,) under precision over recall, counts being interpolated.

    From one threshold to the next the true positives go from tp' to tp and p, all predicted
    positives, linearly with them: p = tp slope + intercept.  The integral of tp / p over tp is
    slope' (dtp + intercept' log(p / p')), with 1 / slope in the places of slope'.
    """
    tp = counts.true_positives
    p = tp + counts.false_positives
    dtp, dp = tp[:-1] - tp[1:], p[:-1] - p[1:]
    slope = divided(dtp, np.maximum(dp, 0))
    intercept = tp[1:] - slope * p[1:]
    is_ratio = (p[:-1] > 0) & (p[1:] > 0)
    ratio = np.where(is_ratio, divided(p[:-1], np.maximum(p[1:], 0)), 1.0)
    positives = np.maximum(tp[1:] + counts.false_negatives[1:], 0)
    areas: Array = divided(slope * (dtp + intercept * np.log(ratio)), positives).sum(axis=0)
    return areas
