"""Cells called in a loop over time are run at once, and nobody can tell."""

import gc

import numpy as np
import pytest
from tolerances import FLOAT32_GRADIENT, FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, Variable, functional, layers, ops, optimizers
from fastrnn.layers import fused
from fastrnn.tape import PostponedTensor

CELLS = {
    "simple": layers.SimpleRNNCell,
    "lstm": layers.LSTMCell,
    "gru": layers.GRUCell,
}
SIZES = [(5, 3, 7, 17), (1, 1, 1, 1), (4, 1, 3, 33), (2, 17, 33, 3)]


@pytest.fixture
def runs(monkeypatch):
    """The lengths of all runs of a cell."""
    lengths = []

    def counted(cell, x, *args, **kwargs):
        lengths.append(len(x.ids if hasattr(x, "ids") else x))
        return functional.rnn(cell, x, *args, **kwargs)

    class Counting:
        rnn = staticmethod(counted)

        def __getattr__(self, name):
            return getattr(functional, name)

    monkeypatch.setattr(fused, "functional", Counting())
    return lengths


def built(kind, I, H, seed=0, **options):
    cell = CELLS[kind](H, seed=seed, **options)
    cell.build((None, I))
    draw = np.random.default_rng(seed).normal
    cell.set_weights([0.4 * draw(size=w.shape).astype(np.float32) for w in cell.get_weights()])
    return cell


def zeros(cell, B):
    return [np.zeros((B, size), np.float32) for size in cell.sizes]


def looked_at(outputs, states):
    """Have a step computed now."""
    np.asarray(outputs)
    return outputs, states


def as_it_is(outputs, states):
    return outputs, states


def gradients(compute, *sources):
    """Return a loss of random weights on what `compute` returns, and the gradients of it."""
    with GradientTape() as tape:
        outputs = compute()
        draw = np.random.default_rng(9).normal
        loss = 0.0
        for y in outputs:
            loss = loss + ops.sum(y * draw(size=y.shape).astype(np.float32))
    found = tape.gradient(loss, [*sources])
    return [np.asarray(y) for y in outputs], found


def same(one, other):
    for (ys, ds), tolerance in zip(
        zip(one, other, strict=True), (FLOAT32_OUTPUT, FLOAT32_GRADIENT), strict=False
    ):
        for y, d in zip(ys, ds, strict=True):
            assert (y is None) == (d is None)
            if y is not None:
                assert_close(np.asarray(y), np.asarray(d), tolerance)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("turn", [1, -1])
def test_a_loop_of_two_cells_is_two_runs(runs, rng, kind, sizes, turn):
    T, B, I, H = sizes
    below, above = built(kind, I, H), built(kind, H, H + 1, 1)
    x = Variable(rng.normal(size=(B, T, I)).astype(np.float32))
    start = [Variable(rng.normal(size=s.shape).astype(np.float32)) for s in zeros(below, B)]

    def compute(see):
        s0, s1 = start, zeros(above, B)
        for x_t in ops.unstack(x, axis=1)[::turn]:
            h0, s0 = see(*below(x_t, s0))
            h1, s1 = see(*above(h0, s1))
        return [h1, *s0, *s1]

    sources = [x, *start, *below.trainable_variables, *above.trainable_variables]
    at_once = gradients(lambda: compute(as_it_is), *sources)
    assert runs == [T, T]
    step_by_step = gradients(lambda: compute(looked_at), *sources)
    assert runs == [T, T] + 2 * T * [1]
    same(at_once, step_by_step)


@pytest.mark.parametrize("kind", CELLS)
def test_a_loop_equals_the_layer(rng, kind):
    T, B, I, H = 6, 3, 5, 17
    cell = built(kind, I, H)
    layer = layers.RNN(cell, return_sequences=True, return_state=True)
    x = Variable(rng.normal(size=(B, T, I)).astype(np.float32))

    def loop():
        states, outputs = zeros(cell, B), []
        for t in range(T):
            h, states = cell(x[:, t], states)
            outputs.append(h)
        return [ops.stack(outputs, axis=1), *states]

    sources = [x, *cell.trainable_variables]
    by_layer = gradients(lambda: list(layer(x)), *sources)
    same(gradients(loop, *sources), by_layer)


@pytest.mark.parametrize("is_computed", [False, True])
def test_arrays_and_computed_tensors_are_steps_too(runs, rng, is_computed):
    T, B, I, H = 5, 2, 3, 4
    cell, dense = built("lstm", I, H), layers.Dense(I)
    x = rng.normal(size=(T, B, I)).astype(np.float32)
    dense(x[0])
    found = []
    for see in (as_it_is, looked_at):

        def compute(see=see):
            buffer, states = np.empty((B, I), np.float32), zeros(cell, B)
            for t in range(T):
                buffer[...] = x[t]  # filled anew in every turn
                h, states = see(*cell(dense(x[t]) if is_computed else buffer, states))
            return [h, *states]

        sources = [*dense.trainable_variables, *cell.trainable_variables] if is_computed else []
        found.append(gradients(compute, *sources))
    assert runs == [T] + T * [1]
    same(*found)


def test_a_part_of_a_sequence_is_one_run(runs, rng):
    cell = built("gru", 3, 4)
    x = Variable(rng.normal(size=(2, 9, 3)).astype(np.float32))
    found = []
    for see in (as_it_is, looked_at):

        def compute(see=see):
            states = zeros(cell, 2)
            for t in (6, 5, 4, 3):
                h, states = see(*cell(x[:, t, :], states))
            return [h]

        found.append(gradients(compute, x, *cell.trainable_variables))
    assert runs == [4, 1, 1, 1, 1]
    same(*found)


def test_states_that_are_kept_have_their_own_values_and_gradients(runs, rng):
    T, B, I, H = 6, 3, 5, 7
    cell = built("lstm", I, H)
    x = Variable(rng.normal(size=(B, T, I)).astype(np.float32))
    for kept in ([], [2], [0, 1, 5], range(T)):
        found = []
        for see in (as_it_is, looked_at):

            def compute(see=see, kept=kept):
                states, seen = zeros(cell, B), []
                for t in range(T):
                    h, states = see(*cell(x[:, t], states))
                    seen += states if t in kept else []
                return [h, *seen]

            found.append(gradients(compute, x, *cell.trainable_variables))
        same(*found)
    assert runs[0] == T  # what nobody keeps does not cut the loop


def test_two_loops_of_one_cell_side_by_side(runs, rng):
    cell = built("simple", 3, 4)
    one, other = (Variable(rng.normal(size=(2, 5, 3)).astype(np.float32)) for _ in range(2))
    found = []
    for see in (as_it_is, looked_at):

        def compute(see=see):
            a = b = zeros(cell, 2)
            for x, y in zip(ops.unstack(one, axis=1), ops.unstack(other, axis=1), strict=True):
                h, a = see(*cell(x, a))
                g, b = see(*cell(y, b))
            return [h, g]

        found.append(gradients(compute, one, other, *cell.trainable_variables))
    assert runs == [5, 5] + 10 * [1]
    same(*found)


def test_outputs_that_are_the_next_inputs_are_run_one_by_one(runs, rng):
    below, above = built("gru", 4, 4), built("lstm", 4, 4, 1)
    x = Variable(rng.normal(size=(2, 4)).astype(np.float32))
    found = []
    for see in (as_it_is, looked_at):

        def compute(see=see):
            h, s0, s1 = x, zeros(below, 2), zeros(above, 2)
            for _ in range(400):  # more than Python's own limit of nested calls would allow
                h, s0 = see(*below(h, s0))
                h, s1 = see(*above(h, s1))
            return [h]

        found.append(gradients(compute, x, *below.trainable_variables))
    assert runs == 1600 * [1]
    same(*found)


def test_other_states_start_another_loop(runs, rng):
    cell = built("simple", 3, 4)
    x = Variable(rng.normal(size=(2, 6, 3)).astype(np.float32))
    found = []
    for see in (as_it_is, looked_at):

        def compute(see=see):
            states, outputs = zeros(cell, 2), []
            for t in range(6):
                if t == 4:
                    states = [2.0 * states[0]]
                h, states = see(*cell(x[:, t], states))
                outputs.append(h)
            return outputs

        found.append(gradients(compute, x, *cell.trainable_variables))
    assert runs == [4, 2] + 6 * [1]
    same(*found)


def test_a_state_alone_is_returned_alone(rng):
    cell = built("simple", 3, 4)
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    with GradientTape():
        state = many = np.zeros((2, 4), np.float32)
        many = [many]
        for x_t in ops.unstack(x, axis=1):
            h, state = cell(x_t, state)
            g, many = cell(x_t, states=many)
    assert h is state
    assert g is many[0]
    np.testing.assert_array_equal(np.asarray(h), np.asarray(g))


@pytest.mark.parametrize("change", ["assign", "set_weights", "optimizer"])
def test_weights_that_change_do_not_change_what_was_called_before(rng, change):
    cell = built("simple", 3, 4)
    x = Variable(rng.normal(size=(2, 5, 3)).astype(np.float32))
    with GradientTape(persistent=True):
        state = zeros(cell, 2)
        for x_t in ops.unstack(x, axis=1):
            h, state = cell(x_t, state)
        expected = np.zeros((2, 4))
        for t in range(5):
            W, R, b = (w.astype(np.float64) for w in cell.get_weights())
            expected = np.tanh(x.numpy()[:, t] @ W + expected @ R + b)
        assert h.is_waiting
        if change == "assign":
            cell.kernel.assign(0 * cell.kernel.numpy())
        elif change == "set_weights":
            cell.set_weights([0 * w for w in cell.get_weights()])
        else:
            ones = [np.ones(v.shape, v.dtype) for v in cell.trainable_variables]
            optimizers.SGD(1.0).apply(ones, cell.trainable_variables)
    assert_close(np.asarray(h), expected, FLOAT32_OUTPUT)


def test_dropout_is_that_of_the_calls(runs, rng):
    T, B, I, H = 6, 3, 20, 30
    cell = built("lstm", I, H, dropout=0.4, recurrent_dropout=0.3)
    x = Variable(rng.normal(size=(B, T, I)).astype(np.float32))
    found = []
    for see in (as_it_is, looked_at):
        cell._draws = 0
        cell.reset_dropout_mask()
        cell.reset_recurrent_dropout_mask()

        def compute(see=see):
            states = zeros(cell, B)
            for t in range(T):
                if t == 4:
                    cell.reset_dropout_mask()
                h, states = see(*cell(x[:, t], states, training=True))
            return [h, *states]

        found.append(gradients(compute, x, *cell.trainable_variables))
    assert runs == [4, 2] + 6 * [1]
    same(*found)


def test_wrong_arguments_are_refused_by_the_call(rng):
    cell = built("lstm", 3, 4)
    x = np.zeros((2, 3), np.float32)
    with GradientTape():
        h, states = cell(x, zeros(cell, 2))
        with pytest.raises(ValueError, match="3"):
            cell(np.zeros((2, 5), np.float32), states)
        with pytest.raises(ValueError, match="expected 2 states, got 1"):
            cell(x, states[:1])
        with pytest.raises(ValueError, match="state"):
            cell(x, [np.zeros((2, 4), np.float32), np.zeros((2, 5), np.float32)])
        with pytest.raises(TypeError, match="unexpected nonsense"):
            cell(x, states, nonsense=1)
    assert np.isfinite(np.asarray(h)).all()


def test_without_a_tape_or_a_layer_around_it_nothing_waits(rng):
    cell = built("gru", 3, 4)
    h, states = cell(np.ones((2, 3), np.float32), zeros(cell, 2))
    assert not isinstance(h, PostponedTensor)
    with GradientTape():
        h, states = cell(np.ones((2, 3), np.float32), zeros(cell, 2))
        assert h.is_waiting
        assert (h.shape, h.dtype, h.ndim) == ((2, 4), np.float32, 2)
    assert not h.is_waiting


class Looping(layers.Layer):
    def __init__(self):
        super().__init__()
        self.cell = layers.SimpleRNNCell(4)

    def call(self, x):
        state = [ops.zeros([x.shape[0], 4])]
        for x_t in ops.unstack(x, axis=1):
            h, state = self.cell(x_t, state)
        self.last = h
        return h


def test_a_layer_without_a_tape_leaves_nothing_waiting(runs, rng):
    layer = Looping()
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    layer(x)
    runs.clear()
    y = layer(x)
    assert runs == [5]
    assert y is layer.last and not y.is_waiting


def test_what_nobody_holds_is_not_computed(runs, rng):
    cell = built("simple", 3, 4)
    x = Variable(rng.normal(size=(2, 5, 3)).astype(np.float32))
    with GradientTape():
        state = zeros(cell, 2)
        for x_t in ops.unstack(x, axis=1):
            _, state = cell(x_t, state)
        del state, _
        gc.collect()
    assert runs == []


def test_a_slice_is_a_target_after_its_tape_is_closed(rng):
    x = Variable(rng.normal(size=(2, 5, 3)).astype(np.float32))
    with GradientTape() as tape:
        third = ops.unstack(x, axis=1)[2]
    expected = np.zeros((2, 5, 3), np.float32)
    expected[:, 2] = 1
    np.testing.assert_array_equal(tape.gradient(third, x), expected)


def test_an_error_in_a_layer_leaves_the_next_call_alone(rng):
    layer = Looping()
    x = rng.normal(size=(2, 5, 3)).astype(np.float32)
    expected = np.asarray(layer(x))

    class Failing(Looping):
        def call(self, x):
            super().call(x)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        Failing()(x)
    np.testing.assert_array_equal(np.asarray(layer(x)), expected)
