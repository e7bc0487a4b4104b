"""Constraints: where they bring weights to, names and configurations."""

import json
import math

import numpy as np
import pytest

from fastrnn import Tensor, Variable, constraints


def norms(w, axis=0):
    return np.sqrt((w**2).sum(axis=axis))


@pytest.fixture
def weight(rng):
    """A kernel whose columns have norms from 0 to 5."""
    w = rng.standard_normal((6, 11))
    return w / norms(w) * np.linspace(0, 5, 11)


def test_max_norm_shortens_what_is_too_long(weight):
    w = constraints.MaxNorm(2)(weight)
    np.testing.assert_allclose(norms(w), np.minimum(norms(weight), 2), rtol=1e-6)
    np.testing.assert_allclose(w[:, 1:] / norms(w)[1:], weight[:, 1:] / norms(weight)[1:])


def test_unit_norm(weight):
    w = constraints.UnitNorm()(weight)
    np.testing.assert_allclose(norms(w), [0] + [1] * 10, rtol=1e-6)


def test_min_max_norm(weight):
    w = constraints.MinMaxNorm(1, 3)(weight)
    np.testing.assert_allclose(norms(w)[1:], np.clip(norms(weight)[1:], 1, 3), rtol=1e-6)
    w = constraints.MinMaxNorm(1, 3, rate=0.25)(weight)
    wanted = 0.75 * norms(weight) + 0.25 * np.clip(norms(weight), 1, 3)
    np.testing.assert_allclose(norms(w)[1:], wanted[1:], rtol=1e-6)


def test_axes(weight):
    w = constraints.MaxNorm(1, axis=1)(weight)
    np.testing.assert_allclose(norms(w, 1), np.minimum(norms(weight, 1), 1), rtol=1e-6)
    cube = weight.reshape(2, 3, 11)
    w = constraints.UnitNorm(axis=(0, 1))(cube)
    np.testing.assert_allclose(norms(w, (0, 1))[1:], 1, rtol=1e-6)


def test_non_neg():
    w = constraints.NonNeg()(np.array([-1.0, 0.0, 2.0, np.nan]))
    np.testing.assert_array_equal(w, [0, 0, 2, np.nan])


@pytest.mark.parametrize("name", constraints.NAMES)
def test_names_configurations_and_dtypes(rng, name):
    first = constraints.get(name)
    described = json.loads(json.dumps(constraints.serialize(first)))
    for again in (constraints.get(described), type(first).from_config(first.get_config())):
        assert type(again) is type(first)
        assert again.get_config() == first.get_config()
    w = rng.standard_normal((3, 2)).astype(np.float32)
    before = w.copy()
    for given in (w, Tensor(w), Variable(w)):
        limited = first(given)
        assert type(limited) is np.ndarray
        assert (limited.shape, limited.dtype) == ((3, 2), np.float32)
        assert not np.shares_memory(limited, np.asarray(given))
    np.testing.assert_array_equal(w, before)


def test_they_are_applied_to_variables_in_place(weight):
    variable = Variable(weight, "kernel", constraint=constraints.MaxNorm(1))
    array = variable.value
    constraints.apply(variable)
    assert variable.value is array
    np.testing.assert_array_equal(array, constraints.MaxNorm(1)(weight))
    free = Variable(weight)
    constraints.apply(free)
    np.testing.assert_array_equal(free, weight)
    variable.constraint = lambda w: Tensor(w[:1])
    with pytest.raises(ValueError, match=r"kernel: expected shape \(6, 11\), got \(1, 11\)"):
        constraints.apply(variable)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constraints.MaxNorm(-1), "max_value: expected a finite number of at least 0"),
        (lambda: constraints.MinMaxNorm(2, 1), "max_value: expected a finite number of at least 2"),
        (lambda: constraints.MinMaxNorm(-1), "min_value: expected a finite number of at least 0"),
        (lambda: constraints.MinMaxNorm(rate=2), r"rate: expected a number in 0\.\.1, got 2"),
        (lambda: constraints.MaxNorm(math.nan), "max_value: expected a finite number"),
        (lambda: constraints.UnitNorm(axis="0"), "axis: expected an int or a sequence of ints"),
        (lambda: constraints.UnitNorm(axis=[]), "axis: expected an int or a sequence of ints"),
        (lambda: constraints.get("norm"), "constraint: expected one of max_norm, .*got 'norm'"),
        (lambda: constraints.get(2), "constraint: expected a name, a dict or a callable"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_other_ways_to_give_a_constraint():
    assert constraints.get(None) is None
    assert constraints.get(np.sign) is np.sign
    assert isinstance(constraints.get(constraints.NonNeg), constraints.NonNeg)
