"""Gradients as torch asks for them: of some arguments, twice, of second order, after writing."""

import gc
import weakref
from functools import partial

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.utils.checkpoint import checkpoint
from torch_twins import compare, copied, same, tensors, twins

from fastrnn.torch import recurrence

LAYERS = [
    ("RNN", {}),
    ("RNN", {"bidirectional": True}),
    ("LSTM", {"bidirectional": True}),
    ("LSTM", {"proj_size": 2}),
    ("GRU", {}),
    ("GRU", {"bias": False, "num_layers": 2}),
]


def problem(name, options, dtype=torch.float64):
    """Return a module in float64, x (T, B, I) and hx."""
    _, ours = twins(name, 3, 4, dtype=dtype, **options)
    D = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    h = torch.randn(D, 2, options.get("proj_size", 4), dtype=dtype)
    hx = (h, torch.randn(D, 2, 4, dtype=dtype)) if name == "LSTM" else h
    return ours, torch.randn(5, 2, 3, dtype=dtype), hx


def as_function(module, x, hx, lengths=None):
    """Return all outputs as a function of all tensors, and these."""
    parameters = dict(module.named_parameters())
    leaves = tensors(copied((x, *tensors(hx), *parameters.values())))
    states = len(tensors(hx))

    def function(x, *rest):
        hx = rest[:states] if states == 2 else rest[0]
        weights = dict(zip(parameters, rest[states:], strict=True))
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, hx = torch.func.functional_call(module, weights, (x, hx))
        if lengths is not None:
            y, _ = pad_packed_sequence(y)
        return (y, *tensors(hx))

    return function, tuple(leaves)


@pytest.mark.parametrize("lengths", [None, [3, 5]], ids=["even", "packed"])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_gradients_are_those_of_numeric_differentiation(name, options, lengths, runs):
    function, leaves = as_function(*problem(name, options), lengths)
    assert torch.autograd.gradcheck(function, leaves, fast_mode=True)
    assert runs


@pytest.mark.parametrize("lengths", [None, [3, 5]], ids=["even", "packed"])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_second_derivatives_are_those_of_numeric_differentiation(name, options, lengths, runs):
    function, leaves = as_function(*problem(name, options), lengths)
    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)
    assert runs


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_gradients_to_be_differentiated_have_the_values_of_those_that_are_not(name, options, runs):
    function, leaves = as_function(*problem(name, options))
    outputs = function(*leaves)
    cotangents = [torch.randn_like(output) for output in outputs]
    ask = partial(torch.autograd.grad, outputs, leaves, cotangents)
    plain = ask(retain_graph=True)
    for actual, desired in zip(ask(create_graph=True), plain, strict=True):
        same(actual.detach(), desired)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # said by the switch of oneDNN itself
def test_second_derivatives_in_float32_are_those_of_torch(runs):
    for name in ("LSTM", "GRU", "RNN"):
        found = []
        for module in twins(name, 3, 4):
            torch.manual_seed(5)
            x = torch.randn(6, 2, 3, requires_grad=True)
            with torch.backends.mkldnn.flags(enabled=False):
                y, _ = module(x)
                (dx,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
                found.append(torch.autograd.grad(dx.square().sum(), [x, *module.parameters()]))
        for actual, desired in zip(found[1], found[0], strict=True):
            same(actual, desired)
    assert runs


def test_second_derivative_does_not_count_a_path_twice(runs):
    # The second call's h comes from the same weights.
    found = []
    for cell in twins("GRUCell", 3, 4, dtype=torch.float64):
        torch.manual_seed(5)
        x = torch.randn(2, 2, 3, dtype=torch.float64)
        h = cell(x[1], cell(x[0]))
        weights = list(cell.parameters())
        first = torch.autograd.grad(h.square().sum(), weights, create_graph=True)
        found.append(torch.autograd.grad(sum(d.square().sum() for d in first), weights))
    for actual, desired in zip(found[1], found[0], strict=True):
        same(actual, desired)
    assert len(runs) == 2


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_a_kept_graph_gives_the_same_gradients_again(name, options, runs):
    module, x, hx = problem(name, options)
    leaves = tensors(copied((x, *tensors(hx))))
    outputs = tensors(module(leaves[0], tuple(leaves[1:]) if len(leaves) == 3 else leaves[1]))
    cotangents = [torch.randn_like(output) for output in outputs]
    wanted = [*leaves, *module.parameters()]
    first, second, third = (
        torch.autograd.grad(outputs, wanted, cotangents, retain_graph=keep)
        for keep in (True, True, False)
    )
    for a, b, c in zip(first, second, third, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(outputs, wanted, cotangents)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
@pytest.mark.parametrize("wanted", ["x", "weight_hh_l0", "bias_ih_l1_reverse", "h", "weights"])
def test_only_those_who_ask_get_a_gradient(name, wanted, runs):
    found = []
    for module in twins(name, 3, 4, 2, bidirectional=True):
        torch.manual_seed(5)
        x = torch.randn(5, 2, 3, requires_grad=wanted == "x")
        h = torch.randn(4, 2, 4, requires_grad=wanted == "h")
        hx = (h, torch.randn(4, 2, 4)) if name == "LSTM" else h
        for key, parameter in module.named_parameters():
            parameter.requires_grad_(wanted in ("weights", key))
        module(x, hx)[0].square().sum().backward()
        found.append([x.grad, h.grad, *(p.grad for p in module.parameters())])
    assert sum(d is not None for d in found[0]) == (16 if wanted == "weights" else 1)
    for actual, desired in zip(found[1], found[0], strict=True):
        same(actual, desired)
    assert runs


@pytest.mark.parametrize("used", ["y", "h", "c", "one step"])
def test_unused_outputs_need_no_gradient(used, runs):
    found = []
    for module in twins("LSTM", 3, 4, bidirectional=True):
        torch.manual_seed(5)
        x = torch.randn(5, 2, 3, requires_grad=True)
        y, (h, c) = module(x)
        {"y": y, "h": h, "c": c, "one step": y[2]}[used].sum().backward()
        found.append([x.grad, *(p.grad for p in module.parameters())])
    for actual, desired in zip(found[1], found[0], strict=True):
        same(actual, desired)
    assert runs


def test_gradients_add_up_and_share_no_memory(runs):
    stock, ours = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3)
    for module in (stock, ours):
        for _ in range(2):
            module(x)[0].square().sum().backward()
    grads = [p.grad for p in ours.parameters()]
    for actual, desired in zip(grads, (p.grad for p in stock.parameters()), strict=True):
        same(actual, desired)
        assert actual.is_contiguous()
    assert len({g.untyped_storage().data_ptr() for g in grads}) == len(grads)
    assert len(runs) == 2


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_outputs_may_be_written_to_before_backward(name, bidirectional, runs):
    # torch.nn's GRU allows it, and so do residual connections and activations written in place.
    _, ours = twins(name, 3, 3, bidirectional=bidirectional)
    x = torch.randn(5, 2, 3)
    found = []
    for in_place in (False, True):
        y, hx = ours(x)
        h = tensors(hx)[0]
        if in_place:
            y.mul_(3).add_(1)
            h.mul_(2)
        else:
            y, h = y * 3 + 1, h * 2
        total = y.square().sum() + h.square().sum()
        found.append(torch.autograd.grad(total, list(ours.parameters())))
    for actual, desired in zip(*found, strict=True):
        assert torch.equal(actual, desired)


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_batches_of_gradients(name, options, runs):
    module, x, _ = problem(name, options)
    y, _ = module(x)
    cotangents = torch.randn(3, *y.shape, dtype=y.dtype)
    leaves = list(module.parameters())
    found = torch.autograd.grad(
        y, leaves, cotangents, is_grads_batched=True, retain_graph=True, allow_unused=True
    )
    for n, cotangent in enumerate(cotangents):
        desired = torch.autograd.grad(y, leaves, cotangent, retain_graph=True, allow_unused=True)
        for actual, d in zip(found, desired, strict=True):
            same(actual[n], d)
    assert runs


def test_jacobians_made_at_once_are_those_made_row_by_row(runs):
    module, x, _ = problem("GRU", {})
    made = [
        torch.autograd.functional.jacobian(lambda x: module(x)[0], x, vectorize=vectorize)
        for vectorize in (False, True)
    ]
    same(made[1], made[0])
    assert runs


@pytest.mark.parametrize("what", ["x", "weight", "h"])
def test_arguments_written_to_before_backward_are_an_error(what, runs):
    _, ours = twins("GRU", 3, 4)
    x, h = torch.randn(5, 2, 3), torch.randn(1, 2, 4)
    y, _ = ours(x, h)
    with torch.no_grad():
        {"x": x, "weight": ours.weight_hh_l0, "h": h}[what].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant, runs):
    _, ours = twins("LSTM", 3, 4)
    x = torch.randn(5, 2, 3)
    found = []
    for run in (ours, lambda x: checkpoint(ours, x, use_reentrant=reentrant)):
        leaf = x.clone().requires_grad_()
        y, _ = run(leaf)
        y.square().sum().backward()
        found.append([leaf.grad, *(p.grad for p in ours.parameters())])
        ours.zero_grad()
    for actual, desired in zip(*found, strict=True):
        assert torch.equal(actual, desired)


def test_checkpoints_keep_no_more_than_they_save(monkeypatch):
    _, ours = twins("LSTM", 3, 4)
    kept = []

    def recorded(*args, training, **options):
        kept.append(training)
        return begin(*args, training=training, **options)

    begin = recurrence._begin
    monkeypatch.setattr(recurrence, "_begin", recorded)
    y, _ = checkpoint(ours, torch.randn(5, 2, 3), use_reentrant=False)
    assert kept == [False]
    y.sum().backward()
    assert kept[-1]
    kept.clear()
    ours(torch.randn(5, 2, 3))[0].sum().backward()
    assert kept == [True]


def test_saved_tensors_may_be_moved_away(runs):
    _, ours = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3)
    desired = torch.autograd.grad(ours(x)[0].square().sum(), list(ours.parameters()))
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: t.numpy(force=True).copy(), torch.tensor
    ):
        y, _ = ours(x)
        total = y.square().sum()
    for actual, d in zip(torch.autograd.grad(total, list(ours.parameters())), desired, strict=True):
        assert torch.equal(actual, d)


def test_a_graph_that_is_dropped_frees_its_memory(runs):
    _, ours = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3)
    gc.disable()
    try:
        y, h = ours(x)
        watched = weakref.ref(y)
        del y, h
        assert watched() is None
    finally:
        gc.enable()


def test_anomaly_mode_and_hooks_of_the_graph(runs):
    stock, ours = twins("LSTM", 3, 4)
    seen = []
    x = torch.randn(5, 2, 3)
    with torch.autograd.set_detect_anomaly(True):
        for module in (stock, ours):
            module.weight_hh_l0.register_hook(lambda d: seen.append(d) or d * 2)
            y, _ = module(x)
            y.register_hook(lambda d: d * 3)
            y.sum().backward()
    same(seen[1], seen[0])
    same(ours.weight_hh_l0.grad, stock.weight_hh_l0.grad)


def test_truncated_backpropagation(runs):
    stock, ours = twins("LSTM", 3, 4, 2)
    chunks = torch.randn(3, 5, 2, 3)
    for module in (stock, ours):
        hx = None
        for chunk in chunks:
            y, hx = module(chunk, hx)
            y.square().sum().backward()
            hx = tuple(h.detach_() for h in hx)
    for (name, actual), desired in zip(ours.named_parameters(), stock.parameters(), strict=True):
        same(actual.grad, desired.grad, name)
    compare(stock, ours, chunks[0], hx)
