"""Activations: values by their definitions, gradients as central differences, no overflow."""

import math

import numpy as np
import pytest
from ops.checks import apart, check

from fastrnn import GradientTape, Variable, ops

erf = np.vectorize(math.erf, otypes=[float])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * (np.exp(x) - 1))


def hard_sigmoid(x):
    return np.minimum(np.maximum(x + 3, 0), 6) / 6


ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": elu,
    "selu": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "gelu": lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "softplus": lambda x: np.log(1 + np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "hard_sigmoid": hard_sigmoid,
    "hard_silu": lambda x: x * hard_sigmoid(x),
    "hard_swish": lambda x: x * hard_sigmoid(x),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients(rng, name):
    for shape in ((4, 10), (), (0,)):
        x = apart(rng, shape, 0.2)
        check(rng, getattr(ops, name), [x], ACTIVATIONS[name](x))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_single_precision_stays_and_large_numbers_do_not_overflow(name):
    x = Variable(np.array([-1e4, -90, 0, 90, 1e4], np.float32))
    with GradientTape() as tape:
        y = getattr(ops, name)(x)
    gradient = tape.gradient(y, x)
    assert y.dtype == gradient.dtype == np.float32
    assert np.isfinite(y.value).all()
    assert np.isfinite(gradient).all()
    assert not gradient[0] or name in ("leaky_relu", "softsign", "log_sigmoid")


def test_options(rng):
    x = apart(rng, (3, 4), 0.2)
    leaky = np.where(x > 0, x, 0.3 * x)
    check(rng, lambda t: ops.leaky_relu(t, negative_slope=0.3), [x], leaky)
    check(rng, lambda t: ops.elu(t, alpha=0.5), [x], elu(x, 0.5))
    exact = x * (1 + erf(x / math.sqrt(2))) / 2
    check(rng, lambda t: ops.gelu(t, approximate=False), [x], exact)


def test_kinks_belong_to_the_flat_side():
    x = Variable(np.array([0.0, 6.0]))
    with GradientTape() as tape:
        y = ops.relu6(x)
    assert tape.gradient(y, x).tolist() == [0, 0]


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), None], ids=str)
def test_softmax(rng, axis):
    x = rng.standard_normal((2, 3, 2))
    e = np.exp(x)
    expected = e / e.sum(axis=axis, keepdims=True)
    check(rng, lambda t: ops.softmax(t, axis=axis), [x], expected)
    check(rng, lambda t: ops.log_softmax(t, axis=axis), [x], np.log(expected))


def test_softmax_of_large_numbers_and_of_none():
    x = np.array([[1e4, 1e4 + 1], [-1e4, 1e4]], np.float32)
    y = ops.softmax(x).value
    np.testing.assert_allclose(y, [[1 - sigmoid(1.0), sigmoid(1.0)], [0, 1]], rtol=1e-6)
    np.testing.assert_allclose(ops.log_softmax(x).value[1], [-2e4, 0])
    assert ops.softmax(np.ones((0, 2))).shape == (0, 2)
    assert ops.softmax(np.ones((2, 0))).shape == (2, 0)
    with pytest.raises(ValueError, match="^axis: expected axes"):
        ops.softmax(x, axis=2)


def test_normalising(rng):
    x = apart(rng, (3, 4), 0.2)
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    check(rng, ops.normalize, [x], x / length)
    check(rng, lambda t: ops.normalize(t, 0, 1), [x], x / np.abs(x).sum(0))
    assert ops.normalize(np.zeros(3)).value.tolist() == [0, 0, 0]
