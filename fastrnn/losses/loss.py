"""What all losses share: sample weights, masks, and the reduction to one number.

The loss of every sample, `values`, becomes one number in this order, which is Keras':

    (1)  the mask of y_pred joins the sample weights; under a plain mean it is scaled up by
         positions / valid positions, so that the mean is one over what is valid
    (2)  values times weights
    (3)  sum, divided by the number of values or, "mean_with_sample_weight", by the sum of weights
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.losses.shapes import as_prediction, recorded, same_rank, unbroadcast, with_same_rank
from fastrnn.tape import Tensor

Array = NDArray[Any]

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)
_MEANS = ("sum_over_batch_size", "mean")


class Loss:
    """Base of all losses; a loss of one's own implements `call`.

    Parameters
    ----------
    name : str, optional
        The class' name in lower case if not given.
    reduction : str or None
        "sum_over_batch_size" (or "mean"), "sum", "mean_with_sample_weight", "none" or None.
    dtype : dtype, optional
        What to compute in; that of y_pred if not given.

    Raises
    ------
    ValueError
        If the reduction is unknown.

    Examples
    --------
    >>> from fastrnn import losses
    >>> loss = losses.MeanSquaredError()
    >>> y_true, y_pred = np.zeros((2, 2)), np.array([[1.0, 1.0], [3.0, 3.0]])
    >>> float(loss(y_true, y_pred)), float(loss(y_true, y_pred, sample_weight=[1, 0]))
    (5.0, 0.5)
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction: expected one of {REDUCTIONS}, got {reduction!r}")
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = None if dtype is None else np.dtype(dtype)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """Return the reduced loss.

        Parameters
        ----------
        y_true : array or Tensor
            What is right.  Most losses take it for constant: no gradient flows into it.
        y_pred : Tensor or array (B, ...)
            The model's output; its `mask`, if it has one, leaves positions out.
        sample_weight : number or array, optional
            Broadcasts against the losses of the samples: (B,) for outputs (B, C), (B, T) or
            (B, 1) for outputs (B, T, C).

        Returns
        -------
        Tensor
            () or, without a reduction, of the shape of the values.

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        mask = None
        if not isinstance(y_pred, dict | tuple):  # which a loss of one's own may take
            y_pred = as_prediction(y_pred, self.dtype)
            mask = None if self.takes_mask else y_pred.mask
            if self.casts_targets and isinstance(y_true, Tensor):
                y_true = as_prediction(y_true, y_pred.dtype)
            elif self.casts_targets and not isinstance(y_true, dict | tuple):
                y_true = np.asarray(y_true).astype(y_pred.dtype, copy=False)
        values = as_prediction(self.call(y_true, y_pred))
        if values.mask is not None:  # what the loss itself leaves out
            mask = values.mask if mask is None else np.logical_and(mask, values.mask)
        return reduced(values, sample_weight, mask, self.reduction)

    #: Whether `call` heeds the mask of y_pred itself.
    takes_mask = False

    #: Whether `call` wants y_true in the dtype of y_pred, as in Keras.
    casts_targets = True

    #: Whether `shapes.Following` can follow it from y_pred: it is all this package's own.
    can_be_followed = False

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample, of which `__call__` takes the mean."""
        raise NotImplementedError(f"{type(self).__name__}: call() is not implemented")

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config: dict[str, Any] = {"name": self.name, "reduction": self.reduction}
        if self.dtype is not None:
            config["dtype"] = self.dtype.name
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """Return a loss with these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, reduction={self.reduction!r})"


class FunctionLoss(Loss):
    """The loss that a function `(y_true, y_pred, **options)` computes for every sample."""

    def __init__(
        self,
        function: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name or getattr(function, "__name__", None), reduction, dtype)
        self.function = function
        self.options = options
        # Those of this package do it themselves, or take classes as they are.
        self.casts_targets = not _is_own(function)
        kind = type(self)
        self.can_be_followed = all(map(_is_own, (function, kind.call, kind.__call__)))

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of every sample."""
        if isinstance(y_pred, Tensor) and not isinstance(y_true, dict | tuple):
            y_true, y_pred = with_same_rank(y_true, y_pred)
        return self.function(y_true, y_pred, **self.options)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), **self.options}


def _is_own(function: Any) -> bool:
    """Return whether a function is one of this package."""
    return (getattr(function, "__module__", None) or "").startswith(__package__)


def reduced(values: Tensor, sample_weight: Any, mask: Any, reduction: str | None) -> Tensor:
    """Return the weighted values as one number, or as they are without a reduction.

    values (B, ...); sample_weight and mask broadcast against them.  See the module's docstring.
    """
    losses = values.value
    dtype = losses.dtype
    weights = _weights(sample_weight, mask, reduction, dtype)
    if weights is None:
        weighted = losses
    else:
        shape, weight_shape = same_rank(losses.shape, weights.shape)
        losses, weights = losses.reshape(shape), weights.reshape(weight_shape)
        weighted = _product(losses, weights, "the losses of the samples")

    def gradient(d: Array) -> Any:
        """Return the gradient of `values` from that of `weighted`."""
        if weights is not None:
            d = unbroadcast(d * weights, losses.shape)
        return d.reshape(values.shape)

    if reduction in (None, "none") or weighted.ndim == 0:
        return values if weights is None else recorded(values, weighted, gradient)

    divisor = 1.0
    if reduction in _MEANS:
        divisor = float(weighted.size)
    elif reduction == "mean_with_sample_weight":
        divisor = float(weighted.size if weights is None else weights.sum(dtype=np.float64))
    share = 1.0 / divisor if divisor else 0.0
    total = np.asarray(weighted.sum(dtype=np.float64) * share, dtype)
    return recorded(
        values, total, lambda d: gradient(np.full(weighted.shape, float(d) * share, dtype))
    )


def masked_weights(sample_weight: Any, mask: Any, dtype: np.dtype[Any]) -> Array | None:
    """Return sample weights that are 0 where the mask is, or None for all 1."""
    return _weights(sample_weight, mask, "sum", dtype)


def _weights(
    sample_weight: Any, mask: Any, reduction: str | None, dtype: np.dtype[Any]
) -> Array | None:
    """Return sample weights and mask in one, step (1), or None for all 1."""
    weights: Array | None = None
    if sample_weight is not None:
        weights = np.asarray(sample_weight).astype(dtype)
    if mask is None:
        return weights
    mask = np.asarray(mask)
    factors: Array = mask.astype(dtype)
    if reduction in _MEANS:
        factors *= dtype.type(mask.size / max(1, np.count_nonzero(mask)))
    if weights is None:
        return factors
    shape, weight_shape = same_rank(factors.shape, weights.shape)
    return _product(factors.reshape(shape), weights.reshape(weight_shape), "the mask")


def _product(values: Array, weights: Array, what: str) -> Array:
    try:
        product: Array = values * weights
    except ValueError as error:
        raise ValueError(
            f"sample_weight: expected a shape that broadcasts against {what}, {values.shape}, "
            f"got {weights.shape}"
        ) from error
    return product


def snake_case(name: str) -> str:
    """Return the name of a class as the name of an object: MeanSquaredError, mean_squared_error."""
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
