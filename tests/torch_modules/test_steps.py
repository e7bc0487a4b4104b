"""RNNCell, LSTMCell and GRUCell against torch.nn's, and when the kernels are called for a step."""

import pytest
import torch
from torch_twins import compare, same, tensors, twins

from fastrnn.torch import fallback, recurrence

CELLS = [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]


def state(name, *shape, dtype=torch.float32):
    h = torch.randn(*shape, dtype=dtype)
    return (h, torch.randn(*shape, dtype=dtype)) if name == "LSTMCell" else h


@pytest.mark.parametrize(("name", "options"), CELLS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("sizes", "has_state"), [((3, 17, 33), True), ((1, 1, 1), False)], ids=str)
def test_outputs_and_gradients_are_those_of_torch(
    name, options, bias, sizes, has_state, dtype, runs
):
    B, I, H = sizes
    stock, ours = twins(name, I, H, bias=bias, dtype=dtype, **options)
    hx = state(name, B, H, dtype=dtype) if has_state else None
    compare(stock, ours, torch.randn(B, I, dtype=dtype), hx)
    assert len(runs) == 1


@pytest.mark.parametrize(("name", "options"), CELLS, ids=str)
@pytest.mark.parametrize("has_state", [True, False])
def test_unbatched_input(name, options, has_state, runs):
    stock, ours = twins(name, 3, 5, **options)
    compare(stock, ours, torch.randn(3), state(name, 5) if has_state else None)
    assert len(runs) == 1


@pytest.mark.parametrize(("name", "options"), CELLS, ids=str)
def test_gradients_flow_through_a_loop_of_steps(name, options, runs):
    stock, ours = twins(name, 3, 5, **options)
    x = torch.randn(6, 2, 3)
    gradients = []
    for cell in (stock, ours):
        hx, total = None, 0
        for t in range(len(x)):
            hx = cell(x[t], hx)
            total = total + (hx[0] if isinstance(hx, tuple) else hx).square().sum()
        gradients.append(torch.autograd.grad(total, list(cell.parameters())))
    for actual, desired in zip(*reversed(gradients), strict=True):
        same(actual, desired)
    assert len(runs) == len(x)


def test_small_and_trained_steps_are_left_to_torch(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("the kernels were called")

    for name in ("GRUCell", "RNN", "GRU"):
        stock, ours = twins(name, 3, 5)
        x = torch.randn(*[1] * (name != "GRUCell"), 2, 3)
        with monkeypatch.context() as patch:
            patch.setattr(recurrence, "run", fail)
            with torch.no_grad():
                for a, d in zip(tensors(ours(x)), tensors(stock(x)), strict=True):
                    assert torch.equal(a, d)
            patch.setattr(fallback, "STEP_ROWS", 1)
            ours(x)
            with torch.no_grad(), pytest.raises(AssertionError, match="the kernels"):
                ours(x)


def test_unknown_activation_is_an_error_of_torch(runs):
    errors = []
    for cell in twins("RNNCell", 3, 5, nonlinearity="gelu"):
        with pytest.raises(RuntimeError) as error:
            cell(torch.randn(2, 3))
        errors.append(str(error.value))
    assert errors[0] == errors[1]
    assert not runs
