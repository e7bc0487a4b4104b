"""The engine beside torch.nn, an outside witness."""

import numpy as np
import pytest
from functional.problems import random_problem
from tolerances import (
    TORCH_FLOAT32_GRADIENT,
    TORCH_FLOAT32_OUTPUT,
    TORCH_FLOAT64_GRADIENT,
    TORCH_FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn import functional
from fastrnn.cells import CELLS

torch = pytest.importorskip("torch")

MODULES = {"lstm": torch.nn.LSTM}
KINDS = {
    np.dtype(np.float32): (TORCH_FLOAT32_OUTPUT, TORCH_FLOAT32_GRADIENT),
    np.dtype(np.float64): (TORCH_FLOAT64_OUTPUT, TORCH_FLOAT64_GRADIENT),
}


@pytest.fixture(params=[name for name in CELLS if name in MODULES])
def cell(request):
    return request.param


def leaf(values):
    """A tensor that gathers gradients, sharing no memory with `values`."""
    return torch.tensor(values, requires_grad=True)


def torch_module(cell, problems):
    """A module of one layer, with a direction for each problem's weights."""
    x, W, R, *_ = problems[0]
    module = MODULES[cell](
        x.shape[-1], len(R), bidirectional=len(problems) == 2, dtype=torch.tensor(W).dtype
    )
    with torch.no_grad():
        for suffix, problem in zip(("", "_reverse"), problems, strict=False):
            weights = {"weight_ih_l0": problem.W.T, "weight_hh_l0": problem.R.T}
            biases = {"bias_ih_l0": problem.b, "bias_hh_l0": 0 * problem.b}
            for name, values in (weights | biases).items():
                getattr(module, name + suffix).copy_(torch.tensor(values))
    return module


def run_both(cell, problems, lengths):
    """Compare forward and backward of one or two directions."""
    output, gradient = KINDS[problems[0].x.dtype]
    x = problems[0].x
    T = len(x)
    ours = []
    for reverse, problem in enumerate(problems):
        _, W, R, b, state, dy, dstate, _ = problem
        # torch's weights seen transposed are in Fortran order.
        W, R = W.T.copy().T, R.T.copy().T
        y, final, backward = functional.rnn(
            cell, x, W, R, b, state, lengths=lengths, reverse=bool(reverse)
        )
        ours.append((y.copy(), final, backward(dy, dstate)))

    module = torch_module(cell, problems)
    x_leaf = leaf(x)
    state_leaves = [leaf(np.stack(s)) for s in zip(*(p.state for p in problems), strict=True)]
    state = state_leaves[0] if len(state_leaves) == 1 else tuple(state_leaves)
    if lengths is None:
        y_torch, final_torch = module(x_leaf, state)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x_leaf, torch.tensor(lengths), enforce_sorted=False
        )
        packed_y, final_torch = module(packed, state)
        y_torch, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_y, total_length=T)
    finals = [final_torch] if len(state_leaves) == 1 else list(final_torch)
    torch.autograd.backward(
        (y_torch, *finals),
        (
            torch.tensor(np.concatenate([p.dy for p in problems], -1)),
            *(torch.tensor(np.stack(d)) for d in zip(*(p.dstate for p in problems), strict=True)),
        ),
    )

    def close(actual, desired, kind, name):
        assert_close(actual, desired.detach().numpy(), kind, name)

    close(np.concatenate([y for y, _, _ in ours], -1), y_torch, output, "y")
    for n, final in enumerate(finals):
        close(np.stack([f[n] for _, f, _ in ours]), final, output, f"state[{n}]")
    close(sum(g.x for _, _, g in ours), x_leaf.grad, gradient, "dx")
    for n, state_leaf in enumerate(state_leaves):
        close(np.stack([g.state[n] for _, _, g in ours]), state_leaf.grad, gradient, f"dstate[{n}]")
    for suffix, (_, _, g) in zip(("", "_reverse"), ours, strict=False):
        for name, actual in {
            "weight_ih_l0": g.W.T, "weight_hh_l0": g.R.T, "bias_ih_l0": g.b, "bias_hh_l0": g.b,
        }.items():  # fmt: skip
            close(actual, getattr(module, name + suffix).grad, gradient, name + suffix)


@pytest.mark.parametrize("ragged", [False, True], ids=["full", "packed"])
@pytest.mark.parametrize("directions", [1, 2], ids=["one way", "both ways"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (7, 3, 17, 33), (9, 20, 8, 16)], ids=str)
def test_outputs_and_all_gradients_match_torch(rng, cell, dtype, sizes, directions, ragged):
    T, B, _, _ = sizes
    problems = [random_problem(rng, cell, *sizes, dtype) for _ in range(directions)]
    # torch refuses to pack a sequence of length 0.
    lengths = rng.integers(1, T + 1, B) if ragged else None
    run_both(cell, problems, lengths)
