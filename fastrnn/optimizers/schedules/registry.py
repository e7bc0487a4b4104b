"""Schedules by name, and as what files of configuration hold of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastrnn.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from fastrnn.optimizers.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from fastrnn.optimizers.schedules.schedule import LearningRateSchedule

#: Every schedule by the name of its class.
SCHEDULES: dict[str, type[LearningRateSchedule]] = {
    "CosineDecay": CosineDecay,
    "CosineDecayRestarts": CosineDecayRestarts,
    "ExponentialDecay": ExponentialDecay,
    "InverseTimeDecay": InverseTimeDecay,
    "PiecewiseConstantDecay": PiecewiseConstantDecay,
    "PolynomialDecay": PolynomialDecay,
}


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """Return what `deserialize` makes the schedule of again, in the form of Keras' files.

    Parameters
    ----------
    learning_rate_schedule : LearningRateSchedule

    Returns
    -------
    dict
        With entries "module", "class_name", "config" and "registered_name".
    """
    name = type(learning_rate_schedule).__name__
    own = type(learning_rate_schedule) is SCHEDULES.get(name)
    return {
        "module": "keras.optimizers.schedules" if own else None,
        "class_name": name,
        "config": learning_rate_schedule.get_config(),
        "registered_name": None if own else name,
    }


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> LearningRateSchedule:
    """Return the schedule that `serialize` returned `config` of, or Keras' function of that name.

    Parameters
    ----------
    config : mapping
    custom_objects : mapping of classes by name, optional
        Schedules beside those of this package.

    Raises
    ------
    ValueError
        If it is not such a mapping, or there is no schedule of that name.
    """
    known: dict[str, Any] = {**SCHEDULES, **(custom_objects or {})}
    try:
        name, options = config["class_name"], dict(config["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"config: expected a mapping with 'class_name' and 'config', got {config!r}"
        ) from error
    if name not in known:
        raise ValueError(f"config: expected a schedule out of {', '.join(known)}, got {name!r}")
    schedule: LearningRateSchedule = known[name].from_config(options)
    return schedule
