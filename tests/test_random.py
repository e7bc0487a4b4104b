"""The sequence of seeds: restarted by set_seed, without repetitions, shared by threads."""

import threading

import numpy as np
import pytest
from processes import run_python

from fastrnn import random


@pytest.fixture(autouse=True)
def fresh_sequence():
    """No test leaves a known sequence to the others."""
    yield
    random.set_seed(int(np.random.SeedSequence().generate_state(1)[0]))


def seeds_after(seed, count=5):
    random.set_seed(seed)
    return [random.next_seed() for _ in range(count)]


def test_set_seed_restarts_the_sequence():
    assert seeds_after(7) == seeds_after(7)
    assert seeds_after(7) != seeds_after(8)


def test_seeds_are_distinct_and_in_range():
    seeds = seeds_after(0, 300) + seeds_after(1, 300) + seeds_after(2**64 - 1, 300)
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    assert max(seeds) > 1 << 62


def test_processes_agree_after_set_seed_and_differ_without():
    take = "from fastrnn.random import next_seed, set_seed; {}; print(next_seed(), next_seed())"
    seeded, _ = run_python(take.format("set_seed(5)"))
    assert seeded.split() == [str(seed) for seed in seeds_after(5, 2)]
    random.set_seed(5)
    assert seeded.split() == [str(random.next_seed()) for _ in range(2)]
    unseeded, _ = run_python(take.format("pass"))
    assert unseeded.split() != seeded.split()


def test_threads_take_each_seed_once():
    random.set_seed(3)
    taken = []

    def take():
        taken.extend(random.next_seed() for _ in range(200))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(seeds_after(3, 800))


def test_generators_follow_their_seed_or_the_sequence():
    own = [random.generator(4).standard_normal(3) for _ in range(2)]
    np.testing.assert_array_equal(*own)
    assert (random.generator((4, 1)).standard_normal(3) != own[0]).all()
    drawn = []
    for _ in range(2):
        random.set_seed(9)
        drawn.append([random.generator().standard_normal(3) for _ in range(2)])
    np.testing.assert_array_equal(*drawn)
    assert (drawn[0][0] != drawn[0][1]).all()


@pytest.mark.parametrize("seed", [-1, 1 << 64, 1.5, "1", True, None], ids=repr)
def test_wrong_seeds_are_named(seed):
    with pytest.raises(ValueError, match=r"^seed: expected an int in 0\.\.2\*\*64-1, got"):
        random.set_seed(seed)


@pytest.mark.parametrize("seed", [-1, (1, -2), "x"], ids=repr)
def test_wrong_seeds_of_generators_are_named(seed):
    with pytest.raises((ValueError, TypeError), match="^seed: expected an int of at least 0"):
        random.generator(seed)
