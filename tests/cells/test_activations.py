"""Activations and their slopes, on Python floats and on vectors, are what NumPy says."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from simd.vectors import uncached
from tolerances import (
    FLOAT32_OUTPUT,
    FLOAT64_GRADIENT,
    FLOAT64_OUTPUT,
    NUMERIC_GRADIENT,
    assert_close,
)

from fastrnn.cells.activations import (
    ACTIVATIONS,
    Affine,
    Clipped,
    Elu,
    HardSigmoid,
    LeakyRelu,
    Linear,
    Relu,
    ScaledTanh,
    Sigmoid,
    Softplus,
    Softsign,
    Tanh,
    ThresholdedRelu,
    activate,
    slope,
)
from fastrnn.kernels.cpu.task import Floats
from fastrnn.simd.memory import lanes, load, store

KINDS = {np.float32: FLOAT32_OUTPUT, np.float64: FLOAT64_OUTPUT}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Case(NamedTuple):
    """An activation, and what it and its derivative are at x."""

    activation: Any
    formula: Callable
    derivative: Callable


# Constants are not the defaults.
CASES = [
    Case(Sigmoid(), sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    Case(Tanh(), np.tanh, lambda x: np.cosh(x) ** -2),
    Case(Relu(), lambda x: np.maximum(x, 0), lambda x: x > 0),
    Case(
        HardSigmoid(1 / 6, 0.6),
        lambda x: np.clip(x / 6 + 0.6, 0, 1),
        lambda x: np.where((x > -3.6) & (x < 2.4), 1 / 6, 0),
    ),
    Case(Linear(), lambda x: x, np.ones_like),
    Case(Softsign(), lambda x: x / (1 + np.abs(x)), lambda x: (1 + np.abs(x)) ** -2),
    Case(Softplus(), lambda x: np.logaddexp(0, x), sigmoid),
    Case(
        Elu(1.3),
        lambda x: np.where(x < 0, 1.3 * np.expm1(x), x),
        lambda x: np.where(x < 0, 1.3 * np.exp(x), 1),
    ),
    Case(LeakyRelu(0.3), lambda x: np.where(x < 0, 0.3 * x, x), lambda x: np.where(x < 0, 0.3, 1)),
    Case(
        ScaledTanh(1.7, -0.6),
        lambda x: 1.7 * np.tanh(-0.6 * x),
        lambda x: -0.6 * 1.7 * np.cosh(0.6 * x) ** -2,
    ),
    Case(Affine(-0.7, 0.2), lambda x: -0.7 * x + 0.2, lambda x: np.full_like(x, -0.7)),
    Case(ThresholdedRelu(0.8), lambda x: np.where(x > 0.8, x, 0), lambda x: x > 0.8),
]
LIMITS = (0.3, 0.9, 1.1, 2.1)


def clipped(case, limit):
    return Case(
        Clipped(case.activation, limit),
        lambda x: case.formula(np.clip(x, -limit, limit)),
        lambda x: np.where(np.abs(x) < limit, case.derivative(x), 0),
    )


CLIPPED = [clipped(case, limit) for case in CASES for limit in LIMITS]
# Multiples of 1/1024 off by a part of it: none is where a slope jumps.
X = (np.arange(-6144, 6144) + 0.37) / 1024


def name_of(case):
    return repr(case.activation)


class Points(NamedTuple):
    """Arguments x and cotangents dy, `size` of each; y and dx are written."""

    size: int
    x: Floats
    y: Floats
    dy: Floats
    dx: Floats


@uncached
def both_ways(activation, args, worker, workers):
    f = activation[0]
    s = args[0]
    for i in range(0, s.size, lanes(s.x)):
        store(s.y + i, activate(f, load(s.x + i)))
    # From memory, as in the backward pass.
    for i in range(0, s.size, lanes(s.x)):
        store(s.dx + i, load(s.dy + i) * slope(f, load(s.y + i)))


def run(f, x):
    """y and slope of the compiled activation."""
    x = np.concatenate([x, np.zeros(-len(x) % 16, x.dtype)])
    y, dx = np.full_like(x, np.nan), np.full_like(x, np.nan)
    both_ways(f, Points(len(x), x, y, np.ones_like(x), dx), 1)
    return y, dx


@pytest.mark.parametrize("case", CASES + CLIPPED, ids=name_of)
def test_floats_match_numpy(case):
    f, formula, derivative = case
    x = X[::37]
    y = np.array([activate(f, float(v)) for v in x])
    assert_close(y, formula(x), FLOAT64_OUTPUT)
    dx = np.array([slope(f, float(v)) for v in y])
    assert_close(dx, derivative(x).astype(float), FLOAT64_GRADIENT)
    difference = (formula(x + 1e-5) - formula(x - 1e-5)) / 2e-5
    assert_close(dx, difference, NUMERIC_GRADIENT)


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("case", CASES + CLIPPED, ids=name_of)
def test_vectors_match_numpy(case, dtype):
    x = X.astype(dtype)
    y, dx = run(case.activation, x)
    x = x.astype(np.float64)
    assert_close(y, case.formula(x), KINDS[dtype], "y")
    assert_close(dx, case.derivative(x).astype(float), KINDS[dtype], "slope")


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("case", CLIPPED, ids=name_of)
def test_beyond_the_clip_all_is_as_at_its_bound(case, dtype):
    limit = dtype(case.activation.limit)
    beyond = np.array([limit, np.nextafter(limit, dtype(9)), 1e3, np.finfo(dtype).max, np.inf])
    y, dx = run(case.activation, np.repeat([-beyond, beyond], 16).astype(dtype))
    y = y.reshape(2, -1)
    assert (y == y[:, :1]).all()
    assert (dx == 0).all()


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_infinity_and_nan_pass_through(case, dtype):
    x = np.array([-np.inf, np.inf, np.nan, 0.5] * 4, dtype)
    y, dx = run(case.activation, x)
    assert np.isnan(y[2::4]).all()
    floats = [activate(case.activation, float(v)) for v in x]
    assert_close(y, np.array(floats), KINDS[dtype])
    with np.errstate(over="ignore"):
        ends = case.formula(np.array([-1e20, 1e20, 0.5]))
    ends[np.abs(ends) > 1e19] *= np.inf
    is_number = np.array([True, True, False, True] * 4)
    assert_close(y[is_number], np.tile(ends, 4), KINDS[dtype])
    assert not np.isnan(dx[is_number]).any()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_name_stands_for_a_tested_class(name):
    f = ACTIVATIONS[name]()
    assert type(f).__name__.lower() == name.replace("_", "")
    assert type(f) in {type(case.activation) for case in CASES}
    y = activate(f, 0.3)
    assert math.isfinite(y)
    assert math.isfinite(slope(f, y))
