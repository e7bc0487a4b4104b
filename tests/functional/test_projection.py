"""LSTMs whose output is projected: h of another size than the states, beside torch.nn."""

import numpy as np
import pytest
from functional.problems import (
    assert_results_close,
    assert_same_bits,
    call,
    random_problem,
    reference_run,
    run,
)
from tolerances import (
    TORCH_FLOAT32_GRADIENT,
    TORCH_FLOAT32_OUTPUT,
    TORCH_FLOAT64_GRADIENT,
    TORCH_FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn import functional
from fastrnn.kernels.cpu import plan

KINDS = {
    np.dtype(np.float32): (TORCH_FLOAT32_OUTPUT, TORCH_FLOAT32_GRADIENT),
    np.dtype(np.float64): (TORCH_FLOAT64_OUTPUT, TORCH_FLOAT64_GRADIENT),
}


def projected_problem(rng, sizes, S, dtype):
    """A problem with S features of h."""
    T, B, _, H = sizes
    problem = random_problem(rng, "lstmp", *sizes, dtype)

    def numbers(*shape):
        return (rng.standard_normal(shape) * shape[-1] ** -0.5).astype(dtype)

    return problem._replace(
        R=numbers(S, 4 * H),
        state=(numbers(B, S), problem.state[1]),
        dy=numbers(T, B, S),
        dstate=(numbers(B, S), problem.dstate[1]),
        extra=(numbers(H, S),),
    )


@pytest.mark.parametrize("lengths", [None, [4, 0, 2, 5, 1]], ids=["full", "ragged"])
@pytest.mark.parametrize("S", [1, 16, 19, 64, 100])
@pytest.mark.parametrize("H", [3, 37])
def test_any_number_of_features_matches_reference(rng, dtype, H, S, lengths):
    problem = projected_problem(rng, (5, 5, 9, H), S, dtype)
    y, (h, c), _ = call("lstmp", problem)
    assert (y.shape, h.shape, c.shape) == ((5, 5, S), (5, S), (5, H))
    assert_results_close(
        run("lstmp", problem, lengths=lengths), reference_run("lstmp", problem, lengths=lengths)
    )


@pytest.mark.parametrize("members", [2, 3])
def test_bits_do_not_depend_on_how_many_share_the_units(rng, dtype, members, monkeypatch):
    problem = projected_problem(rng, (4, 7, 9, 70), 90, dtype)
    zones = tuple(rng.random((4, 7, width)).astype(dtype) for width in (90, 70))
    options = {"zoneout": zones, "truncate": 2, "lengths": [4, 0, 2, 3, 1, 4, 4]}
    desired = run("lstmp", problem, **options)
    chosen = plan.Plan(1, members, False, 0.0)
    monkeypatch.setattr(plan, "plan", lambda loop: chosen)
    assert_same_bits(run("lstmp", problem, **options), desired)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "packed"])
@pytest.mark.parametrize(("sizes", "S"), [((1, 1, 2, 3), 1), ((7, 3, 17, 33), 20)], ids=str)
def test_outputs_and_all_gradients_match_torch(rng, dtype, sizes, S, ragged):
    torch = pytest.importorskip("torch")
    output, gradient = KINDS[np.dtype(dtype)]
    T, B, I, H = sizes
    problem = projected_problem(rng, sizes, S, dtype)
    x, W, R, b, state, dy, dstate, (P,) = problem
    lengths = rng.integers(1, T + 1, B) if ragged else None
    y, final, backward = call("lstmp", problem, lengths=lengths)
    d = backward(dy, dstate)

    def leaf(values):
        return torch.tensor(values, requires_grad=True)

    module = torch.nn.LSTM(I, H, proj_size=S, dtype=torch.tensor(W).dtype)
    weights = {"weight_ih_l0": W.T, "weight_hh_l0": R.T, "weight_hr_l0": P.T, "bias_ih_l0": b}
    with torch.no_grad():
        for name, values in (weights | {"bias_hh_l0": 0 * b}).items():
            getattr(module, name).copy_(torch.tensor(values))
    x_leaf, leaves = leaf(x), tuple(leaf(s[None]) for s in state)
    if lengths is None:
        y_torch, final_torch = module(x_leaf, leaves)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x_leaf, torch.tensor(lengths), enforce_sorted=False
        )
        packed_y, final_torch = module(packed, leaves)
        y_torch, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_y, total_length=T)
    torch.autograd.backward(
        (y_torch, *final_torch), (torch.tensor(dy), *(torch.tensor(ds[None]) for ds in dstate))
    )
    assert_close(y, y_torch.detach().numpy(), output, "y")
    for ours, wanted in zip(final, final_torch, strict=True):
        assert_close(ours[None], wanted.detach().numpy(), output, "state")
    actual = {
        "weight_ih_l0": d.W.T, "weight_hh_l0": d.R.T, "weight_hr_l0": d.extra["P"].T,
        "bias_ih_l0": d.b,
    }  # fmt: skip
    for name, ours in actual.items():
        assert_close(ours, getattr(module, name).grad.numpy(), gradient, name)
    assert_close(d.x, x_leaf.grad.numpy(), gradient, "x")
    for ours, of_torch in zip(d.state, leaves, strict=True):
        assert_close(ours[None], of_torch.grad.numpy(), gradient, "state")


@pytest.mark.parametrize(
    ("extra", "error", "message"),
    [
        (None, ValueError, r'^extra\["P"\]: expected \(6, 4\) floats, got nothing'),
        ({}, ValueError, r'^extra\["P"\]: expected \(6, 4\) floats, got nothing'),
        ({"P": np.ones((4, 6), np.float32)}, ValueError, r'^extra\["P"\]: expected \(6, 4\) '),
        ({"P": np.ones((6, 4))}, TypeError, r'^extra\["P"\]: expected float32 as R, got float64'),
        ({"P": "text"}, ValueError, r'^extra\["P"\]: expected \(6, 4\) '),
        ({"Q": np.ones((6, 4), np.float32)}, ValueError, "^extra: expected the names P, got 'Q'"),
        (np.ones((6, 4), np.float32), ValueError, "^extra: expected the names P, got .*float32"),
    ],
)
def test_wrong_projections_are_named(extra, error, message):
    x, W, R = (np.ones(shape, np.float32) for shape in ((2, 3, 5), (5, 24), (4, 24)))
    with pytest.raises(error, match=message):
        functional.rnn("lstmp", x, W, R, extra=extra)


def test_wrong_sizes_of_h_are_named(rng):
    problem = projected_problem(rng, (2, 3, 5, 6), 4, np.float32)
    wide = np.ones((3, 6), np.float32)
    with pytest.raises(ValueError, match=r"^state\[0\]: expected \(3, 4\) "):
        call("lstmp", problem._replace(state=(wide, None)))
    with pytest.raises(ValueError, match=r"^recurrent_mask: expected \(3, 4\) "):
        call("lstmp", problem, recurrent_mask=wide)
    with pytest.raises(ValueError, match=r"^zoneout\[0\]: expected \(2, 3, 4\) "):
        call("lstmp", problem, zoneout=(np.ones((2, 3, 6), np.float32), None))
    with pytest.raises(ValueError, match=r"^R: expected \(S, 4 \* H\) .*got \(24,\)"):
        call("lstmp", problem._replace(R=problem.R[0]))
    with pytest.raises(ValueError, match=r"^R: expected \(4, 20\) .*got \(4, 23\)"):
        call("lstmp", problem._replace(R=problem.R[:, 1:]))


def test_other_cells_take_no_extra_weights():
    x, W, R = (np.ones(shape, np.float32) for shape in ((2, 3, 5), (5, 24), (6, 24)))
    _, _, backward = functional.rnn("lstm", x, W, R, extra={})
    assert backward(None).extra is None
    with pytest.raises(ValueError, match="^extra: expected None for this cell, got 'P'"):
        functional.rnn("lstm", x, W, R, extra={"P": R})
