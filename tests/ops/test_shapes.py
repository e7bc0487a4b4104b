"""Shapes and orders: values as NumPy's, gradients as central differences."""

import numpy as np
import pytest
from ops.checks import check

from fastrnn import GradientTape, Tensor, Variable, ops

CASES = [
    ("reshape", (2, 3), ((3, -1),), None),
    ("reshape", (2, 3), (6,), None),
    ("reshape", (2, 0), ((0, 5),), None),
    ("ravel", (2, 3), (), None),
    ("transpose", (2, 3, 4), (), None),
    ("transpose", (2, 3, 4), ((1, 2, 0),), None),
    ("transpose", (2, 3, 4), ((-1, 0, 1),), None),
    ("swapaxes", (2, 3, 4), (0, -1), None),
    ("moveaxis", (2, 3, 4), (0, -1), None),
    ("moveaxis", (2, 3, 4), ([0, 1], [2, 0]), None),
    ("expand_dims", (2, 3), (1,), None),
    ("expand_dims", (2, 3), (-1,), None),
    ("expand_dims", (2, 3), ((0, 3),), None),
    ("squeeze", (1, 3, 1), (), None),
    ("squeeze", (1, 3, 1), (-1,), None),
    ("broadcast_to", (3, 1), ((2, 3, 2),), None),
    ("broadcast_to", (), ((2,),), None),
    ("flip", (2, 3), (), None),
    ("flip", (2, 3), (-1,), None),
    ("roll", (2, 3), (1,), None),
    ("roll", (2, 3), (-2, 1), None),
    ("tile", (2, 3), (2,), None),
    ("tile", (3,), ((2, 3),), None),
    ("tile", (2, 1, 3), ((2, 2),), None),
    ("repeat", (2, 3), (2,), None),
    ("repeat", (2, 3), (2, -1), None),
    ("repeat", (2, 3), (np.array([2, 0, 1]), 1), None),
    ("pad", (2, 3), (1,), None),
    ("pad", (2, 3), (((1, 0), (0, 2)),), None),
    ("pad", (3,), ((1, 2),), None),
]


@pytest.mark.parametrize(("name", "shape", "arguments", "_"), CASES, ids=str)
def test_values_and_gradients(rng, name, shape, arguments, _):
    x = rng.standard_normal(shape)
    expected = getattr(np, name)(x, *arguments)
    check(rng, lambda t: getattr(ops, name)(t, *arguments), [x], expected)


def test_padding_with_a_number(rng):
    x = rng.standard_normal((2, 2))
    expected = np.pad(x, 1, constant_values=7)
    check(rng, lambda t: ops.pad(t, 1, constant_values=7), [x], expected)
    with pytest.raises(ValueError, match="^mode: expected \"constant\", got 'edge'"):
        ops.pad(x, 1, "edge")


def test_concatenation(rng):
    shapes = [(2, 3), (2, 0), (2, 1)]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    check(rng, lambda *t: ops.concatenate(t, -1), arrays, np.concatenate(arrays, 1))
    arrays = [array.T for array in arrays]
    check(rng, lambda *t: ops.concatenate(list(t)), arrays, np.concatenate(arrays))
    check(rng, lambda *t: ops.vstack(t), arrays, np.vstack(arrays))
    check(rng, lambda *t: ops.hstack(t), arrays[:1] * 2, np.hstack(arrays[:1] * 2))
    vectors = [rng.standard_normal(2), rng.standard_normal(2)]
    check(rng, lambda *t: ops.hstack(t), vectors, np.hstack(vectors))
    check(rng, lambda *t: ops.vstack(t), vectors, np.vstack(vectors))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stacking(rng, axis):
    arrays = [rng.standard_normal((2, 3)) for _ in range(3)]
    check(rng, lambda *t: ops.stack(t, axis), arrays, np.stack(arrays, axis))


def test_joined_arrays_have_one_dtype():
    a, b = np.ones(2, np.float32), np.ones(2)
    assert ops.concatenate([a, [1, 2]]).dtype == np.float32
    assert ops.stack([a, b]).dtype == np.float64
    for join in (ops.concatenate, ops.stack):
        with pytest.raises(ValueError, match="expected at least one array, got none"):
            join([])


@pytest.mark.parametrize("axis", [0, -1])
def test_unstacking(rng, axis):
    x = Tensor(rng.standard_normal((2, 3)))
    with GradientTape(persistent=True) as tape:
        parts = ops.unstack(x, axis=axis)
    for part, expected in zip(parts, np.moveaxis(x.value, axis, 0), strict=True):
        np.testing.assert_array_equal(part, expected)
    d = rng.standard_normal(parts[1].shape)
    desired = np.zeros((2, 3))
    np.moveaxis(desired, axis, 0)[1] = d
    for _ in range(2):
        np.testing.assert_array_equal(tape.gradient(parts[1], x, d), desired)
    np.testing.assert_array_equal(tape.gradient(parts, x), np.ones((2, 3)))
    with pytest.raises(ValueError, match="^num: expected 2, got 3"):
        ops.unstack(x, 3)


@pytest.mark.parametrize("cuts", [3, [1, 4], [2]], ids=str)
@pytest.mark.parametrize("axis", [0, 1])
def test_splitting(rng, cuts, axis):
    x = Variable(rng.standard_normal((6, 6)))
    with GradientTape(persistent=True) as tape:
        parts = ops.split(x, cuts, axis)
    expected = np.split(x.value, cuts, axis)
    cotangents = [rng.standard_normal(part.shape) for part in expected]
    for part, wanted in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part, wanted)
    gradient = tape.gradient(parts, x, cotangents)
    np.testing.assert_array_equal(gradient, np.concatenate(cotangents, axis))


def test_splitting_into_parts_of_unequal_length_is_an_error():
    for sections in (4, 0, -1):
        with pytest.raises(ValueError, match="^indices_or_sections: expected a divisor of 6"):
            ops.split(np.ones(6), sections)
    assert [part.shape for part in ops.split(np.ones((0, 2)), 2)] == [(0, 2)] * 2


def test_tensors_are_iterated_over_along_their_first_axis(rng):
    x = Variable(rng.standard_normal((3, 2)))
    with GradientTape() as tape:
        first, *others = x
        loss = ops.sum(first * 2) + sum(ops.sum(other) for other in others)
    assert tape.gradient(loss, x).tolist() == [[2, 2], [1, 1], [1, 1]]
    with pytest.raises(TypeError, match="without axes cannot be iterated"):
        list(Tensor(1.0))
