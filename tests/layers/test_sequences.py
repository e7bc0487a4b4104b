"""Masks, states kept from call to call, dropout, and cells of one's own."""

import numpy as np
import pytest
from layers.recurrent_layers import B, H, I, T, make_layer, random_states
from structures import STRUCTURES, WITH_EXTRA
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, cells, layers, ops, reference
from fastrnn.layers import LSTM, Dense, Embedding, Recurrent
from fastrnn.layers.structure import leaves as flat


@pytest.fixture(params=[*STRUCTURES, *WITH_EXTRA])
def any_cell(request):
    return request.param


MASKS = {
    "right": [[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],
    "left": [[0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 0, 0, 1], [0, 1, 0, 1, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]],
}


@pytest.mark.parametrize("zero_output", [False, True], ids=["held", "zero"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("where", MASKS)
def test_masked_steps_are_passed_over(rng, any_cell, where, go_backwards, zero_output):
    mask = np.array(MASKS[where], bool)
    options = {"go_backwards": go_backwards, "return_state": True}
    layer = make_layer(any_cell, return_sequences=True, zero_output_for_mask=zero_output, **options)
    last = make_layer(any_cell, zero_output_for_mask=zero_output, **options)
    x, states = rng.standard_normal((B, T, I)), random_states(rng, layer)
    y, *final = layer(x, initial_state=states, mask=mask)
    np.testing.assert_array_equal(y.mask, mask)
    np.testing.assert_array_equal(last(x, initial_state=states, mask=mask)[0], y.value[:, -1])
    order = np.arange(T)[:: -1 if go_backwards else 1]
    for b in range(B):
        there = [t for t in order if mask[b, t]]
        own = [s[b : b + 1] for s in states]
        alone = np.zeros((1, 0, y.shape[2]))
        if there:
            alone, *own = make_layer(any_cell, return_sequences=True, return_state=True)(
                x[b : b + 1, there], initial_state=own
            )
        for s, wanted in zip(final, own, strict=True):
            assert_close(s.value[b : b + 1], np.asarray(wanted), FLOAT64_OUTPUT)
        alone, held, step = np.asarray(alone)[0], np.zeros(y.shape[2]), 0
        for place, t in enumerate(order):
            if mask[b, t]:
                held, step = alone[step], step + 1
            wanted = held if mask[b, t] or not zero_output else 0 * held
            assert_close(y.value[b, place], wanted, FLOAT64_OUTPUT)


@pytest.mark.parametrize("where", MASKS)
def test_looked_up_rows_with_a_mask_are_not_copied_out(rng, where):
    table = Embedding(9, I, dtype="float64")
    layer = make_layer("gru", return_sequences=True)
    ids, mask = rng.integers(0, 9, (B, T)), np.array(MASKS[where], bool)
    d = rng.standard_normal((B, T, H))
    with GradientTape() as tape:
        rows = table(ids)
        y = layer(rows, mask=mask)
    assert rows._rows is None
    lazily = tape.gradient(y, [table.embeddings, *layer.variables], d)
    with GradientTape() as tape:
        copied = Tensor(table(ids).value)
        y_copied = layer(copied, mask=mask)
    desired = tape.gradient(y_copied, [copied, *layer.variables], d)
    desired[0] = reference.embedding.backward(ids, 9, desired[0])
    assert_close(y, y_copied.value, FLOAT64_OUTPUT)
    for ours, wanted in zip(lazily, desired, strict=True):
        assert_close(ours, wanted, FLOAT64_GRADIENT)


def test_stateful_layers_go_on_where_they_ended(rng, any_cell):
    x = rng.standard_normal((B, T, I))
    whole = make_layer(any_cell, return_sequences=True)(x)
    layer = make_layer(any_cell, return_sequences=True, stateful=True)
    parts = [layer(x[:, :4]), layer(x[:, 4:])]
    assert_close(np.concatenate(parts, axis=1), whole.value, FLOAT64_OUTPUT)
    with pytest.raises(ValueError, match="expected an initial state of shape .*reset_states"):
        layer(x[:2])
    layer.reset_states()
    np.testing.assert_array_equal(layer(x[:, :4]), parts[0])
    layer.reset_states()
    assert not any(np.asarray(state).any() for state in flat(layer.states))
    assert_close(layer(x[:2, :4]), parts[0].value[:2], FLOAT64_OUTPUT)
    with pytest.raises(ValueError, match="expected an initial state of shape .*reset_states"):
        layer(x)


def test_freezing_one_weight_leaves_the_gradients_of_the_others(rng, any_cell):
    layer = make_layer(any_cell)
    x = Tensor(rng.standard_normal((B, T, I)))

    def gradients():
        with GradientTape() as tape:
            y = layer(x)
            total = ops.sum(y * y)
        return tape.gradient(total, layer.trainable_variables)

    desired = gradients()
    frozen = layer.trainable_variables[0]
    frozen.trainable = False
    actual = gradients()
    assert len(actual) == len(desired) - 1
    for ours, wanted in zip(actual, desired[1:], strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_dropout_is_the_same_in_all_steps_and_new_in_every_call(rng):
    x = np.ones((B, T, I))
    layer = layers.RNN(_Echo(0.5, seed=3), return_sequences=True, dtype="float64")
    first, second = (layer(x, training=True).value for _ in range(2))
    assert set(np.unique(first)) == {0, 2}
    assert (first == first[:, :1]).all()
    assert (first != second).any()
    np.testing.assert_array_equal(layer(x), x)
    for options in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}):
        layer, again = (make_layer("lstm", seed=3, **options) for _ in range(2))
        one, two = (layer(x, training=True).value for _ in range(2))
        assert (one != two).any()
        np.testing.assert_array_equal(again(x, training=True), one)
        np.testing.assert_array_equal(layer(x), make_layer("lstm")(x))


class _Echo(layers.Cell):
    """Returns its inputs."""

    def __init__(self, dropout, seed):
        super().__init__(I, dropout=dropout, seed=seed, dtype="float64")

    def formula(self, x, states, h):
        return [x]


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_dropout_of_whole_sequences_is_that_of_single_steps(rng, kind):
    options = {"dropout": 0.4, "recurrent_dropout": 0.4, "dtype": "float64", "seed": 5}
    layer = getattr(layers, kind)(H, return_sequences=True, **options)
    x = Tensor(rng.standard_normal((B, T, I)))
    layer.build(x.shape)
    cell = getattr(layers, f"{kind}Cell")(H, **options)
    cell.build((B, I))
    cell.set_weights(layer.get_weights())
    d = rng.standard_normal((B, T, H))
    with GradientTape() as tape:
        y = layer(x, training=True)
    gradients = tape.gradient(y, [x, *layer.variables], d)
    with GradientTape() as tape:
        states, outputs = cell.get_initial_state(B), []
        for t in range(T):
            output, states = cell(x[:, t], states, training=True)
            outputs.append(output)
        y_steps = ops.stack(outputs, axis=1)
    assert_close(y, y_steps.value, FLOAT64_OUTPUT)
    for ours, step in zip(gradients, tape.gradient(y_steps, [x, *cell.variables], d), strict=True):
        assert_close(ours, step, FLOAT64_GRADIENT)
    before = cell.get_dropout_mask(np.ones((B, I)))
    assert cell.get_dropout_mask(np.ones((B, I))) is before
    cell.reset_dropout_mask()
    assert (cell.get_dropout_mask(np.ones((B, I))) != before).any()


class Plain:
    """A cell that is no layer: a sum over time, and a count."""

    state_size = (I, 1)
    output_size = I

    def call(self, inputs, states):
        total = states[0] + inputs
        return total, [total, states[1] + 1.0]


@pytest.mark.parametrize("where", [None, *MASKS])
def test_cells_of_ones_own_run_step_by_step(rng, where):
    x = rng.standard_normal((B, T, I))
    mask = np.ones((B, T), bool) if where is None else np.array(MASKS[where], bool)
    layer = layers.RNN(Plain(), return_sequences=True, return_state=True, dtype="float64")
    source = Tensor(x)
    with GradientTape() as tape:
        y, total, count = layer(source, mask=None if where is None else mask)
    kept = np.where(mask[..., None], x, 0)
    assert_close(y, np.cumsum(kept, axis=1), FLOAT64_OUTPUT)
    assert_close(total, kept.sum(axis=1), FLOAT64_OUTPUT)
    np.testing.assert_array_equal(count.value[:, 0], mask.sum(axis=1))
    d = rng.standard_normal(y.shape)
    (dx,) = tape.gradient(y, [source], d)
    later = np.cumsum(d[:, ::-1], axis=1)[:, ::-1]
    assert_close(dx, np.where(mask[..., None], later, 0), FLOAT64_GRADIENT)


def test_cells_of_ones_own_may_be_stacked(rng):
    class Sum(layers.Layer):
        """A cell whose state is a list of one array, whatever is around it."""

        def __init__(self, units, **options):
            super().__init__(**options)
            self.state_size = units

        def build(self, input_shape):
            self.kernel = self.add_weight(shape=(input_shape[-1], self.state_size))

        def call(self, inputs, states):
            total = states[0] + ops.matmul(inputs, self.kernel)
            return total, [total]

    x = rng.standard_normal((B, T, I))
    cells = [Sum(2, dtype="float64"), Sum(H, dtype="float64")]
    layer = layers.RNN(cells, return_sequences=True, return_state=True, dtype="float64")
    y, first, second = layer(x)
    W, V = layer.get_weights()
    total = np.cumsum(x @ W, axis=1)
    assert_close(y, np.cumsum(total @ V, axis=1), FLOAT64_OUTPUT)
    assert_close(first, total[:, -1], FLOAT64_OUTPUT)
    assert_close(second, y.value[:, -1], FLOAT64_OUTPUT)
    mixed = layers.RNN([Sum(2, dtype="float64"), layers.LSTMCell(H, dtype="float64")])
    assert mixed(x).shape == (B, H)


def test_formulas_of_ones_own_run_on_the_engine(rng):
    @cells.cell
    class Leaky:
        GATES = ("n",)
        STATES = ("h",)

        def step(self, a, state):
            (a_n,), (h,) = a, state
            return (h + 0.5 * (a_n - h),)

    layer = Recurrent(Leaky(), H, return_sequences=True, dtype="float64")
    x = rng.standard_normal((B, T, I))
    y = layer(x).value
    W, R, b = layer.get_weights()
    h = np.zeros((B, H))
    for t in range(T):
        h = h + 0.5 * (x[:, t] @ W + h @ R + b - h)
        assert_close(y[:, t], h, FLOAT64_OUTPUT)


def test_things_that_are_no_cells_are_refused():
    with pytest.raises(ValueError, match="^cell: expected a cell"):
        layers.RNN(3)
    with pytest.raises(ValueError, match="^cell: expected one with a state_size"):
        layers.RNN(lambda x, s: (x, s))
    with pytest.raises(ValueError, match="^cells: expected at least one cell"):
        layers.RNN([])
    with pytest.raises(ValueError, match="^layer: expected a recurrent layer"):
        layers.Bidirectional(Dense(3))
    with pytest.raises(ValueError, match="^merge_mode: expected one of"):
        layers.Bidirectional(LSTM(3), merge_mode="max")
    with pytest.raises(ValueError, match="^backward_layer: expected another `go_backwards`"):
        layers.Bidirectional(LSTM(3), backward_layer=LSTM(3))


def test_directions_have_weights_of_their_own_and_share_a_cells_arguments():
    layer = layers.Bidirectional(layers.RNN([layers.LSTMCell(2), layers.GRUCell(3)]))
    layer.build((None, 4, 5))
    there, back = layer.forward_layer, layer.backward_layer
    assert len(layer.weights) == 12 == len({id(w) for w in layer.weights})
    assert there.cell is not back.cell
    assert back.go_backwards
    assert [w.shape for w in there.weights] == [w.shape for w in back.weights]
    names = [w.name for w in layers_of("both", layers.GRU(2, name="gru"))]
    assert names[0] == "both/forward_gru/gru_cell/kernel".replace(
        "gru_cell", names[0].split("/")[2]
    )
    assert names[3].startswith("both/backward_gru/")


def layers_of(name, layer):
    both = layers.Bidirectional(layer, name=name)
    both.build((None, 4, 5))
    return both.weights


def test_a_repeated_vector_feeds_a_recurrent_layer(rng):
    layer = make_layer("lstm", return_sequences=True)
    vector = Tensor(rng.standard_normal((B, I)))
    d = rng.standard_normal((B, T, H))
    with GradientTape() as tape:
        y = layer(layers.RepeatVector(T, dtype="float64")(vector))
    dvector, dW, *_ = tape.gradient(y, [vector, *layer.variables], d)
    copied = Tensor(np.repeat(vector.value[:, None], T, axis=1))
    with GradientTape() as tape:
        y_copied = layer(copied)
    dcopied, dW_copied, *_ = tape.gradient(y_copied, [copied, *layer.variables], d)
    np.testing.assert_array_equal(y, y_copied)
    assert_close(dvector, dcopied.sum(axis=1), FLOAT64_GRADIENT)
    assert_close(dW, dW_copied, FLOAT64_GRADIENT)


def test_masks_of_cells_in_a_loop_last_for_one_call_of_the_layer_around_them():
    class Loop(layers.Layer):
        def __init__(self):
            super().__init__()
            self.cell = layers.SimpleRNNCell(64, dropout=0.5, recurrent_dropout=0.5)
            self.masks = []

        def call(self, x):
            state = [np.zeros((2, 64), np.float32)]
            for t in range(3):
                out, state = self.cell(x[:, t], state)
                self.masks.append((self.cell._input_mask, self.cell._recurrent_mask))
            return out

    loop, x = Loop(), np.ones((2, 3, 64), np.float32)
    for _ in range(2):
        loop(x, training=True)
    first, _, last, other, *_ = loop.masks
    for a, b, c in zip(first, last, other, strict=True):
        assert a is b
        assert (a != c).any()
