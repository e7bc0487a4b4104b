"""What programs do with modules: copy, store, look at and change them."""

import copy
import inspect
import io
import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch_twins import compare, same, tensors, twins

from fastrnn import torch as ours

NAMES = ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"]
LAYERS = NAMES[:3]
X = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(1))


def run(module, x=X):
    """Return all outputs for sequences, or of a cell for their first step."""
    return tensors(module(x if isinstance(module, nn.RNNBase) else x[0]))


def assert_sees(module, change):
    """Fail unless a change of the weights is seen at once, in training and in inference."""
    for context in (torch.enable_grad, torch.no_grad):
        with context():
            before = run(module)[0].detach().clone()
        change()
        fresh = getattr(nn, type(module).__name__.removeprefix("Parametrized"))(3, 4)
        fresh.load_state_dict({n: getattr(module, n).detach() for n in fresh.state_dict()})
        with context():
            after = run(module)
        assert not torch.allclose(before, after[0])
        for actual, desired in zip(after, run(fresh), strict=True):
            same(actual.detach(), desired.detach())


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_those_of_torch_but_for_forward(name):
    stock, module = twins(name, 3, 4)
    assert isinstance(module, type(stock))
    assert repr(module) == repr(stock)
    assert inspect.signature(type(module)) == inspect.signature(type(stock))
    assert module.state_dict().keys() == stock.state_dict().keys()
    for (n, p), (m, q) in zip(module.named_parameters(), stock.named_parameters(), strict=True):
        assert n == m
        assert torch.equal(p, q)
    assert set(module.__dict__) == set(stock.__dict__)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("RNN", (3, 4, 2, "relu", False, True, 0.5, True), {}),
        ("LSTM", (3, 4, 2, False, True, 0.5, True, 2), {}),
        ("GRU", (3, 4, 2, False, True, 0.5, True), {}),
        ("GRU", (), {"input_size": 3, "hidden_size": 4, "dtype": torch.float64}),
        ("RNNCell", (3, 4, False, "relu"), {}),
        ("LSTMCell", (3, 4, False), {"dtype": torch.float64}),
    ],
)
def test_constructor_takes_what_torch_takes(name, args, options):
    stock, module = twins(name, *args, **options)
    assert repr(module) == repr(stock)
    for p, q in zip(module.parameters(), stock.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("RNN", (3, 4), {"nonlinearity": "gelu"}),
        ("LSTM", (0, 4), {}),
        ("LSTM", (3, 4), {"proj_size": 4}),
        ("LSTM", (3, 4.0), {}),
        ("GRU", (3, 4), {"proj_size": 2}),
        ("GRU", (3, 4), {"dropout": 1.5}),
        ("GRU", (3, 4), {"units": 5}),
    ],
)
def test_errors_of_the_constructor_are_those_of_torch(name, args, options):
    errors = []
    for module in (nn, ours):
        with pytest.raises((ValueError, TypeError)) as error:
            getattr(module, name)(*args, **options)
        errors.append((error.type, str(error.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("name", NAMES)
def test_state_dicts_are_exchanged_with_torch(name, runs):
    torch.manual_seed(0)
    stock, module = getattr(nn, name)(3, 4), getattr(ours, name)(3, 4)
    module.load_state_dict(stock.state_dict())
    for actual, desired in zip(run(module), run(stock), strict=True):
        same(actual, desired)
    stock.load_state_dict(module.state_dict())
    assert runs


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
def test_copies_compute_the_same_with_weights_of_their_own(name, how, runs):
    _, module = twins(name, 3, 4)
    run(module)
    if how == "deepcopy":
        twin = copy.deepcopy(module)
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(module))
    else:
        file = io.BytesIO()
        torch.save(module, file)
        twin = torch.load(io.BytesIO(file.getvalue()), weights_only=False)
    assert type(twin) is type(module)
    desired = run(module)
    for actual, d in zip(run(twin), desired, strict=True):
        assert torch.equal(actual, d)
    with torch.no_grad():
        module.weight_hh_l0.zero_() if name in LAYERS else module.weight_ih.zero_()
    for actual, d in zip(run(twin), desired, strict=True):
        assert torch.equal(actual, d)
    assert runs


@pytest.mark.parametrize("name", NAMES)
def test_changed_weights_are_seen_at_once(name, runs):
    _, module = twins(name, 3, 4)
    suffix = "_l0" if name in LAYERS else ""
    weight, bias = (getattr(module, n + suffix) for n in ("weight_ih", "bias_hh"))
    optimizer = torch.optim.SGD(module.parameters(), 0.5)

    def step():
        optimizer.zero_grad()
        with torch.enable_grad():
            run(module)[0].square().sum().backward()
        optimizer.step()

    def replace():
        setattr(module, "weight_ih" + suffix, nn.Parameter(torch.randn_like(weight)))

    state = {n: torch.randn_like(p) for n, p in module.state_dict().items()}
    assert_sees(module, lambda: weight.data.add_(1))  # without a new version
    assert_sees(module, lambda: weight.detach().numpy().__imul__(-0.5))
    assert_sees(module, lambda: setattr(bias, "data", torch.randn_like(bias)))
    assert_sees(module, step)
    assert_sees(
        module, lambda: module.load_state_dict({n: p * torch.randn(1) for n, p in state.items()})
    )
    assert_sees(module, lambda: nn.init.orthogonal_(weight))
    assert_sees(module, replace)
    assert runs


def test_moving_to_another_dtype_and_back(runs):
    stock, module = twins("LSTM", 3, 4)
    compare(stock.double(), module.double(), X.double())
    compare(stock.float(), module.float(), X)
    assert len(runs) == 2


def test_functional_call_uses_the_given_weights(runs):
    stock, module = twins("GRU", 3, 4, 2)
    weights = {n: torch.randn_like(p).requires_grad_() for n, p in stock.named_parameters()}
    found = []
    for m in (stock, module):
        y, _ = torch.func.functional_call(m, weights, (X,))
        found.append([y, *torch.autograd.grad(y.square().sum(), list(weights.values()))])
    for actual, desired in zip(found[1], found[0], strict=True):
        same(actual, desired)
    assert len(runs) == 2


def test_hooks_run_as_in_torch(runs):
    calls = []
    for module in twins("GRU", 3, 4):
        seen = []
        calls.append(seen)
        module.register_forward_pre_hook(lambda m, args, seen=seen: seen.append("pre"))
        module.register_forward_hook(
            lambda m, args, out, seen=seen: seen.append("post") or (out[0] * 2, out[1])
        )
        module.register_full_backward_hook(lambda m, gi, go, seen=seen: seen.append("back"))
        x = X.clone().requires_grad_()
        module(x)[0].sum().backward()
        seen.append(x.grad)
    assert calls[1][:-1] == calls[0][:-1] == ["pre", "post", "back"]
    same(calls[1][-1], calls[0][-1])
    assert len(runs) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["weight_norm", "spectral_norm", "parametrization", "prune"])
def test_computed_weights(name, how, runs):
    class Doubled(nn.Module):
        def forward(self, weight):
            return 2 * weight

    suffix = "_l0" if name in LAYERS else ""
    pair = twins(name, 3, 4)
    for module in pair:
        for weight in ("weight_ih" + suffix, "weight_hh" + suffix):
            torch.manual_seed(3)
            if how == "weight_norm":
                parametrizations.weight_norm(module, weight)
            elif how == "spectral_norm":
                parametrizations.spectral_norm(module, weight)
            elif how == "parametrization":
                parametrize.register_parametrization(module, weight, Doubled())
            else:
                prune.l1_unstructured(module, weight, 0.5)
    x = X if name in LAYERS else X[0]
    for _ in range(2):
        compare(*pair, x)
    assert len(runs) == 2


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_weight_norm_of_the_old_kind(runs):
    pair = twins("LSTM", 3, 4)
    for module in pair:
        nn.utils.weight_norm(module, "weight_hh_l0")
    for _ in range(2):
        compare(*pair, X)
        for module in pair:
            with torch.no_grad():
                module.weight_hh_l0_g.mul_(1.5)
    assert len(runs) == 2


def test_tied_weights_get_the_gradients_of_both_uses(runs):
    pair = twins("GRU", 4, 4, 2)
    for module in pair:
        module.weight_hh_l1 = module.weight_hh_l0
    compare(*pair, torch.randn(5, 2, 4))
    assert len(runs) == 2


def test_modules_inside_containers(runs):
    class Net(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.rnns = nn.ModuleList([module.LSTM(3, 4), module.GRU(4, 5, batch_first=True)])
            self.head = nn.Linear(5, 2)

        def forward(self, x, hx=None):
            y, _ = self.rnns[0](x)
            return self.head(self.rnns[1](y.transpose(0, 1))[0])

    nets = []
    for module in (nn, ours):
        torch.manual_seed(2)
        nets.append(Net(module))
    compare(*nets, X)
    assert len(runs) == 2
    wide = [copy.deepcopy(net).double() for net in nets]
    compare(*wide, X.double())
    assert isinstance(nets[1].state_dict(), OrderedDict)


def test_a_subclass_of_ours_is_ours(runs):
    class Last(ours.LSTM):
        def forward(self, x, hx=None):
            y, hx = super().forward(x, hx)
            return y[-1], hx

    stock, _ = twins("LSTM", 3, 4)
    torch.manual_seed(7)
    same(Last(3, 4)(X)[0], stock(X)[0][-1])
    assert len(runs) == 1
