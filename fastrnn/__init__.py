"""fastrnn: recurrent networks on CPUs at the machine's arithmetic limit, from pure Python."""

from fastrnn import cells, functional, layers, optimizers
from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads
from fastrnn.tape import GradientTape, Tensor, Variable

__version__ = "0.1.0"

__all__ = [
    "GradientTape",
    "Tensor",
    "Variable",
    "cells",
    "functional",
    "get_num_threads",
    "layers",
    "optimizers",
    "set_num_threads",
]
