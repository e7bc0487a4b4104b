"""Products of arrays: values as NumPy's, gradients as central differences."""

import numpy as np
import pytest
from ops.checks import check

from fastrnn import ops

MATRICES = [
    ((2, 3), (3, 4)),
    ((3,), (3,)),
    ((3,), (3, 2)),
    ((2, 3), (3,)),
    ((2, 2, 3), (3, 2)),
    ((2, 2, 3), (3,)),
    ((3,), (2, 3, 2)),
    ((2, 1, 2, 3), (2, 3, 2)),
    ((2, 3), (2, 3, 1)),
    ((1, 0), (0, 2)),
    ((0, 2), (2, 1)),
]


@pytest.mark.parametrize("shapes", MATRICES, ids=str)
def test_matmul(rng, shapes):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    check(rng, ops.matmul, [a, b], np.matmul(a, b))


@pytest.mark.parametrize("shapes", [*MATRICES[:7], ((), (2,)), ((2, 3, 2), (2, 2, 3))], ids=str)
def test_dot(rng, shapes):
    a, b = (rng.standard_normal(shape) for shape in shapes)
    check(rng, ops.dot, [a, b], np.dot(a, b))


def test_outer(rng):
    a, b = rng.standard_normal((2, 2)), rng.standard_normal(3)
    check(rng, ops.outer, [a, b], np.outer(a, b))


@pytest.mark.parametrize("axes", [0, 1, 2, ([0, 1], [1, 0]), (-1, 0), ([2], [1])], ids=str)
def test_tensordot(rng, axes):
    a, b = rng.standard_normal((2, 2, 2, 2))
    check(rng, lambda s, t: ops.tensordot(s, t, axes), [a, b], np.tensordot(a, b, axes))


SUBSCRIPTS = [
    ("ij,jk->ik", (2, 3), (3, 2)),
    ("ij,jk", (2, 3), (3, 2)),
    ("bij,bkj->bik", (2, 2, 3), (2, 2, 3)),
    ("bij,bjk->ik", (2, 2, 3), (2, 3, 2)),
    ("ij,kl->ik", (2, 3), (2, 2)),
    ("i,j->ij", (2,), (3,)),
    ("i,i->", (3,), (3,)),
    ("ij,ij->j", (2, 3), (1, 3)),
    ("...ij,...jk->...ik", (2, 1, 2, 2), (3, 2, 2)),
    ("...i,ij->...j", (2, 2, 3), (3, 2)),
    ("...i,ij", (2, 2, 3), (3, 2)),
    ("...i,i->i", (2, 2, 3), (3,)),
    ("i,...->...i", (2,), (2, 3)),
    (" b t h , h k -> b t k ", (2, 2, 2), (2, 3)),
]


@pytest.mark.parametrize("subscripts", SUBSCRIPTS, ids=str)
def test_einsum_of_two(rng, subscripts):
    text, *shapes = subscripts
    a, b = (rng.standard_normal(shape) for shape in shapes)
    # NumPy wants the axes of dots in the result.
    expected = (a * b).sum((0, 1)) if text == "...i,i->i" else np.einsum(text, a, b)
    check(rng, lambda s, t: ops.einsum(text, s, t), [a, b], expected)


def test_einsum_of_one_and_of_three(rng):
    a, b, c = rng.standard_normal((2, 3)), rng.standard_normal((3, 2)), rng.standard_normal(2)
    check(rng, lambda t: ops.einsum("ij->ji", t), [a], a.T)
    check(rng, lambda t: ops.einsum("ij->j", t), [a], a.sum(0))
    check(rng, lambda t: ops.einsum("ba", t), [a], a.T)
    check(rng, lambda *t: ops.einsum("ij,jk,k->i", *t), [a, b, c], a @ b @ c)


@pytest.mark.parametrize(
    "text", ["ii,ij->j", "ij,jk->ikk", "ij->ij", "i1,jk->k", "ij,j,k->i", "ij;jk->ik"]
)
def test_wrong_subscripts_are_named(text):
    with pytest.raises(ValueError, match="^subscripts: expected letters of 2 arrays"):
        ops.einsum(text, np.ones((2, 2)), np.ones((2, 2)))


def test_subscripts_that_do_not_fit_are_an_error():
    for text in ("ijk,jk->i", "i,jk->i"):
        with pytest.raises(ValueError, match="^subscripts: .* does not fit an array of 2 axes"):
            ops.einsum(text, np.ones((2, 2)), np.ones((2, 2)))
    with pytest.raises(ValueError):
        ops.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((2, 3)))
