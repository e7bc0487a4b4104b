"""Indices of every kind: values as NumPy's; what is picked twice gathers both gradients."""

import numpy as np
import pytest
from ops.checks import check

from fastrnn import GradientTape, Tensor, Variable, ops
from fastrnn.tape import constant

INDICES = {
    "number": 1,
    "from the end": -1,
    "slice": slice(None, None, 2),
    "backwards": slice(None, None, -1),
    "axes": (slice(1, 3), 0),
    "dots": (..., 1),
    "new axis": (slice(None), None, slice(1, 2)),
    "empty": slice(3, 3),
    "integers": [0, 2, 0],
    "matrix": np.array([[0, 1], [2, 2]]),
    "pairs": ([0, 2, 0], [1, 1, 1]),
    "column": (slice(None), np.array([1, 1])),
    "bools": np.array([True, False, True]),
    "bools of all axes": np.arange(6).reshape(3, 2) > 2,
    "bools and a number": (np.array([True, False, True]), 1),
    "one element": (2, 1),
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing(rng, name):
    x, index = rng.standard_normal((3, 2)), INDICES[name]
    check(rng, lambda t: t[index], [x], x[index])


def test_tensors_are_indices(rng):
    x, ids = Variable(rng.standard_normal((3, 2))), Tensor(np.array([2, 2]))
    with GradientTape() as tape:
        loss = ops.sum(x[ids]) + ops.sum(x[x > 100]) + ops.sum(x[:, Tensor(np.array(1))])
    assert tape.gradient(loss, x).tolist() == [[0, 1], [0, 1], [2, 3]]
    assert [10, 20, 30][Tensor(np.array(1))] == 20


def test_many_slices_of_one_tensor_share_one_buffer(rng):
    x = Variable(rng.standard_normal((50, 2)))
    with GradientTape() as tape:
        total = x[0]
        for t in range(1, 50):
            total = total * 0.5 + x[t]
    desired = np.repeat(0.5 ** np.arange(49, -1, -1.0)[:, None], 2, 1)
    np.testing.assert_array_equal(tape.gradient(total, x), desired)


def test_slices_meet_other_gradients(rng):
    x = Variable(rng.standard_normal(3))
    with GradientTape() as tape:
        first = x * 2
        loss = ops.sum(first) + ops.sum(x[1:]) + ops.sum(x[[0, 0]]) + ops.sum(first[:1])
    assert tape.gradient(loss, x).tolist() == [2 + 2 + 2, 3, 3]


@pytest.mark.parametrize("ids", [[0, 2, 0], [[1, -1], [0, 1]], 1, []], ids=str)
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_take(rng, ids, axis):
    x, ids = rng.standard_normal((3, 3)), np.array(ids, int)
    check(rng, lambda t: ops.take(t, ids, axis), [x], np.take(x, ids, axis))


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_take_along_axis(rng, axis):
    x = rng.standard_normal((3, 4))
    shapes = {0: (2, 4), 1: (3, 5), -1: (3, 1), None: (5,)}
    ids = rng.integers(-3, 3, shapes[axis])
    expected = np.take_along_axis(x, ids, axis)
    check(rng, lambda t: ops.take_along_axis(t, ids, axis), [x], expected)


def test_take_along_axis_stretches(rng):
    x, ids = rng.standard_normal((2, 1, 3)), np.array([[[0, 2]], [[1, 1]]])
    for shape in ((1, 1, 2), (1, 4, 2), (2, 4, 2)):
        part = np.broadcast_to(ids[: shape[0]], shape)
        expected = np.take_along_axis(x, part, -1)
        check(rng, lambda t, part=part: ops.take_along_axis(t, part, -1), [x], expected)


@pytest.mark.parametrize("function", [ops.take, ops.take_along_axis])
def test_indices_are_integers_within_the_axis(function):
    with pytest.raises(ValueError, match="^indices: expected integers, got float64"):
        function(np.ones(3), np.zeros(1), axis=0)
    with pytest.raises(IndexError):
        function(np.ones(3), np.array([3]), axis=0)
    with pytest.raises(ValueError, match="^axis: expected axes"):
        ops.take(np.ones(3), [0], axis=1)


def test_where(rng):
    condition = rng.integers(0, 2, (3, 1)) > 0
    a, b = rng.standard_normal((3, 4)), rng.standard_normal(4)
    expected = np.where(condition, a, b)
    check(rng, lambda s, t: ops.where(condition, s, t), [a, b], expected)
    check(rng, lambda s: ops.where(constant(condition), s, 0.0), [a], np.where(condition, a, 0))
    assert ops.where(condition, np.float32(1), 0.0).dtype == np.float32
    places = ops.where(condition)
    np.testing.assert_array_equal(places[0], np.nonzero(condition)[0])
    np.testing.assert_array_equal(ops.nonzero(condition)[0], places[0])
    with pytest.raises(ValueError, match="^where: expected both x1 and x2, or neither"):
        ops.where(condition, a)


def test_the_branch_not_taken_brings_no_nan():
    x = Variable(np.array([0.0, 4.0]))
    with GradientTape() as tape:
        safe = ops.where(x > 0, x, 1.0)
        y = ops.where(x > 0, ops.sqrt(safe), 0.0)
    assert tape.gradient(y, x).tolist() == [0, 0.25]


@pytest.mark.parametrize("k", [-1, 0, 1])
def test_triangles(rng, k):
    x = rng.standard_normal((2, 3, 3))
    check(rng, lambda t: ops.tril(t, k), [x], np.tril(x, k))
    check(rng, lambda t: ops.triu(t, k), [x], np.triu(x, k))


def test_sorting(rng):
    x = rng.permutation(np.arange(12.0)).reshape(3, 4)
    check(rng, ops.sort, [x], np.sort(x))
    check(rng, lambda t: ops.sort(t, 0), [x], np.sort(x, 0))


def test_blocks(rng):
    x, u = rng.standard_normal((3, 4)), rng.standard_normal((2, 1))
    check(rng, lambda t: ops.slice(t, (1, 2), (2, 1)), [x], x[1:3, 2:3])
    expected = x.copy()
    expected[1:3, 2:3] = u
    check(rng, lambda s, t: ops.slice_update(s, [1, 2], t), [x, u], expected)
    for wrong in ((2, 0), (-1, 0), (0, 4)):
        with pytest.raises(ValueError, match="^start_indices: expected a part of shape"):
            ops.slice(x, wrong, (2, 1))


def test_scattering(rng):
    x, u = rng.standard_normal((3, 2)), rng.standard_normal((4, 2))
    rows = np.array([[2], [0], [2], [-1]])
    expected = np.zeros((3, 2))
    np.add.at(expected, rows[:, 0], u)
    check(rng, lambda t: ops.scatter(rows, t, (3, 2)), [u], expected)
    check(
        rng, lambda t: ops.segment_sum(t, rows[:3, 0]), [u[:3]], expected - [[0], [0], [1]] * u[3]
    )
    check(rng, lambda t: ops.segment_sum(t, [1, 1, 0, 1], 4)[:2], [u])
    assert ops.segment_sum(u, [1, 1, 0, 1], 4).shape == (4, 2)
    replaced = x.copy()
    replaced[0], replaced[2] = u[1], u[3]
    check(rng, lambda s, t: ops.scatter_update(s, rows, t), [x, u], replaced)
    places = np.array([[0, 1], [2, 0]])
    replaced = x.copy()
    replaced[0, 1], replaced[2, 0] = u[:2, 0]
    check(rng, lambda s, t: ops.scatter_update(s, places, t), [x, u[:2, 0]], replaced)


def test_the_largest(rng):
    x = rng.permutation(np.arange(8.0)).reshape(2, 4)
    order = np.argsort(-x)[:, :2]
    values, places = ops.top_k(x, 2)
    np.testing.assert_array_equal(places, order)
    check(rng, lambda t: ops.top_k(t, 2)[0], [x], np.sort(x)[:, :-3:-1])
    for k in range(1, 5):
        kept = [target in np.argsort(-row)[:k] for target, row in zip([1, 3], x, strict=True)]
        assert ops.in_top_k([1, 3], x, k).value.tolist() == kept
    for k in (0, 5):
        with pytest.raises(ValueError, match=f"^k: expected an int in 1..4, got {k}"):
            ops.top_k(x, k)
