"""Tensors and variables: arrays to NumPy, numbers to Python, keys by identity."""

import numpy as np
import pytest

from fastrnn import Tensor, Variable, functional


def test_variable_is_a_copy_and_keeps_its_shape():
    values = np.arange(6.0).reshape(2, 3)
    variable = Variable(values.T, "layer/name")
    values[...] = 7
    array = variable.value
    assert array.flags.c_contiguous
    assert variable.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert variable.assign(np.ones((3, 2))) is variable
    assert variable.assign_add(np.full((3, 2), 2)) is variable
    assert variable.assign_sub(np.ones((3, 2), np.float32)) is variable
    assert np.asarray(variable).sum() == 12
    assert variable.value is array
    for change in (variable.assign, variable.assign_add, variable.assign_sub):
        with pytest.raises(ValueError, match=r"layer/name: expected shape \(3, 2\), got \(2, 3\)"):
            change(np.ones((2, 3)))
    assert "layer/name" in repr(variable)
    assert "layer/name" in str(variable)


def test_variables_of_python_numbers_are_single_precision():
    variable = Variable([1.0, 2.0])
    assert (variable.name, variable.trainable, variable.dtype) == ("variable", True, np.float32)
    assert variable.regularizer is variable.constraint is None
    assert Variable(0.0).shape == ()
    assert Variable([1, 2]).dtype.kind == "i"
    assert Variable([1, 2], dtype="float64").dtype == np.float64


def test_tensors_are_arrays_to_numpy():
    tensor = Tensor(np.arange(3, dtype=np.float32))
    assert np.asarray(tensor) is tensor.value
    assert np.array(tensor) is not tensor.value
    assert np.asarray(tensor, np.float64).dtype == np.float64
    assert (len(tensor), tensor.shape, tensor.dtype) == (3, (3,), np.float32)
    assert tensor.ndim == 1
    assert float(Tensor(np.float64(2.5)[...])) == 2.5
    assert np.exp(tensor)[0] == 1
    assert np.mean([tensor, tensor]) == 1
    y, _ = functional.linear(Tensor(np.ones((2, 3), np.float32)), np.ones((3, 1), np.float32))
    assert y.tolist() == [[3], [3]]


def test_tensors_are_numbers_where_they_hold_one():
    tensor = Tensor(2.5)
    assert (float(tensor), int(tensor), tensor.item(), bool(tensor)) == (2.5, 2, 2.5, True)
    assert f"{tensor:.3f}" == "2.500"
    assert f"{tensor}" == str(tensor) == "Tensor(2.5, shape=(), dtype=float32)"
    assert repr(tensor) == "Tensor(shape=(), dtype=float32)"
    assert [5, 6, 7][Tensor(np.array(1))] == 6
    with pytest.raises(TypeError):
        [5, 6, 7][tensor]
    with pytest.raises(ValueError, match="ambiguous"):
        bool(Tensor(np.ones(2)))
    with pytest.raises(TypeError, match="expected numbers, got"):
        Tensor("text")


def test_tensors_are_told_apart_by_identity_where_they_are_keys():
    a, b = Tensor(np.ones(2)), Tensor(np.ones(2))
    assert len({a, b, a}) == 2
    assert {a: 1}[a] == 1
    assert (a == b).value.tolist() == [True, True]
    assert (a != b).value.tolist() == [False, False]
    assert a is not None
    assert (a == None) is False  # noqa: E711
    assert a != "text"
    assert a in [a]
