"""What users give to `fit`, as batches."""

import numpy as np
import pytest

from fastrnn.data import Dataset
from fastrnn.data.feed import class_weights, feed, split

X, Y = np.arange(20).reshape(10, 2), np.arange(10)


def targets(batches):
    return [batch[1].tolist() for batch in batches]


def test_arrays_keep_their_order_and_the_last_batch_is_smaller():
    source = feed(X, Y, batch_size=4)
    assert source.size == 3
    assert targets(source.epoch(0)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_shuffled_rows_stay_together_and_follow_seed_and_epoch():
    def order(seed, epoch):
        source = feed({"x": X}, Y, Y / 2, batch_size=4, shuffle=True, seed=seed)
        rows = []
        for x, y, weight in source.epoch(epoch):
            np.testing.assert_array_equal(x["x"], X[y])
            np.testing.assert_array_equal(weight, y / 2)
            rows += y.tolist()
        return rows

    assert order(1, 0) == order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    assert sorted(order(1, 5)) == list(range(10))


def test_whole_batches_are_shuffled_on_request():
    batches = targets(feed(X, Y, batch_size=3, shuffle="batch", seed=2).epoch(0))
    assert sorted(batches) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert batches != sorted(batches)


def test_steps_go_on_where_the_epoch_before_stopped():
    source = feed(X, Y, batch_size=4)
    assert targets(source.epoch(0, 2)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert targets(source.epoch(1, 2)) == [[8, 9], [0, 1, 2, 3]]


def test_a_generator_that_runs_out_warns():
    source = feed((X[i : i + 5], Y[i : i + 5]) for i in (0, 5))
    assert len(list(source.epoch(0, 1))) == 1
    with pytest.warns(UserWarning, match="ran out of batches after 1 of 3 steps"):
        assert len(list(source.epoch(1, 3))) == 1


def test_objects_with_a_length_and_items_are_batches_too():
    class Batches:
        ended = 0

        def __len__(self):
            return 5

        def __getitem__(self, i):
            return X[i : i + 1], Y[i : i + 1]

        def on_epoch_end(self):
            self.ended += 1

    batches = Batches()
    assert targets(feed(batches).epoch(0)) == [[0], [1], [2], [3], [4]]
    shuffled = targets(feed(batches, shuffle=True, seed=2).epoch(0))
    assert sorted(shuffled) == [[0], [1], [2], [3], [4]] != shuffled
    assert batches.ended == 2


def test_datasets_and_lists_of_numbers_are_taken():
    data = Dataset.from_tensor_slices((X, Y)).batch(5)
    assert feed(data).size == 2
    assert targets(feed(data).epoch(0)) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    (x, y, _), *_ = feed([[1.0, 2.0], [3.0, 4.0]], [0, 1]).epoch(0)
    assert (x.shape, y.shape) == ((2, 2), (2,))


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, 2, 1], [1, 3, 0.5, 3]),
        ([[0.0], [2.0]], [1, 0.5]),
        ([[0, 1, 0], [0, 0, 1]], [3, 0.5]),
    ],
)
def test_class_weights_follow_the_class(y, expected):
    assert class_weights(np.array(y), {1: 3.0, 2: 0.5}).tolist() == expected


def test_class_weights_join_the_batches():
    source = feed(X, Y, batch_size=5, class_weight={9: 4.0})
    assert [batch[2].tolist() for batch in source.epoch(0)] == [[1] * 5, [1, 1, 1, 1, 4]]


def test_the_last_rows_are_split_off():
    (x, y, weight), (x_test, y_test, _) = split((X, Y, None), 0.25)
    assert (y.tolist(), y_test.tolist()) == (list(range(7)), [7, 8, 9])
    assert weight is None
    np.testing.assert_array_equal(x_test, X[7:])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: feed(X, Y[:5]), "equal numbers of rows"),
        (lambda: feed(X[:0], Y[:0]), "equal numbers of rows"),
        (lambda: feed(X, Y, batch_size=0), "batch_size: expected an int"),
        (lambda: feed(iter([]), Y), "y: expected None"),
        (lambda: feed(X, Y, np.ones(10), class_weight={1: 2}), "class_weight: expected None"),
        (lambda: feed([[1], [2, 3]]), "unequal lengths need"),
        (lambda: feed(np.array([[1], [2, 3]], object)), "unequal lengths need"),
        (lambda: list(feed(iter([(1, 2, 3, 4)])).epoch(0)), "got 4 parts"),
        (lambda: class_weights(np.ones((2, 3, 4)), {}), "class_weight: expected targets"),
        (lambda: class_weights(np.ones(2), [1, 2]), "class_weight: expected a dict of weights"),
        (lambda: split((X, Y, None), 1.5), "validation_split: expected a number"),
        (lambda: split((X, Y, None), 0.99), "validation_split: 0.99 of 10 rows"),
        (lambda: split((iter([]), None, None), 0.5), "validation_split: expected 0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_yields_nothing_is_refused():
    with pytest.raises(TypeError, match="x: expected arrays or batches, got int"):
        feed(3)
