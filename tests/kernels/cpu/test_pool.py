"""The pool's threads: who joins a team, who works alone, and who is woken."""

import gc
import os
import random
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from kernels.cpu import rounds
from kernels.cpu.rounds import advance
from processes import run_python
from simd.vectors import uncached

from fastrnn.kernels.cpu import atomics, pool, threads
from fastrnn.kernels.cpu.task import Floats, Ints

needs_two = pytest.mark.skipif(threads._affinity() < 2, reason="one processor: nobody can join")

THREADS = 8


@pytest.fixture(autouse=True)
def own_pool(monkeypatch):
    """A pool of up to 8 threads, whatever the machine has."""
    monkeypatch.setattr(pool, "_pool", None)
    monkeypatch.setattr("fastrnn.kernels.cpu.task.usable_processors", lambda: THREADS)
    yield
    if pool._pool is not None:
        pool._pool.stop()
        for thread in pool._pool._threads:
            thread.join(timeout=120)
        assert not any(thread.is_alive() for thread in pool._pool._threads)


def until(is_enough, trial):
    """Repeat what depends on who comes in time."""
    deadline = time.monotonic() + 120
    while not is_enough(trial()):
        assert time.monotonic() < deadline


def run_team(steps, wanted, workers):
    arguments = rounds.problem(steps)
    advance.team(None, arguments, workers)
    members = rounds.check(arguments, wanted)
    assert members <= workers
    return members


@needs_two
@pytest.mark.parametrize(("workers", "steps"), [(2, 5000), (3, 1000), (8, 300)])
def test_members_find_at_each_step_what_all_wrote_before(workers, steps):
    wanted = rounds.desired(steps)
    until(lambda members: members > 1, lambda: run_team(steps, wanted, workers))


def test_team_of_one_is_the_caller():
    assert run_team(50, rounds.desired(50), 1) == 1
    assert pool._pool is None


def test_teams_and_calls_of_many_python_threads_give_their_own_results():
    wanted = {steps: rounds.desired(steps) for steps in (1, 7, 100)}

    def work(seed):
        choose = random.Random(seed)
        for _ in range(60):
            steps = choose.choice(list(wanted))
            workers = choose.randint(1, THREADS)
            if choose.random() < 0.3:
                count = Runs(np.zeros(workers, np.float32))
                counting(None, count, workers)
                assert (count.runs == 1).all()
            else:
                run_team(steps, wanted[steps], workers)
            if choose.random() < 0.1:
                time.sleep(0.002 * choose.random())

    with ThreadPoolExecutor(6) as executor:
        list(executor.map(work, range(6)))


class Runs(NamedTuple):
    """A place for each worker."""

    runs: Floats


def count(cell, args, worker, workers):
    args[0].runs[worker] += 1


counting = uncached(count)


@needs_two
def test_sleeping_threads_come_when_they_are_called():
    wanted = rounds.desired(20)
    run_team(20, wanted, 2)  # starts the thread
    for _ in range(5):

        def after_sleep():
            time.sleep(0.005)
            assert pool._pool is not None
            return run_team(20, wanted, 2)

        until(lambda members: members == 2, after_sleep)


def test_no_call_is_lost_between_looking_out_and_sleeping():
    counts = Runs(np.zeros(3, np.float32))
    choose = random.Random(1)
    for _ in range(300):
        time.sleep(0.0012 * choose.random())
        counting(None, counts, 3)
    assert (counts.runs == 300).all()


class Gate(NamedTuple):
    """A word that keeps a worker until it is written."""

    word: Ints
    like: Floats


def wait_at_gate(cell, args, worker, workers):
    atomics.add(args[0].word, 1)
    while atomics.read(args[0].word) < 100:
        atomics.yield_processor()


def test_second_caller_works_alone():
    gate = Gate(np.zeros(1, np.int64), np.zeros(1, np.float32))
    holder = threading.Thread(target=uncached(wait_at_gate), args=(None, gate, 2))
    holder.start()
    deadline = time.monotonic() + 120
    while gate.word[0] == 0:
        assert time.monotonic() < deadline
    assert run_team(30, rounds.desired(30), 4) == 1
    counts = Runs(np.zeros(5, np.float32))
    counting(None, counts, 5)
    assert (counts.runs == 1).all()
    gate.word[0] = 100
    holder.join()


def test_without_another_thread_the_caller_is_the_team(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert run_team(30, rounds.desired(30), 3) == 1


def test_stopped_pool_leaves_the_caller_alone():
    run_team(5, rounds.desired(5), 3)
    pool._pool.stop()
    for _ in range(20):
        assert run_team(30, rounds.desired(30), 3) == 1


PROGRAM = """
import os, signal, sys, threading, time
from kernels.cpu import rounds
from fastrnn.kernels.cpu import pool, task

def run_team(workers, steps=40):
    arguments = rounds.problem(steps)
    rounds.advance.team(None, arguments, workers)
    return rounds.check(arguments, rounds.desired(steps))
"""

IN_A_CHILD = (
    PROGRAM
    + """
task.usable_processors = lambda: 4
for workers in (2, 4, 3):
    run_team(workers)

def for_ever():
    while True:
        run_team(4)
threading.Thread(target=for_ever, daemon=True).start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        signal.alarm(120)  # a hang ends the child, and with it the test
        try:
            for workers in (2, 4, 3, 1) * 10:
                run_team(workers)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    run_team(4)
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_forked_child_forms_teams_of_its_own_even_while_its_parent_runs_one():
    run_python(PROGRAM + IN_A_CHILD)


def test_one_processor_has_no_teams():
    output, _ = run_python(PROGRAM + "print(run_team(4), pool._pool)", NUMBA_NUM_THREADS="1")
    assert output.split() == ["1", "None"]


AT_EXIT = """
task.usable_processors = lambda: 4
def for_ever():
    while True:
        run_team(4)
for _ in range(3):
    threading.Thread(target=for_ever, daemon=True).start()
run_team(4)
time.sleep(0.05)
"""


def test_program_may_end_while_a_team_is_at_work():
    for _ in range(3):
        run_python(PROGRAM + AT_EXIT)


def test_a_thread_keeps_the_memory_of_its_pool():
    run_team(20, rounds.desired(20), 2)
    owner = pool._pool
    memory = weakref.ref(owner._memory)
    thread = owner._threads[0]
    owner._memory = None
    gc.collect()
    assert memory() is not None
    owner.stop()
    thread.join(timeout=120)
    assert memory() is None
