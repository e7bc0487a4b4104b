"""What torch.nn computes, and what it complains about."""

import re
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch_twins import same, tensors, twins

from fastrnn import torch as ours
from fastrnn.torch import fallback


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    """Every test hears all warnings anew."""
    monkeypatch.setattr(fallback, "_told", set())


ERRORS = {
    "dimensions": lambda m: m(torch.randn(2, 2, 2, 3)),
    "dimensions of one": lambda m: m(torch.randn(3)),
    "no tensor": lambda m: m(None),
    "array": lambda m: m(torch.randn(5, 2, 3).numpy()),
    "features": lambda m: m(torch.randn(5, 2, 4)),
    "dtype": lambda m: m(torch.randn(5, 2, 3, dtype=torch.float64)),
    "integers": lambda m: m(torch.ones(5, 2, 3, dtype=torch.int64)),
    "sparse": lambda m: m(torch.randn(5, 2, 3).to_sparse()),
    "no steps": lambda m: m(torch.randn(0, 2, 3)),
    "state for another batch": lambda m: m(torch.randn(5, 2, 3), states(m, 1, 3, 4)),
    "state of a layer too many": lambda m: m(torch.randn(5, 2, 3), states(m, 2, 2, 4)),
    "state of another size": lambda m: m(torch.randn(5, 2, 3), states(m, 1, 2, 5)),
    "state without a batch": lambda m: m(torch.randn(5, 2, 3), states(m, 1, 4)),
    "state with a batch": lambda m: m(torch.randn(5, 3), states(m, 1, 1, 4)),
    "state without dimensions": lambda m: m(torch.randn(5, 3), states(m)),
    "state of another dtype": lambda m: m(
        torch.randn(5, 2, 3), states(m, 1, 2, 4, dtype=torch.float64)
    ),
    "states of the other kind": lambda m: m(
        torch.randn(5, 2, 3), torch.zeros(1, 2, 4) if is_lstm(m) else (torch.zeros(1, 2, 4),) * 2
    ),
    "packed features": lambda m: m(pack_sequence([torch.randn(2, 4)])),
    "packed state": lambda m: m(pack_sequence([torch.randn(2, 3)]), states(m, 1, 2, 4)),
}


def is_lstm(module):
    return isinstance(module, nn.LSTM)


def states(module, *shape, dtype=torch.float32):
    h = torch.zeros(*shape, dtype=dtype)
    return (h, h) if is_lstm(module) else h


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("what", ERRORS)
def test_errors_are_those_of_torch(name, what, runs):
    if name == "LSTM" and what.startswith("packed"):
        pytest.skip("torch checks nothing there")
    caught = []
    for module in twins(name, 3, 4):
        try:
            ERRORS[what](module)
        except Exception as error:
            caught.append((type(error), str(error)))
    assert len(caught) == 2
    assert caught[0] == caught[1]
    assert not runs


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize(
    ("x", "h"),
    [
        ((2, 2, 3), None), ((2, 4), None), ((2, 3), (3, 4)), ((2, 3), (2, 5)), ((2, 3), (1, 2, 4)),
        ((3,), (1, 4)),
    ],
    ids=str,
)  # fmt: skip
def test_errors_of_cells_are_those_of_torch(name, x, h, runs):
    caught = []
    for cell in twins(name, 3, 4):
        hx = None if h is None else torch.zeros(h)
        with pytest.raises((ValueError, RuntimeError)) as error:
            cell(torch.randn(x), (hx, hx) if hx is not None and name == "LSTMCell" else hx)
        caught.append((error.type, str(error.value)))
    assert caught[0] == caught[1]
    assert not runs


def test_weights_of_odd_shapes_or_dtypes_are_errors_of_torch(runs):
    for weight in (torch.randn(12, 5), torch.randn(12, 4, dtype=torch.float64)):
        caught = []
        for module in twins("GRU", 3, 4):
            module.weight_hh_l0 = nn.Parameter(weight)
            with pytest.raises((RuntimeError, ValueError)) as error:
                module(torch.randn(5, 2, 3))
            caught.append((error.type, str(error.value)))
        assert caught[0] == caught[1]
    assert not runs


def test_empty_batches(runs):
    for name in ("LSTM", "GRU"):
        shapes = [
            [tensor.shape for tensor in tensors(module(torch.randn(5, 0, 3)))]
            for module in twins(name, 3, 4)
        ]
        assert shapes[0] == shapes[1]
    assert not runs


@pytest.mark.parametrize("name", ["LSTM", "GRU", "GRUCell"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_dtypes_are_left_to_torch_with_one_warning(name, dtype, runs):
    stock, module = twins(name, 3, 4, dtype=dtype)
    x = torch.randn(5, 2, 3, dtype=dtype)
    x = x[0] if name == "GRUCell" else x
    with pytest.warns(ours.FallbackWarning, match=rf"{name} leaves {dtype} tensors to torch.nn"):
        outputs = tensors(module(x))
    for a, d in zip(outputs, tensors(stock(x)), strict=True):
        assert torch.equal(a, d)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module(x)
    assert not runs


def test_other_devices_are_left_to_torch(runs):
    module = ours.LSTM(3, 4, device="meta")
    with pytest.warns(ours.FallbackWarning, match="LSTM leaves tensors on meta"):
        y, (h, c) = module(torch.randn(5, 2, 3, device="meta"))
    assert y.device.type == "meta"
    assert y.shape == (5, 2, 4)
    assert not runs


def test_subclasses_of_tensors_are_left_to_torch(runs):
    class Mine(torch.Tensor):
        pass

    stock, module = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3)
    with pytest.warns(ours.FallbackWarning, match="tensors of type Mine"):
        y, _ = module(x.as_subclass(Mine))
    assert isinstance(y, Mine)
    assert torch.equal(y.as_subclass(torch.Tensor), stock(x)[0])
    assert not runs


@pytest.mark.parametrize("name", ["GRU", "LSTM"])
def test_autocast_is_left_to_torch(name, runs):
    stock, module = twins(name, 3, 4)
    x = torch.randn(5, 2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        try:
            desired, _ = stock(x)
        except RuntimeError as error:  # torch's LSTM wants a processor that knows bfloat16
            with pytest.raises(RuntimeError, match=re.escape(str(error))):
                module(x)
        else:
            with pytest.warns(ours.FallbackWarning, match="leaves everything under autocast"):
                y, _ = module(x)
            assert y.dtype == desired.dtype
            assert torch.equal(y, desired)
    assert not runs


def test_transforms_see_the_operations_of_torch(runs):
    stock, module = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3)
    for transform in (
        lambda f: torch.func.grad(lambda x: f(x).sum())(x),
        lambda f: torch.func.jvp(f, (x,), (torch.ones_like(x),))[1],
        lambda f: torch.func.jacrev(f)(x),
        lambda f: torch.func.vmap(f)(torch.stack([x, -x])),
    ):
        outcomes = []
        for m in (stock, module):
            try:
                outcomes.append(transform(lambda x, m=m: m(x)[0]).detach())
            except Exception as error:  # whatever torch cannot do
                outcomes.append(type(error))
        if isinstance(outcomes[0], torch.Tensor):
            assert torch.equal(outcomes[1], outcomes[0])
        else:
            assert outcomes[1] is outcomes[0]
    assert not runs


def test_what_a_transform_has_left_behind_is_a_tensor_like_others(runs):
    stock, module = twins("GRU", 3, 4)
    x, left = torch.randn(5, 2, 3), []
    torch.func.grad(lambda x: (left.append(x), x.sum())[1])(x)
    for _ in range(3):  # from the third call on there are runs that are ready
        gradients = []
        for m in (stock, module):
            y, _ = m(left[0])
            y.sum().backward()
            gradients += [[p.grad.clone() for p in m.parameters()]]
            m.zero_grad()
        same(y, module(x)[0])
        for mine, desired in zip(gradients[1], gradients[0], strict=True):
            same(mine, desired)
        with torch.no_grad():
            same(module(left[0])[0], stock(x)[0])
    assert runs


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated")  # torch's own first use
def test_forward_mode_gradients(runs):
    stock, module = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3)
    tangents = []
    for m in (stock, module):
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            tangents.append(torch.autograd.forward_ad.unpack_dual(m(dual)[0]).tangent)
    assert torch.equal(tangents[1], tangents[0])
    assert not runs


def test_modes_that_watch_operations_see_those_of_torch(runs):
    class Count(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.number = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.number += 1
            return func(*args, **(kwargs or {}))

    numbers = []
    for module in twins("GRU", 3, 4):
        with Count() as mode:
            module(torch.randn(5, 2, 3))
        numbers.append(mode.number)
    assert numbers[0] == numbers[1] > 5
    assert not runs


def test_negated_and_conjugated_views_are_read_as_they_look(runs):
    stock, module = twins("GRU", 3, 4)
    x = torch.randn(5, 2, 3, dtype=torch.complex64).conj().imag
    assert x.is_neg()
    same(module(x)[0], stock(x)[0])
    assert runs
