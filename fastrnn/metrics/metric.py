"""What all metrics share, and those that are means and sums of values."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.losses.loss import masked_weights, snake_case
from fastrnn.losses.shapes import same_rank, with_same_rank
from fastrnn.tape import Tensor, Variable, constant

Array = NDArray[Any]

_FLOAT64 = np.dtype(np.float64)
_NUMBERS = (int, float)

_names: Counter[str] = Counter()
_lock = threading.Lock()


def automatic_name(kind: type) -> str:
    """Return a name for the next object of a class: "auc", "auc_1", "auc_2" ..."""
    name = snake_case(kind.__name__)
    with _lock:
        number = _names[name]
        _names[name] += 1
    return f"{name}_{number}" if number else name


def as_array(value: Any) -> Array:
    """Return the array of a Tensor, an array or numbers."""
    return value.value if isinstance(value, Tensor) else np.asarray(value)


class Metric:
    """Base of all metrics; one of one's own implements `update_state` and `result`.

    Its numbers, made by `add_weight`, are set back by `reset_state`.

    Parameters
    ----------
    dtype : dtype, optional
        Kept for `get_config`: metrics count in float64.
    name : str, optional
        The class' name in lower case, numbered, if not given.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or automatic_name(type(self))
        self.dtype = np.dtype(np.float32 if dtype is None else dtype)
        self._initial: list[tuple[Variable, Array]] = []

    def add_weight(
        self,
        shape: tuple[int, ...] = (),
        initializer: Any = "zeros",
        dtype: Any = None,
        name: str = "weight",
    ) -> Variable:
        """Return a new number, or array of numbers, of the metric's.

        Parameters
        ----------
        shape : tuple of ints
        initializer : "zeros", "ones" or callable of shape
        dtype : dtype, optional
            float64 if not given.
        name : str

        Raises
        ------
        ValueError
            If the initializer is none of these.
        """
        if initializer in ("zeros", "ones"):
            value: Array = np.full(shape, float(initializer == "ones"))
        elif callable(initializer):
            value = np.asarray(initializer(shape))
        else:
            raise ValueError(
                f'initializer: expected "zeros", "ones" or a callable, got {initializer!r}'
            )
        value = value.astype(np.float64 if dtype is None else dtype)
        variable = Variable(value, name, trainable=False)
        self._initial.append((variable, value))
        return variable

    add_variable = add_weight

    @property
    def variables(self) -> list[Variable]:
        """What `add_weight` made."""
        return [variable for variable, _ in self._initial]

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take what is measured into account."""
        raise NotImplementedError(f"{type(self).__name__}: update_state() is not implemented")

    def result(self) -> Any:
        """Return the metric of all that was measured since the last reset: a float or an array."""
        raise NotImplementedError(f"{type(self).__name__}: result() is not implemented")

    def reset_state(self) -> None:
        """Forget all that was measured."""
        for variable, value in self._initial:
            variable.assign(value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Update the state; return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"name": self.name, "dtype": self.dtype.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Return a metric with these arguments."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class Average(Metric):
    """Base of the metrics that are weighted means of values (B, ...).

    As in Keras, a sample counts as one however many values it has: values are averaged over all
    axes but the first, or those of the weights, before they are weighted and summed.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.total = 0.0
        self.count = 0.0

    def _add(self, values: Any, sample_weight: Any) -> None:
        is_one = getattr(values, "ndim", None) == 0 or isinstance(values, _NUMBERS)
        if is_one and isinstance(sample_weight, _NUMBERS):
            self.total += float(values) * sample_weight
            self.count += sample_weight
            return
        numbers, weights = _per_sample(values, sample_weight, np.mean)
        self.total += float(numbers.sum())
        self.count += float(numbers.size if weights is None else weights.sum())

    def result(self) -> Any:
        """Return the mean; 0 if nothing counts."""
        return self.total / self.count if self.count else 0.0

    def reset_state(self) -> None:
        """Forget all values."""
        super().reset_state()
        self.total = self.count = 0.0


class Mean(Average):
    """The weighted mean of values; see `Average`."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values (B, ...) into account.

        Raises
        ------
        ValueError
            If sample_weight does not broadcast against the values.
        """
        self._add(values, sample_weight)


class Sum(Metric):
    """The weighted sum of values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype=dtype, name=name)
        self.total = 0.0

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values (B, ...) into account.

        Raises
        ------
        ValueError
            If sample_weight does not broadcast against the values.
        """
        self.total += float(_per_sample(values, sample_weight, np.sum)[0].sum())

    def result(self) -> float:
        """Return the sum."""
        return self.total

    def reset_state(self) -> None:
        """Forget all values."""
        super().reset_state()
        self.total = 0.0


def _per_sample(values: Any, sample_weight: Any, reduce: Any) -> tuple[Array, Array | None]:
    """Return weighted values, and weights, (B,) or (), reduced over all other axes."""
    numbers: Array = as_array(values).astype(np.float64, copy=False)
    if sample_weight is None:
        return _reduced(reduce, numbers, 1), None
    weights: Array = as_array(sample_weight).astype(np.float64, copy=False)
    shape, weight_shape = same_rank(numbers.shape, weights.shape)
    numbers, weights = numbers.reshape(shape), weights.reshape(weight_shape)
    numbers = _reduced(reduce, numbers, weights.ndim)
    if weights.shape != numbers.shape:
        try:
            weights = np.broadcast_to(weights, numbers.shape)
        except ValueError as error:
            raise ValueError(
                f"sample_weight: expected a shape that broadcasts to {numbers.shape}, "
                f"got {weight_shape}"
            ) from error
    return _reduced(reduce, np.asarray(numbers * weights), 1), _reduced(reduce, weights, 1)


def _reduced(reduce: Any, numbers: Array, first: int) -> Array:
    """Return numbers reduced, to their mean or sum, over all axes from the first given one on."""
    kept = numbers.shape[:first]
    if math.prod(numbers.shape[first:]) == 1:
        return numbers.reshape(kept)
    return np.asarray(reduce(numbers, axis=tuple(range(first, numbers.ndim))))


class MeanMetricWrapper(Average):
    """The mean of what a function `fn(y_true, y_pred, **options)` returns for every sample.

    The mask of y_pred leaves positions out.

    Examples
    --------
    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="distance")
    >>> metric.update_state([1.0, 2.0], [1.0, 4.0])
    >>> metric.result()
    1.0
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str | None = None,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(name, dtype)
        self.fn = fn
        self.options = options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take predictions (B, ...) into account.

        Parameters
        ----------
        y_true, y_pred : arrays or Tensors
        sample_weight : number or array, optional
            Broadcasts against the values of the samples.

        Raises
        ------
        ValueError
            If shapes do not fit.
        """
        mask = getattr(y_pred, "mask", None)
        # A tensor of its own: what an open tape records of it is connected with nothing.
        prediction = constant(as_array(y_pred))
        targets, prediction = with_same_rank(as_array(y_true), prediction)
        values = self.fn(targets, prediction.value, **self.options)
        weights = masked_weights(sample_weight, mask, _FLOAT64)
        left = getattr(values, "mask", None)
        if weights is not None and left is not None:  # as in Keras: not without weights
            weights = masked_weights(weights, left, _FLOAT64)
        self._add(values, weights)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, without the function."""
        return {**super().get_config(), **self.options}


def divided(a: ArrayLike, b: ArrayLike) -> Array:
    """Return a / b, or 0 where b is."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    result: Array = np.divide(a, b, out=np.zeros(a.shape), where=b != 0)
    return result
