"""Functions of one array: values as NumPy's, gradients as central differences."""

import math

import numpy as np
import pytest
from ops.checks import apart, check

from fastrnn import GradientTape, Tensor, Variable, ops

ANYWHERE = (-2.0, 2.0)
POSITIVE = (0.3, 3.0)
FUNCTIONS = {
    "negative": (np.negative, ANYWHERE),
    "square": (np.square, ANYWHERE),
    "exp": (np.exp, ANYWHERE),
    "exp2": (np.exp2, ANYWHERE),
    "expm1": (np.expm1, ANYWHERE),
    "sin": (np.sin, ANYWHERE),
    "cos": (np.cos, ANYWHERE),
    "tan": (np.tan, (-1.0, 1.0)),
    "sinh": (np.sinh, ANYWHERE),
    "cosh": (np.cosh, ANYWHERE),
    "tanh": (np.tanh, ANYWHERE),
    "arcsin": (np.arcsin, (-0.9, 0.9)),
    "arccos": (np.arccos, (-0.9, 0.9)),
    "arctan": (np.arctan, ANYWHERE),
    "arcsinh": (np.arcsinh, ANYWHERE),
    "arctanh": (np.arctanh, (-0.9, 0.9)),
    "erf": (np.vectorize(math.erf, otypes=[float]), ANYWHERE),
    "sqrt": (np.sqrt, POSITIVE),
    "rsqrt": (lambda x: x**-0.5, POSITIVE),
    "reciprocal": (np.reciprocal, POSITIVE),
    "log": (np.log, POSITIVE),
    "log1p": (np.log1p, POSITIVE),
    "log2": (np.log2, POSITIVE),
    "log10": (np.log10, POSITIVE),
}


@pytest.mark.parametrize("shape", [(2, 3), (), (0, 2)], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_gradients(rng, name, shape):
    oracle, (low, high) = FUNCTIONS[name]
    x = np.asarray(rng.uniform(low, high, shape))
    check(rng, getattr(ops, name), [x], oracle(x))


@pytest.mark.parametrize("name", [*FUNCTIONS, "abs", "absolute", "sign", "floor", "ceil", "round"])
def test_float32_stays_and_integers_become_float32_where_they_must(name):
    function = getattr(ops, name)
    x = np.array([0.25, 0.5], np.float32)
    assert function(x).dtype == np.float32
    keeps = name not in FUNCTIONS or name in ("negative", "square")
    assert function(np.array([1])).dtype == (np.int64 if keeps else np.float32)


def test_functions_with_kinks(rng):
    x = apart(rng, (3, 4), 0.25)
    check(rng, ops.absolute, [x], np.abs(x))
    check(rng, abs, [x], np.abs(x))
    check(rng, lambda t: ops.clip(t, -0.5, 1), [x], np.clip(x, -0.5, 1))
    check(
        rng, lambda t: ops.clip(t, x_min=x[0] - 0.1, x_max=np.inf), [x], np.maximum(x, x[0] - 0.1)
    )


def test_gradients_at_kinks():
    x = Variable(np.array([-1.0, 0.0, 1.0]))
    with GradientTape(persistent=True) as tape:
        absolute, clipped = ops.abs(x), ops.clip(x, -1, 0)
    assert tape.gradient(absolute, x).tolist() == [-1, 0, 1]
    assert tape.gradient(clipped, x).tolist() == [1, 1, 0]


STEPS = {
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "isnan": np.isnan,
    "isinf": np.isinf,
    "isfinite": np.isfinite,
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_have_no_gradient(name):
    x = Tensor(np.array([-1.5, 0.0, 2.3, np.nan, np.inf]))
    with GradientTape() as tape:
        y = getattr(ops, name)(x)
    np.testing.assert_array_equal(y, STEPS[name](x.value))
    with pytest.raises(ValueError, match=f"^target: .* was made by {name}"):
        tape.gradient(y, x)


def test_nan_and_infinity_pass_without_warnings():
    x = Tensor(np.array([-1.0, 0.0, np.nan, np.inf, 1e300]))
    for name in FUNCTIONS:
        with GradientTape() as tape:
            y = getattr(ops, name)(x)
        assert np.isnan(y.value[2]), name
        assert np.isnan(tape.gradient(y, x)[2]) or name == "negative", name
    assert ops.log(0.0).value == -np.inf
    assert ops.divide(1.0, 0.0).value == np.inf
    assert ops.round(2.567, 2).value == np.float32(2.57)


def test_numbers_in_the_place_of_nan_and_infinity():
    x = Variable(np.array([1.0, np.nan, np.inf, -np.inf]))
    with GradientTape() as tape:
        y = ops.nan_to_num(x, nan=2.0, posinf=3.0)
    assert y.value.tolist() == [1, 2, 3, np.finfo(np.float64).min]
    assert tape.gradient(y, x).tolist() == [1, 0, 0, 0]
