"""Event files, read back by TensorBoard's own reader."""

import struct
import zlib

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn import layers, random
from fastrnn.callbacks import TensorBoard
from fastrnn.callbacks.event_file import grey, png
from fastrnn.models import Model, Sequential

pytest.importorskip("tensorboard")


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def values(accumulator, tag):
    """(step, array) of each event of a tag."""
    from tensorboard.util import tensor_util

    return [
        (event.step, tensor_util.make_ndarray(event.tensor_proto))
        for event in accumulator.Tensors(tag)
    ]


def pixels(content):
    """Read a PNG file without filters."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colours = struct.unpack(">IIBB", content[16:26])
    assert (depth, colours) == (8, 0)
    start = content.index(b"IDAT") + 4
    (size,) = struct.unpack(">I", content[start - 8 : start - 4])
    rows = np.frombuffer(zlib.decompress(content[start : start + size]), np.uint8)
    return rows.reshape(height, width + 1)[:, 1:]


def classifier():
    random.set_seed(2)
    model = Sequential(
        [layers.Embedding(9, 3, name="words"), layers.LSTM(4, name="lstm"), layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


@pytest.fixture
def task(rng):
    return rng.integers(0, 9, (12, 5)), rng.normal(size=(12, 1)).astype(np.float32)


def test_an_older_program_gets_all_it_asked_for(task, tmp_path):
    x, y = task
    model = classifier()
    callback = TensorBoard(
        log_dir=tmp_path / "logs", write_graph=True, histogram_freq=1, write_grads=True,
        batch_size=10, write_images=True, embeddings_freq=1, embeddings_metadata="words.txt",
    )  # fmt: skip
    history = model.fit(
        x, y, epochs=2, batch_size=6, validation_data=(x, y), verbose=0, callbacks=[callback]
    ).history
    train, validation = read(tmp_path / "logs/train"), read(tmp_path / "logs/validation")
    for accumulator, tag, name in (
        (train, "epoch_loss", "loss"),
        (train, "epoch_mae", "mae"),
        (validation, "epoch_loss", "val_loss"),
    ):
        found = values(accumulator, tag)
        assert [step for step, _ in found] == [0, 1]
        assert_close(np.array([v for _, v in found]), np.array(history[name]), FLOAT32_OUTPUT)
    assert [s for s, _ in values(validation, "evaluation_loss_vs_iterations")] == [2, 4]

    kernel = model.get_layer("lstm").get_weights()[0]
    step, buckets = values(train, "lstm/kernel/histogram")[-1]
    assert step == 1
    assert buckets[:, 2].sum() == kernel.size  # left edge, right edge, count
    low, high = buckets[0, 0], buckets[-1, 1]
    assert low <= kernel.min() <= kernel.max() <= high
    gradient = values(train, "lstm/kernel/gradient")[-1][1]
    assert gradient[:, 2].sum() == kernel.size
    assert gradient[0, 0] < 0 < gradient[-1, 1]
    width, height, picture = values(train, "lstm/kernel/image")[-1][1]
    assert (int(width), int(height)) == (16, 3)
    np.testing.assert_array_equal(pixels(picture), grey(kernel))

    table = np.loadtxt(tmp_path / "logs/words.tsv", delimiter="\t")
    assert_close(
        table.astype(np.float32), model.get_layer("words").get_weights()[0], FLOAT32_OUTPUT
    )
    config = (tmp_path / "logs/projector_config.pbtxt").read_text()
    for part in ('tensor_path: "words.tsv"', 'metadata_path: "words.txt"'):
        assert part in config
    assert not model.keep_gradients


def test_the_graph_has_the_layers_and_what_connects_them(rng, tmp_path):
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    p, q = layers.Input((3,), name="p"), layers.Input((3,), name="q")
    model = Model([p, q], layers.Dense(1, name="end")(layers.Add(name="sum")([p, q])))
    model.compile("sgd", "mse")
    x = rng.normal(size=(4, 3))
    model.fit([x, x], np.ones((4, 1)), verbose=0, callbacks=[TensorBoard(tmp_path)])
    graph = GraphDef.FromString(read(tmp_path / "train")._graph)
    nodes = {node.name: (node.op, list(node.input)) for node in graph.node}
    assert nodes == {
        "p": ("InputLayer", []),
        "q": ("InputLayer", []),
        "sum": ("Add", ["p", "q"]),
        "end": ("Dense", ["sum"]),
    }


def test_losses_of_steps_and_speed_are_written_as_often_as_asked(task, tmp_path):
    x, y = task
    callback = TensorBoard(tmp_path, update_freq=2, write_steps_per_second=True, write_graph=False)
    classifier().fit(x, y, batch_size=2, epochs=2, verbose=0, callbacks=[callback])
    train = read(tmp_path / "train")
    assert [step for step, _ in values(train, "batch_loss")] == [2, 4, 6, 8, 10, 12]
    assert all(value > 0 for _, value in values(train, "batch_steps_per_second"))
    assert not (tmp_path / "validation").exists()


def test_rows_of_the_projector_may_be_outputs(task, tmp_path):
    x, y = task
    callback = TensorBoard(
        tmp_path, embeddings_freq=2, embeddings_data=x[:4], embeddings_layer_names=["words"]
    )
    model = classifier()
    model.fit(x, y, epochs=3, verbose=0, callbacks=[callback])
    assert np.loadtxt(tmp_path / "words.tsv").shape == (4, 5 * 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embeddings_freq": 1, "embeddings_layer_names": ["x"]}, "no embedding layer 'x'"),
        ({"embeddings_freq": 1, "embeddings_metadata": {"x": "f"}}, "no embedding layer 'x'"),
        ({"update_freq": "step"}, "update_freq: expected"),
        ({"profile_batch": 2}, "profile_batch: expected 0"),
        ({"histogram_freq": -1}, "histogram_freq: expected"),
    ],
)
def test_bad_arguments_are_named(task, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        callback = TensorBoard(tmp_path, **options)
        try:
            classifier().fit(*task, verbose=0, callbacks=[callback])
        finally:
            callback.on_train_end()


def test_pictures_show_what_they_are_given():
    picture = grey(np.array([[0.0, 1.0], [np.nan, 0.5]]))
    assert picture.tolist() == [[0, 255], [0, 127]]
    np.testing.assert_array_equal(pixels(png(picture)), picture)
    assert grey(np.full(3, 7.0)).tolist() == [[0, 0, 0]]
    with pytest.raises(ValueError, match=r"pixels: expected \(height, width\)"):
        png(np.zeros((2, 2)))
