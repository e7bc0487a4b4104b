"""Training without a tape: the numbers of a tape, and only where they are."""

import numpy as np
import pytest

from fastrnn import GradientTape, activations, layers, losses, ops, random
from fastrnn.activations import ACTIVATIONS
from fastrnn.callbacks import GradientFlow
from fastrnn.layers import (
    GRU,
    LSTM,
    RNN,
    Activation,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GRUCell,
    Input,
    SimpleRNN,
    SpatialDropout1D,
    TimeDistributed,
)
from fastrnn.models import Model, Sequential, learner

ROWS, STEPS, WORDS = 10, 7, 13


class Passes:
    """How many steps went straight; with `is_refused` none does."""

    def __init__(self, monkeypatch):
        self.count = 0
        self.is_refused = False
        is_line, make = learner.is_line, learner.Pass

        def counted(*arguments):
            self.count += 1
            return make(*arguments)

        monkeypatch.setattr(learner, "is_line", lambda line: not self.is_refused and is_line(line))
        monkeypatch.setattr(learner, "Pass", counted)


@pytest.fixture
def passes(monkeypatch):
    return Passes(monkeypatch)


def shared_cell():
    cell = GRUCell(4)
    return [Input((None, 4)), RNN(cell, return_sequences=True), RNN(cell), Dense(1)]


def frozen_table():
    table = Embedding(WORDS, 4)
    table.trainable = False
    return [table, LSTM(5), Dense(1)]


def frozen_top():
    top = Dense(3, activation="softmax")
    top.trainable = False
    return [Input((None, 4)), GRU(5), Dense(6, activation="tanh"), top]


def backwards():
    return GRU(4, return_sequences=True, go_backwards=True)


# Name: the layers, whether the input are words, the targets of a row, and the loss.
LINES = {
    "sentiment": (
        lambda: [
            Embedding(WORDS, 4),
            LSTM(5, dropout=0.2, recurrent_dropout=0.2),
            Dense(1, activation="sigmoid"),
        ],
        True, (1,), "binary_crossentropy",
    ),
    "more words than rows": (
        lambda: [Embedding(1000, 4), LSTM(5), Dense(1)], True, (1,),
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
    ),
    "two layers": (
        lambda: [
            Embedding(WORDS, 4), SimpleRNN(5, return_sequences=True, unroll=True, dropout=0.5),
            SimpleRNN(6, go_backwards=True), Dense(3),
        ],
        True, (), losses.SparseCategoricalCrossentropy(from_logits=True),
    ),
    "every step": (
        lambda: [
            Input((None, 4)), GRU(5, return_sequences=True), Dropout(0.5), Dense(6),
            Activation("relu"), Dense(3, activation="softmax"),
        ],
        False, (STEPS,), "sparse_categorical_crossentropy",
    ),
    "words dropped": (
        lambda: [Embedding(WORDS, 4), SpatialDropout1D(0.3), LSTM(5), Dense(1)],
        True, (1,), "mse",
    ),
    "backwards": (lambda: [Input((None, 4)), LSTM(5, go_backwards=True)], False, (5,), "huber"),
    "float64": (
        lambda: [
            Input((None, 4), dtype="float64"), GRU(5, dtype="float64"), Dense(2, dtype="float64")
        ],
        False, (2,), "mae",
    ),
    "shared cell": (shared_cell, False, (1,), "log_cosh"),
    "frozen table": (frozen_table, True, (1,), "mse"),
    "frozen top": (frozen_top, False, (), losses.SparseCategoricalCrossentropy()),
    "both ways": (
        lambda: [Embedding(WORDS, 4), Bidirectional(LSTM(5, dropout=0.2)), Dense(1)],
        True, (1,), "mse",
    ),
    "both ways at every step": (
        lambda: [
            Embedding(1000, 4), Bidirectional(GRU(5, return_sequences=True)),
            Bidirectional(SimpleRNN(3, return_sequences=True), backward_layer=backwards()),
            Dense(3),
        ],
        True, (STEPS,), losses.SparseCategoricalCrossentropy(from_logits=True),
    ),
    "both ways from numbers": (
        lambda: [Input((None, 4)), Dense(6), Bidirectional(GRU(5))], False, (10,), "mse"
    ),
    "cosine": (lambda: [Input((None, 4)), GRU(5), Dense(3)], False, (3,), "cosine_similarity"),
    "no weights below": (
        lambda: [Input((4,)), Dropout(0.2), Dense(3, use_bias=False)], None, (3,), "mse"
    ),
    "words alone": (lambda: [Embedding(WORDS, 4)], True, (STEPS, 4), "mse"),
    "CTC": (
        lambda: [Input((None, 4)), GRU(5, return_sequences=True), Dense(WORDS)],
        False, (3,), losses.CTC(),
    ),
}  # fmt: skip


def data(rng, is_words, shape, classes):
    if is_words:
        x = rng.integers(0, WORDS, (ROWS, STEPS))
    else:
        x = rng.normal(size=(ROWS, 4) if is_words is None else (ROWS, STEPS, 4))
    if classes:
        return x, rng.integers(1, classes, (ROWS, *shape))
    return x, rng.normal(size=(ROWS, *shape)) > 0


def trained(make, loss, x, y, **options):
    """A model after three epochs of two steps each, and its history."""
    random.set_seed(1)
    model = Sequential(make())
    model.compile(optimizer="adam", loss=loss)
    history = model.fit(x, y, batch_size=ROWS // 2, epochs=3, verbose=0, **options)
    return model, history.history


def assert_equal_with_a_tape(passes, make, loss, x, y, steps, **options):
    """Train both ways; `steps` of them go straight, and all bits are the same."""
    passes.count = 0
    straight, history = trained(make, loss, x, y, **options)
    assert passes.count == steps
    passes.is_refused = True
    taped, taped_history = trained(make, loss, x, y, **options)
    passes.is_refused = False
    assert passes.count == steps
    assert history == taped_history
    assert len(set(history["loss"])) == 3
    for weight, other in zip(straight.get_weights(), taped.get_weights(), strict=True):
        assert weight.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", LINES)
def test_weights_and_losses_equal_those_of_a_tape_bit_for_bit(name, passes, rng):
    make, is_words, shape, loss = LINES[name]
    is_sparse = "Sparse" in type(loss).__name__ or "sparse" in str(loss)
    x, y = data(rng, is_words, shape, 3 if is_sparse or name == "CTC" else 0)
    # The first step finds out what the loss consists of.
    assert_equal_with_a_tape(passes, make, loss, x, y, steps=5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_give_the_bits_of_a_tape(activation, passes, rng):
    def make():
        return [Input((4,)), Dense(8, activation=activation), Activation(activation)]

    steps = 5 if activations.on_arrays(ACTIVATIONS[activation]) is not None else 0
    # Far enough from zero for sigmoid(x) to overflow on its way.
    x = rng.normal(size=(ROWS, 4)) * (0.1 if activation == "exponential" else 100)
    y = rng.normal(size=(ROWS, 2 if activation == "glu" else 8))
    assert_equal_with_a_tape(passes, make, "mse", x, y, steps)


def test_activations_of_which_nothing_else_is_known_are_for_tensors_only():
    known = {name for name, each in ACTIVATIONS.items() if activations.on_arrays(each) is not None}
    assert known >= {"linear", "tanh", "sigmoid", "softmax", "relu", "elu", "silu"}
    for other in (ops.sign, ops.stop_gradient, ops.multiply, np.tanh, [], None):
        assert activations.on_arrays(other) is None


def zeros_backwards():
    return SimpleRNN(
        5, return_sequences=True, go_backwards=True, zero_output_for_mask=True, unroll=True
    )


# Layers behind masked words; those that give outputs at every step, and so hand on their mask.
MASKED = {
    "nothing": list,
    "head": lambda: [Dense(3, activation="sigmoid")],
    "every step": lambda: [
        LSTM(5, return_sequences=True, dropout=0.2, recurrent_dropout=0.2), Dropout(0.5), Dense(3)
    ],
    "backwards at every step": lambda: [GRU(5, return_sequences=True, go_backwards=True)],
    "zeros at every step": lambda: [zeros_backwards(), Activation("tanh")],
    "both ways at every step": lambda: [
        Bidirectional(GRU(5, return_sequences=True)),
        Bidirectional(LSTM(3, return_sequences=True), backward_layer=backwards()),
    ],
    "words dropped": lambda: [SpatialDropout1D(0.3), GRU(5, return_sequences=True)],
    "last output": lambda: [LSTM(5, dropout=0.2, recurrent_dropout=0.2)],
    "backwards": lambda: [GRU(5, go_backwards=True)],
    "zeros where masked": lambda: [SimpleRNN(5, zero_output_for_mask=True, unroll=True)],
    "both ways": lambda: [Bidirectional(LSTM(5, dropout=0.2)), Dense(1)],
    "two layers": lambda: [
        LSTM(5, return_sequences=True), GRU(4, return_sequences=True, go_backwards=True),
        SimpleRNN(3, dropout=0.5),
    ],
    "in a cell": lambda: [RNN(GRUCell(4)), Dense(3, activation="tanh")],
}  # fmt: skip


def masked(rng, padding):
    """Words of which some are 0."""
    x = rng.integers(0 if padding == "holes" else 1, WORDS, (ROWS, STEPS))
    lengths = rng.integers(0, STEPS + 1, ROWS)[:, None]
    if padding in ("right", "left"):
        given = np.arange(STEPS) if padding == "right" else np.arange(STEPS)[::-1]
        x[given >= lengths] = 0
    return x


@pytest.mark.parametrize("padding", ["none", "right", "left", "holes"])
@pytest.mark.parametrize("words", [WORDS, 1000])
@pytest.mark.parametrize("name", MASKED)
def test_masked_words_give_the_bits_of_a_tape(name, words, padding, passes, rng):
    x = masked(rng, padding)

    def make():
        return [Embedding(words, 4, mask_zero=True), *MASKED[name]()]

    shape = Sequential(make()).predict(x, verbose=0).shape
    y = rng.normal(size=shape)
    assert_equal_with_a_tape(passes, make, "mse", x, y, steps=5)
    weights = rng.uniform(size=shape[:-1])
    assert_equal_with_a_tape(passes, make, "mae", x, y, steps=5, sample_weight=weights)


@pytest.mark.parametrize("padding", ["none", "right", "holes"])
def test_metrics_see_the_mask(padding, passes, rng):
    x, y = masked(rng, padding), rng.integers(0, 3, (ROWS, STEPS))
    found = []
    for passes.is_refused in (False, True):
        random.set_seed(1)
        layers = [Embedding(WORDS, 4, mask_zero=True), GRU(5, return_sequences=True)]
        model = Sequential([*layers, Dense(3, activation="softmax")])
        loss = "sparse_categorical_crossentropy"
        model.compile("adam", loss, metrics=["accuracy"], weighted_metrics=["accuracy"])
        found.append(model.fit(x, y, batch_size=ROWS // 2, epochs=3, verbose=0).history)
    assert passes.count == 5
    assert found[0] == found[1]


class Unsupporting(Dense):
    """A head that hands on no mask."""

    supports_masking = False


def test_a_mask_that_ends_in_a_head_needs_a_tape_that_warns(passes, rng):
    x = masked(rng, "right")
    model = Sequential([Embedding(WORDS, 4, mask_zero=True), Unsupporting(1)])
    model.compile(optimizer="adam", loss="mse")
    with pytest.warns(UserWarning, match="does not support masking"):
        model.fit(x, np.zeros((ROWS, STEPS, 1)), epochs=2, verbose=0)
    assert passes.count == 0


class Unmasked(Embedding):
    """A table whose mask is one of its own."""

    def compute_mask(self, inputs, previous_mask=None):
        return np.asarray(inputs) != 1


def test_a_mask_of_ones_own_needs_a_tape(passes, rng):
    def make():
        return [Unmasked(WORDS, 4, mask_zero=True), LSTM(5), Dense(1)]

    x = rng.integers(0, WORDS, (ROWS, STEPS))
    assert_equal_with_a_tape(passes, make, "mse", x, rng.normal(size=(ROWS, 1)), steps=0)


def test_sample_weights_and_several_threads_change_nothing(passes, rng):
    make, is_words, shape, loss = LINES["sentiment"]
    x, y = data(rng, is_words, shape, 0)
    weights = rng.uniform(size=ROWS)
    assert_equal_with_a_tape(passes, make, loss, x, y, steps=5, sample_weight=weights)


def test_a_graph_in_a_line_goes_straight(passes, rng):
    def train(is_refused):
        passes.is_refused = is_refused
        random.set_seed(2)
        x = Input((STEPS, 4))
        model = Model(x, Dense(1)(LSTM(5)(x)))
        model.compile(optimizer="sgd", loss="mse")
        values = np.random.default_rng(3)
        inputs, targets = values.normal(size=(ROWS, STEPS, 4)), values.normal(size=(ROWS, 1))
        model.fit(inputs, targets, batch_size=ROWS // 2, epochs=2, verbose=0)
        with pytest.raises(ValueError, match=r"inputs: expected .* got \(5, 8, 4\)"):
            model.train_on_batch(rng.normal(size=(5, 8, 4)), np.ones((5, 1)))
        return model

    straight, taped = train(False), train(True)
    assert passes.count == 3
    for weight, other in zip(straight.get_weights(), taped.get_weights(), strict=True):
        assert weight.tobytes() == other.tobytes()


def test_gradient_flow_sees_the_norms_of_every_layer(passes, rng):
    make, is_words, shape, loss = LINES["two layers"]
    x, y = data(rng, is_words, shape, 3)
    norms = []
    for is_refused in (False, True):
        passes.is_refused = is_refused
        flow = GradientFlow(freq=1)
        trained(make, loss, x, y, callbacks=[flow])
        norms.append(flow.norms)
    assert passes.count == 5
    assert [len(each) for each in norms] == [2, 2]
    for straight, taped in zip(norms[0].values(), norms[1].values(), strict=True):
        assert len(straight) == 3
        np.testing.assert_array_equal(straight, taped)


class Own(LSTM):
    """A layer with a call of its own."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return super().call(sequences, initial_state, mask, training) * 2


class Watched(Sequential):
    """A model with a loss of its own."""

    def compute_loss(self, **arguments):
        return super().compute_loss(**arguments) * 3


def patched():
    layer = Dense(1)
    call = layer.call
    layer.call = lambda inputs: call(inputs) * 2
    return [Input((None, 4)), GRU(5), layer]


def own_tanh(x):
    return ops.tanh(x)


def two_dtypes():
    below = GRU(5)
    below.trainable = False
    return [Input((None, 4)), below, Dense(1, dtype="float64")]


BRANCHED = {
    "states kept": lambda: [Input((None, 4)), LSTM(5, stateful=True), Dense(1)],
    "own call": lambda: [Input((None, 4)), Own(5), Dense(1)],
    "call replaced": patched,
    "own activation": lambda: [
        Input((None, 4)),
        GRU(5),
        Dense(1, activation=own_tanh),
    ],
    "composed activation": lambda: [Input((None, 4)), GRU(5), Dense(1, activation="mish")],
    "own cell": lambda: [Input((None, 4)), GRU(5, activation="gelu"), Dense(1)],
    "regularizer": lambda: [Input((None, 4)), GRU(5), Dense(1, kernel_regularizer="l2")],
    "regularized output": lambda: [Input((None, 4)), GRU(5, activity_regularizer="l2"), Dense(1)],
    "both ways, summed": lambda: [Input((None, 4)), Bidirectional(GRU(3), "sum"), Dense(1)],
    "own call both ways": lambda: [Input((None, 4)), Bidirectional(Own(3)), Dense(1)],
    "stack": lambda: [Input((None, 4)), RNN([GRUCell(3), GRUCell(2)]), Dense(1)],
    "wrapper": lambda: [Input((None, 4)), TimeDistributed(Dense(2)), GRU(5), Dense(1)],
    "two dtypes": two_dtypes,
}


@pytest.mark.parametrize("name", BRANCHED)
def test_other_layers_use_a_tape_and_learn(name, passes, rng):
    x, y = data(rng, False, (1,), 0)
    _, history = trained(BRANCHED[name], "mse", x, y)
    assert passes.count == 0
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    "options",
    [
        {"loss": lambda y_true, y_pred: ops.mean(ops.square(y_pred - y_true), axis=-1)},
        {"loss": "mse", "loss_weights": 0.5},
    ],
    ids=["own loss", "weighted loss"],
)
def test_other_losses_use_a_tape(options, passes, rng):
    x, y = data(rng, False, (1,), 0)
    model = Sequential([Input((None, 4)), GRU(5), Dense(1)])
    model.compile(optimizer="adam", **options)
    model.fit(x, y, epochs=3, verbose=0)
    assert passes.count == 0


def test_a_model_with_a_loss_of_its_own_and_an_open_tape_use_a_tape(passes, rng):
    x, y = data(rng, False, (1,), 0)
    own = Watched([Input((None, 4)), GRU(5), Dense(1)])
    plain = Sequential([Input((None, 4)), GRU(5), Dense(1)])
    for model in (own, plain):
        model.compile(optimizer="adam", loss="mse")
    for _ in range(2):
        own.train_on_batch(x, y)
    with GradientTape():
        for _ in range(2):
            plain.train_on_batch(x, y)
    assert passes.count == 0
    plain.train_on_batch(x, y)
    assert passes.count == 1


def test_a_layer_changed_between_steps_is_heeded(passes, rng):
    x, y = data(rng, False, (1,), 0)
    model, _ = trained(lambda: [Input((None, 4)), GRU(5), Dense(1)], "mse", x, y)
    before = passes.count
    model.layers[-1].activation = own_tanh
    model.train_on_batch(x, y)
    assert passes.count == before
    model.layers[-1].activation = ops.tanh
    model.layers[0].trainable = False
    recurrent = model.layers[0].get_weights()
    model.train_on_batch(x, y)
    assert passes.count == before + 1
    for weight, other in zip(recurrent, model.layers[0].get_weights(), strict=True):
        assert weight.tobytes() == other.tobytes()


def test_bad_input_of_a_later_step_is_named(passes, rng):
    make, is_words, shape, loss = LINES["sentiment"]
    x, y = data(rng, is_words, shape, 0)
    model, _ = trained(make, loss, x, y)
    weights = model.get_weights()
    for wrong in (x + WORDS, x - WORDS):
        with pytest.raises(ValueError, match=r"ids: expected integers in 0\.\.12, got"):
            model.train_on_batch(wrong, y)
    with pytest.raises(ValueError, match="expected integers"):
        model.train_on_batch(x + 0.5, y)
    with pytest.raises(ValueError, match="y_true: expected"):
        model.train_on_batch(x, np.ones((3, 1)))
    dense = Sequential([Input((None, 4)), GRU(5), Dense(1)])
    dense.compile(optimizer="adam", loss="mse")
    rows = rng.normal(size=(ROWS, STEPS, 4))
    dense.train_on_batch(rows, y)
    for wrong in (rows[..., :3], rows[0]):
        with pytest.raises(ValueError, match="expected an input of shape"):
            dense.train_on_batch(wrong, y)
    with pytest.raises(TypeError, match="expected numbers, got"):
        dense.train_on_batch(rows.astype(complex), y)
    assert passes.count > 5
    for weight, other in zip(weights, model.get_weights(), strict=True):
        assert weight.tobytes() == other.tobytes()


def test_layers_that_go_straight_say_so():
    assert not layers.Layer().works_on_arrays
    with pytest.raises(NotImplementedError, match="on_arrays"):
        layers.Layer().on_arrays(np.ones(3), True)
