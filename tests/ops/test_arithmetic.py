"""Arithmetic of two arrays: values as NumPy's, gradients summed back over stretched axes."""

import numpy as np
import pytest
from ops.checks import apart, check

from fastrnn import GradientTape, Tensor, Variable, ops

SHAPES = [((3, 2), (3, 2)), ((3, 1), (2,)), ((), (2, 2)), ((1, 3), (2, 1)), ((2, 0), (1,))]

BINARY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "true_divide": np.divide,
    "divide_no_nan": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mod": np.mod,
    "arctan2": np.arctan2,
    "logaddexp": np.logaddexp,
}


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_values_and_gradients(rng, name, shapes):
    x1, x2 = (rng.uniform(0.5, 2, shape) for shape in shapes)
    if name != "power":
        x1 = x1 * rng.choice([-1, 1], x1.shape)
    if name in ("maximum", "minimum"):
        both = apart(rng, (x1.size + x2.size,))
        x1, x2 = both[: x1.size].reshape(x1.shape), both[x1.size :].reshape(x2.shape)
    check(rng, getattr(ops, name), [x1, x2], BINARY[name](x1, x2))


def test_equal_numbers_share_the_gradient_of_the_extremes():
    x = np.array([1.0, 2.0, np.nan])
    for choose in (ops.maximum, ops.minimum):
        a, b = Tensor(x.copy()), Tensor(x.copy())
        with GradientTape() as tape:
            y = choose(a, b)
        for d in tape.gradient(y, [a, b]):
            assert d[:2].tolist() == [0.5, 0.5]


def test_gradients_at_the_edges():
    x, n = Tensor(np.array([0.0, 0.0, 0.0, -2.0])), Tensor(np.array([0.0, 1.0, 2.0, 2.0]))
    with GradientTape() as tape:
        y = x**n
    dx, dn = tape.gradient(y, [x, n])
    assert y.value.tolist() == [1, 0, 0, 4]
    assert dx.tolist() == [0, 1, 0, -4]
    assert dn.tolist() == [0, 0, 0, 0]
    a, b = Tensor(np.array([2.0, 3.0])), Tensor(np.array([0.0, 2.0]))
    with GradientTape() as tape:
        y = ops.divide_no_nan(a, b)
    da, db = tape.gradient(y, [a, b])
    assert (y.value.tolist(), da.tolist(), db.tolist()) == ([0, 1.5], [0, 0.5], [0, -0.75])


COMPARISONS = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "floor_divide": np.floor_divide,
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_and_logic_have_no_gradient(rng, name):
    x1, x2 = rng.integers(0, 3, (2, 8)) * 0.5
    a, b = Tensor(x1), Tensor(x2 + (name == "floor_divide"))
    with GradientTape(persistent=True) as tape:
        y = getattr(ops, name)(a, b)
        z = ops.where(y, a, b)
    np.testing.assert_array_equal(y, COMPARISONS[name](a.value, b.value))
    with pytest.raises(ValueError, match=f"^target: .* was made by {name}"):
        tape.gradient(y, a)
    assert tape.gradient(z, [a, y])[1] is None
    np.testing.assert_array_equal(ops.logical_not(y), ~(y.value != 0))


OPERATORS = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a // b,
    lambda a, b: a % b,
    lambda a, b: abs(a) ** b,
    lambda a, b: a @ b,
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: (a > 0) & (b > 0),
    lambda a, b: (a > 0) | (b > 0),
    lambda a, b: ~(a > b),
    lambda a, b: -a + +b,
]


@pytest.mark.parametrize("operator", range(len(OPERATORS)))
def test_operators_are_these_functions_on_either_side(rng, operator):
    apply = OPERATORS[operator]
    a, b = rng.uniform(0.5, 2, (2, 2, 2)).astype(np.float32)
    b[0] = a[0]
    expected = apply(a, b)
    for left, right in ((Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))):
        result = apply(left, right)
        assert type(result) is Tensor
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_python_numbers_and_scalars_do_not_change_the_dtype():
    a = Variable(np.full((2,), 3, np.float32))
    scalar = Tensor(np.float32(3))
    for x in (a, scalar):
        results = [
            x + 1, 1.5 + x, x * np.float64(2), np.float64(2) * x, x / 3, 1 - x, 2**x, x**2,
            x > 2.5, ops.maximum(x, 0.1), ops.where(x > 1, x, 0.0), x - True,
        ]  # fmt: skip
        assert [r.dtype.name for r in results].count("float32") == len(results) - 1
    third = Tensor(np.array([1.0])) * (1 / 3)
    assert third.value.tolist() == [1 / 3]
    integers = Tensor(np.array([3, 4]))
    assert (integers + 1).dtype == np.int64
    assert (integers * 0.5).dtype == np.float32
    assert (integers / 2).dtype == np.float32
    assert (integers + a).dtype == np.float32
    assert (a + np.ones(2)).dtype == np.float64
    assert (ops.add(1, 2.5)).dtype == np.float32
    assert ops.add([1.0, 2.0], [[0.5], [1]]).dtype == np.float32
    assert (Tensor(np.array([True])) + 1).value.tolist() == [2]
    assert (Tensor(np.array([True])) * 0.5).dtype == np.float32


def test_gradients_keep_the_dtype_of_each_side(rng):
    a = Variable(rng.standard_normal(3).astype(np.float32))
    b = Variable(rng.standard_normal(3))
    with GradientTape() as tape:
        loss = ops.sum(a * b * 2 + [1, 2, 3])
    da, db = tape.gradient(loss, [a, b])
    assert (loss.dtype, da.dtype, db.dtype) == (np.float64, np.float32, np.float64)
    np.testing.assert_allclose(da, 2 * b.value, rtol=1e-6)


def test_shapes_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="broadcast"):
        ops.add(np.ones(2), np.ones(3))
    with pytest.raises(TypeError, match="add: expected the argument 'x2'"):
        ops.add(1)
    with pytest.raises(TypeError, match="expected numbers, got str"):
        ops.multiply("a", 2)
    assert ops.add(x2=1, x1=2).value == 3
