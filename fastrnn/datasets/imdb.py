"""IMDB: film reviews as word indices, and whether they praise (A. Maas et al., ACL 2011)."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.datasets import archive

Array = NDArray[Any]
Pair = tuple[Array, Array]


def load_data(
    path: str | os.PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> tuple[Pair, Pair]:
    """Load the reviews from a file that lies on this machine.

    A word's index is its rank by frequency plus `index_from`.

    Parameters
    ----------
    path : str or path
        Absolute, or within ~/.keras/datasets.
    num_words : int, optional
        Indices of at least this become `oov_char`; where not given, only the largest of all does.
    skip_top : int
        Indices below this become `oov_char`.
    maxlen : int, optional
        Reviews of so many indices and more are left out.
    seed : int
        Of the order of the reviews, which is the same as in Keras.
    start_char : int, optional
        Stands at the start of each review.
    oov_char : int, optional
        Stands for words that are cut out; where None, nothing stands there.
    index_from : int
        What is added to ranks.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays
        x (N,) of lists of ints, y (N,) of 0 and 1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or has anything else in it than numbers, or if `maxlen` leaves no
        review.
    """
    found = archive.find(path, "keras.datasets.imdb.load_data()")
    x_train, y_train, x_test, y_test = archive.read(
        found, ("x_train", "y_train", "x_test", "y_test")
    )
    random = np.random.RandomState(seed)
    parts = [
        _numbered(*_shuffled(x, y, random, found), start_char, index_from, maxlen)
        for x, y in ((x_train, y_train), (x_test, y_test))
    ]
    if not all(reviews for reviews, _ in parts):
        raise ValueError(f"maxlen: expected more, as no review has fewer than {maxlen} indices")
    limit = num_words or max(max(review, default=0) for x, _ in parts for review in x)
    train, test = (
        (_objects([_cut(review, skip_top, limit, oov_char) for review in reviews]), labels)
        for reviews, labels in parts
    )
    return train, test


def get_word_index(path: str | os.PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """Load the rank of each word by frequency, from 1.

    Parameters
    ----------
    path : str or path
        Absolute, or within ~/.keras/datasets.

    Returns
    -------
    dict

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged.
    """
    found = archive.find(path, "keras.datasets.imdb.get_word_index()")
    try:
        index = json.loads(found.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{found}: damaged, it is not JSON") from error
    if not isinstance(index, dict) or any(type(rank) is not int for rank in index.values()):
        raise ValueError(f"{found}: damaged, expected words and their ranks")
    return index


def _shuffled(x: Array, y: Array, random: np.random.RandomState, path: Any) -> Pair:
    if x.ndim != 1 or y.shape != x.shape:
        raise ValueError(f"{path}: damaged, it has {x.shape} reviews and {y.shape} labels")
    order = np.arange(len(x))
    random.shuffle(order)
    return x[order], y[order]


def _numbered(
    x: Array, y: Array, start_char: int | None, index_from: int, maxlen: int | None
) -> tuple[list[list[int]], Array]:
    """Return the reviews that are not too long, with their final indices, and their labels."""
    start = [] if start_char is None else [start_char]
    reviews = [start + [rank + (index_from or 0) for rank in review] for review in x]
    if maxlen:
        kept = [i for i, review in enumerate(reviews) if len(review) < maxlen]
        return [reviews[i] for i in kept], y[kept]
    return reviews, y


def _cut(review: list[int], skip_top: int, limit: int, oov_char: int | None) -> list[int]:
    if oov_char is None:
        return [index for index in review if skip_top <= index < limit]
    return [index if skip_top <= index < limit else oov_char for index in review]


def _objects(reviews: list[list[int]]) -> Array:
    array = np.empty(len(reviews), object)
    array[:] = reviews
    return array
