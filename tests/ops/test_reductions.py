"""Reductions: values as NumPy's along any axes, gradients as central differences."""

import numpy as np
import pytest
from ops.checks import apart, check
from tolerances import FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, Variable, ops

AXES = [
    ((2, 3), None), ((2, 3), 0), ((2, 3), -1), ((2, 1, 3), (0, -1)), ((2, 2), [0, 1]), ((), None),
    ((1,), 0), ((2, 0), 0),
]  # fmt: skip


def logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def norm(x, axis=None, keepdims=False):
    return np.sqrt(np.sum(x**2, axis=axis, keepdims=keepdims))


REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "amax": np.max,
    "amin": np.min,
    "var": np.var,
    "std": np.std,
    "logsumexp": logsumexp,
    "norm": norm,
}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize(("shape", "axis"), AXES, ids=str)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_values_and_gradients(rng, name, shape, axis, keepdims):
    x = apart(rng, shape) + 0.01
    function = getattr(ops, name)
    axes = tuple(axis) if isinstance(axis, list) else axis
    expected = REDUCTIONS[name](x, axis=axes, keepdims=keepdims)
    check(rng, lambda t: function(t, axis=axis, keepdims=keepdims), [x], expected)


@pytest.mark.parametrize("ord", [1, 2, np.inf, "fro"], ids=str)
def test_norms(rng, ord):
    x = apart(rng, (3, 4))
    axis = None if ord == "fro" else 1
    expected = np.linalg.norm(x, ord, axis)
    check(rng, lambda t: ops.norm(t, ord, axis), [x], expected)
    if ord != "fro":
        expected = np.linalg.norm(x, ord, 0, keepdims=True)
        check(rng, lambda t: ops.norm(t, ord, 0, True), [x], expected)


@pytest.mark.parametrize("arguments", [(3,), (2, None), (1, (0, 1)), ("nuc", (0, 1))], ids=str)
def test_norms_that_are_not_provided_are_named(arguments):
    with pytest.raises(ValueError, match="^ord: expected None"):
        ops.norm(np.ones((2, 2)), *arguments)


def test_products_with_zeros(rng):
    x = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0]])
    check(rng, lambda t: ops.prod(t, 1), [x], np.prod(x, 1))


def test_equal_extremes_share_the_gradient():
    x = Variable(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))
    with GradientTape(persistent=True) as tape:
        largest, smallest = ops.max(x, axis=1), ops.min(x, axis=1)
    third = 1 / 3
    assert tape.gradient(largest, x).tolist() == [[0, 0.5, 0.5], [third] * 3]
    assert tape.gradient(smallest, x).tolist() == [[1, 0, 0], [third] * 3]


def test_gradients_at_zero_are_zero():
    x = Variable(np.zeros((2, 2)))
    with GradientTape(persistent=True) as tape:
        targets = ops.norm(x, axis=1), ops.std(x), ops.norm(x, 1, axis=0)
    for target in targets:
        assert not tape.gradient(target, x).any()


def test_logsumexp_neither_overflows_nor_invents_numbers():
    x = np.array([[1000.0, 1000.0], [-1000.0, -np.inf], [-np.inf, -np.inf], [0.0, np.nan]])
    y = ops.logsumexp(x, axis=1).value
    assert y[:3].tolist() == [1000 + np.log(2), -1000, -np.inf]
    assert np.isnan(y[3])


def test_sums_of_single_precision_keep_it():
    x = np.full((1000, 10), 0.1, np.float32)
    for name in ("sum", "mean", "var", "std", "max", "logsumexp", "norm", "prod"):
        assert getattr(ops, name)(x, axis=0).dtype == np.float32, name
    assert ops.mean(np.array([1, 2])).value == np.float32(1.5)
    assert ops.sum(np.array([1, 2])).value == 3
    assert ops.mean(np.array([True, False])).dtype == np.float32


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_cumulative_sums(rng, axis):
    x = rng.standard_normal((2, 3))
    check(rng, lambda t: ops.cumsum(t, axis), [x], np.cumsum(x, axis))


def test_averages(rng):
    x, w = rng.standard_normal((2, 3)), rng.uniform(0.5, 2, (2, 3))
    check(rng, lambda t: ops.average(t, 1), [x], x.mean(1))
    check(rng, lambda t, v: ops.average(t, 1, weights=v), [x, w], np.average(x, 1, weights=w))
    check(rng, lambda t, v: ops.average(t, None, v), [x, w], np.average(x, weights=w))
    for axis in (0, 1, -1):
        v = w[:, 0] if axis == 0 else w[0]
        expected = np.average(x, axis, v)
        check(rng, lambda t, v, axis=axis: ops.average(t, axis, v), [x, v], expected)
    mean, variance = ops.moments(x, (0, 1), keepdims=True)
    assert_close(mean, x.mean(keepdims=True), FLOAT64_OUTPUT)
    assert_close(variance, x.var(keepdims=True), FLOAT64_OUTPUT)


CHOICES = {
    "any": np.any,
    "all": np.all,
    "argmax": np.argmax,
    "argmin": np.argmin,
    "count_nonzero": np.count_nonzero,
    "argsort": np.argsort,
}


@pytest.mark.parametrize("name", CHOICES)
def test_choices_have_no_gradient(rng, name):
    x = Tensor(rng.integers(-1, 2, (3, 4)).astype(np.float64))
    with GradientTape() as tape:
        y = getattr(ops, name)(x, axis=1)
    options = {"kind": "stable"} if name == "argsort" else {}
    np.testing.assert_array_equal(y, CHOICES[name](x.value, axis=1, **options))
    with pytest.raises(ValueError, match=f"^target: .* was made by {name}"):
        tape.gradient(y, x)


def test_choices_over_all_numbers():
    x = np.array([[0, 2], [1, 0]])
    assert (ops.argmax(x).value, ops.argmin(x).value) == (1, 0)
    assert (ops.any(x).value, ops.all(x).value) == (True, False)
    assert ops.argmax(x, axis=0, keepdims=True).value.tolist() == [[1, 0]]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "logsumexp", "any"])
def test_axes_that_are_not_there_are_named(name):
    with pytest.raises(ValueError, match=r"^axis: expected axes of an array of shape \(2, 3\)"):
        getattr(ops, name)(np.ones((2, 3)), axis=2)
