"""Simple recurrent cells called in a loop over the words, and the layers that they equal."""

import numpy as np
import pytest
from tolerances import FLOAT32_GRADIENT, FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, layers, losses, ops, optimizers, random
from fastrnn.data import Dataset
from fastrnn.datasets import imdb
from fastrnn.models import Model, Sequential
from fastrnn.preprocessing.sequence import pad_sequences

BATCH, WORDS, LENGTH, FEATURES = 64, 200, 20, 16


def test_an_embedding_is_a_trainable_table():
    x = np.random.default_rng(1).permutation(5)
    net = layers.Embedding(10, 4)
    y = net(x)
    assert (y.shape, y.dtype) == ((5, 4), np.float32)
    assert net.trainable
    (table,) = net.trainable_variables
    assert (table.name, table.shape) == (f"{net.name}/embeddings", (10, 4))
    np.testing.assert_array_equal(np.asarray(y), table.numpy()[x])


def test_a_cell_is_built_for_features_alone():
    cell = layers.SimpleRNNCell(3)
    cell.build(input_shape=(None, 4))
    kernel, recurrent_kernel, bias = cell.trainable_variables
    names = [v.name.split("/")[-1] for v in cell.trainable_variables]
    assert names == ["kernel", "recurrent_kernel", "bias"]
    assert [v.shape for v in (kernel, recurrent_kernel, bias)] == [(4, 3), (3, 3), (3,)]
    assert not bias.numpy().any()
    square = recurrent_kernel.numpy().astype(np.float64)
    assert_close((square.T @ square).astype(np.float32), np.eye(3), FLOAT32_OUTPUT)


def test_cells_on_top_of_each_other_return_outputs_and_states(rng):
    x = rng.normal(size=(4, 80, 100)).astype(np.float32)
    xt0 = x[:, 0, :]
    cell = layers.SimpleRNNCell(64)
    cell2 = layers.SimpleRNNCell(64)
    state0 = [ops.zeros([4, 64])]
    state1 = [ops.zeros([4, 64])]
    out0, state0 = cell(xt0, state0)
    out2, state2 = cell2(out0, state1)
    assert (out2.shape, state2[0].shape) == ((4, 64), (4, 64))
    # Of a simple cell the output is the state.
    np.testing.assert_array_equal(np.asarray(out2), np.asarray(state2[0]))
    below = np.tanh(xt0 @ cell.kernel.numpy().astype(np.float64))
    expected = np.tanh(below @ cell2.kernel.numpy().astype(np.float64))
    assert_close(np.asarray(out2), expected, FLOAT32_OUTPUT)


class MyRNN(Model):
    def __init__(self, units, dropout=0.2):
        super(MyRNN, self).__init__()  # noqa: UP008, as programs of that time say it
        self.state0 = [ops.zeros([BATCH, units])]
        self.state1 = [ops.zeros([BATCH, units])]
        self.embedding = layers.Embedding(WORDS, FEATURES, input_length=LENGTH)
        self.rnn_cell0 = layers.SimpleRNNCell(units, dropout=dropout)
        self.rnn_cell1 = layers.SimpleRNNCell(units, dropout=dropout)
        self.outlayer = layers.Dense(1)

    def call(self, inputs, training=None):
        x = inputs
        x = self.embedding(x)
        state0 = self.state0
        state1 = self.state1
        for word in ops.unstack(x, axis=1):
            out0, state0 = self.rnn_cell0(word, state0, training)
            out1, state1 = self.rnn_cell1(out0, state1)
        x = self.outlayer(out1)
        return ops.sigmoid(x)


def of_layers(units, dropout=0.5):
    return Sequential(
        [
            layers.Embedding(WORDS, FEATURES),
            layers.SimpleRNN(units, dropout=dropout, return_sequences=True, unroll=True),
            layers.SimpleRNN(units, dropout=dropout, unroll=True),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@pytest.fixture
def reviews(imdb_file):
    parts = imdb.load_data(num_words=WORDS)
    return [(pad_sequences(x, maxlen=LENGTH), y) for x, y in parts]


def test_the_program_learns_from_a_pipeline(reviews):
    (x_train, y_train), (x_test, y_test) = reviews
    db_train = Dataset.from_tensor_slices((x_train, y_train))
    db_train = db_train.shuffle(1000).batch(BATCH, drop_remainder=True)
    db_test = Dataset.from_tensor_slices((x_test, y_test))
    db_test = db_test.batch(BATCH, drop_remainder=True)
    assert {x.shape for x, _ in db_train} == {(BATCH, LENGTH)}

    model = MyRNN(units=32)
    model.compile(
        optimizer=optimizers.Adam(0.01), loss=losses.BinaryCrossentropy(), metrics=["accuracy"]
    )
    history = model.fit(db_train, epochs=3, validation_data=db_test, verbose=0).history
    loss, accuracy = model.evaluate(db_test, verbose=0)
    assert accuracy > 0.95
    assert loss < 0.35 * history["loss"][0]
    assert (loss, accuracy) == (history["val_loss"][-1], history["val_accuracy"][-1])
    shapes = [(v.name.split("/")[-1], v.shape) for v in model.trainable_variables]
    assert shapes == [
        ("embeddings", (WORDS, FEATURES)),
        ("kernel", (FEATURES, 32)),
        ("recurrent_kernel", (32, 32)),
        ("bias", (32,)),
        ("kernel", (32, 32)),
        ("recurrent_kernel", (32, 32)),
        ("bias", (32,)),
        ("kernel", (32, 1)),
        ("bias", (1,)),
    ]


def test_a_remainder_does_not_fit_states_of_a_whole_batch(reviews):
    (x, _), _ = reviews
    with pytest.raises(ValueError, match="state"):
        MyRNN(8).predict(x[: BATCH + 1], batch_size=BATCH, verbose=0)


def test_layers_equal_the_loop_over_cells(reviews, rng):
    (x, y), _ = reviews
    x, y = x[:BATCH], y[:BATCH, None]
    loop, stack = MyRNN(8, dropout=0.0), of_layers(8, dropout=0.0)
    loop(x), stack(x)
    stack.set_weights(loop.get_weights())
    criterion = losses.BinaryCrossentropy()
    found = []
    for model in (loop, stack):
        with GradientTape() as tape:
            outputs = model(x, training=True)
            loss = criterion(y, outputs)
        found.append((outputs, tape.gradient(loss, model.trainable_variables)))
    (by_cells, cell_gradients), (by_layers, layer_gradients) = found
    assert_close(np.asarray(by_layers), np.asarray(by_cells), FLOAT32_OUTPUT)
    for variable, one, other in zip(
        loop.trainable_variables, cell_gradients, layer_gradients, strict=True
    ):
        assert_close(np.asarray(other), np.asarray(one), FLOAT32_GRADIENT, variable.name)


def test_dropout_is_for_training_only(reviews):
    (x, _), _ = reviews
    x = x[:BATCH]
    for model in (MyRNN(8), of_layers(8)):
        plain = np.asarray(model(x))
        np.testing.assert_array_equal(np.asarray(model(x, training=False)), plain)
        assert np.abs(np.asarray(model(x, training=True)) - plain).max() > 1e-3


def clipped(gradients, threshold):
    """Algorithm 1: gradients whose common norm is above the threshold are scaled down to it."""
    norm = np.sqrt(sum(np.square(np.asarray(g, np.float64)).sum() for g in gradients))
    if norm >= threshold:
        gradients = [np.asarray(g) * np.float32(threshold / norm) for g in gradients]
    return norm, gradients


@pytest.mark.parametrize("threshold", [0.01, 1000.0])
def test_clipping_by_hand_is_what_the_optimizer_does(reviews, threshold):
    (x, y), _ = reviews
    x, y = x[:BATCH], y[:BATCH, None]
    criterion = losses.BinaryCrossentropy()
    found = []
    for is_by_hand in (True, False):
        random.set_seed(5)
        model = MyRNN(8, dropout=0.0)
        limit = None if is_by_hand else threshold
        optimizer = optimizers.SGD(0.5, global_clipnorm=limit)
        for _ in range(2):
            with GradientTape() as tape:
                logits = model(x)
                loss = criterion(y, logits)
            grads = tape.gradient(loss, model.trainable_variables)
            norm, scaled = clipped(grads, threshold)
            assert 0.01 < norm < 1000
            if is_by_hand:
                grads = scaled
                if threshold < norm:
                    assert clipped(grads, threshold)[0] == pytest.approx(threshold, rel=1e-6)
            optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        found.append(model.get_weights())
    for by_hand, by_optimizer in zip(*found, strict=True):
        assert_close(by_optimizer, by_hand, FLOAT32_GRADIENT)
