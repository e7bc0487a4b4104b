"""What a model is compiled with, and its steps over single batches."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import metrics, optimizers, random
from fastrnn.data import structure
from fastrnn.data.feed import unpack
from fastrnn.layers import Layer
from fastrnn.losses.shapes import Following
from fastrnn.models.objective import CompiledLoss, CompiledMetrics, in_order
from fastrnn.models.outputs import Outputs
from fastrnn.models.straight import Pass, is_line
from fastrnn.tape import GradientTape, Tensor, Variable, constant, is_recording


class Learner(Layer):
    """A layer that learns from batches, one at a time.

    Attributes
    ----------
    optimizer : Optimizer or None
        As given to `compile`.
    stop_training : bool
        Set it, in a callback perhaps, to end `fit` after the step.
    history : History
        Of the last `fit`.
    epochs_done : int
        How many epochs the model has learned for.
    shuffle_seed : int
        Of the order of rows in `fit`.
    keep_gradients : bool
        Whether `gradients` has those of the last step.
    gradients : dict of arrays
        By the `id` of the Variable.
    """

    output_names: list[str] | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.optimizer: Any = None
        self.compiled = False
        self.stop_training = False
        self.history: Any = None
        self.keep_gradients = False
        self.gradients: dict[int, Any] = {}
        self.run_eagerly = True
        self.epochs_done = 0
        self.shuffle_seed = random.next_seed()
        self._compiled_with: dict[str, Any] = {}
        self._loss: CompiledLoss | None = None
        self._metrics: CompiledMetrics | None = None
        self._loss_tracker: Any = None
        #: While an epoch runs, the `Variable.generation` for which these variables were found.
        self._changing: tuple[int, list[Variable]] | None = None
        #: Whether nobody looks at the metrics before the end of the epoch.
        self._is_unwatched = False

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to learn.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, Loss, function `(y_true, y_pred)`, or list or dict of them, optional
            One for all outputs, or one for each, by position or name.
        loss_weights : float, or list or dict of floats, optional
            What the losses of the outputs are multiplied by.
        metrics, weighted_metrics : list of str, Metric or function, optional
            For several outputs a list or dict of such lists.  The latter take sample weights.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Keras' options of how to run; nothing depends on them here.

        Raises
        ------
        ValueError, TypeError
            If a name is unknown.
        """
        self._compile(optimizer, loss, loss_weights, metrics, weighted_metrics)

    def _compile(
        self, optimizer: Any, loss: Any, loss_weights: Any, given: Any, weighted: Any
    ) -> None:
        self._compiled_with = {
            "loss": loss, "loss_weights": loss_weights, "metrics": given,
            "weighted_metrics": weighted,
        }  # fmt: skip
        self.optimizer = optimizers.get(optimizer)
        self._loss = None if loss is None else CompiledLoss(loss, loss_weights)
        self._metrics = CompiledMetrics(given, weighted) if given or weighted else None
        self._loss_tracker = metrics.Mean(name="loss")
        self.compiled = True

    @property
    def loss(self) -> Any:
        """The loss as given to `compile`."""
        return self._compiled_with.get("loss")

    @property
    def metrics(self) -> list[Any]:
        """The mean of the loss, those of several outputs, compiled metrics, and attributes."""
        found = [self._loss_tracker] if self._loss_tracker is not None else []
        found += self._loss.trackers if self._loss is not None else []
        found += [self._metrics] if self._metrics is not None else []
        own = (value for value in vars(self).values() if isinstance(value, metrics.Metric))
        return found + [metric for metric in own if metric is not self._loss_tracker]

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Forget all batches."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the value of each metric by its name."""
        return {metric.name: metric.result() for metric in self.metrics}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:  # fmt: skip
        """Return the loss () of one batch: that of the outputs, and those of the layers.

        Raises
        ------
        ValueError
            If there is none, or targets do not fit.
        """
        total: Any = None
        if self._loss is not None:
            total = self._loss(y, y_pred, sample_weight, self.output_names)
        for term in self.losses:
            total = term if total is None else total + term
        if total is None:
            raise ValueError("loss: expected one in compile(), as no layer has a loss of its own")
        result: Tensor = total
        return result

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Add one batch to the metrics; return their values by name."""
        if self._metrics is not None and y is not None:
            outputs = Outputs(y_pred, self.output_names)
            self._metrics.update_state(y, y_pred, sample_weight, outputs)
        return self.get_metrics_result()

    def train_step(self, data: Any) -> dict[str, Any]:
        """Learn from x, (x, y) or (x, y, sample_weight); return losses and metrics by name."""
        x, y, sample_weight = unpack(data)
        through = self._pass_through(x)
        if through is None:
            with GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
            variables = self._variables_to_change()
            gradients = tape.gradient(loss, variables)
        else:
            y_pred = constant(through.y)
            y_pred.mask = through.mask
            with Following() as following:
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight)
            variables = self._variables_to_change()
            known = through.gradients(following.gradient(loss, y_pred))
            gradients = [known.get(id(variable)) for variable in variables]
        if self.keep_gradients:
            pairs = zip(variables, gradients, strict=True)
            self.gradients = {id(v): np.array(g) for v, g in pairs if g is not None}
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self._loss_tracker.update_state(loss.value, sample_weight=_rows(x))
        if through is not None and self._is_unwatched:
            if self._metrics is not None:
                self._metrics.update_later(y, y_pred, sample_weight)
            return {}
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate x, (x, y) or (x, y, sample_weight); return losses and metrics by name."""
        x, y, sample_weight = unpack(data)
        y_pred = self(x, training=False)
        if self._loss is not None or self.losses:
            loss = self.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False
            )
            self._loss_tracker.update_state(loss.value, sample_weight=_rows(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Return the model's result for one batch x, or (x, ...)."""
        return self(unpack(data)[0], training=False)

    def _pass_through(self, x: Any) -> Pass | None:
        """Return a pass of x through the layers in training, where that is all there is to do."""
        kind = type(self)
        if (
            self._loss is None
            or not self._loss.can_be_followed
            or type(x) is not np.ndarray
            or is_recording()
            or kind.__call__ is not Layer.__call__
            or kind.compute_loss is not Learner.compute_loss
            or not self.__dict__.keys().isdisjoint(("call", "compute_loss"))
            or self.activity_regularizer is not None
        ):
            return None
        line = self._layers_in_line(x)
        if not line or not is_line(line):
            return None
        self._begin()
        return None if self.losses else Pass(line, x)

    @property
    def _has_own_steps(self) -> bool:
        """Whether steps, or the metrics in them, are not those of this class."""
        names = ("train_step", "compute_metrics", "get_metrics_result", "metrics")
        return any(
            getattr(type(self), name) is not getattr(Learner, name) or name in self.__dict__
            for name in names
        )

    def _layers_in_line(self, x: Any) -> list[Any] | None:
        """Return the layers, where they follow one another and calls with x do nothing else."""
        return None

    def _variables_to_change(self) -> list[Variable]:
        """Return `trainable_variables`, looked for once an epoch unless some are made or frozen."""
        known = self._changing
        if known is not None and known[0] == Variable.generation:
            return known[1]
        variables = self.trainable_variables
        if known is not None:
            self._changing = Variable.generation, variables
        return variables

    def _as_list(self, logs: dict[str, Any]) -> Any:
        names = ["loss", *(t.name for t in (self._loss.trackers if self._loss else []))]
        names += self._metrics.names if self._metrics is not None else []
        values = in_order(logs, names)
        return values[0] if len(values) == 1 else values

    def _check_compiled(self) -> None:
        if not self.compiled:
            raise RuntimeError("the model is not compiled; call compile() first")


def _rows(x: Any) -> int:
    if type(x) is np.ndarray and x.ndim:
        return len(x)
    found = structure.leaves(x)
    return len(found[0]) if found and np.ndim(found[0]) else 1
