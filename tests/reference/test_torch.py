"""The references of the cells that PyTorch has, or whose parts it has, against it in float64."""

import numpy as np
import pytest
from reference.problems import random_problem, run, weight_gradients
from tolerances import TORCH_FLOAT64_GRADIENT, TORCH_FLOAT64_OUTPUT, assert_close

from fastrnn.reference import CELLS

SHAPES = [(1, 1, 1, 2), (4, 3, 5, 3), (7, 3, 17, 33)]  # T, B, I, H
MODULES = {
    "rnn": ("RNN", {"nonlinearity": "tanh"}),
    "rnn_relu": ("RNN", {"nonlinearity": "relu"}),
    "lstm": ("LSTM", {}),
    "lstmp": ("LSTM", {}),
    "gru": ("GRU", {}),
}


def leaf(torch, values):
    """A tensor that gathers gradients, sharing no memory with `values`."""
    return torch.tensor(values, requires_grad=True)


def picked(names, cell, b):
    """The parts of b by these names, in this order."""
    return np.concatenate([np.split(b, len(cell.BIAS))[cell.BIAS.index(name)] for name in names])


def torch_module(torch, name, cell, problem):
    """The module with the problem's weights; biases of both sides are split unevenly."""
    H = len(problem.b) // len(cell.BIAS)
    kind, options = MODULES[name]
    if "P" in cell.EXTRA:
        options = {"proj_size": problem.extra["P"].shape[1]}
    module = getattr(torch.nn, kind)(len(problem.W), H, dtype=torch.float64, **options)
    both = np.repeat([name in cell.INPUT and name in cell.RECURRENT for name in cell.BIAS], H)
    values = {
        "weight_ih_l0": problem.W.T,
        "weight_hh_l0": problem.R.T,
        "bias_ih_l0": picked(cell.INPUT, cell, problem.b * np.where(both, 0.25, 1.0)),
        "bias_hh_l0": picked(cell.RECURRENT, cell, problem.b * np.where(both, 0.75, 1.0)),
        "weight_hr_l0": problem.extra["P"].T if "P" in cell.EXTRA else None,
    }
    with torch.no_grad():
        for parameter, tensor in module.named_parameters():
            tensor.copy_(torch.tensor(values[parameter]))
    return module


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "packed"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_outputs_and_all_gradients_match_torch(rng, name, shape, ragged):
    torch = pytest.importorskip("torch")
    T, B, _, _ = shape
    cell = CELLS[name.removesuffix("_relu")]
    options = {"activations": ("relu",)} if name == "rnn_relu" else {}
    problem = random_problem(rng, cell, shape)
    problem = problem._replace(dstates=())
    # torch refuses to pack a row of length 0.
    lengths = np.array([max(T // 2, 1), T, 1])[:B] if ragged else None
    y, state, _, gradients, _ = run(cell, problem, lengths, **options)

    module = torch_module(torch, name, cell, problem)
    x, *initial = (leaf(torch, a) for a in (problem.x, *(s[None] for s in problem.state)))
    given = tuple(initial) if len(initial) > 1 else initial[0]
    if ragged:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor(lengths), enforce_sorted=False
        )
        packed_y, final = module(packed, given)
        theirs, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_y, total_length=T)
    else:
        theirs, final = module(x, given)
    final = final if isinstance(final, tuple) else (final,)
    outputs = [theirs, *(s[0] for s in final)]
    torch.autograd.backward(outputs, [torch.tensor(d) for d in (problem.dy, *problem.dstate)])

    for label, ours, wanted in zip(("y", *cell.STATES), (y, *state), outputs, strict=True):
        assert_close(ours, wanted.detach().numpy(), TORCH_FLOAT64_OUTPUT, label)
    desired = {parameter: tensor.grad.numpy() for parameter, tensor in module.named_parameters()}
    pairs = {
        "dx": (gradients.x, x.grad.numpy()),
        "dW": (gradients.W.T, desired["weight_ih_l0"]),
        "dR": (gradients.R.T, desired["weight_hh_l0"]),
        "db through W": (picked(cell.INPUT, cell, gradients.b), desired["bias_ih_l0"]),
        "db through R": (picked(cell.RECURRENT, cell, gradients.b), desired["bias_hh_l0"]),
    }
    if "P" in cell.EXTRA:
        pairs["dP"] = gradients.extra["P"].T, desired["weight_hr_l0"]
    for label, ours, s in zip(cell.STATES, gradients.states, initial, strict=True):
        pairs[f"d{label}0"] = ours[None], s.grad.numpy()
    for label, (ours, wanted) in pairs.items():
        assert_close(ours, wanted, TORCH_FLOAT64_GRADIENT, label)


def normed_lstm_step(torch, x, weights, h, c):
    """One step of a layer-normalised LSTM by torch's own operations."""
    W, R, b, gain_x, gain_h, gain_c, bias_c = weights
    norm = torch.nn.functional.layer_norm
    a = norm(x @ W, gain_x.shape, gain_x) + norm(h @ R, gain_h.shape, gain_h) + b
    a_i, a_f, a_g, a_o = a.chunk(4, dim=1)
    c = a_f.sigmoid() * c + a_i.sigmoid() * a_g.tanh()
    return a_o.sigmoid() * norm(c, gain_c.shape, gain_c, bias_c).tanh(), c


def normed_gru_step(torch, x, weights, h):
    """One step of a layer-normalised GRU by torch's own operations."""
    W, R, b, gain_x, gain_h = weights
    norm = torch.nn.functional.layer_norm
    b_r, b_z, b_nx, b_nh = b.chunk(4)
    x_r, x_z, x_n = norm(x @ W, gain_x.shape, gain_x).chunk(3, dim=1)
    h_r, h_z, h_n = norm(h @ R, gain_h.shape, gain_h).chunk(3, dim=1)
    z = (x_z + h_z + b_z).sigmoid()
    n = torch.tanh(x_n + b_nx + (x_r + h_r + b_r).sigmoid() * (h_n + b_nh))
    return (torch.lerp(n, h, z),)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (4, 3, 5, 3), (5, 3, 17, 33)], ids=str)
@pytest.mark.parametrize(
    ("name", "step"), [("ln_lstm", normed_lstm_step), ("ln_gru", normed_gru_step)]
)
def test_layer_normalised_cells_match_their_steps_in_torch(rng, name, step, shape):
    torch = pytest.importorskip("torch")
    cell = CELLS[name]
    problem = random_problem(rng, cell, shape)
    y, state, _, gradients, _ = run(cell, problem._replace(dstates=()))

    x = leaf(torch, problem.x)
    arrays = {"W": problem.W, "R": problem.R, "b": problem.b, **problem.extra}
    weights = {label: leaf(torch, values) for label, values in arrays.items()}
    initial = [leaf(torch, s) for s in problem.state]
    states, outputs = initial, []
    for x_t in x:
        states = step(torch, x_t, weights.values(), *states)
        outputs.append(states[0])
    results = [torch.stack(outputs), *states]
    torch.autograd.backward(results, [torch.tensor(d) for d in (problem.dy, *problem.dstate)])

    for label, ours, wanted in zip(("y", *cell.STATES), (y, *state), results, strict=True):
        assert_close(ours, wanted.detach().numpy(), TORCH_FLOAT64_OUTPUT, label)
    assert_close(gradients.x, x.grad.numpy(), TORCH_FLOAT64_GRADIENT, "dx")
    for label, ours in weight_gradients(gradients).items():
        assert_close(ours, weights[label].grad.numpy(), TORCH_FLOAT64_GRADIENT, f"d{label}")
    for label, ours, s in zip(cell.STATES, gradients.states, initial, strict=True):
        assert_close(ours, s.grad.numpy(), TORCH_FLOAT64_GRADIENT, f"d{label}0")
