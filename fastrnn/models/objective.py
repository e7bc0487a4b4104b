"""What `compile` is given, applied to the outputs of the model: losses and metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import losses, metrics
from fastrnn.data.structure import leaves, transform
from fastrnn.models.outputs import Outputs, unique
from fastrnn.tape import Tensor, constant

Array = NDArray[Any]

# What these names mean depends on the shapes of targets and predictions.
_BY_SHAPE = ("accuracy", "acc", "crossentropy", "ce")

# Batches that wait for `update_state`, and of how many bytes their arrays may be.
_MOST_WAITING = 32
_FEW_BYTES = 1 << 14


class CompiledLoss:
    """The losses of all outputs, weighted and added up.

    Parameters
    ----------
    loss : str, Loss, function, or list or dict of them
    loss_weights : list or dict of floats, optional

    Raises
    ------
    ValueError
        If there is no loss of a name.
    """

    def __init__(self, loss: Any, loss_weights: Any) -> None:
        self._given = loss
        self._loss = transform(_as_loss, loss)
        self._weights = loss_weights
        self._parts: list[Callable[..., Any] | None] = []
        self._factors: list[float] = []
        self._outputs: Outputs | None = None
        self.trackers: list[metrics.Mean] = []

    def __call__(
        self, y: Any, y_pred: Any, sample_weight: Any, names: Sequence[str] | None
    ) -> Tensor:
        """Return the sum () of the losses of all outputs, which have these names."""
        if self.can_be_followed and type(y) is np.ndarray and isinstance(y_pred, Tensor):
            result: Tensor = self._parts[0](y, y_pred, sample_weight)  # type: ignore[misc]
            return result
        outputs = Outputs(y_pred, names)
        if self._outputs is None:
            self._build(outputs)
        targets = outputs.split("y", y)
        predictions = _in_order(y_pred, outputs)
        weights = outputs.broadcast("sample_weight", sample_weight)
        total: Any = None
        rows = len(predictions[0])
        trackers = iter(self.trackers)
        for part, factor, y_true, prediction, weight in zip(
            self._parts, self._factors, targets, predictions, weights, strict=True
        ):
            if part is None:
                continue
            if y_true is None:
                raise ValueError("y: expected targets for every output with a loss, got None")
            value = part(y_true, prediction, weight)
            if self.trackers:
                next(trackers).update_state(value.value, sample_weight=rows)
            if factor != 1.0:
                value = value * factor
            total = value if total is None else total + value
        return total  # type: ignore[no-any-return]

    @property
    def can_be_followed(self) -> bool:
        """Whether it is one loss that `losses.shapes.Following` can follow from y_pred."""
        parts, factors = self._parts, self._factors
        return len(parts) == 1 and factors[0] == 1.0 and parts[0].can_be_followed  # type: ignore

    def _build(self, outputs: Outputs) -> None:
        given = outputs.broadcast("loss", self._given)
        self._parts = outputs.broadcast("loss", self._loss)
        if not any(self._parts):
            raise ValueError("loss: expected one for at least one output, got None")
        factors = [1.0] * len(outputs)
        if isinstance(self._weights, dict | list | tuple):
            parts = outputs.split("loss_weights", self._weights)
            factors = [1.0 if part is None else float(part) for part in parts]
        elif self._weights is not None:
            factors = [float(self._weights)] * len(outputs)
        self._factors = factors
        self._outputs = outputs
        used = [i for i, part in enumerate(self._parts) if part is not None]
        if len(used) > 1:
            names = [f"{outputs.prefix(i) or _name(given[i]) + '_'}loss" for i in used]
            self.trackers = [metrics.Mean(name=name) for name in unique(names)]


def _as_loss(given: Any) -> Any:
    """Return a loss that takes sample weights."""
    found = losses.get(given)
    return found if isinstance(found, losses.Loss) else losses.FunctionLoss(found)


class CompiledMetrics:
    """The metrics of all outputs, by name; behaves like one metric.

    Parameters
    ----------
    given, weighted : str, Metric, function, or list or dict of lists of them
        Those of `weighted` take the sample weights.

    Raises
    ------
    ValueError
        If there is no metric of a name.
    """

    name = "compile_metrics"

    def __init__(self, given: Any, weighted: Any) -> None:
        for identifier in leaves([given, weighted]):
            if identifier not in _BY_SHAPE:
                metrics.get(identifier)
        self._given = given
        self._weighted = weighted
        self._outputs: Outputs | None = None
        self._entries: list[tuple[int, Any, bool]] = []
        self._waiting: list[tuple[Array, Tensor, Array | None]] = []
        self.names: list[str] = []

    @property
    def metrics(self) -> list[Any]:
        """The metrics, as far as a first batch has told which they are."""
        self._catch_up()
        return [metric for _, metric, _ in self._entries]

    def update_state(
        self, y: Any, y_pred: Any, sample_weight: Any = None, outputs: Outputs | None = None
    ) -> None:
        """Take one more batch; see `Metric.update_state`."""
        outputs = outputs or self._outputs or Outputs(y_pred)
        targets = outputs.split("y", y)
        predictions = _in_order(y_pred, outputs)
        if self._outputs is None:
            self._build(outputs, targets, predictions)
        weights = outputs.broadcast("sample_weight", sample_weight)
        for i, metric, is_weighted in self._entries:
            prediction = predictions[i]
            weight = weights[i] if is_weighted else None
            metric.update_state(targets[i], prediction, weight)

    def update_later(self, y: Array, y_pred: Tensor, sample_weight: Array | None) -> None:
        """Take one more batch of one output, at the latest when somebody asks for a metric.

        Several small batches in a row cost less than each of them between two steps of a model,
        which leave nothing in the caches of what the metrics need.
        """
        given = (y, y_pred.value, sample_weight)
        if self._outputs is None or not all(map(_is_small, given)):
            self.update_state(y, y_pred, sample_weight)
            return
        weights = None if sample_weight is None else sample_weight.copy()
        waiting = constant(y_pred.value.copy())
        waiting.mask = y_pred.mask
        self._waiting.append((y.copy(), waiting, weights))
        if len(self._waiting) == _MOST_WAITING:
            self._catch_up()

    def _catch_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for batch in waiting:
            self.update_state(*batch)

    def result(self) -> dict[str, Any]:
        """Return the value of each metric by its name."""
        values = (metric.result() for metric in self.metrics)
        return dict(zip(self.names, values, strict=True))

    def reset_state(self) -> None:
        """Forget all batches."""
        self._waiting = []
        for metric in self.metrics:
            metric.reset_state()

    def _build(self, outputs: Outputs, targets: list[Any], predictions: list[Any]) -> None:
        names = []
        for name, given, is_weighted in (
            ("metrics", self._given, False), ("weighted_metrics", self._weighted, True)
        ):  # fmt: skip
            for i, group in enumerate(_groups(name, given, outputs)):
                for identifier in group:
                    if targets[i] is None:
                        raise ValueError(f"y: expected targets for output {i}, got None")
                    shapes = np.shape(targets[i]), np.shape(predictions[i])
                    metric = metrics.resolve(identifier, *shapes)
                    label = metric.name.strip("<>")  # of a function that has no name
                    self._entries.append((i, metric, is_weighted))
                    full = f"{outputs.prefix(i)}{label}"
                    if is_weighted and full in names:
                        full = f"{outputs.prefix(i)}weighted_{label}"
                    names.append(full)
        self.names = unique(names)
        self._outputs = outputs


def _is_small(array: Any) -> bool:
    return array is None or (type(array) is np.ndarray and array.nbytes <= _FEW_BYTES)


def _groups(name: str, given: Any, outputs: Outputs) -> list[list[Any]]:
    """Return the list of metrics of each output."""
    if given is None:
        return [[] for _ in range(len(outputs))]
    if outputs.is_single and not isinstance(given, dict):
        flat = given if isinstance(given, list | tuple) else [given]
        parts: list[Any] = [flat[0] if len(flat) == 1 and isinstance(flat[0], list) else flat]
    else:
        parts = outputs.split(name, given)
    return [
        [] if part is None else list(part) if isinstance(part, list | tuple) else [part]
        for part in parts
    ]


def _in_order(y_pred: Any, outputs: Outputs) -> list[Any]:
    if outputs.keys is not None:
        return [y_pred[key] for key in outputs.keys]
    return [y_pred] if outputs.is_single else list(y_pred)


def _name(loss: Any) -> str:
    return loss if isinstance(loss, str) else getattr(loss, "name", None) or loss.__name__


def flat(logs: dict[str, Any]) -> dict[str, Any]:
    """Return logs as Python numbers by name, in alphabetical order; metrics may be groups."""
    result: dict[str, Any] = {}
    for name, value in logs.items():
        if isinstance(value, dict):
            result |= flat(value)
        else:
            array = np.asarray(value)
            result[name] = array.item() if array.ndim == 0 else array
    return {name: result[name] for name in sorted(result)}


def in_order(logs: dict[str, Any], first: Sequence[str]) -> list[Any]:
    """Return the values of logs, those of `first` first."""
    return [logs[name] for name in first if name in logs] + [
        value for name, value in logs.items() if name not in first
    ]
