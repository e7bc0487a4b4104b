"""What reads or compiles a model that contains our modules."""

import pytest
import torch
from torch import nn
from torch_twins import same, twins

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The tensor attributes"),  # exported torch.nn says it, too
]


class Net(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.before = nn.Linear(3, 5)
        self.rnn = rnn
        self.after = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.relu(self.before(x))
        y, _ = self.rnn(x)
        return self.after(y)


class Steps(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        h = self.cell(x[0])
        return self.cell(x[1], h)


def pair(name):
    """Return models with torch.nn's module and with ours, of the same weights."""
    stock, module = twins(name, 5, 4)
    kind = Steps if name.endswith("Cell") else Net
    nets = [kind(stock), kind(module)]
    nets[1].load_state_dict(nets[0].state_dict())
    return nets


def given(name):
    return torch.randn(6, 2, 5 if name.endswith("Cell") else 3)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_traced_models_hold_operations_of_torch(name, runs):
    stock, net = pair(name)
    traced = torch.jit.trace(net, (given(name),))
    runs.clear()  # it is compared with the model itself
    x = torch.randn(9, 4, 3)
    same(traced(x), stock(x))
    assert not runs


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN", "GRUCell"])
def test_scripted_models_hold_modules_of_torch(name, runs):
    stock, net = pair(name)
    weights = dict(net.named_parameters())
    scripted = torch.jit.script(net)
    x = given(name)
    same(scripted(x), stock(x))
    assert dict(net.named_parameters()).keys() == weights.keys()
    for key, weight in scripted.named_parameters():
        assert weight.data_ptr() == weights[key].data_ptr()
    assert not runs


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_graphs_of_fx_call_the_module(name, runs):
    stock, net = pair(name)
    graph = torch.fx.symbolic_trace(net)
    x = given(name)
    same(graph(x), stock(x))
    assert "rnn" in [node.target for node in graph.graph.nodes if node.op == "call_module"]
    assert len(runs) == 1


@pytest.mark.parametrize("name", ["LSTM", "GRUCell"])
def test_exported_models_hold_operations_of_torch(name, runs):
    stock, net = pair(name)
    x = given(name)
    same(torch.export.export(net, (x,)).module()(x), stock(x))
    assert not runs


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_compiled_models_call_the_kernels_in_between(name, runs):
    torch.compiler.reset()
    compiled_operations = set()

    def backend(graph, inputs):
        nodes = graph.graph.nodes
        compiled_operations.update(n.target.__name__ for n in nodes if n.op == "call_function")
        return graph.forward

    stock, net = pair(name)
    compiled = torch.compile(net, backend=backend)
    for _ in range(3):
        x = given(name)
        same(compiled(x), stock(x))
    desired, actual = (
        torch.autograd.grad(f(x).square().sum(), list(m.parameters()))
        for f, m in ((stock, stock), (compiled, net))
    )
    for a, d in zip(actual, desired, strict=True):
        same(a, d)
    assert len(runs) == 4
    # What is around our module, and nothing of fastrnn.
    assert {"linear", "relu"} == compiled_operations
    torch.compiler.reset()


def test_a_module_compiled_by_itself(runs):
    torch.compiler.reset()
    stock, module = twins("LSTM", 3, 4)
    x = torch.randn(5, 2, 3)
    same(torch.compile(module, backend="eager")(x)[0], stock(x)[0])
    assert len(runs) == 1
    torch.compiler.reset()


@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells_are_compiled_as_those_of_torch(name, runs):
    torch.compiler.reset()
    stock, net = pair(name)
    x = given(name)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    desired, actual = stock(x), compiled(x)
    if name == "LSTMCell":
        desired, actual = desired[0], actual[0]
    same(actual, desired)
    assert not runs
    torch.compiler.reset()
