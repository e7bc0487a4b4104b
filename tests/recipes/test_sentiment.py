"""Sentiment: the archives, the baseline, and whether the model learns."""

import io
import tarfile
import zipfile

import numpy as np
import pytest

from fastrnn import random
from fastrnn.recipes import RecipeError, Sentiment, sentiment


def table(count, rng):
    """Rated lines: "good" decides, unless "not" is before it."""
    lines = []
    for number in range(count):
        words = rng.choice(["a", "film", "story", "plot", "the"], 5).tolist()
        is_good = bool(rng.integers(2))
        words.insert(2, "good" if is_good else "bad")
        lines.append(f"{number}\t{1.5 if is_good else -0.25}\t{' '.join(words)}")
    return "\r\n".join(lines)


def tarred(name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zipped(name, content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("package/README.txt", "no")
        archive.writestr(name, content)
    return stream.getvalue()


def test_the_table_is_found_in_archives(tmp_path, rng):
    text = table(60, rng).encode()
    inner = tarred("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", text)
    contents = {
        "plain.txt": text,
        "inner.tar.gz": inner,
        "source.zip": zipped("package/additional_resources/hutto_ICWSM_2014.tar.gz", inner),
        "source.tar.gz": tarred("package/additional_resources/hutto_ICWSM_2014.tar.gz", inner),
    }
    found = []
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        found.append(sentiment.read(tmp_path / name))
    assert len(found[0]) == 60
    assert all(each == found[0] for each in found)
    assert all(label == ("good" in words) for words, label in found[0])


def test_words():
    assert sentiment.words_of("It's ''GOOD'', not bad!") == ["it's", "good", ",", "not", "bad", "!"]


def test_neutral_texts_are_left_out(tmp_path):
    path = tmp_path / "rated.tsv"
    path.write_text("1.0\tfine\n0\tso so\n-2\tpoor\n" * 30)
    assert len(sentiment.read(path)) == 60


def test_naive_bayes_against_counting():
    training = [(["good", "film"], 1), (["good"], 1), (["bad", "film"], 0)]
    odds = np.log(2) + np.log((2 + 1) / (3 + 3)) - np.log((0 + 1) / (2 + 3))  # of "good"
    assert odds > 0
    found = sentiment.naive_bayes(training, [["good"], ["bad", "bad", "bad"], ["unheard"]])
    assert found.tolist() == [1, 0, 1]


def test_it_learns_and_knows_which_answer_is_whose(tmp_path, rng):
    path = tmp_path / "rated.txt"
    path.write_text(table(240, rng))
    random.set_seed(0)
    recipe = Sentiment(path, units=8, embedding=8, dropout=0.1, learning_rate=2e-2)
    recipe.fit(epochs=6)
    report = recipe.evaluate()
    scores = {score.who: score.value for score in report.scores}
    assert scores["this model"] == 1.0
    assert scores["commonest class"] < 0.8
    assert "good" in report.examples[0]
    assert "bad" in report.examples[-1]
    assert recipe.encode(["good", "unheard"]).tolist() == [recipe.vocabulary["good"], 1]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"1\tfine\n" * 50, "both signs"),
        (b"1\tfine\n-1\tpoor\n", "at least 40"),
        (b"fine\n", "line 1: expected a rating"),
        (b"nan\tfine\n", "line 1"),
        (b"1\tcaf\xe9\n", "UTF-8"),
        (b"PK\x03\x04 and no archive", "damaged archive"),
        (b"\x1f\x8b and no archive", "damaged archive"),
        (zipped("other", b"x"), "hutto_ICWSM_2014"),
        (tarred("other", b"x"), "hutto_ICWSM_2014"),
    ],
    ids=[
        "too even", "too few", "no rating", "NaN", "Latin 1", "damaged ZIP", "damaged tar",
        "another ZIP", "another tar",
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, content, fragment):
    path = tmp_path / "other"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=fragment):
        Sentiment(path)


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="cell"):
        Sentiment(tmp_path / "any", cell="rnn")
