"""How all operations behave: what they record, keep, and leave to others."""

import weakref

import numpy as np
import pytest

from fastrnn import GradientTape, Tensor, Variable, ops
from fastrnn.tape import constant, is_watched


def test_every_name_is_an_operation_with_a_description():
    for name in ops.__all__:
        assert getattr(ops, name).__doc__, name
        assert callable(getattr(ops, name))


def test_constants_are_computed_without_a_record(rng):
    a = rng.standard_normal(3)
    with GradientTape() as tape:
        y = ops.exp(ops.add(a, constant(a))) * 2.0
        assert not is_watched(y)
    assert not tape._trace.records()


def test_only_what_a_wanted_gradient_needs_is_kept(rng):
    weight, data = Variable(rng.standard_normal(3)), constant(rng.standard_normal(3))
    with GradientTape():
        product = ops.multiply(data, weight)
        factor = weakref.ref(data.value)
        other = ops.multiply(constant(weight.value), constant(data.value))
        del data
        assert factor() is not None  # the gradient of weight needs it
        with_data = Variable(rng.standard_normal(3))
        summed = ops.add(with_data, constant(product.value))
        kept = weakref.ref(product.value)
        del product
        assert kept() is None  # and that of a sum nothing
        assert factor() is None
        assert len(summed) + len(other) == 6


def test_arrays_that_only_unwanted_gradients_need_are_not_kept(rng):
    weight, data = Variable(rng.standard_normal(3)), constant(rng.standard_normal(3))
    with GradientTape() as tape:
        hidden = weight * 2.0
        product = hidden * data
        array = weakref.ref(hidden.value)
        del hidden
        assert array() is None
    np.testing.assert_array_equal(tape.gradient(product, weight), 2 * data.value)


def test_results_carry_no_mask():
    x = Tensor(np.ones((2, 3)))
    assert x.mask is None
    x.mask = np.ones((2, 3), bool)
    assert ops.add(x, 1).mask is None


class Symbol:
    """A stand-in for an array that notes what is asked of it."""

    def __operation__(self, function, args, kwargs):
        return function.__name__, args, kwargs


CALLS = [
    (ops.add, (Symbol(), 1)),
    (ops.add, (1, Symbol())),
    (ops.add, (Tensor(1.0), Symbol())),
    (ops.mean, (Symbol(),)),
    (ops.argmax, (Symbol(),)),
    (ops.concatenate, ([np.ones(2), Symbol()],)),
]


@pytest.mark.parametrize("i", range(len(CALLS)))
def test_an_argument_can_take_the_call_over(i):
    function, args = CALLS[i]
    assert function(*args, **({"axis": 1} if i > 2 else {})) == (
        function.__name__,
        args,
        {"axis": 1} if i > 2 else {},
    )


def test_operators_of_tensors_reach_it_too():
    symbol = Symbol()
    tensor = Tensor(1.0)
    assert tensor + symbol == ("add", (tensor, symbol), {})
    assert ops.unstack(symbol, axis=1) == ("unstack", (symbol, None, 1), {})
    assert ops.split(symbol, 2) == ("split", (symbol, 2, 0), {})
