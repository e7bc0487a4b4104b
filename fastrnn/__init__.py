"""fastrnn: recurrent networks on CPUs at the machine's arithmetic limit, from pure Python."""

from fastrnn import (
    activations,
    callbacks,
    cells,
    constraints,
    data,
    datasets,
    functional,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    preprocessing,
    random,
    regularizers,
    saving,
    utils,
)
from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads
from fastrnn.layers import Input, Layer
from fastrnn.models import Model, Sequential
from fastrnn.tape import GradientTape, Tensor, Variable

__version__ = "0.1.0"

__all__ = [
    "GradientTape",
    "Input",
    "Layer",
    "Model",
    "Sequential",
    "Tensor",
    "Variable",
    "activations",
    "callbacks",
    "cells",
    "constraints",
    "data",
    "datasets",
    "functional",
    "get_num_threads",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "set_num_threads",
    "utils",
]
