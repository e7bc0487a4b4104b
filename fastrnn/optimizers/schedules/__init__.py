"""Learning rates that change with the steps, with Keras' names, arguments and definitions."""

from fastrnn.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts
from fastrnn.optimizers.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from fastrnn.optimizers.schedules.registry import SCHEDULES, deserialize, serialize
from fastrnn.optimizers.schedules.schedule import LearningRateSchedule

__all__ = [
    "SCHEDULES",
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]
