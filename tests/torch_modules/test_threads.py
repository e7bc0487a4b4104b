"""Kernels on torch's threads: the same bits, and no harm to either side's threads."""

import os
import threading

import pytest
import torch
from kernels.cpu import rounds
from processes import run_python

import fastrnn
from fastrnn.kernels.cpu import openmp
from fastrnn.torch import threads

needs_openmp = pytest.mark.skipif(
    threads._openmp() is None, reason="torch's threads are of another kind here"
)


@pytest.fixture(autouse=True)
def numbers(monkeypatch):
    """Three threads on both sides, whatever the machine has."""
    monkeypatch.setattr("fastrnn.kernels.cpu.task.usable_processors", lambda: 3)
    before = torch.get_num_threads(), fastrnn.get_num_threads()
    torch.set_num_threads(3)
    fastrnn.set_num_threads(3)
    yield
    torch.set_num_threads(before[0])
    fastrnn.set_num_threads(before[1])


@pytest.fixture
def teams(monkeypatch):
    """The sizes of the teams that have been called."""
    made = []
    if threads._openmp() is not None:
        dispatch = threads._openmp()._dispatch

        def counted(*arguments):
            made.append(arguments[3])
            dispatch(*arguments)

        monkeypatch.setattr(threads._openmp(), "_dispatch", counted)
    return made


def gradients(module, x):
    y, _ = module(x)
    return [y, *torch.autograd.grad(y.square().sum(), list(module.parameters()))]


@needs_openmp
@pytest.mark.parametrize("B", [1, 24])
def test_bits_are_those_of_one_thread(B, teams):
    torch.manual_seed(0)
    module = fastrnn.torch.GRU(40, 256)
    x = torch.randn(60, B, 40)
    found = gradients(module, x)
    assert set(teams) == {3}
    fastrnn.set_num_threads(1)
    for one, three in zip(gradients(module, x), found, strict=True):
        assert torch.equal(one, three)


@needs_openmp
def test_a_team_of_torch_keeps_its_size(teams):
    module, x = fastrnn.torch.LSTM(40, 96), torch.randn(30, 24, 40)
    fastrnn.set_num_threads(2)
    desired = gradients(module, x)
    assert set(teams) == {3}
    teams.clear()
    torch.set_num_threads(1)
    for actual, d in zip(gradients(module, x), desired, strict=True):
        assert torch.equal(actual, d)
    assert not teams


@needs_openmp
@pytest.mark.parametrize(("workers", "lent"), [(2, 2), (2, 3), (3, 3)])
def test_members_of_a_team_meet(workers, lent, teams):
    arguments, wanted = rounds.problem(2000), rounds.desired(2000)
    with openmp.Lending(threads._openmp(), lent):
        rounds.advance.team(None, arguments, workers)
    assert rounds.check(arguments, wanted) == workers
    assert teams == [lent]


@needs_openmp
def test_threads_are_lent_within_the_context_and_the_thread_only(teams):
    others = []

    def look():
        others.append(openmp.lent.openmp)

    with threads.on_threads_of_torch():
        assert openmp.lent.openmp is not None
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        with openmp.Lending(None, 1):
            assert openmp.lent.openmp is None
        assert openmp.lent.openmp is not None
    assert openmp.lent.openmp is None
    assert others == [None]
    rounds.advance.team(None, rounds.problem(5), 2)
    assert not teams


def test_no_such_threads_are_no_error(monkeypatch):
    threads._openmp.cache_clear()
    monkeypatch.setattr(torch, "__file__", os.path.join(os.sep, "nowhere", "__init__.py"))
    try:
        assert threads._openmp() is None
        y, _ = fastrnn.torch.GRU(40, 96)(torch.randn(30, 24, 40))
        assert y.isfinite().all()
    finally:
        threads._openmp.cache_clear()


def test_many_threads_at_once_have_teams_of_their_own():
    module, x = fastrnn.torch.LSTM(20, 64), torch.randn(20, 24, 20)
    desired = gradients(module, x)
    found = []

    def work():
        found.extend(all(map(torch.equal, gradients(module, x), desired)) for _ in range(5))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [True] * 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
def test_a_forked_child_uses_threads_of_its_own():
    output, _ = run_python(
        "import os, sys, torch, fastrnn.torch\n"
        "from fastrnn.kernels.cpu import openmp\n"
        "torch.set_num_threads(2)\n"
        "module, x = fastrnn.torch.GRU(40, 96), torch.randn(30, 24, 40)\n"
        "desired = module(x)[0].detach()\n"
        "(x @ x.mT).sum()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        # No operation of torch's that has several threads: in a child it waits for ever.
        "    y = module(x)[0].detach()\n"
        "    is_same = y.numpy().tobytes() == desired.numpy().tobytes()\n"
        "    os._exit(0 if is_same and openmp._is_child else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert output.split("\n")[0] == "0"
