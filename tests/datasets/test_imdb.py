"""Loading IMDB as Keras does, from a file that may be hostile."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from fastrnn.datasets import imdb, mnist


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A file like imdb.npz, with few and short reviews."""
    random = np.random.default_rng(5)
    arrays = {}
    for part, count in (("train", 40), ("test", 30)):
        x = np.empty(count, object)
        x[:] = [random.integers(1, 60, random.integers(2, 15)).tolist() for _ in range(count)]
        arrays |= {f"x_{part}": x, f"y_{part}": random.integers(0, 2, count)}
    path = tmp_path_factory.mktemp("data") / "imdb.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_words": 30},
        {"num_words": 20, "skip_top": 6, "oov_char": None},
        {"maxlen": 9, "seed": 7},
        {"start_char": None, "index_from": 0},
        {"start_char": 4, "oov_char": 5, "index_from": 6, "num_words": 50},
    ],
)
def test_reviews_are_those_of_keras(reviews, options, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    from keras.src.datasets import imdb as theirs

    monkeypatch.setattr(theirs, "get_file", lambda **_: str(reviews))
    for ours, wanted in zip(
        imdb.load_data(reviews, **options), theirs.load_data(**options), strict=True
    ):
        assert ours[0].tolist() == [list(review) for review in wanted[0]]
        assert ours[0].dtype == wanted[0].dtype == object
        np.testing.assert_array_equal(ours[1], wanted[1])
        assert ours[1].dtype == wanted[1].dtype


def test_reviews_lie_in_the_folder_of_keras(reviews, monkeypatch, tmp_path):
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "imdb.npz").write_bytes(reviews.read_bytes())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (x, y), _ = imdb.load_data(num_words=10)
    assert len(x) == len(y) == 40
    assert max(map(max, x)) < 10


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (imdb.load_data, "imdb.npz"),
        (imdb.get_word_index, "imdb_word_index.json"),
        (mnist.load_data, "mnist.npz"),
    ],
)
def test_a_missing_file_is_named_with_its_folder(load, name, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=rf"{name}: .*datasets.*`path`"):
        load()


def test_no_review_is_left(reviews):
    with pytest.raises(ValueError, match="maxlen: expected more"):
        imdb.load_data(reviews, maxlen=2)


def with_reviews(path, pickled, count=1):
    """Write an archive whose array x_train is this pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": (count,)}
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("x_train", "y_train", "x_test", "y_test"):
            archive.writestr(f"{name}.npy", header.getvalue() + pickled)
    return path


class Evil:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


def objects(items):
    array = np.empty(len(items), object)
    array[:] = items
    return array


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("hostile", [Evil(), objects([Evil()]), objects([[Evil()]])])
def test_a_hostile_pickle_is_refused_and_not_run(hostile, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = with_reviews(tmp_path / "evil.npz", pickle.dumps(hostile, protocol))
    with pytest.raises(ValueError, match=r"refused to load \w+\.mkdir"):
        imdb.load_data(path)
    assert not (tmp_path / "hacked").exists()


def test_a_dtype_that_lies_about_memory_never_reaches_numpy(tmp_path):
    # An array of objects whose elements are given as raw bytes: addresses of anything.
    pickled = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS'AAAAAAAA'\ntb."
    )
    with pytest.raises(ValueError, match="expected a pickled array of lists of ints"):
        imdb.load_data(with_reviews(tmp_path / "evil.npz", pickled))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (objects([["a"]]), "expected lists of ints"),
        (objects([{}]), "expected lists of ints"),
        (objects([[1], [2]]), "expected 1 sequences, got 2"),
        ([[1]], "expected a pickled array"),
    ],
)
def test_other_contents_are_refused(items, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        imdb.load_data(with_reviews(tmp_path / "odd.npz", pickle.dumps(items, 2)))


def test_damaged_files_are_named(reviews, tmp_path):
    path = tmp_path / "imdb.npz"
    content = reviews.read_bytes()
    for damaged in (b"", content[:1000], b"hello", content.replace(b"x_train", b"z_train")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="imdb.npz"):
            imdb.load_data(path)


def test_word_index(tmp_path):
    path = tmp_path / "index.json"
    path.write_text(json.dumps({"the": 1}))
    assert imdb.get_word_index(path) == {"the": 1}
    for damaged in ("{", "[1]", '{"the": "1"}'):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="index.json"):
            imdb.get_word_index(path)


def test_digits(tmp_path, rng):
    arrays = {
        "x_train": rng.integers(0, 256, (6, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 6, np.uint8),
        "x_test": rng.integers(0, 256, (3, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 3, np.uint8),
    }
    np.savez(tmp_path / "mnist.npz", **arrays)
    (x, y), (x_test, y_test) = mnist.load_data(tmp_path / "mnist.npz")
    for loaded, wanted in zip((x, y, x_test, y_test), arrays.values(), strict=True):
        assert loaded.dtype == np.uint8
        np.testing.assert_array_equal(loaded, wanted)
