"""Metrics: what a person wants to know of a model.

Names, arguments and defaults are those of Keras 3; `Perplexity`, `WordErrorRate` and
`CharacterErrorRate` are added.  Everything is counted in float64, and `result()` is a float, or
an array where it has several numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastrnn.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from fastrnn.metrics.auc import AUC
from fastrnn.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from fastrnn.metrics.error_rate import CharacterErrorRate, WordErrorRate, edit_distance
from fastrnn.metrics.fscore import F1Score, FBetaScore
from fastrnn.metrics.metric import Mean, MeanMetricWrapper, Metric, Sum
from fastrnn.metrics.probability import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    Perplexity,
    Poisson,
    SparseCategoricalCrossentropy,
)
from fastrnn.metrics.regression import (
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    RootMeanSquaredError,
    SquaredHinge,
)

CLASSES: dict[str, type[Metric]] = {
    "AUC": AUC,
    "Accuracy": Accuracy,
    "BinaryAccuracy": BinaryAccuracy,
    "BinaryCrossentropy": BinaryCrossentropy,
    "CategoricalAccuracy": CategoricalAccuracy,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "CategoricalHinge": CategoricalHinge,
    "CharacterErrorRate": CharacterErrorRate,
    "CosineSimilarity": CosineSimilarity,
    "F1Score": F1Score,
    "FBetaScore": FBetaScore,
    "FalseNegatives": FalseNegatives,
    "FalsePositives": FalsePositives,
    "Hinge": Hinge,
    "KLDivergence": KLDivergence,
    "LogCoshError": LogCoshError,
    "Mean": Mean,
    "MeanAbsoluteError": MeanAbsoluteError,
    "MeanAbsolutePercentageError": MeanAbsolutePercentageError,
    "MeanSquaredError": MeanSquaredError,
    "MeanSquaredLogarithmicError": MeanSquaredLogarithmicError,
    "Perplexity": Perplexity,
    "Poisson": Poisson,
    "Precision": Precision,
    "Recall": Recall,
    "RootMeanSquaredError": RootMeanSquaredError,
    "SparseCategoricalAccuracy": SparseCategoricalAccuracy,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
    "SparseTopKCategoricalAccuracy": SparseTopKCategoricalAccuracy,
    "SquaredHinge": SquaredHinge,
    "Sum": Sum,
    "TopKCategoricalAccuracy": TopKCategoricalAccuracy,
    "TrueNegatives": TrueNegatives,
    "TruePositives": TruePositives,
    "WordErrorRate": WordErrorRate,
}

#: The classes' names as strings in `compile(metrics=[...])`, and Keras' short ones.
NAMES: dict[str, str] = {
    "accuracy": "Accuracy",
    "auc": "AUC",
    "bce": "BinaryCrossentropy",
    "binary_accuracy": "BinaryAccuracy",
    "binary_crossentropy": "BinaryCrossentropy",
    "categorical_accuracy": "CategoricalAccuracy",
    "categorical_crossentropy": "CategoricalCrossentropy",
    "categorical_hinge": "CategoricalHinge",
    "character_error_rate": "CharacterErrorRate",
    "cosine_similarity": "CosineSimilarity",
    "f1_score": "F1Score",
    "false_negatives": "FalseNegatives",
    "false_positives": "FalsePositives",
    "fbeta_score": "FBetaScore",
    "hinge": "Hinge",
    "kl_divergence": "KLDivergence",
    "kld": "KLDivergence",
    "log_cosh_error": "LogCoshError",
    "logcosh": "LogCoshError",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mean": "Mean",
    "mean_absolute_error": "MeanAbsoluteError",
    "mean_absolute_percentage_error": "MeanAbsolutePercentageError",
    "mean_squared_error": "MeanSquaredError",
    "mean_squared_logarithmic_error": "MeanSquaredLogarithmicError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
    "perplexity": "Perplexity",
    "poisson": "Poisson",
    "precision": "Precision",
    "recall": "Recall",
    "root_mean_squared_error": "RootMeanSquaredError",
    "sparse_categorical_accuracy": "SparseCategoricalAccuracy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "sparse_top_k_categorical_accuracy": "SparseTopKCategoricalAccuracy",
    "squared_hinge": "SquaredHinge",
    "sum": "Sum",
    "top_k_categorical_accuracy": "TopKCategoricalAccuracy",
    "true_negatives": "TrueNegatives",
    "true_positives": "TruePositives",
    "word_error_rate": "WordErrorRate",
}


def get(identifier: Any) -> Any:
    """Return the metric that a name, a class or a dict stands for.

    Parameters
    ----------
    identifier : str, Metric, class, callable, dict or None
        "accuracy" is `Accuracy` here: see `resolve` for what `compile` makes of it.  Callables
        that are no classes come back as they are, like in Keras.

    Returns
    -------
    Metric, callable or None

    Raises
    ------
    ValueError
        If there is no such metric.
    """
    if identifier is None or isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, str):
        name = NAMES.get(identifier.lower(), identifier)
        if name in CLASSES:
            return CLASSES[name]()
        raise ValueError(f"metric: expected one of {', '.join(sorted(NAMES))}, got {identifier!r}")
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if callable(identifier):
        return identifier() if isinstance(identifier, type) else identifier
    raise ValueError(f"metric: expected a name, a callable or a Metric, got {identifier!r}")


def resolve_accuracy(
    y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...], name: str = "accuracy"
) -> Metric:
    """Return the accuracy that suits targets and predictions of these shapes, as Keras does.

    Parameters
    ----------
    y_true_shape : (B,), (B, ...) or (B, ..., 1) for classes, (B, ..., V) for one-hot targets
    y_pred_shape : (B, ..., V), with V = 1 for probabilities of two classes
    name : str

    Returns
    -------
    BinaryAccuracy, SparseCategoricalAccuracy or CategoricalAccuracy
    """
    kinds: dict[str, Callable[..., Metric]] = {
        "binary": BinaryAccuracy,
        "sparse": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    }
    return kinds[_task(y_true_shape, y_pred_shape)](name=name)


def resolve(
    identifier: Any, y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...]
) -> Metric:
    """Return the metric that `compile` makes of one of its `metrics`.

    "accuracy" and "acc", "crossentropy" and "ce" become the binary, the sparse or the categorical
    kind; a function becomes a `MeanMetricWrapper` of its name.

    Raises
    ------
    ValueError
        If there is no such metric.
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        return resolve_accuracy(y_true_shape, y_pred_shape, identifier)
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        kinds: dict[str, Callable[..., Metric]] = {
            "binary": BinaryCrossentropy,
            "sparse": SparseCategoricalCrossentropy,
            "categorical": CategoricalCrossentropy,
        }
        return kinds[_task(y_true_shape, y_pred_shape)](name=identifier)
    found = get(identifier)
    if found is None:
        raise ValueError("metric: expected one, got None")
    name = getattr(found, "__name__", None) or type(found).__name__
    metric = found if isinstance(found, Metric) else MeanMetricWrapper(found, name=name)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def _task(y_true_shape: tuple[int, ...], y_pred_shape: tuple[int, ...]) -> str:
    if not y_pred_shape or y_pred_shape[-1] == 1:
        return "binary"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return "sparse"
    return "categorical"


def serialize(metric: Metric) -> dict[str, Any]:
    """Return what `deserialize` makes a metric of: a dict for JSON.

    Raises
    ------
    ValueError
        If it is no Metric.
    """
    if not isinstance(metric, Metric):
        raise ValueError(f"metric: expected a Metric, got {metric!r}")
    return {"class_name": type(metric).__name__, "config": metric.get_config()}


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the metric that `serialize`, of this module or of Keras, described.

    Parameters
    ----------
    config : str or dict
    custom_objects : dict, optional
        Classes of the user's own by name.

    Raises
    ------
    ValueError
        If there is no such metric.
    """
    known: dict[str, Any] = {**CLASSES, **(custom_objects or {})}
    if isinstance(config, str):
        return known[config]() if config in known else get(config)
    if not isinstance(config, Mapping) or config.get("class_name") not in known:
        raise ValueError(f"metric: expected a dict with a known class_name, got {config!r}")
    return known[config["class_name"]].from_config(dict(config.get("config", {})))


__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CharacterErrorRate",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Perplexity",
    "Poisson",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "WordErrorRate",
    "binary_accuracy",
    "categorical_accuracy",
    "deserialize",
    "edit_distance",
    "get",
    "resolve",
    "resolve_accuracy",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]
