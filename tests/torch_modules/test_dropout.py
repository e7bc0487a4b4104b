"""Dropout between layers: torch's own numbers, and its generator left as torch leaves it."""

import threading

import pytest
import torch

from fastrnn.torch import dropout


@pytest.fixture(params=["ours", "torch's"])
def way(request, monkeypatch):
    """Who draws the numbers; torch does where it would not draw as we do."""
    if request.param == "ours":
        assert dropout._is_known(torch.float32)
        assert dropout._is_known(torch.float64)
    else:
        monkeypatch.setattr(dropout, "_is_known", lambda _: False)


def state_after(draws):
    """A state of the generator with so many words of the twister given out."""
    torch.manual_seed(draws)
    torch.randint(5, (draws,))
    return torch.get_rng_state()


@pytest.mark.parametrize("draws", [0, 1, 2, 311, 623, 624, 625])
@pytest.mark.parametrize("size", [1, 2, 7, 311, 312, 313, 1000, 4000])
def test_results_and_states_are_those_of_torch(size, draws, dtype, way):
    x = torch.randn(size, dtype=dtype)
    state = state_after(draws)
    for rate in (0.1, 0.5, 0.9):
        found = []
        for function in (torch.dropout, lambda x, rate, _: dropout.dropout(x, rate)):
            torch.set_rng_state(state)
            y = [function(x, rate, True) for _ in range(2)]
            found.append([*y, torch.rand(3), torch.get_rng_state()])
        for desired, actual in zip(*found, strict=True):
            assert torch.equal(actual, desired)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_at_the_ends(rate, dtype):
    x = torch.randn(5, dtype=dtype)
    before = torch.get_rng_state()
    assert torch.equal(dropout.dropout(x, rate), torch.dropout(x, rate, True))
    assert torch.equal(torch.get_rng_state(), before)


def test_nan_stays_where_it_is_dropped():
    y = dropout.dropout(torch.full((50,), torch.nan), 0.5)
    assert y.isnan().all()


def test_any_order_of_derivative(dtype):
    x = torch.randn(40, dtype=dtype, requires_grad=True)
    found = []
    for function in (lambda x: torch.dropout(x, 0.3, True), lambda x: dropout.dropout(x, 0.3)):
        torch.manual_seed(4)
        (dx,) = torch.autograd.grad(function(x.square()).square().sum(), x, create_graph=True)
        found.append([dx, *torch.autograd.grad(dx.square().sum(), x)])
    for desired, actual in zip(*found, strict=True):
        assert torch.equal(actual, desired)


def test_strides_and_views(dtype):
    x = torch.randn(6, 8, 2, dtype=dtype)[..., 0]
    y = []
    for function in (torch.dropout, lambda x, rate, _: dropout.dropout(x, rate)):
        torch.manual_seed(4)
        y.append(function(x, 0.4, True))
    assert torch.equal(*y)


def test_threads_draw_different_numbers():
    x = torch.ones(3000)
    found = []

    def work():
        found.extend(dropout.dropout(x, 0.5) for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(y.tolist()) for y in found}) == 80
