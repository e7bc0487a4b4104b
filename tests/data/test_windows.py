"""Windows of series, and batches of classes of one's own."""

import numpy as np
import pytest

from fastrnn import Sequential, layers, saving, utils
from fastrnn.data import PyDataset, timeseries_dataset_from_array


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_stride": 2, "sampling_rate": 3},
        {"batch_size": None},
        {"start_index": 3, "end_index": 17, "batch_size": 3},
        {"sequence_stride": 5},
    ],
)
@pytest.mark.parametrize("has_targets", [False, True])
def test_windows_are_those_of_keras(rng, options, has_targets):
    pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    data, targets = rng.standard_normal((20, 2)), rng.integers(0, 9, 20) if has_targets else None
    theirs, ours = (
        list(module.timeseries_dataset_from_array(data, targets, 4, **options))
        for module in (keras.utils, utils)
    )
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        pairs = zip(a, b, strict=True) if has_targets else [(a, b)]
        for one, other in pairs:
            np.testing.assert_array_equal(one, np.asarray(other))


def test_shuffled_windows_keep_their_targets():
    made = timeseries_dataset_from_array(
        np.arange(50), np.arange(50), 3, batch_size=7, shuffle=True, seed=1
    )
    passes = [np.concatenate([y for x, y in made if (x[:, 0] == y).all()]) for _ in range(2)]
    assert (passes[0] != passes[1]).any()
    for order in passes:
        np.testing.assert_array_equal(np.sort(order), np.arange(48))


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"sequence_length": 0}, "sequence_length"),
        ({"sequence_length": 3, "sampling_rate": 0}, "sampling_rate"),
        ({"sequence_length": 3, "start_index": -1}, "start_index"),
        ({"sequence_length": 3, "end_index": 11}, "end_index"),
        ({"sequence_length": 11}, "enough rows"),
    ],
)
def test_windows_that_cannot_be(options, fragment):
    with pytest.raises(ValueError, match=fragment):
        timeseries_dataset_from_array(np.arange(10), None, **options)


def test_a_class_of_ones_own_gives_the_batches(rng):
    x, y = rng.standard_normal((12, 3)).astype(np.float32), rng.standard_normal((12, 1))
    ends = []

    class Own(PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            rows = slice(4 * index, 4 * index + 4)
            return x[rows], y[rows]

        def on_epoch_end(self):
            ends.append(True)

    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(Own(), epochs=2, verbose=0)
    assert len(ends) == 2
    assert model.evaluate(Own(), verbose=0) == pytest.approx(
        model.evaluate(x, y, batch_size=4, verbose=0)
    )
    with pytest.raises(NotImplementedError, match="__len__"):
        len(PyDataset())


@pytest.mark.parametrize(
    ("x", "count"),
    [([0, 2, 1], None), ([[0], [3]], 5), ([[0, 1], [2, 2]], None), (3, None), ([1.0, 0.0], 2)],
)
def test_classes_as_vectors_are_those_of_keras(x, count):
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    np.testing.assert_array_equal(
        utils.to_categorical(x, count), keras.utils.to_categorical(x, count)
    )


@pytest.mark.parametrize(("x", "count"), [([-1, 0], None), ([3], 3), ([0.5], 2), ([], None)])
def test_classes_that_are_none(x, count):
    with pytest.raises(ValueError, match="x: expected"):
        utils.to_categorical(x, count)


def test_the_names_of_keras_are_ours():
    from fastrnn import random
    from fastrnn.preprocessing.sequence import pad_sequences

    assert utils.pad_sequences is pad_sequences
    assert utils.set_random_seed is random.set_seed
    assert utils.Sequence is PyDataset
    assert utils.register_keras_serializable is saving.register_keras_serializable
    utils.clear_session()
    assert [layers.LSTM(1).name, layers.LSTM(1).name] == ["lstm", "lstm_1"]
