"""Words that several threads write at once, and where they meet."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from simd.vectors import uncached

from fastrnn.kernels.cpu import atomics
from fastrnn.kernels.cpu.task import Floats, Ints


class Words(NamedTuple):
    """Arguments of the kernels below."""

    member: int
    members: int
    rounds: int
    word: Ints
    others: Ints
    like: Floats


def words(count=16, **fields):
    values = {"member": 0, "members": 1, "rounds": 1, "word": np.zeros(1, np.int64)}
    return Words(
        **(values | fields), others=np.zeros(count, np.int64), like=np.zeros(1, np.float32)
    )


def use(cell, args, worker, workers):
    s = args[0]
    s.others[0] = atomics.add(s.word, 5)
    s.others[1] = atomics.read(s.word)
    s.others[2] = atomics.replace(s.word, 4, 9)
    s.others[3] = atomics.replace(s.word, 5, 7)
    s.others[4] = atomics.read(s.word)
    atomics.write(s.word, -3)


def test_words_are_changed_and_what_was_there_is_told():
    arguments = words()
    uncached(use)(None, arguments, 1)
    assert arguments.others[:5].tolist() == [0, 5, 0, 1, 7]
    assert arguments.word[0] == -3


def look_at_clock(cell, args, worker, workers):
    s = args[0]
    for i in range(s.rounds):
        s.others[i] = atomics.clock()


def test_clock_runs_forward_in_nanoseconds():
    before = time.monotonic_ns()
    arguments = words(count=100, rounds=100)
    uncached(look_at_clock)(None, arguments, 1)
    after = time.monotonic_ns()
    assert before <= arguments.others[0]
    assert (np.diff(arguments.others) >= 0).all()
    assert arguments.others[-1] <= after


def meet_often(cell, args, worker, workers):
    s = args[0]
    for i in range(s.rounds):
        # Nobody is a round ahead or behind before all have been here.
        for other in range(s.members):
            if s.others[8 * other] != i:
                s.others[8 * s.member + 1] += 1
        atomics.meet(s.word, s.members)
        s.others[8 * s.member] = i + 1
        atomics.meet(s.word, s.members)


@pytest.fixture(scope="module")
def meeting():
    return uncached(meet_often)


@pytest.mark.parametrize(("members", "rounds"), [(1, 1000), (2, 20000), (3, 3000), (8, 1000)])
def test_nobody_goes_on_before_all_have_come(members, rounds, meeting):
    shared = words(count=8 * members, members=members, rounds=rounds)
    with ThreadPoolExecutor(members) as executor:
        calls = [
            executor.submit(meeting, None, shared._replace(member=member), 1)
            for member in range(members)
        ]
        for call in calls:
            call.result()
    reached, mistakes = shared.others.reshape(members, 8)[:, :2].T
    assert reached.tolist() == [rounds] * members
    assert not mistakes.any()


def test_a_word_serves_meetings_of_any_size_one_after_another(meeting):
    word = np.zeros(1, np.int64)
    meeting(None, words(count=8, word=word, rounds=3), 1)
    for members in (2, 5, 1, 3):
        shared = words(count=8 * members, members=members, rounds=100, word=word)
        threads = [
            threading.Thread(target=meeting, args=(None, shared._replace(member=member), 1))
            for member in range(members)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reached, mistakes = shared.others.reshape(members, 8)[:, :2].T
        assert reached.tolist() == [100] * members
        assert not mistakes.any()
