"""accelerate and restore."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations
from torch_twins import same

from fastrnn import torch as ours
from fastrnn.torch import accelerate, restore

KINDS = ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"]


class Custom(nn.LSTM):
    def forward(self, x, hx=None):
        return super().forward(2 * x, hx)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleDict({name.lower(): getattr(nn, name)(3, 3) for name in KINDS})
        self.custom = Custom(3, 3)
        self.head = nn.Linear(3, 2)
        self.again = self.parts["gru"]

    def forward(self, x):
        for name in ("rnn", "lstm", "gru"):
            x, _ = self.parts[name](x)
        x, _ = self.custom(x)
        h, _ = self.parts["lstmcell"](self.again(x)[0][-1])
        return self.head(self.parts["grucell"](self.parts["rnncell"](h)))


@pytest.fixture
def net():
    return Net()


def classes(model):
    return {name: type(module) for name, module in model.named_modules()}


def test_every_recurrent_module_is_swapped_in_place(net, runs):
    x = torch.randn(5, 2, 3)
    before, modules, parameters = net(x), list(net.modules()), list(net.parameters())
    report = accelerate(net)
    assert [id(m) for m in net.modules()] == [id(m) for m in modules]
    assert [id(p) for p in net.parameters()] == [id(p) for p in parameters]
    for name in KINDS:
        assert type(net.parts[name.lower()]) is getattr(ours, name)
    assert type(net.custom) is Custom
    assert report.swapped == tuple((f"parts.{name.lower()}", name) for name in KINDS)
    assert [name for name, *_ in report.left] == ["custom"]
    assert not runs
    same(net(x), before)
    assert len(runs) == 7


def test_restore_undoes_it_exactly(net):
    before = classes(net)
    state = {name: dict(module.__dict__) for name, module in net.named_modules()}
    assert accelerate(net).swapped == restore(net).swapped
    assert classes(net) == before
    assert {name: dict(module.__dict__) for name, module in net.named_modules()} == state
    assert restore(net).swapped == ()


def test_restore_leaves_what_was_ours_from_the_start():
    model = nn.Sequential(ours.LSTM(3, 3), nn.GRU(3, 3))
    report = accelerate(model)
    assert report.swapped == (("1", "GRU"),)
    assert report.left == (("0", "LSTM", "fastrnn's already"),)
    report = restore(model)
    assert report.swapped == (("1", "GRU"),)
    assert report.left == (("0", "LSTM", "fastrnn's from the start"),)
    assert type(model[0]) is ours.LSTM
    assert type(model[1]) is nn.GRU


@pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_accelerated_models_can_be_restored(net, how):
    before = classes(net)
    accelerate(net)
    twin = how(net)
    assert classes(twin) == classes(net)
    restore(twin)
    assert classes(twin) == before
    assert classes(net) != before


def test_the_model_itself(runs):
    model = nn.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    desired, _ = model(x)
    report = accelerate(model)
    assert str(report) == "swapped: the model itself (LSTM)"
    same(model(x)[0], desired)
    assert len(runs) == 1
    assert accelerate(model).swapped == ()
    restore(model)
    assert type(model) is nn.LSTM


def test_optimizers_hooks_and_flags_go_on(runs):
    losses = []
    for is_ours in (False, True):
        torch.manual_seed(4)
        model = nn.Sequential(nn.LSTM(3, 4, 2, dropout=0.3))
        seen = []
        model[0].register_forward_hook(lambda *_, seen=seen: seen.append(1))
        model.eval()
        optimizer = torch.optim.Adam(model.parameters(), 0.05)
        if is_ours:
            accelerate(model)
        assert not model[0].training
        model.train()
        x = torch.randn(5, 2, 3)
        course = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(x)[0].square().mean()
            loss.backward()
            optimizer.step()
            course.append(loss.detach())
        losses.append(torch.stack(course))
        assert len(seen) == 5
    same(losses[1], losses[0])
    assert losses[0][-1] < losses[0][0]
    assert len(runs) == 10


@pytest.mark.parametrize(
    ("only", "swapped"),
    [
        (nn.LSTM, ["lstm"]),
        ((nn.GRU, nn.GRUCell), ["gru", "grucell"]),
        ("parts.rnn", ["rnn"]),
        (["parts.rnn", nn.LSTM], ["lstm", "rnn"]),
        ([], []),
    ],
    ids=str,
)
def test_only_some(net, only, swapped):
    report = accelerate(net, only=only)
    assert sorted(name.removeprefix("parts.") for name, _ in report.swapped) == swapped
    assert len(report.left) == len(KINDS) + 1 - len(swapped)
    for name in KINDS:
        is_ours = type(net.parts[name.lower()]) is getattr(ours, name)
        assert is_ours == (name.lower() in swapped)


@pytest.mark.parametrize(
    ("only", "error", "message"),
    [
        ("encoder", ValueError, "only: expected names of the model's modules, got 'encoder'"),
        (nn.Linear, ValueError, "only: expected torch.nn's RNN, .*, got Linear"),
        (3, TypeError, "only: expected classes of torch.nn or names, got 3"),
        ([3], TypeError, "only: expected classes of torch.nn or names, got 3"),
        ([["lstm"]], TypeError, "only: expected classes of torch.nn or names, got .'lstm'."),
    ],
)
def test_bad_choices_are_errors_and_change_nothing(net, only, error, message):
    before = classes(net)
    with pytest.raises(error, match=message):
        accelerate(net, only=only)
    assert classes(net) == before


@pytest.mark.parametrize("function", [accelerate, restore])
def test_models_are_modules(function):
    with pytest.raises(TypeError, match=r"model: expected a torch.nn.Module, got list"):
        function([nn.LSTM(3, 4)])


def test_reports_tell_the_whole_story(net):
    text = str(accelerate(net))
    assert "swapped: parts.lstm (LSTM)" in text
    assert "left: custom (Custom): a subclass, which may compute something else" in text
    assert str(accelerate(nn.Linear(2, 2))) == "no recurrent modules"


def test_parametrized_modules_are_subclasses():
    model = nn.Sequential(parametrizations.weight_norm(nn.LSTM(3, 4), "weight_hh_l0"))
    assert accelerate(model).left[0][1] == "ParametrizedLSTM"
    model = nn.Sequential(nn.LSTM(3, 4))
    accelerate(model)
    parametrizations.weight_norm(model[0], "weight_hh_l0")
    assert restore(model).left[0][:2] == ("0", "ParametrizedLSTM")
    nn.utils.parametrize.remove_parametrizations(model[0], "weight_hh_l0")
    assert restore(model).swapped == (("0", "LSTM"),)
    assert type(model[0]) is nn.LSTM


def test_state_dicts_are_the_same_before_and_after(net):
    before = net.state_dict()
    accelerate(net)
    after = net.state_dict()
    assert list(before) == list(after)
    fresh = Net()
    fresh.load_state_dict(after)
    for a, b in zip(fresh.parameters(), net.parameters(), strict=True):
        assert torch.equal(a, b)
