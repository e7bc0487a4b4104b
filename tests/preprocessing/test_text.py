"""Reading, vocabulary, split and windows of text."""

import json
import sys

import numpy as np
import pytest

from fastrnn.preprocessing import text as preprocessing
from fastrnn.preprocessing.text import (
    MINIMUM_CHARACTERS,
    TextError,
    Vocabulary,
    Windows,
    fitting_batch,
    read_documentation,
    read_files,
    split,
)


def test_documentation_is_long_english_text():
    text = read_documentation()
    assert len(text) > 100_000
    assert " the " in text


def test_missing_documentation_asks_for_a_file(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(TextError, match="give a text file"):
        read_documentation()


def test_files_are_joined_with_line_ends_normalised(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree")
    (tmp_path / "b").write_text("vier — fünf", encoding="utf-8")
    assert read_files([tmp_path / "a", tmp_path / "b"]) == "one\ntwo\nthree\nvier — fünf"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"caf\xe9 noir", "byte 0xe9 at offset 3"),
        ("text".encode("utf-16"), "expected UTF-8"),
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "book.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TextError, match=message) as caught:
        read_files([path])
    assert str(path) in str(caught.value)


def test_folders_and_devices_are_refused(tmp_path):
    with pytest.raises(TextError, match="got a folder"):
        read_files([tmp_path])
    with pytest.raises(TextError, match="got a device"):
        read_files(["/dev/zero"])


@pytest.mark.parametrize("length", [MINIMUM_CHARACTERS, 1234, 100_000])
def test_split_is_contiguous_and_holds_out_a_tenth(length):
    text = "".join(chr(32 + i % 90) for i in range(length))
    training, validation = split(text)
    assert training + validation == text
    assert len(validation) == round(length / 10)


def test_split_refuses_short_text_and_impossible_fractions():
    with pytest.raises(TextError, match="too short"):
        split("x" * (MINIMUM_CHARACTERS - 1))
    for fraction in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="fraction"):
            split("x" * 1000, fraction=fraction)
    assert len(split("x" * 1000, fraction=1e-9)[1]) == 2


def test_vocabulary_round_trip_over_all_planes():
    text = "z\n a\0ß—漢😀\U0010ffffa"
    vocabulary = Vocabulary(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int32
    assert vocabulary.decode(ids) == text
    assert list(vocabulary.characters) == sorted(set(text))
    assert len(vocabulary) == len(set(text)) + 1
    assert ids.min() == 0
    assert ids.max() == vocabulary.unknown - 1


def test_other_characters_become_the_unknown_id():
    vocabulary = Vocabulary("bd")
    ids = vocabulary.encode("abcde\U0010ffff\udc80")
    assert ids.tolist() == [2, 0, 2, 1, 2, 2, 2]
    assert vocabulary.decode(ids) == "\ufffdb\ufffdd\ufffd\ufffd\ufffd"
    assert vocabulary.encode("").shape == (0,)


def test_vocabulary_survives_json():
    vocabulary = Vocabulary("the quick\n—😀")
    again = Vocabulary.from_list(json.loads(json.dumps(vocabulary.to_list())))
    assert again.characters == vocabulary.characters


@pytest.mark.parametrize(
    "damaged", [None, "abc", [], ["a", 1], ["ab"], ["b", "a"], ["a", "a"], ["\ud800"], {"a": 1}]
)
def test_damaged_vocabularies_are_refused(damaged):
    with pytest.raises(ValueError, match=r"vocabulary|surrogates"):
        Vocabulary.from_list(damaged)


def test_decode_refuses_ids_out_of_range():
    vocabulary = Vocabulary("ab")
    for ids in ([3], [-1], [[0]]):
        with pytest.raises(ValueError, match="ids"):
            vocabulary.decode(ids)


@pytest.mark.parametrize("count", [9, 10, 64, 65, 1000])
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("window", [1, 5, 2000])
def test_windows_follow_each_stream_without_a_gap(count, batch, window):
    tokens = np.arange(count, dtype=np.int32)
    windows = Windows(tokens, batch=batch, window=window)
    pairs = list(windows)
    assert len(pairs) == len(windows)
    for inputs, targets in pairs:
        assert inputs.shape == targets.shape
        assert inputs.shape[1] == batch
        assert 1 <= len(inputs) <= window
        for array in (inputs, targets):
            assert array.dtype == np.int32
            assert array.flags.c_contiguous
        np.testing.assert_array_equal(targets, inputs + 1)
    streams = np.concatenate([inputs for inputs, _ in pairs]).T
    # Read one after the other, the streams are the text, less the remainder.
    np.testing.assert_array_equal(streams.ravel(), tokens[: streams.size])
    assert streams.size == windows.characters
    assert count - 1 - streams.size == (count - 1) % batch


def test_windows_refuse_what_cannot_be_cut():
    tokens = np.arange(5, dtype=np.int32)
    for batch, window in ((5, 1), (0, 1), (1, 0)):
        with pytest.raises(ValueError, match="expected"):
            Windows(tokens, batch=batch, window=window)
    with pytest.raises(IndexError):
        Windows(tokens, batch=2, window=1)[2]


def test_batch_shrinks_until_every_stream_fills_a_window():
    assert fitting_batch(1_000_000, batch=64, window=64) == 64
    assert fitting_batch(641, batch=64, window=64) == 10
    assert fitting_batch(640, batch=64, window=64) == 9
    assert fitting_batch(20, batch=64, window=64) == 1


def test_reading_does_not_depend_on_the_order_of_topics(monkeypatch):
    from pydoc_data import topics

    text = preprocessing.read_documentation()
    monkeypatch.setattr(topics, "topics", dict(reversed(topics.topics.items())))
    assert preprocessing.read_documentation() == text
