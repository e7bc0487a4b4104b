"""Losses: what training makes small.

A loss is a function `(y_true, y_pred) -> Tensor` of the losses of all samples, or an object that
reduces them to one number, `loss(y_true, y_pred, sample_weight=None) -> Tensor`.  Names, arguments
and defaults are those of Keras 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastrnn.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    sparse_categorical_crossentropy,
)
from fastrnn.losses.ctc import CTC, ctc
from fastrnn.losses.hinge import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from fastrnn.losses.loss import FunctionLoss, Loss
from fastrnn.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "categorical_hinge": categorical_hinge,
    "cosine_similarity": cosine_similarity,
    "ctc": ctc,
    "hinge": hinge,
    "huber": huber,
    "kl_divergence": kl_divergence,
    "log_cosh": log_cosh,
    "mean_absolute_error": mean_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
    "mean_squared_error": mean_squared_error,
    "mean_squared_logarithmic_error": mean_squared_logarithmic_error,
    "poisson": poisson,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    "squared_hinge": squared_hinge,
}

CLASSES: dict[str, type[FunctionLoss]] = {
    "BinaryCrossentropy": BinaryCrossentropy,
    "CTC": CTC,
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "CategoricalHinge": CategoricalHinge,
    "CosineSimilarity": CosineSimilarity,
    "Hinge": Hinge,
    "Huber": Huber,
    "KLDivergence": KLDivergence,
    "LogCosh": LogCosh,
    "MeanAbsoluteError": MeanAbsoluteError,
    "MeanAbsolutePercentageError": MeanAbsolutePercentageError,
    "MeanSquaredError": MeanSquaredError,
    "MeanSquaredLogarithmicError": MeanSquaredLogarithmicError,
    "Poisson": Poisson,
    "SparseCategoricalCrossentropy": SparseCategoricalCrossentropy,
    "SquaredHinge": SquaredHinge,
}

#: Short names that Keras knows too.
SHORT = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}


def get(identifier: Any) -> Any:
    """Return the loss that an argument such as `compile(loss=...)` names.

    Parameters
    ----------
    identifier : str, callable, Loss, class, dict or None
        A function's name ("mse", "mean_squared_error"), a class' name ("MeanSquaredError"), what
        `serialize` returned, or a loss itself.

    Returns
    -------
    callable, Loss or None

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    if identifier is None:
        return None
    if isinstance(identifier, str):
        name = SHORT.get(identifier.lower(), identifier)
        if name in FUNCTIONS:
            return FUNCTIONS[name]
        if name in CLASSES:
            return CLASSES[name]()  # type: ignore[call-arg]
        raise ValueError(f"loss: expected one of {', '.join(sorted(FUNCTIONS))}, got {name!r}")
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if isinstance(identifier, type):
        identifier = identifier()
    if callable(identifier):
        return identifier
    raise ValueError(f"loss: expected a name, a callable or a Loss, got {identifier!r}")


def serialize(loss: Any) -> Any:
    """Return what `deserialize` makes a loss of: a name, or a dict for JSON.

    Raises
    ------
    ValueError
        If it is neither a Loss nor a function of this module.
    """
    if isinstance(loss, Loss):
        return {"class_name": type(loss).__name__, "config": loss.get_config()}
    name = getattr(loss, "__name__", None)
    if name in FUNCTIONS and FUNCTIONS[name] is loss:
        return name
    raise ValueError(f"loss: expected a Loss or a function of fastrnn.losses, got {loss!r}")


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the loss that `serialize`, of this module or of Keras, described.

    Parameters
    ----------
    config : str or dict
    custom_objects : dict, optional
        Classes and functions of the user's own by name.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    known: dict[str, Any] = {**FUNCTIONS, **CLASSES, **(custom_objects or {})}
    if isinstance(config, str):
        return known[config] if config in known else get(config)
    if not isinstance(config, Mapping) or "class_name" not in config:
        raise ValueError(f"loss: expected a name or a dict with class_name, got {config!r}")
    name, arguments = config["class_name"], config.get("config", {})
    if name == "function":  # Keras' way to name one
        name, arguments = arguments, None
    if name not in known:
        raise ValueError(f"loss: expected one of {', '.join(sorted(known))}, got {name!r}")
    found = known[name]
    return found.from_config(dict(arguments)) if hasattr(found, "from_config") else found


__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FunctionLoss",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]
