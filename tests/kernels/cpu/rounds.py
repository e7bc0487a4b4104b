"""A task whose workers need, at every step, what all of them wrote at the step before."""

from typing import NamedTuple

import numpy as np
from simd.vectors import uncached

from fastrnn.kernels.cpu.atomics import meet
from fastrnn.kernels.cpu.task import Floats, Ints

CELLS = 24


class Rounds(NamedTuple):
    """Arguments of `advance`."""

    steps: int
    cells: Ints  # (2, CELLS) before and after a step, in turns
    word: Ints
    members: Ints  # (CELLS,) how many each member was told that they are
    like: Floats


def _advance(cell, args, worker, workers):
    s = args[0]
    s.members[worker] = workers
    for t in range(s.steps):
        before = s.cells + t % 2 * CELLS
        after = s.cells + (t + 1) % 2 * CELLS
        total = t
        for i in range(CELLS):
            total += before[i]
        for i in range(CELLS * worker // workers, CELLS * (worker + 1) // workers):
            after[i] = (total * (i + 3)) & 0xFFFFFFFF
        meet(s.word, workers)


advance = uncached(_advance)


def problem(steps):
    """Fresh arguments: cells of 1."""
    cells, members, word = (np.zeros(n, np.int64) for n in (2 * CELLS, CELLS, 1))
    cells[:] = 1
    return Rounds(steps, cells, word, members, np.zeros(1, np.float32))


def desired(steps):
    """The cells after so many steps."""
    cells = np.ones(CELLS, np.int64)
    for t in range(steps):
        cells = ((cells.sum() + t) * (np.arange(CELLS) + 3)) & 0xFFFFFFFF
    return cells


def check(rounds, wanted):
    """Assert that all members did their part; return how many there were."""
    np.testing.assert_array_equal(rounds.cells.reshape(2, CELLS)[rounds.steps % 2], wanted)
    count = int(rounds.members[0])
    assert rounds.members.tolist() == [count] * count + [0] * (CELLS - count)
    return count
