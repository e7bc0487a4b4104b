"""Whether a sentence out of a review is positive or negative."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.data import LengthBatches
from fastrnn.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    GlobalAveragePooling1D,
    SpatialDropout1D,
)
from fastrnn.losses import BinaryCrossentropy
from fastrnn.models import Sequential
from fastrnn.optimizers import Adam
from fastrnn.recipes.recipe import Recipe, RecipeError, Report, Score, decode, read_bytes

Array = NDArray[Any]
Example = tuple[list[str], int]

CELLS = {"lstm": LSTM, "gru": GRU}
SPLIT_SEED = 0
PADDING, UNKNOWN = 0, 1
MINIMUM = 40
DOWNLOAD = "pip download --no-deps --no-binary :all: vaderSentiment==0.5"
_ARCHIVE, _TABLE = "hutto_ICWSM_2014.tar.gz", "movieReviewSnippets_GroundTruth.txt"
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|[!?.,;:]")


class Sentiment(Recipe):
    """Classify sentences with an embedding, a bidirectional layer and the mean of its outputs.

    Parameters
    ----------
    path : str or path
        Lines of a rating and a text with a tab between them, perhaps after a number and a tab: a
        text file, or the source package vaderSentiment 0.5, in which 10,605 rated sentences of
        movie reviews are (C. Hutto and E. Gilbert 2014; sentences of B. Pang and L. Lee 2005).
        The sign of the rating is the class; sentences rated 0 are left out.
    cell : "lstm" or "gru"
    embedding : int
        Length of a word's vector.
    units : int
        Hidden units of each direction.
    dropout : float
        Share of the numbers in front of, and behind, the recurrent layer that is 0 while learning.
    batch : int
        Sentences of a step.
    learning_rate : float

    Raises
    ------
    RecipeError
        If the file cannot be read, is no such one or too short, or an option is unknown.

    Notes
    -----
    The split is fixed: 15 % to test, 10 % to validate.  No vectors are read from anywhere.
    """

    epochs = 30
    patience = 4
    loss_label = "cross entropy in nats"

    def __init__(
        self,
        path: str | Path,
        *,
        cell: str = "lstm",
        embedding: int = 64,
        units: int = 64,
        dropout: float = 0.5,
        batch: int = 32,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise RecipeError(f"cell: expected {' or '.join(CELLS)}, got {cell!r}")
        self.path = Path(path)
        self.sources = [self.path]
        self.batch = batch
        self.training, self.validation, self.test = split(read(path))
        self.vocabulary = vocabulary([words for words, _ in self.training])
        self.model = Sequential(
            [
                Embedding(len(self.vocabulary) + 2, embedding, mask_zero=True),
                SpatialDropout1D(dropout),
                Bidirectional(CELLS[cell](units, return_sequences=True)),
                GlobalAveragePooling1D(),
                Dropout(dropout),
                Dense(1, activation="sigmoid"),
            ]
        )
        self.model(np.ones((1, 2), np.int32), training=False)
        self.model.compile(
            Adam(learning_rate, global_clipnorm=1.0), BinaryCrossentropy(), metrics=["accuracy"]
        )

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say before learning."""
        counts = [len(part) for part in (self.training, self.validation, self.test)]
        return [
            ("data", f"{self.path.name}: {sum(counts):,} sentences"),
            ("", "{:,} to train on, {:,} to validate, {:,} to test".format(*counts)),
            ("model", f"{len(self.vocabulary):,} words: {self.size()}"),
        ]

    def preprocessing(self) -> dict[str, Any]:
        """Return the words, of which the i-th has the index i + 2."""
        return {"padding": PADDING, "unknown": UNKNOWN, "words": list(self.vocabulary)}

    def encode(self, words: list[str]) -> NDArray[np.int32]:
        """Return indices (T,) of words."""
        return np.array([self.vocabulary.get(word, UNKNOWN) for word in words], np.int32)

    def batches(self) -> tuple[Any, Any]:
        """Return training and validation data."""
        return self._batches(self.training, True), self._batches(self.validation, False)

    def _batches(self, examples: list[Example], shuffle: bool) -> LengthBatches:
        return LengthBatches(
            [self.encode(words) for words, _ in examples],
            np.array([[label] for _, label in examples], np.float32),
            batch_size=self.batch if shuffle else 256, shuffle=shuffle,
        )  # fmt: skip

    def evaluate(self) -> Report:
        """Return the accuracy on the test sentences, and that of simpler rules."""
        batches = self._batches(self.test, False)
        positive = self.model.predict(batches, verbose=0)[:, 0][np.argsort(batches.order)]
        labels = np.array([label for _, label in self.test])
        what = f"{len(labels):,} test sentences"
        bayes = naive_bayes(self.training, [words for words, _ in self.test])
        common = int(np.mean([label for _, label in self.training]) >= 0.5)
        scores = [
            Score("accuracy", float(((positive > 0.5) == labels).mean()), "this model", what),
            Score("accuracy", float((bayes == labels).mean()), "naive Bayes on words", what),
            Score("accuracy", float((labels == common).mean()), "commonest class", what),
        ]
        order = np.argsort(positive)
        examples = [
            f"positive {positive[i]:.3f}  {' '.join(self.test[i][0])}"
            for i in [*order[-2:][::-1], *order[:2]]
        ]
        return Report(scores, examples, [self.curves()])


def words_of(text: str) -> list[str]:
    """Return the words and marks of a text, in small letters."""
    return _WORD.findall(text.lower().replace("''", '"'))


def read(path: str | Path) -> list[Example]:
    """Return words and class, 0 or 1, of each sentence.

    Raises
    ------
    RecipeError
        If the file is no such one.
    """
    text = decode(path, _unpacked(Path(path), read_bytes(path)))
    examples = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        *_, rating, sentence = ["", *line.split("\t")[-2:]]
        try:
            value = float(rating)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise RecipeError(
                f"{path}: line {number}: expected a rating, a tab and a text, got {line[:40]!r}"
            )
        words = words_of(sentence)
        if value and words:
            examples.append((words, int(value > 0)))
    if len(examples) < MINIMUM or len({label for _, label in examples}) < 2:
        raise RecipeError(
            f"{path}: expected at least {MINIMUM} rated texts of both signs, got {len(examples)}"
        )
    return examples


def _unpacked(path: Path, content: bytes) -> bytes:
    """Return the table of ratings out of archives, or `content` if it is none."""
    try:
        if content[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                name = next(n for n in archive.namelist() if n.endswith(_ARCHIVE))
                return _unpacked(path, archive.read(name))
        if content[:2] == b"\x1f\x8b":
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                names = archive.getnames()
                wanted = _ARCHIVE if any(n.endswith(_ARCHIVE) for n in names) else _TABLE
                name = next(n for n in names if n.endswith(f"/{wanted}"))
                member = archive.extractfile(name)
                if member is None:
                    raise StopIteration
                return _unpacked(path, member.read())
    except StopIteration as error:
        raise RecipeError(
            f"{path}: expected an archive with {_ARCHIVE} or {_TABLE} in it ({DOWNLOAD})"
        ) from error
    except (zipfile.BadZipFile, tarfile.TarError, OSError, EOFError) as error:
        raise RecipeError(f"{path}: a damaged archive: {error}") from error
    return content


def split(examples: list[Example]) -> tuple[list[Example], list[Example], list[Example]]:
    """Return the sentences to train on, to validate and to test; always the same ones."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(examples)).tolist()
    test = round(0.15 * len(order))
    validation = test + round(0.1 * len(order))
    shuffled = [examples[i] for i in order]
    return shuffled[validation:], shuffled[test:validation], shuffled[:test]


def vocabulary(texts: list[list[str]]) -> dict[str, int]:
    """Return the indices of words that occur twice, the commonest first."""
    counts = Counter(word for words in texts for word in words)
    kept = [word for word, count in counts.most_common() if count > 1]
    return {word: index for index, word in enumerate(kept, 2)}


def naive_bayes(training: list[Example], texts: list[list[str]]) -> Array:
    """Return the classes (N,) of texts by the frequencies of their words in each class."""
    counts = [Counter[str](), Counter[str]()]
    for words, label in training:
        counts[label].update(words)
    totals = [sum(count.values()) + len(counts[0] | counts[1]) for count in counts]
    prior = np.mean([label for _, label in training])
    start = np.log(prior / (1 - prior)) if 0 < prior < 1 else 0.0
    odds = [
        start
        + sum(
            np.log((counts[1][word] + 1) / totals[1]) - np.log((counts[0][word] + 1) / totals[0])
            for word in words
        )
        for words in texts
    ]
    return (np.array(odds) > 0).astype(int)
