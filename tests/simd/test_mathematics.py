"""exp, sigmoid and tanh: the stated errors hold over the whole range of both formats."""

import numpy as np
import pytest
from simd.vectors import elementwise

from fastrnn.simd import mathematics
from fastrnn.simd.mathematics import ERRORS, EXP_ERRORS, EXP_RANGE

DTYPES = [np.float32, np.float64]
BITS = {np.float32: np.uint32, np.float64: np.uint64}
# A format that is precise enough to measure the errors of the other.
FINER = {np.float32: np.float64, np.float64: np.longdouble}

FUNCTIONS = {
    "exp": elementwise(lambda x, a, b: mathematics.exp(x)),
    "sigmoid": elementwise(lambda x, a, b: mathematics.sigmoid(x)),
    "tanh": elementwise(lambda x, a, b: mathematics.tanh(x)),
}
REFERENCES = {
    "exp": np.exp,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
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


@pytest.mark.parametrize("dtype", DTYPES)
def test_relative_error_of_exp_is_as_stated(dtype, rng):
    needs_finer(dtype)
    low, high = EXP_RANGE[np.dtype(dtype).name]
    for x in (
        every_exponent(dtype, rng),
        around_zero(dtype, 1),
        np.linspace(low, high, 2_000_000).astype(dtype),
    ):
        x = x[(x >= low) & (x <= high)]
        desired = np.exp(x.astype(FINER[dtype]))
        error = np.abs(FUNCTIONS["exp"](x) - desired) / desired
        worst = np.argmax(error)
        assert error[worst] <= EXP_ERRORS[np.dtype(dtype).name], f"exp({x[worst]!r})"


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
    x = np.linspace(-3, 3, 64).astype(dtype)
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_name_works_on_python_floats(name):
    function = getattr(mathematics, name)
    for x in (-30.0, -0.5, 0.0, 2.0, 30.0):
        assert function(x) == pytest.approx(float(REFERENCES[name](np.float64(x))), rel=1e-12)
