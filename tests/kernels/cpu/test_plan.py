"""How loops are shared: never more workers than threads, teams no larger than the machine."""

from itertools import pairwise

import pytest

from fastrnn.kernels.cpu import plan
from fastrnn.kernels.cpu.speeds import AMD, INTEL

SHAPES = [
    (80, 32, 128, 128), (35, 20, 650, 650), (100, 64, 512, 512), (100, 1, 128, 128),
    (200, 16, 64, 32), (1, 1, 1, 1), (5, 1000, 3, 7),
]  # fmt: skip


@pytest.fixture(autouse=True, params=[AMD, INTEL], ids=["AMD", "Intel"])
def core(request, monkeypatch):
    """Plan for a processor of this kind, with a second-level cache of 2 MB."""
    monkeypatch.setattr(plan, "speeds", lambda: request.param)
    monkeypatch.setattr(plan, "second_level_size", lambda: 2 << 20)
    plan._plan.cache_clear()
    yield request.param
    plan._plan.cache_clear()


def loop(T, B, I, H, itemsize=4):
    return plan.Loop(T, B, T * B, I, H, 4, -(-H // 16), itemsize)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2, 3, 16, 64, 128])
@pytest.mark.parametrize("processors", [1, 2, 128])
def test_plans_fit_threads_processors_batch_and_units(shape, threads, processors):
    chosen = plan._plan(loop(*shape), threads, processors)
    assert 1 <= chosen.workers <= threads
    assert chosen.slices <= shape[1]
    assert chosen.members <= -(-shape[3] // 16)
    if chosen.members > 1:
        assert chosen.workers <= processors
    assert chosen.seconds > 0


def test_one_sequence_is_shared_by_its_units_and_many_by_the_batch():
    assert plan._plan(loop(100, 1, 512, 512), 2, 2)[:2] == (1, 2)
    assert plan._plan(loop(50, 64, 256, 256), 2, 2)[:2] == (2, 1)
    assert plan._plan(loop(1, 1, 8, 8), 64, 64).workers == 1  # too little work to wake anybody for


def test_few_rows_share_the_units_where_weights_come_slowly(core):
    assert plan._plan(loop(50, 16, 512, 512), 2, 2)[:2] == ((2, 1) if core is AMD else (1, 2))


@pytest.mark.parametrize(
    ("B", "H", "itemsize", "on_amd", "on_intel"),
    [
        (1, 100, 4, True, True),  # short tiles
        (15, 100, 4, True, True),
        (16, 100, 4, False, False),
        (128, 300, 4, False, False),  # 2.9 MB of weights
        (128, 500, 4, False, True),  # 8 MB
        (128, 500, 8, True, True),  # 16 MB
    ],
)
def test_input_product_is_made_before_the_loop_for_few_rows_and_large_weights(
    core, B, H, itemsize, on_amd, on_intel
):
    wanted = on_amd if core is AMD else on_intel
    assert plan._plan(loop(2, B, H, H, itemsize), 2, 2).is_hoisted == wanted
    assert not plan._plan(loop(1, B, H, H, itemsize), 2, 2).is_hoisted


def test_a_step_shares_weights_that_no_cache_of_one_core_holds():
    fresh = [loop(1, 1, H, H)._replace(is_fresh=True) for H in (256, 512)]
    assert [plan._plan(one, 2, 2).members for one in fresh] == [1, 2]


def test_more_processors_never_make_a_loop_slower_on_paper():
    for shape in SHAPES:
        seconds = [plan._plan(loop(*shape), n, n).seconds for n in (1, 2, 4, 16, 64, 128)]
        assert all(later <= 1.2 * earlier for earlier, later in pairwise(seconds))


def test_threads_beyond_the_processors_do_not_wait_for_each_other():
    chosen = plan._plan(loop(100, 1, 512, 512), 16, 1)
    assert chosen.members == 1
