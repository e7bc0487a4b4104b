"""Our modules in many threads, in forked and spawned processes, and at the import."""

import multiprocessing
import sys
import threading

import pytest
import torch
from processes import run_python
from torch.utils.data import DataLoader, Dataset

from fastrnn import get_num_threads, set_num_threads
from fastrnn import torch as ours


class Encoded(Dataset):
    """Sequences as a recurrent layer sees them."""

    def __init__(self):
        torch.manual_seed(3)
        self.rnn = ours.GRU(3, 40, bidirectional=True)
        self.x = torch.randn(6, 50, 3)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        with torch.no_grad():
            return self.rnn(self.x[index])[1]


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            "fork", marks=pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
        ),
        "spawn",
    ],
)
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\) may lead to deadlocks")
def test_workers_of_a_data_loader(method):
    data = Encoded()
    desired = torch.stack([data[i] for i in range(len(data))])  # the parent's pool has threads
    data.rnn(data.x[0])[0].sum().backward()
    data.rnn.zero_grad()
    loader = DataLoader(
        data, batch_size=3, num_workers=1, timeout=240,
        multiprocessing_context=multiprocessing.get_context(method),
    )  # fmt: skip
    found = torch.cat(list(loader))
    assert torch.equal(found, desired)


def test_many_threads_at_once():
    torch.manual_seed(0)
    module = ours.LSTM(8, 16, 2)
    x = torch.randn(20, 4, 8)

    def gradients():
        y, _ = module(x)
        return torch.autograd.grad(y.square().sum(), list(module.parameters()))

    desired = gradients()
    wrong = []

    def work():
        for _ in range(10):
            if not all(map(torch.equal, gradients(), desired)):
                wrong.append(threading.current_thread().name)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_backward_may_run_in_another_thread():
    module = ours.GRU(3, 4)
    x = torch.randn(5, 2, 3)
    desired = torch.autograd.grad(module(x)[0].square().sum(), list(module.parameters()))
    total = module(x)[0].square().sum()
    thread = threading.Thread(target=total.backward)
    thread.start()
    thread.join()
    for parameter, d in zip(module.parameters(), desired, strict=True):
        assert torch.equal(parameter.grad, d)


def test_threads_of_fastrnn_are_its_own_and_change_no_number():
    before, of_torch = get_num_threads(), torch.get_num_threads()
    module = ours.LSTM(40, 96)
    x = torch.randn(30, 16, 40)
    try:
        results = []
        for number in (1, 3):
            set_num_threads(number)
            y, _ = module(x)
            results.append([y, *torch.autograd.grad(y.square().sum(), list(module.parameters()))])
        assert torch.get_num_threads() == of_torch
    finally:
        set_num_threads(before)
    for one, three in zip(*results, strict=True):
        assert torch.equal(one, three)


def test_import_brings_in_no_compiler_and_works_before_one():
    output, _ = run_python(
        "import sys, torch, fastrnn.torch\n"
        "module = fastrnn.torch.GRU(3, 4)\n"
        "with torch.no_grad(): y, h = module(torch.zeros(2, 1, 3))\n"
        "print(tuple(y.shape), 'torch._dynamo' in sys.modules)"
    )
    assert output.split("\n")[0] == "(2, 1, 4) False"


def test_without_torch_the_error_says_what_to_install():
    output, _ = run_python(
        "import sys; sys.modules['torch'] = None\n"
        "try: import fastrnn.torch\n"
        "except ImportError as error: print(error)"
    )
    assert "fastrnn[torch]" in output
