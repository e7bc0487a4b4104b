"""The tape: chains of closures give the gradients of what they compute."""

import collections
import gc
import threading
import weakref

import numeric
import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, NUMERIC_GRADIENT, assert_close

from fastrnn import GradientTape, Tensor, Variable, functional, ops
from fastrnn.tape import RowGradients, constant, is_recording, is_watched, record


def multiply(a, b):
    """Product of two tensors, recorded."""
    output = Tensor(a.value * b.value)
    x, y = a.value, b.value
    record([a, b], [output], lambda d: [d * y, d * x], repeatable=True)
    return output


def halves(a):
    """First and second half of a tensor, recorded; a missing gradient is zero."""
    half = len(a.value) // 2
    low, high = Tensor(a.value[:half]), Tensor(a.value[half:])

    def backward(dlow, dhigh):
        return [np.concatenate([np.zeros(half) if d is None else d for d in (dlow, dhigh)])]

    record([a], [low, high], backward)
    return low, high


def linear(x, W):
    """Product of a tensor and a weight, recorded once as layers do."""
    y, backward = functional.linear(x.value, W.value)
    output = Tensor(y)
    record([x, W], [output], lambda d: backward(d)[:2])
    return output


def numbers(rng, *shape):
    return Tensor(rng.standard_normal(shape))


def records_of(tape):
    return tape._trace.records()


# What is computed


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
        low, high = halves(a)
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
    (da,) = tape.gradient(c, [a], output_gradients=d)
    assert_close(da, d * b.value, FLOAT64_GRADIENT)


def test_gradient_of_several_targets_is_that_of_their_sum(rng):
    a, b = numbers(rng, 4), numbers(rng, 4)
    d = rng.standard_normal((2, 4))
    with GradientTape() as tape:
        targets = [multiply(a, b), multiply(a, a)]
    da, db = tape.gradient(targets, (a, b), list(d))
    assert_close(da, d[0] * b.value + 2 * d[1] * a.value, FLOAT64_GRADIENT)
    assert_close(db, d[0] * a.value, FLOAT64_GRADIENT)


def test_gradients_have_the_structure_of_the_sources(rng):
    Pair = collections.namedtuple("Pair", "left right")
    a, b, c = (numbers(rng, 2) for _ in range(3))
    sources = {"x": [a, (b,)], "y": Pair(c, a)}
    with GradientTape() as tape:
        d = multiply(multiply(a, b), c)
    result = tape.gradient(d, sources)
    da = b.value * c.value
    assert_close(result["x"][0], da, FLOAT64_GRADIENT)
    assert_close(result["x"][1][0], a.value * c.value, FLOAT64_GRADIENT)
    assert isinstance(result["x"][1], tuple)
    assert isinstance(result["y"], Pair)
    assert_close(result["y"].left, a.value * b.value, FLOAT64_GRADIENT)
    assert_close(result["y"].right, da, FLOAT64_GRADIENT)


def test_one_source_has_one_gradient_and_a_generator_a_list(rng):
    a = numbers(rng, 2)
    with GradientTape(persistent=True) as tape:
        b = multiply(a, a)
    assert_close(tape.gradient(b, a), 2 * a.value, FLOAT64_GRADIENT)
    assert_close(tape.gradient(b, {"a": a}.values())[0], 2 * a.value, FLOAT64_GRADIENT)
    assert tape.gradient(b, []) == []


def test_sources_without_a_way_to_the_target_are_none_or_zero(rng):
    a, b = numbers(rng, 2), Variable(np.ones((3, 1), np.float32))
    with GradientTape(persistent=True) as tape:
        c = multiply(a, a)
    assert tape.gradient(c, b) is None
    zeros = tape.gradient(c, b, unconnected_gradients="zero")
    assert (zeros.shape, zeros.dtype, zeros.any()) == ((3, 1), np.float32, False)
    with pytest.raises(ValueError, match='^unconnected_gradients: expected "none" or "zero"'):
        tape.gradient(c, b, unconnected_gradients="nought")


def test_only_computations_between_source_and_target_are_undone(rng):
    a, b = numbers(rng, 2), numbers(rng, 2)
    undone = []

    def step(name, x):
        output = Tensor(x.value)

        def backward(d):
            undone.append(name)
            return [d]

        record([x], [output], backward)
        return output

    with GradientTape() as tape:
        below = step("below", a)
        above = multiply(step("between", below), step("aside", b))
        step("after", above)
    assert_close(tape.gradient(above, below), b.value, FLOAT64_GRADIENT)
    assert undone == ["between"]


def test_gradients_through_closures_of_the_engine_match_central_differences(rng):
    T, B, I, H = 2, 2, 2, 3
    W, R, b, K = (
        Variable(0.5 * rng.standard_normal(shape), name)
        for name, shape in {"W": (I, 4 * H), "R": (H, 4 * H), "b": (4 * H,), "K": (H, 2)}.items()
    )
    state = [Tensor(rng.standard_normal((B, H))) for _ in "hc"]
    x, d = Tensor(rng.standard_normal((T, B, I))), rng.standard_normal((T, B, 2))

    def run():
        y, _, backward = functional.rnn(
            "lstm", x.value, W.value, R.value, b.value, tuple(s.value for s in state)
        )

        def to_inputs(dy):
            g = backward(dy)
            return [g.x, g.W, g.R, g.b, *g.state]

        output = Tensor(y)
        record([x, W, R, b, *state], [output], to_inputs)
        return linear(output, K)

    with GradientTape() as tape:
        output = run()
    sources = [x, W, R, b, K, *state]
    for source, gradient in zip(sources, tape.gradient(output, sources, d), strict=True):
        start, way, distance = source.value.copy(), rng.standard_normal(source.shape), np.zeros(1)

        def objective(source=source, start=start, way=way, distance=distance):
            source.value[...] = start + distance * way
            return np.sum(run().value * d)

        desired = numeric.gradient(objective, distance)
        source.value[...] = start
        assert_close(np.sum(gradient * way)[None], desired, NUMERIC_GRADIENT, repr(source))


def test_gradients_take_the_dtype_of_what_they_belong_to(rng):
    a = Variable(rng.standard_normal(3).astype(np.float32))
    arrived = []

    def backward(d):
        arrived.append(d.dtype)
        return [d.astype(np.float64)]

    with GradientTape() as tape:
        b = Tensor(a.value.copy())
        record([a], [b], backward)
        c = Tensor(np.float64(b.value.sum()))
        record([b], [c], lambda d: [d * np.ones(3)])
    assert tape.gradient(c, a).dtype == np.float32
    assert arrived == [np.float32]


# What is watched


def test_what_tapes_watch(rng):
    made, weight = numbers(rng, 2), Variable(rng.standard_normal(2))
    frozen = Variable(rng.standard_normal(2), trainable=False)
    data = ops.convert_to_tensor(rng.standard_normal(2))
    assert not is_watched(made, weight)
    with GradientTape():
        product = multiply(data, frozen)
        assert [is_watched(x) for x in (made, weight, frozen, data, product, data.value)] == [
            True, True, False, False, False, False
        ]  # fmt: skip
        assert is_watched(data, weight)
        assert is_watched(multiply(product, weight))


def test_others_are_watched_when_asked_for(rng):
    data = [constant(rng.standard_normal(2)), Variable(rng.standard_normal(2), trainable=False)]
    with GradientTape() as tape:
        before = multiply(*data)
        tape.watch({"inputs": data})
        after = multiply(multiply(*data), before)
    d = tape.gradient(after, [*data, before])
    x, w = (tensor.value for tensor in data)
    assert_close(d[0], w * before.value, FLOAT64_GRADIENT)
    assert_close(d[1], x * before.value, FLOAT64_GRADIENT)
    assert d[2] is None


def test_a_tape_can_leave_variables_alone(rng):
    a, b = Variable(rng.standard_normal(2)), Variable(rng.standard_normal(2))
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(a)
        c = multiply(a, b)
    da, db = tape.gradient(c, [a, b])
    assert_close(da, b.value, FLOAT64_GRADIENT)
    assert db is None


@pytest.mark.parametrize("thing", [np.ones(2), 1.0, None, Tensor([1, 2])], ids=repr)
def test_only_tensors_of_floats_can_be_watched(thing):
    with pytest.raises(TypeError, match="^watch: expected"):
        GradientTape().watch(thing)


def test_of_a_tensor_recorded_twice_the_first_record_counts(rng):
    # As of tensors that are computed at each use, such as looked-up rows.
    weight, a, b = Variable(rng.standard_normal(3)), numbers(rng, 3), numbers(rng, 3)
    rows = Tensor(weight.value.copy())

    def read():
        record([weight], [rows], lambda d: [d], repeatable=True)
        return rows

    with GradientTape() as tape:
        first = multiply(read(), a)
        second = multiply(read(), b)
    gradient = tape.gradient([first, second], weight)
    assert_close(gradient, a.value + b.value, FLOAT64_GRADIENT)


def test_results_of_an_earlier_tape_are_constant_to_a_later_one(rng):
    a = numbers(rng, 2)
    with GradientTape():
        b = multiply(a, a)
    with GradientTape() as tape:
        assert not is_watched(b)
        c = multiply(a, b)
    da, db = tape.gradient(c, [a, b])
    assert_close(da, b.value, FLOAT64_GRADIENT)
    assert db is None


# When it records


def test_tape_serves_once_and_records_only_within_its_block(rng):
    a = numbers(rng, 2)
    assert not is_recording()
    with GradientTape() as tape:
        assert is_recording()
        b = multiply(a, a)
    assert not is_recording()
    c = multiply(a, a)
    assert len(records_of(tape)) == 1
    tape.gradient(b, [a])
    assert not records_of(tape)
    with pytest.raises(RuntimeError, match="used already"):
        tape.gradient(b, [a])
    assert GradientTape().gradient(c, [a]) == [None]


def test_a_persistent_tape_serves_often_and_a_closure_of_the_engine_once(rng):
    a, W = numbers(rng, 2, 3), Variable(rng.standard_normal((3, 2)))
    with GradientTape(persistent=True) as tape:
        b = multiply(a, a)
        c = linear(b, W)
    for _ in range(2):
        assert_close(tape.gradient(b, a), 2 * a.value, FLOAT64_GRADIENT)
    dW = tape.gradient(c, W)
    assert_close(dW, b.value.T @ np.ones((2, 2)), FLOAT64_GRADIENT)
    with pytest.raises(RuntimeError, match="differentiated already and overwrote"):
        tape.gradient(c, W)
    assert_close(tape.gradient(b, a), 2 * a.value, FLOAT64_GRADIENT)


def test_gradient_may_be_asked_for_within_the_block(rng):
    a = numbers(rng, 2)
    with GradientTape() as tape:
        b = multiply(a, a)
        assert_close(tape.gradient(b, a), 2 * a.value, FLOAT64_GRADIENT)
        assert not is_recording()
        multiply(a, a)
    assert not records_of(tape)
    with GradientTape(persistent=True) as tape:
        b = multiply(a, a)
        tape.gradient(b, a)
        c = multiply(b, a)
    assert_close(tape.gradient(c, a), 3 * a.value**2, FLOAT64_GRADIENT)


def test_recording_can_be_stopped_for_a_while(rng):
    a = numbers(rng, 2)
    with GradientTape() as tape:
        b = multiply(a, a)
        with tape.stop_recording():
            assert not is_recording()
            unseen = multiply(a, a)
        assert is_recording()
        c = multiply(b, unseen)
    assert_close(tape.gradient(c, a), 2 * a.value * unseen.value, FLOAT64_GRADIENT)


def test_a_reset_tape_starts_anew(rng):
    a = numbers(rng, 2)
    with GradientTape() as tape:
        b = multiply(a, a)
        tape.reset()
        c = multiply(a, b)
    assert_close(tape.gradient(c, a), b.value, FLOAT64_GRADIENT)
    tape.reset()
    with tape:
        c = multiply(a, a)
        with pytest.raises(RuntimeError, match="open already"):
            tape.__enter__()
    assert_close(tape.gradient(c, a), 2 * a.value, FLOAT64_GRADIENT)


def test_an_error_within_the_block_closes_the_tape():
    with pytest.raises(KeyError), GradientTape():
        raise KeyError
    assert not is_recording()


def test_nested_tapes_record_both(rng):
    a, b = numbers(rng, 2), numbers(rng, 2)
    with GradientTape() as outer:
        c = multiply(a, b)
        with GradientTape() as inner:
            inner.watch(c)
            d = multiply(c, b)
        (dc,) = inner.gradient(d, [c])
    assert_close(dc, b.value, FLOAT64_GRADIENT)
    (da,) = outer.gradient(d, [a])
    assert_close(da, b.value**2, FLOAT64_GRADIENT)


def test_two_tapes_share_closures_that_run_once(rng):
    a, W = numbers(rng, 2, 3), Variable(rng.standard_normal((3, 2)))
    with GradientTape() as outer, GradientTape() as inner:
        c = linear(a, W)
    inner.gradient(c, W)
    with pytest.raises(RuntimeError, match="differentiated already"):
        outer.gradient(c, W)


def test_tapes_of_other_threads_see_nothing(rng):
    a = numbers(rng, 2)
    seen = []
    with GradientTape() as tape:
        thread = threading.Thread(target=lambda: seen.append((is_recording(), multiply(a, a))))
        thread.start()
        thread.join()
    assert not seen[0][0]
    assert not records_of(tape)


def test_threads_with_tapes_of_their_own_share_weights(rng):
    weight = Variable(rng.standard_normal(4))
    inputs = rng.standard_normal((4, 4))
    results = [None] * 4
    ready = threading.Barrier(4)

    def work(i):
        ready.wait()
        for _ in range(50):
            with GradientTape() as tape:
                y = multiply(multiply(weight, constant(inputs[i])), weight)
            results[i] = tape.gradient(y, weight)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert_close(results[i], 2 * weight.value * inputs[i], FLOAT64_GRADIENT)


# What it keeps


class Saved:
    """What a closure keeps, with a weak reference to it."""

    def __init__(self):
        self.references = []

    def step(self, a):
        output, saved = Tensor(a.value + 1), np.ones(3)
        self.references.append(weakref.ref(saved))
        record([a], [output], lambda d: [d * saved])
        return output

    @property
    def alive(self):
        return [reference() is not None for reference in self.references]


@pytest.fixture
def counted():
    """Cycles must not be what frees memory: the collector rests."""
    gc.disable()
    yield Saved()
    gc.enable()


def test_what_nobody_can_ask_for_is_freed_at_once(rng, counted):
    a = numbers(rng, 3)
    with GradientTape() as tape:
        b = counted.step(a)
        c = counted.step(b)
        assert counted.alive == [True, True]
        del b
        assert counted.alive == [True, True]
        del c
        assert counted.alive == [False, False]
        kept = counted.step(a)
        assert tape.gradient(kept, a) is not None


def test_constants_are_not_recorded(rng, counted):
    with GradientTape() as tape:
        kept = counted.step(counted.step(constant(rng.standard_normal(3))))
        assert counted.alive == [False, False]
    assert tape.gradient(kept, numbers(rng, 3)) is None


def test_records_do_not_keep_arrays_alive(rng):
    a = numbers(rng, 3)
    with GradientTape() as tape:
        middle = Tensor(a.value + 1)
        record([a], [middle], lambda d: [d])
        output = Tensor(middle.value * 2)
        record([middle], [output], lambda d: [2 * d])
        array = weakref.ref(middle.value)
        del middle
        assert array() is None
    assert tape.gradient(output, a).tolist() == [2, 2, 2]


def test_saved_arrays_go_with_the_tape_or_the_gradient(rng, counted):
    a = numbers(rng, 3)
    with GradientTape() as tape:
        b = counted.step(counted.step(a))
    assert counted.alive == [True, True]
    del tape
    assert counted.alive == [False, False]
    with GradientTape() as tape:
        b = counted.step(counted.step(a))
        c = counted.step(a)
    tape.gradient(b, a)
    assert not any(counted.alive)
    assert len(b) + len(c) == 6


@pytest.mark.parametrize("repeatable", [False, True])
def test_gradients_are_freed_as_they_are_used(rng, counted, repeatable):
    a, alive = numbers(rng, 3), []

    def step(x):
        output, saved = Tensor(x.value + 1), np.ones(3)
        counted.references.append(weakref.ref(saved))

        def backward(d):
            alive.append(sum(counted.alive))
            return [d * saved]

        record([x], [output], backward, repeatable=repeatable)
        return output

    with GradientTape() as tape:
        b = a
        for _ in range(5):
            b = step(b)
    assert tape.gradient(b, a).tolist() == [1, 1, 1]
    # What runs and what is still to run; all that has run is gone.
    assert alive == [5, 4, 3, 2, 1]


def test_long_chains_neither_overflow_nor_linger(rng):
    a = numbers(rng, 1)
    for ask in (True, False):
        with GradientTape() as tape:
            b = a
            for _ in range(5000):
                b = multiply(b, a)
                b._value[...] = 1
        if ask:
            assert tape.gradient(b, a).shape == (1,)
        del b
        assert not records_of(tape)
    with GradientTape() as tape:
        for _ in range(3000):
            multiply(a, a)
    assert len(tape._trace._nodes) < 3000


# Whose arrays


def test_gradients_are_never_added_into_arrays_of_others(rng):
    a, b = numbers(rng, 3), numbers(rng, 3)
    given = rng.standard_normal(3)
    returned = []

    def same(x):
        output = Tensor(x.value)

        def backward(d):
            returned.append((d, d.copy()))
            return [d]

        record([x], [output], backward)
        return output

    with GradientTape() as tape:
        c = ops.add(same(a), b)
        total = ops.add(ops.add(c, same(same(a))), ops.add(same(b), same(a)))
    before = given.copy()
    da, db = tape.gradient(total, [a, b], given)
    assert_close(da, 3 * given, FLOAT64_GRADIENT)
    assert_close(db, 2 * given, FLOAT64_GRADIENT)
    np.testing.assert_array_equal(given, before)
    for passed, copied in returned:
        np.testing.assert_array_equal(passed, copied)


def test_slices_are_not_added_into_arrays_of_others(rng):
    a, b, given = numbers(rng, 3), numbers(rng, 3), rng.standard_normal(3)
    before = given.copy()
    with GradientTape() as tape:
        part = a[1:]
        total = ops.add(a, b)
    da, db = tape.gradient([total, part], [a, b], [given, np.ones(2)])
    np.testing.assert_array_equal(da, before + np.array([0, 1, 1]))
    np.testing.assert_array_equal(db, before)
    np.testing.assert_array_equal(given, before)


def test_gradients_are_contiguous(rng):
    a = numbers(rng, 2, 3)
    with GradientTape() as tape:
        b = ops.transpose(ops.multiply(a, 2.0))
    gradient = tape.gradient(b, a, rng.standard_normal((3, 2)))
    assert gradient.flags.c_contiguous


def test_callers_own_the_gradients_they_get(rng):
    a, b, c = numbers(rng, 2, 3), numbers(rng, 3), numbers(rng, 3, 2)
    given = np.ones((2, 3))
    with GradientTape() as tape:
        total = ops.add(ops.add(a, b), ops.transpose(c))
    gradients = tape.gradient(total, [a, b, c, a], given)
    for i, gradient in enumerate(gradients):
        assert gradient.flags.c_contiguous
        assert gradient.flags.writeable
        assert not np.shares_memory(gradient, given)
        for other in gradients[:i]:
            assert not np.shares_memory(gradient, other)
    with GradientTape() as tape:
        total = ops.sum(a)
    gradient = tape.gradient(total, a)
    gradient += 1
    assert gradient.tolist() == [[2, 2, 2], [2, 2, 2]]


# Gradients of few rows


def looked_up(table, ids):
    """Rows of a table, recorded as an embedding does."""
    output, shape = Tensor(table.value[ids]), table.shape
    record([table], [output], lambda d: [RowGradients.from_ids(ids, d, shape)], repeatable=True)
    return output


def test_row_gradients_stand_for_a_table(rng):
    values = rng.standard_normal((2, 3))
    gradient = RowGradients([1, 4], values, (6, 3))
    dense = np.zeros((6, 3))
    dense[[1, 4]] = values
    assert (gradient.shape, gradient.ndim, gradient.dtype) == ((6, 3), 2, np.float64)
    np.testing.assert_array_equal(gradient.dense(), dense)
    np.testing.assert_array_equal(np.asarray(gradient), dense)
    np.testing.assert_array_equal((2 * gradient / 4).dense(), dense / 2)
    np.testing.assert_array_equal(gradient + dense, 2 * dense)
    np.testing.assert_array_equal(dense + gradient, 2 * dense)
    assert np.asarray(gradient, np.float32).dtype == np.float32
    assert not RowGradients([], np.zeros((0, 3)), (6, 3)).dense().any()
    assert "2 rows" in repr(gradient)


def test_row_gradients_of_ids_in_any_order(rng):
    ids, values = rng.integers(0, 7, (3, 4)), rng.standard_normal((3, 4, 2))
    dense = np.zeros((7, 2))
    np.add.at(dense, ids, values)
    gradient = RowGradients.from_ids(ids, values, (7, 2))
    np.testing.assert_array_equal(gradient.rows, np.unique(ids))
    assert_close(gradient.dense(), dense, FLOAT64_GRADIENT)
    both = gradient + RowGradients.from_ids([0, 6], values[0, :2], (7, 2))
    np.add.at(dense, [0, 6], values[0, :2])
    assert_close(both.dense(), dense, FLOAT64_GRADIENT)
    assert not RowGradients.from_ids(ids[:0], values[:0], (7, 2)).rows.size


@pytest.mark.parametrize(
    ("rows", "values", "message"),
    [
        ([2, 1], np.ones((2, 3)), "rows: expected sorted integers in 0..3, each once"),
        ([1, 1], np.ones((2, 3)), "rows: expected sorted integers"),
        ([-1, 1], np.ones((2, 3)), "rows: expected sorted integers"),
        ([1, 4], np.ones((2, 3)), "rows: expected sorted integers"),
        ([0.0, 1.0], np.ones((2, 3)), "rows: expected sorted integers"),
        ([[0, 1]], np.ones((2, 3)), "rows: expected sorted integers"),
        ([0, 1], np.ones((3, 3)), r"values: expected shape \(2, 3\), got \(3, 3\)"),
    ],
)
def test_wrong_row_gradients_are_named(rows, values, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        RowGradients(rows, values, (4, 3))
    with pytest.raises(ValueError, match=r"RowGradients: expected shape \(4, 3\), got \(5, 3\)"):
        RowGradients([1], np.ones((1, 3)), (4, 3)) + RowGradients([1], np.ones((1, 3)), (5, 3))


def test_a_table_that_is_only_looked_up_has_gradients_of_few_rows(rng):
    table = Variable(rng.standard_normal((9, 2)))
    first, second = np.array([3, 1, 3]), np.array([8, 1])
    d = rng.standard_normal((5, 2))
    with GradientTape(persistent=True) as tape:
        targets = [looked_up(table, first), looked_up(table, second)]
    for _ in range(2):
        gradient = tape.gradient(targets, table, [d[:3], d[3:]])
        assert isinstance(gradient, RowGradients)
        assert gradient.rows.tolist() == [1, 3, 8]
        dense = np.zeros((9, 2))
        np.add.at(dense, np.concatenate([first, second]), d)
        assert_close(gradient.dense(), dense, FLOAT64_GRADIENT)


@pytest.mark.parametrize("order", ["rows first", "rows last", "rows twice"])
def test_a_table_that_is_also_multiplied_has_a_dense_gradient(rng, order):
    table, x = Variable(rng.standard_normal((4, 2))), rng.standard_normal((3, 4))
    ids = np.array([2, 2])
    with GradientTape() as tape:
        targets = [looked_up(table, ids)] if order != "rows last" else []
        targets.append(x @ table)
        targets += [looked_up(table, ids)] if order != "rows first" else []
    gradient = tape.gradient(targets, table)
    dense = x.T @ np.ones((3, 2))
    dense[2] += 4 if order == "rows twice" else 2
    assert_close(gradient, dense, FLOAT64_GRADIENT)


def test_row_gradients_flow_on_as_arrays(rng):
    weight = Variable(rng.standard_normal((4, 2)))
    with GradientTape() as tape:
        rows = looked_up(ops.multiply(weight, 3.0), np.array([1, 1]))
    assert tape.gradient(rows, weight).tolist() == [[0, 0], [6, 6], [0, 0], [0, 0]]


# Bad input


def test_wrong_targets_and_sources_are_named(rng):
    a = numbers(rng, 2)
    with GradientTape(persistent=True) as tape:
        b = multiply(a, a)
    with pytest.raises(TypeError, match="^target: expected Tensors, got ndarray"):
        tape.gradient(b.value, a)
    with pytest.raises(TypeError, match="^sources: expected Tensors, got ndarray"):
        tape.gradient(b, [a.value])
    with pytest.raises(TypeError, match="^sources: expected Tensors, got ndarray"):
        tape.gradient(b, a.value)
    with pytest.raises(TypeError, match="^sources: expected Tensors, got str"):
        tape.gradient(b, [a, "b"])
    with pytest.raises(ValueError, match="^target: expected floats"):
        tape.gradient(Tensor([1, 2]), a)
    with pytest.raises(ValueError, match=r"^output_gradients: expected shape \(2,\).*got \(3,\)"):
        tape.gradient(b, a, np.ones(3))
    with pytest.raises(ValueError, match="^output_gradients: expected 2 for as many.*got 1"):
        tape.gradient([b, b], a, [np.ones(2)])


def test_what_operations_without_gradient_return_is_no_target(rng):
    a = numbers(rng, 2)
    with GradientTape(persistent=True) as tape:
        signs = ops.sign(a)
        places = ops.argmax(a)
        product = multiply(signs, a)
    with pytest.raises(ValueError, match="^target: .* was made by sign, without gradient"):
        tape.gradient(signs, a)
    with pytest.raises(ValueError, match="^target: .* was made by argmax"):
        tape.gradient([product, places], a)
    da, dsigns = tape.gradient(product, [a, signs])
    assert_close(da, signs.value, FLOAT64_GRADIENT)
    assert dsigns is None


def test_wrong_closures_are_named(rng):
    a = numbers(rng, 2)
    for wrong, message in (
        (lambda d: [d, d], "backward: expected 1 gradients, one for each input, got 2"),
        (lambda d: [np.ones(3)], r"gradient: expected shape \(2,\), got \(3,\)"),
    ):
        with GradientTape() as tape:
            b = Tensor(a.value)
            record([a], [b], wrong)
        with pytest.raises(ValueError, match=message):
            tape.gradient(b, a)
        assert not records_of(tape)
