"""Optimizers that `accelerate` is given."""

import copy
import pickle

import numpy as np
import pytest
import torch
from tolerances import TORCH_FLOAT32_OUTPUT, TORCH_FLOAT64_OUTPUT, assert_close
from torch import nn

from fastrnn.torch import accelerate, restore

KINDS = [torch.optim.Adam, torch.optim.AdamW]
SIZES = [(1,), (3, 17), (33, 100)]


class Custom(torch.optim.Adam):
    pass


def parameters(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(*size, generator=generator, dtype=dtype)) for size in SIZES]


def gradients(steps, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    return [
        [torch.randn(*size, generator=generator, dtype=dtype) for size in SIZES]
        for _ in range(steps)
    ]


def learn(optimizer, given):
    own = [p for group in optimizer.param_groups for p in group["params"]]
    for step in given:
        for parameter, gradient in zip(own, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    return own


def close(ours, stock):
    for one, other in zip(ours, stock, strict=True):
        kind = {torch.float32: TORCH_FLOAT32_OUTPUT, torch.float64: TORCH_FLOAT64_OUTPUT}
        assert_close(one.detach().numpy(), other.detach().numpy(), kind[one.dtype])


@pytest.fixture
def model():
    return nn.GRU(3, 4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("options", [{}, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_those_of_torch(model, kind, options, dtype):
    stock, ours = (
        kind([{"params": p[:1], "lr": 0.1}, {"params": p[1:]}], lr=0.01, **options)
        for p in (parameters(dtype), parameters(dtype))
    )
    assert accelerate(model, optimizer=ours).optimizer == f"{kind.__name__}, fused"
    rates = [torch.optim.lr_scheduler.StepLR(each, 2, 0.5) for each in (stock, ours)]
    for step in gradients(6, dtype):
        close(learn(ours, [step]), learn(stock, [step]))
        for rate in rates:
            rate.step()


def test_it_is_torchs_fused_update(model, monkeypatch):
    calls = []
    update = torch._fused_adam_
    monkeypatch.setattr(
        torch, "_fused_adam_", lambda *a, **k: (calls.append(1), update(*a, **k))[1]
    )
    optimizer = torch.optim.Adam(parameters())
    learn(optimizer, gradients(1))
    assert not calls
    accelerate(model, optimizer=optimizer)
    learn(optimizer, gradients(1))
    assert calls


def test_what_is_saved_is_as_without(model):
    stock, ours = torch.optim.Adam(parameters()), torch.optim.Adam(parameters())
    accelerate(model, optimizer=ours)
    learn(stock, gradients(2)), learn(ours, gradients(2))
    saved, expected = ours.state_dict(), stock.state_dict()
    assert saved["param_groups"] == expected["param_groups"]
    assert saved["state"].keys() == expected["state"].keys()
    # Each goes on from what the other one has saved.
    stock.load_state_dict(copy.deepcopy(saved))
    ours.load_state_dict(copy.deepcopy(expected))
    assert [group["fused"] for group in stock.param_groups] == [None]
    assert [group["fused"] for group in ours.param_groups] == [True]
    close(learn(ours, gradients(2)), learn(stock, gradients(2)))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_copies_learn_alike(model, how):
    optimizer = torch.optim.AdamW(parameters())
    accelerate(model, optimizer=optimizer)
    learn(optimizer, gradients(2))
    again = how(optimizer)
    np.testing.assert_equal(
        [p.detach().numpy() for p in learn(again, gradients(2))],
        [p.detach().numpy() for p in learn(optimizer, gradients(2))],
    )
    assert restore(model, optimizer=again).optimizer.startswith("AdamW, left")


def test_an_optimizer_may_have_learned_before_with_steps_of_float64(model):
    torch.set_default_dtype(torch.float64)
    try:
        stock, ours = torch.optim.Adam(parameters()), torch.optim.Adam(parameters())
        learn(stock, gradients(2)), learn(ours, gradients(2))
        accelerate(model, optimizer=ours)
        close(learn(ours, gradients(2)), learn(stock, gradients(2)))
        ours.load_state_dict(copy.deepcopy(stock.state_dict()))
        close(learn(ours, gradients(2)), learn(stock, gradients(2)))
    finally:
        torch.set_default_dtype(torch.float32)


def test_restore_undoes_it(model):
    stock, optimizer = torch.optim.Adam(parameters()), torch.optim.Adam(parameters())
    before = set(optimizer.__dict__)
    accelerate(model, optimizer=optimizer)
    assert restore(model, optimizer=optimizer).optimizer == "Adam, as it was"
    assert set(optimizer.__dict__) == before
    for one, other in zip(optimizer.param_groups, stock.param_groups, strict=True):
        assert {**one, "params": None} == {**other, "params": None}
    optimizer.load_state_dict(optimizer.state_dict())
    assert optimizer.param_groups[0]["fused"] is None
    assert restore(model, optimizer=optimizer).optimizer.startswith("Adam, left")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda p: torch.optim.SGD(p, 0.1), "neither Adam nor AdamW"),
        (Custom, "neither Adam nor AdamW"),
        (lambda p: torch.optim.Adam(p, foreach=True), "foreach=True was chosen"),
        (lambda p: torch.optim.Adam(p, fused=True), "fused=True was chosen"),
        (lambda p: torch.optim.AdamW(p, fused=False), "fused=False was chosen"),
        (lambda p: torch.optim.Adam(p, differentiable=True), "differentiable=True was chosen"),
        (lambda p: torch.optim.Adam([p[0].half().detach()]), "torch.float16 on cpu"),
        (lambda p: torch.optim.Adam([p[0].detach().to("meta")]), "torch.float32 on meta"),
    ],
)
def test_others_are_left_and_why(model, make, why):
    optimizer = make(parameters())
    before = [{**group, "params": None} for group in optimizer.param_groups]
    report = accelerate(model, optimizer=optimizer)
    assert report.optimizer.startswith(f"{type(optimizer).__name__}, left: ")
    assert why in report.optimizer
    assert report.swapped  # the model is not
    assert [{**group, "params": None} for group in optimizer.param_groups] == before


def test_twice_is_once(model):
    optimizer = torch.optim.Adam(parameters())
    accelerate(model, optimizer=optimizer)
    assert "fused already" in accelerate(model, optimizer=optimizer).optimizer
    assert str(restore(model, optimizer=optimizer)).endswith("optimizer: Adam, as it was")
    assert not optimizer._optimizer_state_dict_post_hooks


@pytest.mark.parametrize("function", [accelerate, restore])
def test_bad_optimizers_are_errors_and_change_nothing(model, function):
    kind = type(model)
    with pytest.raises(TypeError, match=r"optimizer: expected a torch.optim.Optimizer, got list"):
        function(model, optimizer=[torch.optim.Adam(parameters())])
    assert type(model) is kind
