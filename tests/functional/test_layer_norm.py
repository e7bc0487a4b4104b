"""Layer normalisation: its gradients by central differences, and its statistics alone."""

import numeric
import numpy as np
import pytest
from functional.problems import (
    OUTPUT,
    assert_results_close,
    assert_same_bits,
    call,
    extra_weights,
    random_problem,
    reference_run,
    run,
)
from tolerances import NUMERIC_GRADIENT, assert_close

from fastrnn import functional
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import gate_names
from fastrnn.functional.panels import gate_tile, packed, unpacked
from fastrnn.kernels.cpu import layer_norm, plan
from fastrnn.simd.target import tile_of

NORMALISED = ("ln_gru", "ln_lstm")


@pytest.fixture(params=NORMALISED)
def cell(request):
    return request.param


@pytest.mark.parametrize("embedded", [False, True], ids=["rows", "looked up"])
def test_all_gradients_match_central_differences(rng, cell, embedded):
    problem = random_problem(rng, cell, 3, 4, 5, 6, np.float64)
    x, W, R, b, state, dy, dstate, extra = problem
    if embedded:
        ids = rng.integers(0, 3, (3, 4))
        x = x[0, :3]
        problem = problem._replace(x=functional.Embedded(ids, x))
    options = {
        "lengths": [3, 0, 2, 3], "zoneout": tuple(rng.random((3, *s.shape)) for s in state),
        "recurrent_mask": rng.uniform(0.5, 2, (3, 4, 6)),
    }  # fmt: skip

    def objective():
        y, final, _ = call(cell, problem, training=False, **options)
        return np.sum(y * dy) + sum(np.sum(s * d) for s, d in zip(final, dstate, strict=True))

    _, _, backward = call(cell, problem, **options)
    d = backward(dy, dstate)
    named = {"x": (d.x, x), "W": (d.W, W), "R": (d.R, R), "b": (d.b, b)}
    named |= {f"state[{n}]": (d.state[n], s) for n, s in enumerate(state)}
    names = extra_weights(cell, problem)
    named |= {name: (d.extra[name], names[name]) for name in names}
    for name, (ours, array) in named.items():
        assert_close(ours, numeric.gradient(objective, array), NUMERIC_GRADIENT, name)


@pytest.mark.parametrize("members", [2, 3])
def test_bits_do_not_depend_on_how_many_share_the_units(rng, cell, dtype, members, monkeypatch):
    problem = random_problem(rng, cell, 4, 7, 9, 90, dtype)
    options = {
        "zoneout": tuple(rng.random((4, *s.shape)).astype(dtype) for s in problem.state),
        "truncate": 2, "lengths": [4, 0, 2, 3, 1, 4, 4],
        "recurrent_mask": rng.random((7, 90)).astype(dtype),
    }  # fmt: skip
    desired = run(cell, problem, **options)
    assert_results_close(desired, reference_run(cell, problem, **options))
    chosen = plan.Plan(1, members, False, 0.0)
    monkeypatch.setattr(plan, "plan", lambda loop: chosen)
    assert_same_bits(run(cell, problem, **options), desired)


def far_from_zero(rng, shape, dtype):
    """Numbers of 5 bits before the point and 6 after it: sums of their squares need twice that.

    A variance that were the difference of two means would be off by the bits of a mean's square.
    """
    return (rng.integers(-64, 65, shape) / 64 + 24).astype(dtype)


@pytest.mark.parametrize("rows", [1, 13, 100])
@pytest.mark.parametrize("H", [5, 8, 19, 64])
def test_rows_far_from_zero_are_normalised(rng, cell, dtype, rows, H):
    kind = CELLS[cell]
    tile, registers = gate_tile(kind, H, dtype), tile_of(dtype)
    panels, block = tile.input.panels, registers.rows * registers.vectors
    columns = len(gate_names(kind, "INPUT")) * H
    u = far_from_zero(rng, (rows, columns), dtype)
    results = []
    for workers in (1, 3):
        inside, scales = packed(u, panels), np.zeros(rows, dtype)
        arguments = layer_norm.Normalisation(
            rows, H, tile.units, panels.number, panels.vectors, block, inside, scales
        )
        layer_norm.normalise(None, arguments, workers)
        results.append((unpacked(inside, panels, columns), scales))
    for ours, wanted in zip(results[1], results[0], strict=True):
        np.testing.assert_array_equal(ours, wanted)
    distances = u - u.mean(-1, keepdims=True, dtype=np.float64)
    scales = 1 / np.sqrt(np.mean(distances**2, -1) + 1e-5)
    assert_close(results[0][0], distances * scales[:, None], OUTPUT[dtype], "rows")
    assert_close(results[0][1], scales, OUTPUT[dtype], "scales")


def test_products_far_from_zero_are_normalised(rng, cell, dtype):
    problem = random_problem(rng, cell, 1, 3, 4, 37, dtype)
    # A single unit is on: h @ R is a row of R, without any rounding.
    h = np.zeros((3, 37), dtype)
    h[[0, 1, 2], [5, 0, 36]] = 1
    R = far_from_zero(rng, problem.R.shape, dtype)
    problem = problem._replace(R=R, state=(h, *problem.state[1:]))
    y, _, _ = call(cell, problem)
    assert_close(y, reference_run(cell, problem).y, OUTPUT[dtype], "y")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"gain_x": None}, ValueError, r'^extra\["gain_x"\]: expected \(18,\) floats, got nothing'),
        ({"gain_h": (6,)}, ValueError, r'^extra\["gain_h"\]: expected \(18,\) .*got \(6,\) float'),
        ({"gain_y": (18,)}, ValueError, "^extra: expected the names gain_x, gain_h, got "),
    ],
)
def test_wrong_gains_are_named(rng, change, error, message):
    problem = random_problem(rng, "ln_gru", 2, 3, 5, 6, np.float32)
    extra = extra_weights("ln_gru", problem)
    for name, shape in change.items():
        extra.pop(name, None)
        if shape is not None:
            extra[name] = np.ones(shape, np.float32)
    x, W, R, b, state, *_ = problem
    with pytest.raises(error, match=message):
        functional.rnn("ln_gru", x, W, R, b, state, extra=extra)
