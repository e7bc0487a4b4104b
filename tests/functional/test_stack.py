"""Stacks of layers, one way or both, are the layers one after the other, and torch's."""

import numeric
import numpy as np
import pytest
from functional.problems import GRADIENT, OUTPUT, extra_weights, random_problem
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn import functional, reference
from fastrnn.functional import Direction

T, B, I = 5, 4, 3


def random_layers(rng, cell, dtype, widths, ways):
    """Directions of layers of these widths, and random initial states."""
    layers, states, features = [], [], I
    for H in widths:
        problems = [random_problem(rng, cell, T, B, features, H, dtype) for _ in range(ways)]
        layers.append(tuple(Direction(p.W, p.R, p.b, extra_weights(cell, p)) for p in problems))
        states.append([p.state for p in problems])
        features = problems[0].dy.shape[-1] * ways
    return layers, states


def objective_of(results, dy, dstate):
    y, finals, _ = results
    total = np.sum(y * dy)
    for ends, ds in zip(finals, dstate, strict=True):
        for end, d in zip(ends, ds, strict=True):
            total += sum(np.sum(s * g) for s, g in zip(end, d, strict=True))
    return total


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "average"])
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_gradients_of_two_bidirectional_layers_match_central_differences(rng, merge, ragged):
    layers, states = random_layers(rng, "lstm", np.float64, [2], 2)
    features = 4 if merge == "concat" else 2
    top = [random_problem(rng, "lstm", T, B, features, 3, np.float64) for _ in range(2)]
    layers.append(tuple(Direction(p.W, p.R, p.b) for p in top))
    states.append([p.state for p in top])
    dstate = [[tuple(rng.standard_normal(s.shape) for s in d) for d in layer] for layer in states]
    x = rng.standard_normal((T, B, I))
    dy = rng.standard_normal((T, B, 6 if merge == "concat" else 3))
    options = {"merge": merge, "rate": 0.4, "key": 3}
    options["lengths"] = [5, 0, 3, 1] if ragged else None

    def run():
        return functional.stack("lstm", x, layers, states, **options)

    gradients = run()[2](dy, dstate)

    def numerically(array):
        return numeric.gradient(lambda: objective_of(run(), dy, dstate), array)

    assert_close(gradients.x, numerically(x), NUMERIC_GRADIENT, "x")
    for n, layer in enumerate(layers):
        for way, direction in enumerate(layer):
            ours = gradients.layers[n][way]
            for name in ("W", "R", "b"):
                desired = numerically(getattr(direction, name))
                assert_close(getattr(ours, name), desired, NUMERIC_GRADIENT, f"{n}.{way}.{name}")
            for d, s in zip(ours.state, states[n][way], strict=True):
                assert_close(d, numerically(s), NUMERIC_GRADIENT, f"{n}.{way}.state")


def test_both_outputs_are_returned_unmerged(rng):
    layers, states = random_layers(rng, "gru", np.float64, [4], 2)
    x = rng.standard_normal((T, B, I))
    (there, back), _, backward = functional.stack("gru", x, layers, states, merge="none")
    d = backward((np.ones_like(there), None)).layers[0]
    for n, y in enumerate((there, back)):
        alone, _, _ = functional.rnn("gru", x, *layers[0][n][:3], states[0][n], reverse=n == 1)
        np.testing.assert_array_equal(y, alone)
    assert d[0].W.any()
    assert not d[1].W.any()


def test_layers_of_different_widths_match_the_references_one_after_the_other(rng, cell, dtype):
    layers, states = random_layers(rng, cell, dtype, [5, 18, 7], 1)
    x = rng.standard_normal((T, B, I)).astype(dtype)
    y, finals, backward = functional.stack(cell, x, [d for (d,) in layers], states)
    module = reference.CELLS[cell]
    desired, saved = x, []
    for (direction,), (state,), (final,) in zip(layers, states, finals, strict=True):
        W, R, b, extra = direction
        desired, desired_final, kept = module.forward(desired, W, R, b, state, extra=extra)
        saved.append(kept)
        for s, wanted in zip(final, desired_final, strict=True):
            assert_close(s, wanted, OUTPUT[dtype], "state")
    assert_close(y, desired, OUTPUT[dtype], "y")
    dy = rng.standard_normal(y.shape).astype(dtype)
    gradients, dx = backward(dy), dy
    for kept, (ours,) in zip(reversed(saved), reversed(gradients.layers), strict=True):
        zeros = [np.zeros(s.shape) for s in ours.state]
        d = module.backward(kept, dx, zeros)
        dx = d.x
        assert_close(ours.W, d.W, GRADIENT[dtype], "dW")
        for name, wanted in d.extra.items():
            assert_close(ours.extra[name], wanted, GRADIENT[dtype], name)
    assert_close(gradients.x, dx, GRADIENT[dtype], "dx")


def test_torch_agrees_about_two_bidirectional_layers(rng):
    torch = pytest.importorskip("torch")
    layers, _ = random_layers(rng, "lstm", np.float64, [6, 6], 2)
    x, dy = rng.standard_normal((T, B, I)), rng.standard_normal((T, B, 12))
    module = torch.nn.LSTM(I, 6, 2, bidirectional=True, dtype=torch.float64)
    with torch.no_grad():
        for n, layer in enumerate(layers):
            for suffix, (W, R, b, _) in zip(("", "_reverse"), layer, strict=True):
                getattr(module, f"weight_ih_l{n}{suffix}").copy_(torch.tensor(W.T.copy()))
                getattr(module, f"weight_hh_l{n}{suffix}").copy_(torch.tensor(R.T.copy()))
                getattr(module, f"bias_ih_l{n}{suffix}").copy_(torch.tensor(b))
                getattr(module, f"bias_hh_l{n}{suffix}").zero_()
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch, _ = module(x_torch)
    y_torch.backward(torch.tensor(dy))
    y, _, backward = functional.stack("lstm", x, layers)
    gradients = backward(dy)
    assert_close(y, y_torch.detach().numpy(), FLOAT64_OUTPUT, "y")
    assert_close(gradients.x, x_torch.grad.numpy(), FLOAT64_GRADIENT, "dx")
    for n, layer in enumerate(gradients.layers):
        for suffix, d in zip(("", "_reverse"), layer, strict=True):
            desired = getattr(module, f"weight_ih_l{n}{suffix}").grad.numpy().T
            assert_close(d.W, desired, FLOAT64_GRADIENT, "dW")


def test_nothing_is_dropped_at_inference_and_the_key_chooses_what_is(rng):
    layers, states = random_layers(rng, "gru", np.float32, [5, 5], 1)
    x = rng.standard_normal((T, B, I)).astype(np.float32)

    def run(**options):
        return functional.stack("gru", x, layers, states, **options)[0]

    np.testing.assert_array_equal(run(rate=0.5, training=False), run(training=False))
    np.testing.assert_array_equal(run(rate=0.5, key=1), run(rate=0.5, key=1))
    assert (run(rate=0.5, key=1) != run(rate=0.5, key=2)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"merge": "ave"}, "^merge: expected one of concat, .*got 'ave'"),
        ({"layers": []}, "^layers: expected at least one layer, got 0"),
        ({"layers": [7]}, r"^layers\[0\]: expected Direction.*got int 7"),
        ({"state": [None]}, "^state: expected states of 2 layers, got list"),
        ({"state": [None, [None, None]]}, r"^state\[1\]: expected states of 1 directions, got "),
        ({"rate": 1.0}, r"^rate: expected a number in \[0, 1\), got 1\.0"),
    ],
)
def test_wrong_arguments_are_named(rng, change, message):
    layers, _ = random_layers(rng, "lstm", np.float32, [4, 4], 1)
    arguments = {"cell": "lstm", "x": np.ones((T, B, I), np.float32), "layers": layers}
    with pytest.raises(ValueError, match=message):
        functional.stack(**arguments | change)
