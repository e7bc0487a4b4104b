"""Every operation's vector-Jacobian product against central differences."""

import numeric
import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, NUMERIC_GRADIENT, assert_close

from fastrnn.reference import autodiff
from fastrnn.reference.autodiff import Node, propagate
from fastrnn.reference.layer_norm import layer_norm

ROWS = np.array([True, False, True])
SOME = np.array([[True, False], [False, False], [True, True]])

# Arguments' shapes, and the operation.
OPERATIONS = {
    "minus a": ([(3, 2)], lambda a: -a),
    "a + b": ([(3, 2), (3, 2)], lambda a, b: a + b),
    "a - b": ([(3, 2), (3, 2)], lambda a, b: a - b),
    "a b": ([(3, 2), (3, 2)], lambda a, b: a * b),
    "a / b": ([(3, 2), (3, 2)], lambda a, b: a / b),
    "a + row": ([(3, 2), (2,)], lambda a, b: a + b),
    "row - a": ([(2,), (3, 2)], lambda a, b: a - b),
    "a column": ([(3, 2), (3, 1)], lambda a, b: a * b),
    "number / a": ([(), (3, 2)], lambda a, b: a / b),
    "row / column": ([(2,), (3, 1)], lambda a, b: a / b),
    "a and constants": ([(3, 2)], lambda a: 2.0 - (3.0 * a - 1.0 + a) * 0.5),
    "a and a constant array": ([(3, 2)], lambda a: np.arange(2.0) * a + np.ones((3, 2))),
    "constant array - a": ([(3, 2)], lambda a: np.arange(2.0) - a),
    "a @ b": ([(3, 4), (4, 2)], lambda a, b: a @ b),
    "no rows @ b": ([(0, 4), (4, 2)], lambda a, b: a @ b),
    "exp": ([(3, 2)], autodiff.exp),
    "sqrt": ([(3, 2)], lambda a: autodiff.sqrt(a * a)),
    "tanh": ([(3, 2)], autodiff.tanh),
    "sigmoid": ([(3, 2)], autodiff.sigmoid),
    "softplus": ([(3, 2)], autodiff.softplus),
    "where": ([(3, 2), (3, 2)], lambda a, b: autodiff.where(SOME, a, b)),
    "where, a number": ([(3, 2)], lambda a: autodiff.where(SOME, a, 1.5)),
    "mean": ([(3, 4)], lambda a: a * autodiff.mean(a)),
    "split": ([(3, 4)], lambda a: autodiff.split(a, 2)[0] * autodiff.split(a, 2)[1]),
    "split a vector": ([(4,)], lambda a: autodiff.split(a, 4)[2]),
    "take": ([(3, 2)], lambda a: autodiff.take(a, ROWS)),
    "take no rows": ([(3, 2)], lambda a: autodiff.take(a, ~ROWS & ROWS)),
    "put": ([(3, 2), (2, 2)], lambda a, b: autodiff.put(a, ROWS, b)),
    "layer norm": ([(3, 4), (4,)], layer_norm),
    "a twice, at two depths": ([(3, 2)], lambda a: autodiff.tanh(a * a) * a + a),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_vector_jacobian_products_match_central_differences(rng, name):
    shapes, operation = OPERATIONS[name]
    # Away from 0, where a division would be ill-conditioned.
    arguments = [rng.choice([-1, 1], s) * rng.uniform(0.5, 2.0, s) for s in shapes]
    arguments = [np.asarray(a) for a in arguments]
    leaves = [Node(a.copy()) for a in arguments]
    result = operation(*leaves)
    d = rng.standard_normal(result.value.shape)
    gradient = propagate([(result, d)])

    def objective():
        return np.sum(operation(*map(Node, arguments)).value * d)

    for n, (leaf, values) in enumerate(zip(leaves, arguments, strict=True)):
        desired = numeric.gradient(objective, values)
        assert_close(gradient(leaf), desired, NUMERIC_GRADIENT, f"argument {n}")


def test_split_cuts_into_consecutive_parts():
    parts = autodiff.split(Node([[1.0, 2.0, 3.0, 4.0]]), 2)
    np.testing.assert_array_equal([part.value for part in parts], [[[1.0, 2.0]], [[3.0, 4.0]]])


def test_gradients_of_several_results_add_up(rng):
    a = Node(rng.standard_normal(3))
    early = autodiff.exp(a)
    late = early * 2.0
    gradient = propagate([(early, np.ones(3)), (late, np.ones(3)), (early, np.ones(3))])
    assert_close(gradient(early), np.full(3, 4.0), FLOAT64_GRADIENT)
    assert_close(gradient(a), 4.0 * np.exp(a.value), FLOAT64_GRADIENT)


def test_gradient_of_what_nothing_depends_on_is_zero():
    a, b = Node(np.ones(2)), Node(np.ones((3, 1)))
    gradient = propagate([(a * 2.0, np.ones(2))])
    np.testing.assert_array_equal(gradient(b), np.zeros((3, 1)))


def test_gradients_share_no_memory_with_what_is_given(rng):
    a, d = Node(rng.standard_normal(3)), rng.standard_normal(3)
    kept = d.copy()
    propagate([(a, d)])(a)[...] = 7.0
    np.testing.assert_array_equal(d, kept)
