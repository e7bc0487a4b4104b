"""Kernels on the threads that torch's own operations run on."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from pathlib import Path

import torch

from fastrnn.kernels.cpu.openmp import Lending, OpenMP


def on_threads_of_torch() -> Lending:
    """Return a context within which kernels run on torch's threads, where there are enough."""
    return Lending(_openmp(), torch.get_num_threads())


@cache
def _openmp() -> OpenMP | None:
    """Return torch's threads, or None where they are of another kind."""
    if sys.platform != "linux":
        return None
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        # It is loaded already; names are looked up in it and in what it depends on.
        return OpenMP(ctypes.CDLL(str(library)))
    except (OSError, AttributeError):
        return None
