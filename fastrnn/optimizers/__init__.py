"""Optimizers: how gradients change weights."""

from fastrnn.optimizers.optimizer import Optimizer
from fastrnn.optimizers.rules import OPTIMIZERS, SGD, Adam, AdamW, RMSprop

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamW", "Optimizer", "RMSprop"]
