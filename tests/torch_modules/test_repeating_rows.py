"""Equal rows of the input are multiplied once: the same results, and gradients as of torch.nn."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import fastrnn
from fastrnn.functional.distinct import distinct_rows
from fastrnn.torch import ready, recurrence

LAYERS = [
    ("RNN", {"bias": False}),
    ("GRU", {"num_layers": 2}),
    ("GRU", {"bidirectional": True, "batch_first": True}),
    ("LSTM", {"bidirectional": True}),
    ("LSTM", {"proj_size": 5}),
]
TOLERANCES = {torch.float32: 2e-6, torch.float64: 1e-14}


@pytest.fixture(autouse=True)
def always_searched(monkeypatch):
    monkeypatch.setattr(recurrence, "_WORTH_A_SEARCH", 0)
    monkeypatch.setattr(ready, "_shelves", {})


@pytest.fixture
def found(monkeypatch):
    """How many rows the tables have that stand for the input, or None for none."""
    made = []

    def searched(x):
        rows = distinct_rows(x)
        made.append(rows and len(rows.table))
        return rows

    monkeypatch.setattr(recurrence, "distinct_rows", searched)
    return made


def repeating(generator, kinds, rows, width, dtype):
    table = torch.randn(kinds, width, dtype=dtype, generator=generator)
    return table[torch.randint(kinds, rows, generator=generator)]


def results(module, x, layout=None):
    """y, and the gradients of x and of the weights for random cotangents."""
    x = x.clone().requires_grad_()
    y = module(x)[0] if layout is None else module(layout._replace(data=x))[0].data
    dy = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(8))
    return [y.detach(), *torch.autograd.grad(y, [x, *module.parameters()], dy)]


def assert_close(actual, desired, dtype):
    for a, d in zip(actual, desired, strict=True):
        scale = max(1.0, float(d.abs().max()))
        assert float((a - d).abs().max()) <= TOLERANCES[dtype] * scale


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_results_are_those_of_torch(name, options, is_packed, dtype, found):
    generator = torch.Generator().manual_seed(3)
    torch.manual_seed(4)
    module = getattr(fastrnn.torch, name)(9, 21, dtype=dtype, **options)
    stock = getattr(nn, name)(9, 21, dtype=dtype, **options)
    stock.load_state_dict(module.state_dict())
    layout = None
    for kinds in (5, 6, 40):
        if is_packed:
            lengths = [3, 30, 12, 12, 1]
            layout = pack_sequence([torch.zeros(n) for n in lengths], enforce_sorted=False)
            x = repeating(generator, kinds, (sum(lengths),), 9, dtype)
        else:
            x = repeating(generator, kinds, (20, 7), 9, dtype)
        desired = results(stock, x, layout)
        for _ in range(4):
            found.clear()
            assert_close(results(module, x, layout), desired, dtype)
            assert found[0] == (16 if kinds < 40 else 32 if is_packed else 48)


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_forward_gives_the_bits_of_all_rows(name, options, monkeypatch, found):
    module = getattr(fastrnn.torch, name)(9, 33, **options)
    x = repeating(torch.Generator().manual_seed(5), 7, (11, 6), 9, torch.float32)
    outputs = []
    for worth in (0, 1 << 60):
        monkeypatch.setattr(recurrence, "_WORTH_A_SEARCH", worth)
        for _ in range(3):
            outputs.append(module(x)[0].detach())
            with torch.no_grad():
                outputs.append(module(x)[0])
    assert found[0] == 16
    assert all(torch.equal(y, outputs[0]) for y in outputs)


def test_bits_do_not_depend_on_threads_or_on_what_came_before():
    module = fastrnn.torch.GRU(64, 64, bidirectional=True)
    x = repeating(torch.Generator().manual_seed(6), 30, (60, 40), 64, torch.float32)
    before = fastrnn.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            fastrnn.set_num_threads(threads)
            found += [results(module, x) for _ in range(3)]
    finally:
        fastrnn.set_num_threads(before)
    for each in found[1:]:
        assert all(map(torch.equal, each, found[0]))


def test_padding_between_other_rows_is_multiplied_once(found):
    x = torch.randn(30, 8, 9)
    x[np.arange(30)[:, None] >= np.array([30, 9, 9, 8, 8, 7, 6, 5])] = 0.0
    module, stock = fastrnn.torch.GRU(9, 21), nn.GRU(9, 21)
    stock.load_state_dict(module.state_dict())
    assert_close(results(module, x), results(stock, x), torch.float32)
    assert found == [96]
