"""Runs formulas and small kernels on vectors, compiled anew in every process."""

from typing import NamedTuple

import numpy as np
from numba.core.caching import NullCache

from fastrnn._jit import pointwise
from fastrnn.kernels.cpu.task import Floats, Task
from fastrnn.simd.memory import lanes, load, store


class Operands(NamedTuple):
    """Three inputs and a result of `size` numbers, a multiple of the lanes."""

    size: int
    x: Floats
    a: Floats
    b: Floats
    y: Floats


def uncached(body):
    """A task of `body` whose machine code is not kept: nothing would notice a change of it."""
    task = Task(body)
    task._body._cache = NullCache()
    return task


def elementwise(formula):
    """A function of up to three arrays that applies `formula(x, a, b)` to their vectors."""
    inner = pointwise(formula)

    def body(cell, args, worker, workers):
        s = args[0]
        for i in range(0, s.size, lanes(s.x)):
            store(s.y + i, inner(load(s.x + i), load(s.a + i), load(s.b + i)))

    task = uncached(body)

    def run(x, a=None, b=None):
        padded = [
            np.concatenate([v, np.zeros(-len(x) % 16, x.dtype)]) for v in (x, a, b) if v is not None
        ]
        padded += [padded[0]] * (3 - len(padded))
        y = np.full_like(padded[0], np.nan)
        task(None, Operands(len(y), *padded, y), 1)
        return y[: len(x)]

    return run
