"""Reviews through an embedding and an LSTM, with everything TensorBoard can be asked for."""

import os

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn.callbacks import TensorBoard
from fastrnn.datasets import imdb
from fastrnn.layers import LSTM, Dense, Embedding
from fastrnn.models import Sequential
from fastrnn.preprocessing import sequence


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def scalars(accumulator, tag):
    from tensorboard.util.tensor_util import make_ndarray

    return [(e.step, float(make_ndarray(e.tensor_proto))) for e in accumulator.Tensors(tag)]


def test_the_program_learns_and_tensorboard_reads_all_it_wrote(imdb_file, home):
    pytest.importorskip("tensorboard")
    max_features = 200
    maxlen = 20  # cut texts after this number of words (among top max_features most common words)
    batch_size = 32
    tensorflow_logs_path = os.path.expanduser("~/Desktop/tensorflow_logs/RNN")

    (x_train, y_train), (x_test, y_test) = imdb.load_data(num_words=max_features)
    assert (len(x_train), len(x_test)) == (512, 128)
    x_train = sequence.pad_sequences(x_train, maxlen=maxlen)
    x_test = sequence.pad_sequences(x_test, maxlen=maxlen)
    assert x_train.shape == (512, maxlen)
    assert x_train.max() < max_features

    model = Sequential()
    model.add(Embedding(max_features, 128))
    model.add(LSTM(128, dropout=0.2, recurrent_dropout=0.2))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    try:  # noqa: SIM105, as programs of that time say it
        os.makedirs(tensorflow_logs_path)
    except OSError:
        pass
    history = model.fit(
        x_train,
        y_train,
        batch_size=batch_size,
        epochs=3,
        verbose=0,
        validation_data=(x_test, y_test),
        callbacks=[
            TensorBoard(
                log_dir=tensorflow_logs_path,
                write_graph=True,
                histogram_freq=1,
                write_grads=True,
                batch_size=10,
                write_images=True,
                embeddings_freq=1,
            )
        ],
    ).history
    score, acc = model.evaluate(x_test, y_test, batch_size=batch_size, verbose=0)

    # A review is a coin's throw, log 2, to who has learned nothing.
    assert acc > 0.95
    assert score < 0.35 * np.log(2)
    assert (score, acc) == (history["val_loss"][-1], history["val_accuracy"][-1])

    train, validation = (events(f"{tensorflow_logs_path}/{p}") for p in ("train", "validation"))
    assert train.Tags()["graph"]
    for accumulator, tag, name in (
        (train, "epoch_loss", "loss"),
        (train, "epoch_accuracy", "accuracy"),
        (validation, "epoch_loss", "val_loss"),
        (validation, "epoch_accuracy", "val_accuracy"),
    ):
        found = scalars(accumulator, tag)
        assert [step for step, _ in found] == [0, 1, 2]
        assert_close(np.float32([v for _, v in found]), np.array(history[name]), FLOAT32_OUTPUT)
    weights = {
        f"{layer.name}/{w.name.split('/')[-1]}" for layer in model.layers for w in layer.weights
    }
    assert len(weights) == 6
    for what in ("histogram", "gradient", "image"):
        for weight in weights:
            assert [e.step for e in train.Tensors(f"{weight}/{what}")] == [0, 1, 2], (weight, what)
    table = np.loadtxt(f"{tensorflow_logs_path}/{model.layers[0].name}.tsv", dtype=np.float32)
    assert_close(table, model.layers[0].embeddings.value, FLOAT32_OUTPUT)
