"""Loops and branches, and gradients through them."""

import numpy as np
import pytest
from ops.checks import check

from fastrnn import Tensor, ops


def test_branches():
    assert ops.cond(Tensor(1.0) > 0, lambda: 1, lambda: 2) == 1
    assert ops.cond(False, lambda: 1, lambda: 2) == 2


def test_loops(rng):
    x = np.asarray(rng.uniform(0.5, 0.9))
    check(rng, lambda t: ops.fori_loop(0, 3, lambda i, v: v * t + i, t), [x], x**4 + x + 2)
    check(rng, lambda t: ops.while_loop(lambda v: v > 0.1, lambda v: v * 0.5, t), [x])
    i, v = ops.while_loop(lambda i, v: i < 10, lambda i, v: (i + 1, v * 2), (0, 1), 4)
    assert (i, v) == (4, 16)
    assert ops.while_loop(lambda v: v < 3, lambda v: [v + 1], [0]) == (3,)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(rng, reverse):
    x, h = rng.standard_normal((4, 2)), rng.standard_normal(2)

    def step(carry, x):
        carry = ops.tanh(carry + x)
        return carry, {"y": carry * 2, "pair": (carry, x)}

    outputs, state = np.zeros((4, 2)), h
    for t in range(4)[:: -1 if reverse else 1]:
        state = np.tanh(state + x[t])
        outputs[t] = 2 * state
    last, ys = ops.scan(step, Tensor(h), x, reverse=reverse)
    np.testing.assert_allclose(last, state)
    np.testing.assert_allclose(ys["pair"][0], outputs / 2)
    np.testing.assert_array_equal(ys["pair"][1], x)
    check(rng, lambda s, t: ops.scan(step, s, t, reverse=reverse)[1]["y"], [h, x], outputs)


def test_scan_without_slices_and_of_several():
    last, ys = ops.scan(lambda carry, _: (carry + 1, carry), Tensor(0), length=3)
    assert (last.value, ys.value.tolist()) == (3, [0, 1, 2])
    a = np.arange(3.0)
    _, ys = ops.scan(lambda c, x: (c, x["a"] * x["b"][0]), 0, {"a": a, "b": (a,)})
    assert ys.value.tolist() == [0, 1, 4]
    assert ops.scan(lambda c, x: (c, None), 0, a) == (0, None)
    with pytest.raises(ValueError, match="^length: expected 3 as xs, got 2"):
        ops.scan(lambda c, x: (c, x), 0, a, length=2)


def test_map(rng):
    x = rng.standard_normal((3, 2))
    check(rng, lambda t: ops.map(lambda row: ops.sum(row * row), t), [x], (x * x).sum(1))
    assert ops.map(lambda pair: pair[0] - pair[1], (x, x)).shape == (3, 2)
