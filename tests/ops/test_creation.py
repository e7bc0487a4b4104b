"""New arrays, conversions, and what stops a gradient."""

import numpy as np
import pytest
from ops.checks import check

from fastrnn import GradientTape, Tensor, Variable, ops
from fastrnn.tape import is_watched

MADE = [
    (ops.zeros((2, 3)), np.zeros((2, 3), np.float32)),
    (ops.ones(2, "int32"), np.ones(2, np.int32)),
    (ops.full((2,), 1.5), np.full(2, 1.5, np.float32)),
    (ops.full(2, 3), np.full(2, 3, np.float32)),
    (ops.full((2,), 3, "float64"), np.full(2, 3.0)),
    (ops.zeros_like(np.ones(2)), np.zeros(2)),
    (ops.ones_like(Tensor([1, 2])), np.ones(2, int)),
    (ops.full_like(np.ones((1, 2), np.float32), 7), np.full((1, 2), 7, np.float32)),
    (ops.ones_like([1, 2], "float32"), np.ones(2, np.float32)),
    (ops.arange(3), np.arange(3, dtype=np.int32)),
    (ops.arange(1, 2, 0.25), np.arange(1, 2, 0.25, np.float32)),
    (ops.arange(3, dtype="int64"), np.arange(3)),
    (ops.linspace(0, 1, 3), np.array([0, 0.5, 1], np.float32)),
    (ops.eye(2), np.eye(2, dtype=np.float32)),
    (ops.eye(2, 3, 1, "int32"), np.eye(2, 3, 1, np.int32)),
    (ops.identity(2), np.eye(2, dtype=np.float32)),
    (ops.one_hot([0, 2, -1], 3), np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]], np.float32)),
    (ops.one_hot([[1]], 2, axis=0, dtype="int32"), np.array([[[0]], [[1]]], np.int32)),
]


@pytest.mark.parametrize("i", range(len(MADE)))
def test_new_arrays(i):
    made, expected = MADE[i]
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)
    with GradientTape():
        assert not is_watched(made)


def test_one_hot_wants_integers():
    with pytest.raises(ValueError, match="^x: expected integers, got float64"):
        ops.one_hot(np.ones(2), 3)


def test_conversions():
    tensor = ops.convert_to_tensor([1.0, 2.0])
    assert type(tensor) is Tensor
    assert tensor.dtype == np.float32
    assert ops.convert_to_tensor(tensor) is tensor
    assert ops.convert_to_tensor(tensor, "float64").dtype == np.float64
    assert ops.convert_to_tensor(np.ones(2)).dtype == np.float64
    array = np.ones(2)
    assert ops.convert_to_tensor(array).value is array
    assert ops.convert_to_numpy(tensor) is tensor.value
    assert ops.is_tensor(tensor)
    assert not ops.is_tensor(array)
    assert (ops.shape(tensor), ops.ndim([[1]]), ops.size(np.ones((2, 3)))) == ((2,), 2, 6)
    with pytest.raises(TypeError, match="expected numbers, got str"):
        ops.convert_to_tensor("text")


def test_casts(rng):
    x = rng.standard_normal((2, 3))
    check(rng, lambda t: ops.cast(ops.cast(t, "float64") * 2, "float64"), [x], 2 * x)
    variable = Variable(x)
    with GradientTape(persistent=True) as tape:
        single = ops.cast(variable, "float32")
        whole = ops.cast(variable * 3, "int32")
        loss = ops.sum(single) + ops.sum(ops.cast(whole, "float32"))
    gradient = tape.gradient(loss, variable)
    assert gradient.dtype == np.float64
    assert (gradient == 1).all()
    np.testing.assert_array_equal(whole, (x * 3).astype(np.int32))
    with pytest.raises(ValueError, match="without gradient"):
        tape.gradient(whole, variable)
    assert ops.cast([0, 2], "bool").value.tolist() == [False, True]


def test_stopped_gradients():
    x = Variable(np.array([2.0, 3.0]))
    with GradientTape() as tape:
        still = ops.stop_gradient(x)
        assert still.value is x.value
        assert not is_watched(still)
        y = x * still
    dx, dstill = tape.gradient(y, [x, still])
    assert dx.tolist() == [2, 3]
    assert dstill is None
