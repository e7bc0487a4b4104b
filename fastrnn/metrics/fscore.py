"""Scores that weigh precision against recall."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.metrics.metric import Metric, as_array, divided

Array = NDArray[Any]

_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """(1 + beta^2) precision recall / (beta^2 precision + recall), of columns (B, C).

    Parameters
    ----------
    average : None, "micro", "macro" or "weighted"
        None: an array (C,).  "micro": one score of all columns' counts.  "macro": the mean of
        the columns' scores; "weighted": the mean with their positives as weights.
    beta : float
        Above 0: how much more recall counts than precision.
    threshold : float, optional
        In (0, 1]: what is above it is predicted.  If not given, the highest of a row is.

    Raises
    ------
    ValueError
        If an argument is none of these.

    Source
    ------
    C. J. van Rijsbergen, Information Retrieval, 1979.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        if average not in _AVERAGES:
            raise ValueError(f"average: expected one of {_AVERAGES}, got {average!r}")
        if not isinstance(beta, int | float) or not beta > 0:
            raise ValueError(f"beta: expected a number above 0, got {beta!r}")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"threshold: expected a number in (0, 1], got {threshold}")
        self.average = average
        self.beta = float(beta)
        self.threshold = threshold
        self._counts: Array | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count predictions.

        Parameters
        ----------
        y_true : (B, C) array of 0 and 1
        y_pred : (B, C) array
        sample_weight : (B,) array, optional

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        labels, scores = as_array(y_true), as_array(y_pred)
        if scores.ndim != 2 or labels.shape != scores.shape:
            raise ValueError(
                f"y_true, y_pred: expected one shape (B, C), got {labels.shape}, {scores.shape}"
            )
        if self._counts is None:
            self._counts = np.zeros((4, scores.shape[1]))
        elif self._counts.shape[1] != scores.shape[1]:
            raise ValueError(f"y_pred: expected (B, {self._counts.shape[1]}), got {scores.shape}")
        if self.threshold is None:
            highest = scores.max(axis=1, keepdims=True)
            found = (scores >= highest) & (np.abs(scores) > 1e-9)
        else:
            found = scores > scores.dtype.type(self.threshold)
        weights = np.ones(len(scores))
        if sample_weight is not None:
            weights = as_array(sample_weight).astype(np.float64)
            if weights.size not in (1, len(scores)):
                raise ValueError(
                    f"sample_weight: expected shape ({len(scores)},), got {weights.shape}"
                )
            weights = np.broadcast_to(weights.reshape(-1), len(scores))
        right = labels.astype(np.float64)
        self._counts[0] += weights @ (right * found)
        self._counts[1] += weights @ ((1 - right) * found)
        self._counts[2] += weights @ (right * ~found)
        self._counts[3] += weights @ right

    def result(self) -> Any:
        """Return the score: a float, or (C,) without an average; 0 before the first update."""
        if self._counts is None:
            return 0.0
        counts = self._counts
        if self.average == "micro":
            counts = counts.sum(axis=1, keepdims=True)
        found, false, missed, weights = counts
        precision, recall = divided(found, found + false), divided(found, found + missed)
        square = self.beta**2
        scores = (1 + square) * divided(precision * recall, square * precision + recall)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float(divided((scores * weights).sum(), weights.sum()))
        return float(scores.mean())

    def reset_state(self) -> None:
        """Forget all predictions."""
        super().reset_state()
        self._counts = None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: see `FBetaScore`, with beta = 1."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        del config["beta"]
        return config
