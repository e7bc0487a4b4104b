"""Optimizers: how gradients change weights, with Keras' names, arguments and definitions."""

from fastrnn.optimizers import schedules
from fastrnn.optimizers.adam import Adam, Adamax, AdamW, Nadam
from fastrnn.optimizers.adaptive import Adadelta, Adagrad, RMSprop
from fastrnn.optimizers.descent import SGD, Lion
from fastrnn.optimizers.optimizer import Optimizer
from fastrnn.optimizers.registry import OPTIMIZERS, deserialize, get, serialize

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]
