"""The tape: chains of closures give the gradients of what they compute."""

import threading

import numeric
import numpy as np
import pytest
from structures import STRUCTURES
from tolerances import FLOAT64_GRADIENT, NUMERIC_GRADIENT, assert_close

from fastrnn import GradientTape, Tensor, Variable, functional
from fastrnn.layers import Dense, Recurrent
from fastrnn.tape import is_recording, record


def multiply(a, b):
    """Product of two tensors, recorded."""
    output = Tensor(a.value * b.value)
    record([a, b], [output], lambda d: [d * b.value, d * a.value])
    return output


def split(a):
    """First and second half of a tensor, recorded; a missing gradient is zero."""
    half = len(a.value) // 2
    low, high = Tensor(a.value[:half]), Tensor(a.value[half:])

    def backward(dlow, dhigh):
        return [np.concatenate([np.zeros(half) if d is None else d for d in (dlow, dhigh)])]

    record([a], [low, high], backward)
    return low, high


def numbers(rng, *shape):
    return Tensor(rng.standard_normal(shape))


def test_product_rule(rng):
    a, b = numbers(rng, 5), numbers(rng, 5)
    with GradientTape() as tape:
        c = multiply(multiply(a, b), b)
    da, db = tape.gradient(c, [a, b])
    assert_close(da, b.value**2, FLOAT64_GRADIENT)
    assert_close(db, 2 * a.value * b.value, FLOAT64_GRADIENT)


def test_a_tensor_used_many_times_gathers_all_gradients(rng):
    a = numbers(rng, 3)
    with GradientTape() as tape:
        power = a
        for _ in range(4):
            power = multiply(power, a)
    (da,) = tape.gradient(power, [a])
    assert_close(da, 5 * a.value**4, FLOAT64_GRADIENT)


def test_unused_outputs_and_sources(rng):
    a, b = numbers(rng, 6), numbers(rng, 3)
    with GradientTape() as tape:
        low, high = split(a)
        c = multiply(high, high)
        multiply(low, b)
    da, db, dc, dhigh = tape.gradient(c, [a, b, c, high])
    assert_close(da, np.concatenate([np.zeros(3), 2 * high.value]), FLOAT64_GRADIENT)
    assert db is None
    assert_close(dc, np.ones(3), FLOAT64_GRADIENT)
    assert_close(dhigh, 2 * high.value, FLOAT64_GRADIENT)


def test_gradient_starts_from_the_given_one(rng):
    a, b = numbers(rng, 4), numbers(rng, 4)
    d = rng.standard_normal(4)
    with GradientTape() as tape:
        c = multiply(a, b)
    (da,) = tape.gradient(c, [a], d)
    assert_close(da, d * b.value, FLOAT64_GRADIENT)


def test_tape_serves_once_and_records_only_within_its_block(rng):
    a = numbers(rng, 2)
    assert not is_recording()
    with GradientTape() as tape:
        assert is_recording()
        b = multiply(a, a)
    assert not is_recording()
    multiply(a, a)
    assert len(tape._records) == 1
    tape.gradient(b, [a])
    with pytest.raises(RuntimeError, match="used already"):
        tape.gradient(b, [a])
    with pytest.raises(RuntimeError, match="nothing recorded"):
        GradientTape().gradient(b, [a])


def test_an_error_within_the_block_closes_the_tape(rng):
    with pytest.raises(KeyError), GradientTape():
        raise KeyError
    assert not is_recording()


def test_nested_tapes_record_both(rng):
    a, b = numbers(rng, 2), numbers(rng, 2)
    with GradientTape() as outer:
        c = multiply(a, b)
        with GradientTape() as inner:
            d = multiply(c, b)
        (dc,) = inner.gradient(d, [c])
    assert_close(dc, b.value, FLOAT64_GRADIENT)
    (da,) = outer.gradient(d, [a])
    assert_close(da, b.value**2, FLOAT64_GRADIENT)


def test_tapes_of_other_threads_see_nothing(rng):
    a = numbers(rng, 2)
    seen = []
    with GradientTape() as tape:
        thread = threading.Thread(target=lambda: seen.append((is_recording(), multiply(a, a))))
        thread.start()
        thread.join()
    assert not seen[0][0]
    assert not tape._records


def test_gradients_are_freed_as_they_are_used(rng):
    # A tensor's gradient is dropped once its computation is undone.
    alive = []

    def step(a):
        output = Tensor(a.value + 1)

        def backward(d):
            alive.append(d)
            return [d.copy()]

        record([a], [output], backward)
        return output

    a = numbers(rng, 3)
    with GradientTape() as tape:
        b = a
        for _ in range(5):
            b = step(b)
    (da,) = tape.gradient(b, [a])
    assert da.tolist() == [1, 1, 1]
    assert not tape._records


@pytest.mark.parametrize("cell", STRUCTURES)
def test_gradients_through_layers_match_central_differences(rng, cell):
    first = Recurrent(cell, 5, 3, return_sequences=True, dtype="float64", seed=1)
    second = Recurrent(
        cell, 4, 5, return_state=True, go_backwards=True, dtype="float64", seed=2, name="second"
    )
    dense = Dense(2, 4, dtype="float64", seed=3)
    x = rng.standard_normal((2, 6, 3))
    state = [Tensor(rng.standard_normal((2, 5))) for _ in first.cell.STATES]
    d = rng.standard_normal((2, 2))

    def run():
        y = first(x, initial_state=state)
        h, *final = second(y)
        return dense(final[-1]), h

    with GradientTape() as tape:
        output, _ = run()
    sources = [*first.variables, *second.variables, *dense.variables, *state]
    for source, gradient in zip(sources, tape.gradient(output, sources, d), strict=True):
        desired = numeric.gradient(lambda: np.sum(run()[0].value * d), source.value)
        assert_close(gradient, desired, NUMERIC_GRADIENT, repr(source))


def test_variable_is_a_copy_and_keeps_its_shape():
    values = np.arange(6.0).reshape(2, 3)
    variable = Variable(values.T, "layer/name")
    values[...] = 7
    assert variable.value.flags.c_contiguous
    assert variable.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
    variable.assign(np.ones((3, 2)))
    assert np.asarray(variable).sum() == 6
    with pytest.raises(ValueError, match=r"layer/name: expected shape \(3, 2\), got \(2, 3\)"):
        variable.assign(np.ones((2, 3)))
    assert "layer/name" in repr(variable)


def test_tensors_are_arrays_to_numpy():
    tensor = Tensor(np.arange(3, dtype=np.float32))
    assert np.asarray(tensor) is tensor.value
    assert np.array(tensor) is not tensor.value
    assert np.asarray(tensor, np.float64).dtype == np.float64
    assert (len(tensor), tensor.shape, tensor.dtype) == (3, (3,), np.float32)
    assert float(Tensor(np.float64(2.5)[...])) == 2.5
    y, _ = functional.linear(Tensor(np.ones((2, 3), np.float32)), np.ones((3, 1), np.float32))
    assert y.tolist() == [[3], [3]]
