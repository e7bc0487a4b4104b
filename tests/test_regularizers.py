"""Regularizers: their definitions, gradients, names and configurations."""

import json
import math

import numpy as np
import pytest
from ops.checks import apart, check

from fastrnn import GradientTape, Tensor, Variable, regularizers


def orthogonality(x):
    """Mean absolute cosine between two different rows."""
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    n = len(x)
    pairs = [abs(unit[i] @ unit[j]) for i in range(n) for j in range(n) if i != j]
    return np.mean(pairs)


def test_values_and_gradients(rng):
    x = apart(rng, (3, 4))
    absolute, squares = np.abs(x).sum(), (x**2).sum()
    check(rng, regularizers.L1(0.3), [x], 0.3 * absolute)
    check(rng, regularizers.L2(0.3), [x], 0.3 * squares)
    check(rng, regularizers.L1L2(0.2, 0.1), [x], 0.2 * absolute + 0.1 * squares)
    check(rng, regularizers.L1L2(l2=0.1), [x], 0.1 * squares)
    check(rng, regularizers.OrthogonalRegularizer(0.7), [x], 0.7 * orthogonality(x))
    columns = regularizers.OrthogonalRegularizer(0.7, mode="columns")
    check(rng, columns, [x], 0.7 * orthogonality(x.T))


def test_orthogonal_and_zero_rows_cost_nothing():
    regularizer = regularizers.OrthogonalRegularizer(1.0)
    x = Variable(np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
    with GradientTape() as tape:
        y = regularizer(x)
    assert float(y) == 0
    assert np.isfinite(tape.gradient(y, x)).all()
    assert float(regularizer(np.ones((1, 3)))) == 0
    with pytest.raises(ValueError, match=r"^x: expected a matrix, got shape \(3,\)"):
        regularizer(np.ones(3))


@pytest.mark.parametrize("name", regularizers.NAMES)
def test_names_and_configurations(name):
    first = regularizers.get(name)
    described = json.loads(json.dumps(regularizers.serialize(first)))
    for again in (regularizers.get(described), type(first).from_config(first.get_config())):
        assert type(again) is type(first)
        assert again.get_config() == first.get_config()
    weight = Variable(np.ones((2, 2), np.float32))
    y = first(weight)
    assert type(y) is Tensor
    assert (y.shape, y.dtype) == ((), np.float32)


def test_defaults():
    x = np.full((2, 2), 2.0)
    assert float(regularizers.get("l1")(x)) == pytest.approx(0.08)
    assert float(regularizers.get("l2")(x)) == pytest.approx(0.16)
    assert float(regularizers.l1_l2(l2=0.1)(x)) == pytest.approx(1.6)
    assert float(regularizers.l1_l2(l1=0.1)(x)) == pytest.approx(0.8)
    assert float(regularizers.get("l1l2")(x)) == float(regularizers.L1L2()(x)) == 0
    assert float(regularizers.l2(0.5)(x)) == 8
    assert regularizers.get(None) is None
    assert regularizers.get(abs) is abs


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: regularizers.L1(-1), "l1: expected a finite number of at least 0, got -1"),
        (lambda: regularizers.L2(math.inf), "l2: expected a finite number of at least 0"),
        (lambda: regularizers.L1L2(l1="a"), "l1: expected a number, got 'a'"),
        (lambda: regularizers.OrthogonalRegularizer(mode="x"), 'mode: expected "rows" or'),
        (lambda: regularizers.OrthogonalRegularizer(-1), "factor: expected a finite number of at"),
        (lambda: regularizers.get("l3"), "regularizer: expected one of l1, .*got 'l3'"),
        (lambda: regularizers.get("l1_l2"), "regularizer: expected one of l1, .*got 'l1_l2'"),
        (lambda: regularizers.get(0.1), "regularizer: expected a name, a dict or a callable"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
