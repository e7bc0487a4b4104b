"""Layers that have come before give the bits of the first time, whatever came in between."""

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import fastrnn
from fastrnn.torch import ready, recurrence

LAYERS = [
    ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"bidirectional": True, "bias": False}),
    ("LSTM", {}),
    ("LSTM", {"bidirectional": True, "num_layers": 2}),
    ("GRU", {"num_layers": 2}),
    ("GRU", {"bidirectional": True}),
    ("LSTM", {"batch_first": True, "bidirectional": True}),
]


@pytest.fixture(autouse=True)
def none_ready(monkeypatch):
    monkeypatch.setattr(ready, "_shelves", {})
    monkeypatch.setattr(ready, "_numbers", 0)


@pytest.fixture
def slow(monkeypatch):
    """The layers that were run from scratch."""
    made = []

    class Course(recurrence._Course):
        def __init__(self, *args, **kwargs):
            made.append(args[0])
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(recurrence, "_Course", Course)
    return made


def layer(name, options, dtype=torch.float32, sizes=(3, 17)):
    torch.manual_seed(5)
    return getattr(fastrnn.torch, name)(*sizes, dtype=dtype, **options)


def problem(module, seed, dtype=torch.float32):
    """Input, initial states, and gradients of all results."""
    torch.manual_seed(seed)
    D = (1 + module.bidirectional) * module.num_layers
    x = torch.randn(4, 6, module.input_size, dtype=dtype)
    B = len(x) if module.batch_first else x.shape[1]
    states = [torch.randn(D, B, module.hidden_size, dtype=dtype) for _ in range(4)]
    dy = torch.randn(4, 6, module.hidden_size * (1 + module.bidirectional), dtype=dtype)
    return x, states[:2], dy, states[2:]


def results(module, given, has_states, used):
    """Results and gradients; `used` says of which results the loss is made."""
    x, states, dy, dstates = given
    is_lstm = isinstance(module, torch.nn.LSTM)
    leaves = [t.clone().requires_grad_() for t in (x, *states[: 1 + is_lstm])]
    hx = (tuple(leaves[1:]) if is_lstm else leaves[1]) if has_states else None
    y, final = module(leaves[0], hx)
    outputs = [y, *(final if is_lstm else [final])]
    pairs = [pair for n, pair in enumerate(zip(outputs, [dy, *dstates], strict=False)) if n in used]
    wanted = [*(leaves if has_states else leaves[:1]), *module.parameters()]
    gradients = torch.autograd.grad([o for o, _ in pairs], wanted, [d for _, d in pairs])
    return [*(o.detach().clone() for o in outputs), *gradients]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("has_states", [False, True])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_bits_are_those_of_the_first_time(name, options, has_states, threads, dtype, slow):
    before = fastrnn.get_num_threads()
    fastrnn.set_num_threads(threads)
    try:
        module = layer(name, options, dtype)
        problems = [problem(module, seed, dtype) for seed in range(3)]
        for used in [(0,), (1,), (0, 1), (0, 1, 2)]:
            desired = []
            for given in problems:
                ready._shelves.clear()
                desired.append(results(module, given, has_states, used))
            for _ in range(3):
                for given, wanted in zip(problems, desired, strict=True):
                    for actual, d in zip(
                        results(module, given, has_states, used), wanted, strict=True
                    ):
                        assert torch.equal(actual, d)
            slow.clear()
            results(module, problems[0], has_states, used)
            assert not slow
    finally:
        fastrnn.set_num_threads(before)


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_inference_gives_the_bits_of_training(name, options, slow):
    module = layer(name, options)
    x, *_ = problem(module, 0)
    desired = module(x)[0].detach()
    with torch.no_grad():
        for _ in range(4):
            assert torch.equal(module(x)[0], desired)
        slow.clear()
        assert torch.equal(module(x)[0], desired)
    assert not slow


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_results_are_kept_while_others_are_computed(name):
    module = layer(name, {})
    problems = [problem(module, seed) for seed in range(5)]
    ready._shelves.clear()
    for _ in range(2):
        kept = [module(given[0].clone()) for given in problems]
        copies = [
            (y.detach().clone(), given[2]) for (y, _), given in zip(kept, problems, strict=True)
        ]
        found = [
            torch.autograd.grad(y, list(module.parameters()), given[2])
            for (y, _), given in zip(reversed(kept), reversed(problems), strict=True)
        ]
        for (y, _), (copy, _) in zip(kept, copies, strict=True):
            assert torch.equal(y, copy)
        for gradients, given in zip(found, reversed(problems), strict=True):
            ready._shelves.clear()
            y, _ = module(given[0])
            desired = torch.autograd.grad(y, list(module.parameters()), given[2])
            assert all(map(torch.equal, gradients, desired))


def test_weights_that_change_in_any_way_are_seen():
    module = layer("LSTM", {})
    x, *_ = problem(module, 0)
    for _ in range(3):
        module(x)[0].sum().backward()
    changes = [
        lambda p: p.data.mul_(2),
        lambda p: setattr(p, "data", p.data * 2),
        lambda p: setattr(p, "data", (p.data * 2).T.contiguous().T if p.dim() == 2 else p.data),
        lambda p: p.data.numpy().fill(0.1),
    ]
    for change in changes:
        for parameter in module.parameters():
            change(parameter)
        y, _ = module(x)
        gradients = torch.autograd.grad(y.square().sum(), list(module.parameters()))
        ready._shelves.clear()
        fresh, _ = module(x)
        assert torch.equal(y, fresh)
        desired = torch.autograd.grad(fresh.square().sum(), list(module.parameters()))
        for actual, d in zip(gradients, desired, strict=True):
            assert torch.equal(actual, d)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_weights_of_any_strides_give_the_same_bits(name):
    module = layer(name, {})
    x, *_ = problem(module, 0)
    weights = list(module.parameters())
    found = []
    for is_spread in (False, True):
        for weight in weights:
            wide = torch.zeros(*weight.shape, 2)
            wide[..., 0] = weight.data
            weight.data = wide[..., 0] if is_spread else weight.data.clone()
        for _ in range(3):
            y, _ = module(x)
            found.append([y.detach(), *torch.autograd.grad(y.square().sum(), weights)])
    for others in found[1:]:
        assert all(map(torch.equal, others, found[0]))


def test_a_weight_of_another_shape_is_an_error_of_torch():
    module = layer("GRU", {})
    x, *_ = problem(module, 0)
    for _ in range(3):
        module(x)
    module.weight_hh_l0.data = torch.randn(51, 16)
    with pytest.raises(RuntimeError):
        module(x)


def test_a_dropped_graph_gives_its_memory_to_the_next_run(slow):
    module = layer("LSTM", {})
    x, *_ = problem(module, 0)
    gc.disable()
    try:
        for _ in range(6):
            module(x)
        (pools,) = [shelf._unused for (shelf,) in ready._shelves.values()]
        assert [len(pool) for pool in pools.values()] == [1]
        assert len(slow) == 1
    finally:
        gc.enable()


def test_large_layers_are_not_kept(slow, monkeypatch):
    monkeypatch.setattr(ready, "_MOST_NUMBERS", 10)
    module = layer("GRU", {})
    x, *_ = problem(module, 0)
    for _ in range(4):
        module(x)
    assert len(slow) == 4


def test_memory_in_all_is_bounded(monkeypatch):
    module = layer("GRU", {})
    x, *_ = problem(module, 0)
    for _ in range(3):
        module(x)
    monkeypatch.setattr(ready, "_MOST_IN_ALL", 10)
    other = problem(module, 0)[0][:2]
    for _ in range(3):
        module(other)
    assert len(ready._shelves) <= 1


def test_many_threads_have_runs_of_their_own():
    module = layer("GRU", {"bidirectional": True})
    problems = [problem(module, seed) for seed in range(4)]
    desired = [results(module, given, False, (0,)) for given in problems]

    def work(n):
        for _ in range(20):
            found = results(module, problems[n], False, (0,))
            if not all(map(torch.equal, found, desired[n])):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


@pytest.mark.parametrize("strange", ["expanded", "every other number", "negated", "tied states"])
def test_strange_layouts_give_the_bits_of_plain_ones(strange):
    module = layer("LSTM", {})
    x = torch.randn(4, 6, 3)
    h = torch.randn(1, 6, 17)
    states = (h, h.clone())
    if strange == "expanded":
        x = x[:1].expand(4, 6, 3)
    elif strange == "every other number":
        x = torch.randn(4, 6, 6)[..., ::2]
    elif strange == "negated":
        x = torch.randn(4, 6, 3, dtype=torch.complex64).conj().imag
    else:
        states = (h, h)
    plain = x.clone().contiguous()
    for _ in range(4):
        y, final = module(x, states)
        desired, final0 = module(plain, (h.clone(), states[1].clone()))
        assert torch.equal(y, desired)
        assert all(map(torch.equal, final, final0))
        found, wanted = (
            torch.autograd.grad(o.square().sum(), list(module.parameters())) for o in (y, desired)
        )
        assert all(map(torch.equal, found, wanted))


def test_packed_sequences_of_any_lengths_are_one_kind():
    module = layer("LSTM", {})
    for lengths in ([4, 2], [5, 2], [9, 1]):
        x = torch.randn(max(lengths), 2, module.input_size)
        module(torch.nn.utils.rnn.pack_padded_sequence(x, lengths))
    assert len(ready._shelves) == 1
