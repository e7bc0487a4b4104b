"""Functions on vectors: the stated errors hold over the whole range of both formats."""

import math

import numpy as np
import pytest
from simd.vectors import elementwise

from fastrnn.simd import mathematics
from fastrnn.simd.mathematics import (
    ERRORS,
    EXP_ERRORS,
    EXP_RANGE,
    EXPM1_ERRORS,
    LOG_ERRORS,
    SOFTPLUS_ERRORS,
)

DTYPES = [np.float32, np.float64]
BITS = {np.float32: np.uint32, np.float64: np.uint64}
# A format that is precise enough to measure the errors of the other.
FINER = {np.float32: np.float64, np.float64: np.longdouble}

FUNCTIONS = {
    "exp": elementwise(lambda x, a, b: mathematics.exp(x)),
    "expm1": elementwise(lambda x, a, b: mathematics.expm1(x)),
    "log": elementwise(lambda x, a, b: mathematics.log(x)),
    "logsigmoid": elementwise(lambda x, a, b: mathematics.logsigmoid(x)),
    "sigmoid": elementwise(lambda x, a, b: mathematics.sigmoid(x)),
    "softplus": elementwise(lambda x, a, b: mathematics.softplus(x)),
    "tanh": elementwise(lambda x, a, b: mathematics.tanh(x)),
}
REFERENCES = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "logsigmoid": lambda x: -REFERENCES["softplus"](-x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "tanh": np.tanh,
}


def needs_finer(dtype):
    if np.finfo(FINER[dtype]).eps >= np.finfo(dtype).eps:
        pytest.skip("long double is no finer than float64 on this platform")


def every_exponent(dtype, rng, number=2_000_000):
    """Finite numbers with all exponents and both signs, most of them tiny or huge."""
    top = np.iinfo(BITS[dtype]).max
    x = rng.integers(0, top, number, BITS[dtype], endpoint=True).view(dtype)
    return x[np.isfinite(x)]


def around_zero(dtype, limit, number=2_000_000):
    return np.linspace(-limit, limit, number).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_absolute_error_is_as_stated(name, dtype, rng):
    needs_finer(dtype)
    for x in (every_exponent(dtype, rng), around_zero(dtype, 1), around_zero(dtype, 40)):
        y = FUNCTIONS[name](x)
        with np.errstate(over="ignore"):
            desired = REFERENCES[name](x.astype(FINER[dtype]))
        error = np.abs(y - desired)
        worst = np.argmax(error)
        bound = ERRORS[np.dtype(dtype).name]
        assert error[worst] <= bound, f"{name}({x[worst]!r}) = {y[worst]!r}: {error[worst]:.3g}"


def within(low, high, dtype, rng):
    """Numbers of the range, even and of every exponent."""
    x = np.concatenate(
        [
            np.linspace(max(low, -1e3), min(high, 1e3), 2_000_000),
            np.linspace(-1, 1, 1_000_001),
            np.linspace(0.999, 1.001, 500_001),
        ]
    )
    x = np.concatenate([x.astype(dtype), every_exponent(dtype, rng)])
    return x[(x >= low) & (x <= high)]


# The sign of the argument of exp in it, or None where there is none, and the bound.
RELATIVE = {
    "exp": (None, EXP_ERRORS),
    "expm1": (None, EXPM1_ERRORS),
    "softplus": (1, SOFTPLUS_ERRORS),
    "logsigmoid": (-1, SOFTPLUS_ERRORS),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RELATIVE)
def test_relative_error_is_as_stated(name, dtype, rng):
    needs_finer(dtype)
    low, high = EXP_RANGE[np.dtype(dtype).name]
    sign, errors = RELATIVE[name]
    if sign is not None:  # to one side exp vanishes, to the other they follow x
        low, high = sorted((sign * low, sign * np.finfo(dtype).max / 2))
    assert_relative_error(name, within(low, high, dtype, rng), errors)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relative_error_of_log_is_as_stated(dtype, rng):
    needs_finer(dtype)
    limits = np.finfo(dtype)
    few = limits.smallest_subnormal * np.arange(1, 10_000)
    x = np.concatenate([within(limits.smallest_subnormal, limits.max / 2, dtype, rng), few])
    assert_relative_error("log", x.astype(dtype), LOG_ERRORS)


def assert_relative_error(name, x, errors):
    desired = REFERENCES[name](x.astype(FINER[x.dtype.type]))
    error = np.abs(FUNCTIONS[name](x) - desired)
    bound = errors[x.dtype.name] * np.abs(desired)
    worst = np.argmax(error - bound)
    assert error[worst] <= bound[worst], f"{name}({x[worst]!r}): {error[worst] / desired[worst]}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_neither_overflows_nor_vanishes(dtype, rng):
    low, high = EXP_RANGE[np.dtype(dtype).name]
    x = np.concatenate([every_exponent(dtype, rng), np.array([-np.inf, np.inf], dtype)])
    y = FUNCTIONS["exp"](x)
    assert np.isfinite(y).all()
    assert (y >= np.finfo(dtype).tiny).all()
    ends = FUNCTIONS["exp"](np.array([low, high], dtype))
    assert (y[x < low] == ends[0]).all()
    assert (y[x > high] == ends[1]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1)], ids=["sigmoid", "tanh"]
)
def test_saturates_at_the_limits(name, low, high, dtype):
    huge = np.finfo(dtype).max
    x = np.array([-np.inf, -huge, -1e4, 1e4, huge, np.inf], dtype)
    y = FUNCTIONS[name](x)
    bound = ERRORS[np.dtype(dtype).name]
    np.testing.assert_allclose(y, [low] * 3 + [high] * 3, rtol=0, atol=bound)
    assert y[0] == y[1] == y[2] and y[3] == y[4] == y[5]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_stays_nan_and_alone(name, dtype):
    x = np.linspace(0.1, 3, 64).astype(dtype)
    clean = FUNCTIONS[name](x)
    x[::5] = np.nan
    y = FUNCTIONS[name](x)
    assert np.isnan(y[::5]).all()
    kept = ~np.isnan(x)
    np.testing.assert_array_equal(y[kept], clean[kept])


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_relatively_accurate_near_zero(dtype, rng):
    x = np.concatenate([[0.0], 10.0 ** rng.uniform(-30, -1, 10_000)]).astype(dtype)
    for signed in (x, -x):
        desired = np.tanh(signed.astype(FINER[dtype]))
        y = FUNCTIONS["tanh"](signed)
        assert (np.abs(y - desired) <= 4 * np.finfo(dtype).eps * np.abs(desired)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_from_zero_functions_keep_their_limits(dtype):
    low, high = EXP_RANGE[np.dtype(dtype).name]
    huge = np.finfo(dtype).max
    x = np.array([-np.inf, -huge, low, high, huge, np.inf], dtype)
    lowest, highest = np.exp(np.array([low, high]))
    for name, desired in (
        ("expm1", [-1, -1, -1, highest, highest, highest]),
        ("softplus", [lowest, lowest, lowest, high, huge, np.inf]),
    ):
        y = FUNCTIONS[name](x)
        np.testing.assert_allclose(y, np.array(desired), rtol=SOFTPLUS_ERRORS[y.dtype.name])
    np.testing.assert_array_equal(FUNCTIONS["logsigmoid"](-x), -FUNCTIONS["softplus"](x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_of_what_is_not_positive(dtype):
    y = FUNCTIONS["log"](np.array([0.0, -0.0, -1.0, -1e-40, -np.inf, np.inf, 1.0], dtype))
    np.testing.assert_array_equal(y[5:], [np.inf, 0.0])
    np.testing.assert_array_equal(y[:2], [-np.inf, -np.inf])
    assert np.isnan(y[2:5]).all()


@pytest.mark.parametrize("name", ["expm1", "softplus", "logsigmoid"])
def test_python_floats_of_any_size_pass(name):
    function = getattr(mathematics, name)
    for x in (-1e300, -800.0, 600.0):
        assert math.isfinite(function(x))


SELECTIONS = {
    "absolute": lambda x, a, b: mathematics.absolute(x),
    "maximum": lambda x, a, b: mathematics.maximum(x, a),
    "minimum": lambda x, a, b: mathematics.minimum(x, a),
    "where_less": lambda x, a, b: mathematics.where_less(x, a, a, -x),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SELECTIONS)
def test_selections_of_vectors_are_those_of_floats(name, dtype):
    special = np.array([0.0, 1.5, -2.5, 3.0, 1e30, np.inf, -np.inf, np.nan], dtype)
    x, a = (axis.ravel() for axis in np.meshgrid(special, special))
    select = SELECTIONS[name]
    desired = [select(float(u), float(v), 0.0) for u, v in zip(x, a, strict=True)]
    np.testing.assert_array_equal(elementwise(select)(x, a), np.array(desired, dtype))


def test_selections_take_numbers_beside_vectors():
    x = np.linspace(-2, 2, 32).astype(np.float32)
    run = elementwise(lambda x, a, b: mathematics.maximum(x, 0.0) + mathematics.minimum(x, 1.0))
    np.testing.assert_array_equal(run(x), np.maximum(x, 0) + np.minimum(x, 1))
    run = elementwise(lambda x, a, b: mathematics.where_less(x, 0.5, 1.0, 2.0))
    np.testing.assert_array_equal(run(x), np.where(x < 0.5, 1, 2))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_name_works_on_python_floats(name):
    function = getattr(mathematics, name)
    for x in (1e-3, 2.0, 30.0) if name == "log" else (-30.0, -0.5, 0.0, 2.0, 30.0):
        assert function(x) == pytest.approx(float(REFERENCES[name](np.float64(x))), rel=1e-12)
