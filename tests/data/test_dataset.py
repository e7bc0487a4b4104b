"""Lazy data sets: what tf.data programs of this kind do."""

import numpy as np
import pytest

from fastrnn import random
from fastrnn.data import AUTOTUNE, Dataset


def elements(data):
    return [np.asarray(element).tolist() for element in data]


def test_rows_of_a_structure_become_batches():
    x, y = np.arange(12).reshape(6, 2), np.arange(6)
    batches = list(Dataset.from_tensor_slices(({"a": x}, y)).batch(4))
    assert [batch[1].tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5]]
    np.testing.assert_array_equal(batches[1][0]["a"], x[4:])


@pytest.mark.parametrize(("drop", "count"), [(True, 2), (False, 3)])
def test_a_remainder_is_dropped_if_asked_for(drop, count):
    data = Dataset.range(7).batch(3, drop_remainder=drop)
    assert len(data) == data.cardinality() == count == len(list(data))


def test_map_takes_the_parts_of_a_tuple_and_filter_drops():
    data = Dataset.from_tensor_slices((np.arange(4), np.arange(4)))
    mapped = data.map(lambda x, y: x + 10 * y, num_parallel_calls=AUTOTUNE).prefetch(AUTOTUNE)
    assert elements(mapped) == [0, 11, 22, 33]
    assert elements(mapped.filter(lambda z: z % 2 == 0).batch(2)) == [[0, 22]]


def test_every_iteration_has_an_order_of_its_own_that_the_seed_fixes():
    def orders(**options):
        data = Dataset.range(50).shuffle(50, **options)
        return [elements(data) for _ in range(3)]

    first = orders(seed=4)
    assert first == orders(seed=4)
    assert first != orders(seed=5)
    assert len({tuple(order) for order in first}) == 3
    assert all(sorted(order) == list(range(50)) for order in first)
    same = orders(seed=4, reshuffle_each_iteration=False)
    assert same[0] == same[1] == same[2] != list(range(50))
    random.set_seed(9)
    seedless = orders()
    random.set_seed(9)
    assert orders() == seedless


def test_a_small_buffer_moves_elements_forward_by_less_than_its_size():
    order = elements(Dataset.range(100).shuffle(10, seed=0))
    assert sorted(order) == list(range(100)) != order
    assert all(value - position < 10 for position, value in enumerate(order))


def test_every_order_of_a_buffer_is_as_likely():
    data = Dataset.range(3).shuffle(2, seed=1)
    counts = {}
    for _ in range(2000):
        order = tuple(elements(data))
        counts[order] = counts.get(order, 0) + 1
    # The first of two, then of the rest: four orders of a quarter each.
    assert len(counts) == 4
    assert all(abs(count - 500) < 5 * np.sqrt(2000 * 0.25 * 0.75) for count in counts.values())


def test_take_skip_repeat_cache_and_unbatch():
    data = Dataset.range(5)
    assert elements(data.take(2)) == [0, 1]
    assert elements(data.skip(3).repeat(2)) == [3, 4, 3, 4]
    assert elements(data.repeat().take(7)) == [0, 1, 2, 3, 4, 0, 1]
    assert elements(data.batch(2).unbatch()) == [0, 1, 2, 3, 4]
    assert (len(data.take(9)), len(data.skip(9)), len(data.repeat(3))) == (5, 0, 15)
    made = []
    cached = data.map(lambda x: made.append(int(x)) or x).cache()
    assert elements(cached) == elements(cached) == made == [0, 1, 2, 3, 4]


def test_generators_are_called_at_each_iteration():
    data = Dataset.from_generator(lambda: ((np.full(2, i), i) for i in range(3))).batch(2)
    for _ in range(2):
        x, y = next(iter(data))
        assert x.tolist() == [[0, 0], [1, 1]]
        assert y.tolist() == [0, 1]
    with pytest.raises(TypeError, match="nobody knows"):
        len(data)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dataset.from_tensor_slices((np.ones(2), np.ones(3))), "equal numbers of rows"),
        (lambda: Dataset.from_tensor_slices(np.float32(1)), "equal numbers of rows"),
        (lambda: Dataset.range(3).batch(0), "batch_size: expected an int"),
        (lambda: Dataset.range(3).shuffle(0), "buffer_size: expected an int"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
