"""How well predictions are probabilities: cross entropies, averaged over all batches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastrnn import losses
from fastrnn.losses.loss import masked_weights
from fastrnn.metrics.metric import MeanMetricWrapper, Metric, as_array


class BinaryCrossentropy(MeanMetricWrapper):
    """See `fastrnn.losses.binary_crossentropy`."""

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing,
        )  # fmt: skip


class CategoricalCrossentropy(MeanMetricWrapper):
    """See `fastrnn.losses.categorical_crossentropy`."""

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """See `fastrnn.losses.sparse_categorical_crossentropy`.

    As in Keras, samples of the ignored class count in the mean, with a value of 0, unless there
    are sample weights or a mask; `Perplexity` leaves them out.
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip


class KLDivergence(MeanMetricWrapper):
    """See `fastrnn.losses.kl_divergence`."""

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(MeanMetricWrapper):
    """See `fastrnn.losses.poisson`."""

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class Perplexity(Metric):
    """The exponential of the mean cross entropy of classes (...) under predictions (..., V).

    Not a metric of Keras'.  Every position counts alike, however they are spread over samples and
    batches; those that are masked or of the ignored class do not count.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits, not probabilities.
    ignore_class : int, optional
    axis : int
        Of the classes.
    """

    def __init__(
        self,
        name: str | None = "perplexity",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.options: dict[str, Any] = {
            "from_logits": from_logits,
            "ignore_class": ignore_class,
            "axis": axis,
        }
        self.total = 0.0
        self.count = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take predictions into account.

        Parameters
        ----------
        y_true : (...) or (..., 1) array
        y_pred : (..., V) array or Tensor
        sample_weight : number or array, optional
            Broadcasts against (...).

        Raises
        ------
        ValueError
            If shapes do not fit or a class is out of range.
        """
        found = losses.sparse_categorical_crossentropy(
            as_array(y_true), as_array(y_pred), **self.options
        )
        values = found.value.astype(np.float64)
        weights = masked_weights(sample_weight, getattr(y_pred, "mask", None), values.dtype)
        valid = getattr(found, "mask", None)
        if valid is not None:
            weights = masked_weights(weights, valid, values.dtype)
        if weights is None:
            self.total += float(values.sum())
            self.count += values.size
            return
        try:
            weights = np.broadcast_to(weights, values.shape)
        except ValueError as error:
            raise ValueError(
                f"sample_weight: expected a shape that broadcasts to {values.shape}, "
                f"got {weights.shape}"
            ) from error
        self.total += float((values * weights).sum())
        self.count += float(weights.sum())

    def result(self) -> float:
        """Return the perplexity: inf where it is too large for a float, 0 if nothing counts."""
        if not self.count:
            return 0.0
        mean = self.total / self.count
        return math.exp(mean) if mean < 709 or math.isnan(mean) else math.inf

    def reset_state(self) -> None:
        """Forget all that was measured."""
        super().reset_state()
        self.total = self.count = 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.options}
