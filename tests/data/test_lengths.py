"""Batches of unequal lengths: padded at the end, with masks."""

import numpy as np
import pytest

from fastrnn import random
from fastrnn.data import LengthBatches


def sequences(rng, count=40, features=None):
    shape = () if features is None else (features,)
    return [rng.normal(size=(n, *shape)) for n in rng.integers(1, 20, count)]


def test_batches_hold_every_sequence_once_with_its_mask_and_target(rng):
    x = sequences(rng, features=3)
    y, weight = np.arange(len(x)), np.arange(len(x)) / 10
    seen = []
    for padded, target, weights in LengthBatches(x, y, weight, batch_size=8, seed=1):
        assert padded.shape == (len(target), max(len(x[i]) for i in target), 3)
        for row, i in enumerate(target):
            length = len(x[i])
            if padded.mask is not None:
                assert padded.mask[row].tolist() == [t < length for t in range(padded.shape[1])]
            np.testing.assert_array_equal(padded.value[row, :length], x[i].astype(np.float32))
            assert not padded.value[row, length:].any()
            assert weights[row] == weight[i]
        seen += target.tolist()
    assert sorted(seen) == list(range(len(x)))


def test_batches_waste_little_and_count_themselves(rng):
    x = [np.zeros(n, int) for n in rng.integers(1, 100, 500)]
    batches = list(LengthBatches(x, batch_size=16, seed=0))
    assert len(batches) == len(LengthBatches(x, batch_size=16)) == 32
    assert sum(b.value.size for (b,) in batches) < 1.1 * sum(map(len, x))
    assert batches[0][0].dtype == np.int32


def test_every_iteration_differs_and_the_seed_fixes_them(rng):
    x = sequences(rng)

    def orders(seed):
        batches = LengthBatches(x, np.arange(len(x)), batch_size=4, seed=seed)
        return [[y.tolist() for _, y in batches] for _ in range(2)]

    first = orders(3)
    assert first == orders(3)
    assert first[0] != first[1]
    random.set_seed(1)
    seedless = orders(None)
    random.set_seed(1)
    assert orders(None) == seedless


def test_targets_of_steps_are_padded_too():
    (x, y), *_ = LengthBatches([[1, 2], [3]], [[0.5, 1.5], [2.5]], shuffle=False)
    assert x.value.tolist() == [[3, 0], [1, 2]]
    assert y.tolist() == [[2.5, 0.0], [0.5, 1.5]]
    assert x.mask.tolist() == [[True, False], [True, True]]


def test_unequal_numbers_of_rows_are_refused():
    with pytest.raises(ValueError, match="y: expected 2 rows as x, got 1"):
        LengthBatches([[1], [2]], [0])
    with pytest.raises(ValueError, match="sample_weight: expected 2 rows as x, got 3"):
        LengthBatches([[1], [2]], [0, 1], np.ones(3))
