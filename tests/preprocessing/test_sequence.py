"""Padding as Keras pads, and batches of nearly equal lengths."""

import itertools

import numpy as np
import pytest

from fastrnn.preprocessing.sequence import bucket_by_length, pad_sequences

RAGGED = [[1, 2, 3, 4], [], [5], [6, 7]]


def test_padding_and_truncating_on_either_side():
    assert pad_sequences(RAGGED, maxlen=2).tolist() == [[3, 4], [0, 0], [0, 5], [6, 7]]
    after = pad_sequences(RAGGED, maxlen=2, padding="post", truncating="post", value=-1)
    assert after.tolist() == [[1, 2], [-1, -1], [5, -1], [6, 7]]
    assert pad_sequences(RAGGED).shape == (4, 4)


@pytest.mark.parametrize("maxlen", [None, 1, 3, 6])
def test_every_option_gives_what_keras_gives(maxlen, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    vectors = [np.arange(2.0 * n).reshape(n, 2) for n in (3, 1, 5)]
    sides = ("pre", "post")
    for padding, truncating, dtype, value in itertools.product(
        sides, sides, ("int32", "float32", "float64"), (0.0, 2)
    ):
        options = {
            "maxlen": maxlen, "padding": padding, "truncating": truncating, "dtype": dtype,
            "value": value,
        }  # fmt: skip
        for sequences in (RAGGED, vectors, np.array(RAGGED, dtype=object)):
            ours = pad_sequences(sequences, **options)
            theirs = keras.utils.pad_sequences(sequences, **options)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_strings_are_padded_as_objects():
    padded = pad_sequences([["a"], ["b", "c"]], dtype=object, value="-")
    assert padded.tolist() == [["-", "a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("sequences", "options", "message"),
    [
        (7, {}, "sequences: expected a list"),
        ([1, 2], {}, r"sequences\[0\]"),
        ([[[1]], [[1, 2]]], {}, r"sequences\[1\]: expected elements of shape \(1,\)"),
        ([[1]], {"padding": "left"}, "padding: expected 'pre' or 'post'"),
        ([[1]], {"truncating": "right"}, "truncating: expected 'pre' or 'post'"),
        ([[1]], {"maxlen": -1}, "maxlen: expected an int"),
        ([[1]], {"value": "x"}, "value: expected a number"),
    ],
)
def test_padding_refuses_what_it_cannot_pad(sequences, options, message):
    with pytest.raises(ValueError, match=message):
        pad_sequences(sequences, **options)


def test_buckets_hold_each_sequence_once_and_waste_little(rng):
    lengths = rng.integers(1, 100, 1000)
    batches = bucket_by_length(lengths, 32, seed=3)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    assert sorted(map(len, batches))[1:] == [32] * 31
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.05 * lengths.sum()


def test_buckets_depend_on_the_seed_alone(rng):
    sequences = [[0] * n for n in rng.integers(1, 9, 50)]
    first, again, other = (bucket_by_length(sequences, 4, seed=s) for s in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True) if len(a) == len(b))


def test_buckets_without_a_seed_go_from_short_to_long():
    batches = bucket_by_length([[1, 1], [1], [1, 1, 1], [1]], 3)
    assert [batch.tolist() for batch in batches] == [[1, 3, 0], [2]]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 2, "window": 0}])
def test_buckets_refuse_sizes_below_one(options):
    with pytest.raises(ValueError, match="expected at least 1"):
        bucket_by_length([[1]], **options)
