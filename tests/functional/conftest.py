"""Fixtures of all tests of `fastrnn.functional`: every cell, both dtypes, any number of workers."""

import sys

import numpy as np
import pytest

from fastrnn import get_num_threads, set_num_threads
from fastrnn.cells import CELLS
from fastrnn.functional.replay import Replays
from fastrnn.kernels.cpu import plan, schedule, threads


@pytest.fixture(params=CELLS)
def cell(request):
    """The name of a cell."""
    return request.param


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    """What a test computes in."""
    return np.dtype(request.param)


@pytest.fixture
def many_workers(monkeypatch):
    """Call it with a number of workers: even the smallest product then uses them all."""
    before = get_num_threads()
    monkeypatch.setattr(schedule, "MULTIPLY_ADDS_PER_WORKER", 1)
    monkeypatch.setattr(threads, "GRAIN", 1)
    plan._plan.cache_clear()
    yield set_num_threads
    plan._plan.cache_clear()
    set_num_threads(before)


@pytest.fixture
def planned(monkeypatch):
    """Call it with fields of a `Plan`: all time loops are then run so."""
    choose = plan.plan

    def set_fields(**fields):
        # A replay would follow the plan of its first run.
        monkeypatch.setattr(sys.modules["fastrnn.functional.rnn"], "_replays", Replays())
        monkeypatch.setattr(plan, "plan", lambda loop: choose(loop)._replace(**fields))

    return set_fields
