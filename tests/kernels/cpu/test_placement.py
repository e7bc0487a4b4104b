"""A thread keeps off a processor for a while, and nobody's affinity is lost by it."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from simd.vectors import uncached

from fastrnn.kernels.cpu import placement, pool
from fastrnn.kernels.cpu.task import Floats, Ints

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2,
    reason="no affinity here, or one processor",
)


class Place(NamedTuple):
    """Arguments of the kernels below."""

    processor: int
    sets: Ints
    seen: Ints  # (4,)
    like: Floats


def keep_off(cell, args, worker, workers):
    s = args[0]
    sets = s.seen[0]
    placement.keep_off(s.processor, sets)
    s.seen[1] = placement.current_processor()
    s.seen[2] = placement.is_current(s.processor)
    s.seen[3] = placement.is_current(-1)


def come_back(cell, args, worker, workers):
    placement.come_back(args[0].seen[0])


@pytest.fixture(scope="module")
def kernels():
    return uncached(keep_off), uncached(come_back)


@pytest.fixture
def on_a_thread():
    """A thread of one's own: its affinity may be changed."""
    with ThreadPoolExecutor(1) as executor:
        yield lambda function, *arguments: executor.submit(function, *arguments).result()


def place(processor):
    sets = np.zeros(3 * placement._WORDS, np.int64)
    seen = np.zeros(4, np.int64)
    seen[0] = sets.ctypes.data
    return Place(processor, sets, seen, np.zeros(1, np.float32))


def test_thread_runs_elsewhere_until_it_comes_back(kernels, on_a_thread):
    off, back = kernels
    allowed = os.sched_getaffinity(0)
    for processor in sorted(allowed):
        arguments = place(processor)
        on_a_thread(off, None, arguments, 1)
        assert on_a_thread(os.sched_getaffinity, 0) == allowed - {processor}
        assert arguments.seen[1] in allowed - {processor}
        assert arguments.seen[2:].tolist() == [0, 0]
        on_a_thread(back, None, arguments, 1)
        assert on_a_thread(os.sched_getaffinity, 0) == allowed


@pytest.mark.parametrize("processor", [-1, 1 << 20])
def test_processor_that_does_not_exist_changes_nothing(processor, kernels, on_a_thread):
    arguments = place(processor)
    for kernel in kernels:
        on_a_thread(kernel, None, arguments, 1)
        assert on_a_thread(os.sched_getaffinity, 0) == os.sched_getaffinity(0)


def test_only_processor_of_a_thread_stays_its_own(kernels, on_a_thread):
    processor = min(os.sched_getaffinity(0))
    on_a_thread(os.sched_setaffinity, 0, {processor})
    arguments = place(processor)
    for kernel in kernels:
        on_a_thread(kernel, None, arguments, 1)
        assert on_a_thread(os.sched_getaffinity, 0) == {processor}
    assert arguments.seen[1:].tolist() == [processor, 1, 0]


def test_affinity_that_somebody_has_set_meanwhile_stays(kernels, on_a_thread):
    off, back = kernels
    processor = min(os.sched_getaffinity(0))
    arguments = place(processor)
    on_a_thread(off, None, arguments, 1)
    on_a_thread(os.sched_setaffinity, 0, {processor})
    on_a_thread(back, None, arguments, 1)
    assert on_a_thread(os.sched_getaffinity, 0) == {processor}


class Nothing(NamedTuple):
    """Arguments of a task that does nothing."""

    like: Floats


def do_nothing(cell, args, worker, workers):
    pass


def test_pool_thread_may_run_everywhere_when_it_has_slept(monkeypatch):
    monkeypatch.setattr(pool, "_pool", None)
    monkeypatch.setattr("fastrnn.kernels.cpu.task.usable_processors", lambda: 2)
    task = uncached(do_nothing)
    arguments = Nothing(np.zeros(1, np.float32))
    allowed = os.sched_getaffinity(0)
    task(None, arguments, 2)
    ours = pool._pool
    (thread,) = ours._threads
    seen = set()
    deadline = time.monotonic() + 60
    while not (frozenset(allowed) in seen and len(seen) > 1) and time.monotonic() < deadline:
        seen.add(frozenset(os.sched_getaffinity(thread.native_id)))
        if len(seen) > 1:
            task(None, arguments, 2)
    assert seen - {frozenset(allowed)} <= {frozenset(allowed - {p}) for p in allowed}
    assert frozenset(allowed) in seen
    assert len(seen) > 1
    ours.stop()
    assert not thread.is_alive()
