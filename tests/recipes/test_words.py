"""Words: the schedule of the paper, streams that go on, perplexities."""

import numpy as np
import pytest

from fastrnn import random
from fastrnn.recipes import RecipeError, Words, words

NOUNS, VERBS = ("dog", "cat", "bird", "fish"), ("sees", "hears")
#: Nats a word of the sentences below: noun, verb, noun are drawn, "the", "the", "<eos>" follow.
ENTROPY = (2 * np.log(4) + np.log(2)) / 6


def sentences(count, rng):
    return "".join(
        f" the {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)} \n"
        for _ in range(count)
    )


@pytest.fixture
def folder(tmp_path, rng):
    for name, count in zip(words.NAMES, (700, 150, 150), strict=True):
        (tmp_path / name).write_text(sentences(count, rng))
    return tmp_path


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(words.SIZES, "small", words.Size(16, 10, 0.0, 0.3, 14, 8, 0.5, 5.0))


def test_the_schedules_of_the_paper():
    # Epochs from 1, and the learning rate of a loss that is summed over a window.
    expected = {
        "small": {1: 1, 4: 1, 5: 1 / 2, 6: 1 / 4, 13: 2.0**-9},
        "medium": {6: 1, 7: 1 / 1.2, 39: 1.2**-33},
        "large": {14: 1, 15: 1 / 1.15, 55: 1.15**-41},
    }
    for size, rates in expected.items():
        setting = words.SIZES[size]
        recipe = Words.__new__(Words)
        recipe.setting = setting
        for epoch, rate in rates.items():
            assert recipe.rate(epoch - 1) / setting.window == pytest.approx(rate)
        assert max(rates) == setting.epochs


def test_streams_go_on_from_window_to_window():
    ids = np.arange(20 * 33 + 5)
    streams = words.Streams(ids, 8)
    batches = list(streams)
    assert len(streams) == len(batches) == 4
    x, y = (np.concatenate(part, axis=1) for part in zip(*batches, strict=True))
    assert (y == x + 1).all()
    assert (np.diff(x, axis=1) == 1).all()
    assert (x[:, 0] == np.arange(20) * 33).all()


def test_it_comes_near_the_entropy_of_the_source(folder, tiny):
    random.set_seed(0)
    recipe = Words(folder)
    recipe.fit()
    found = {(s.who, s.what.split(",")[0]): s.value for s in recipe.evaluate().scores}
    assert np.exp(ENTROPY) * 0.97 < found["this model", "test"] < np.exp(ENTROPY) * 1.15
    ids = recipe.parts[2]
    p = (np.bincount(recipe.parts[0], minlength=len(recipe.vocabulary)) + 1) / (
        len(recipe.parts[0]) + len(recipe.vocabulary)
    )
    expected = np.exp(-np.mean(np.log(p[ids[1:]])))
    assert found["frequencies of words", "test"] == pytest.approx(expected)


def test_perplexity_is_that_of_one_run_over_the_text(folder, tiny):
    random.set_seed(0)
    recipe = Words(folder)
    ids = recipe.parts[1][:451]  # more than two pieces of the evaluation
    found = recipe._perplexity(ids)
    recipe.model.reset_states()
    logits = recipe.model.predict(ids[None, :-1], verbose=0)[0].astype(np.float64)
    recipe.model.reset_states()
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = np.exp(-log_p[np.arange(450), ids[1:]].mean())
    assert found == pytest.approx(expected, rel=1e-5)


def test_rare_words_are_one(tmp_path, tiny):
    path = tmp_path / "text"
    path.write_text("a a b\n" * 100 + "c\n")
    vocabulary = words.vocabulary(words.words_of(path), 3)
    assert vocabulary == {"a": 0, "<eos>": 1, "<unk>": 2}
    recipe = Words([path] * 3, limit=3)
    assert recipe.parts[0][:5].tolist() == [0, 0, 2, 1, 0]


def test_other_files_are_refused(tmp_path, folder):
    short = tmp_path / "short"
    short.write_text("too short")
    with pytest.raises(RecipeError, match="at least 401 words, got 3"):
        Words([short] * 3)
    with pytest.raises(RecipeError, match="or three text files"):
        Words([short])
    with pytest.raises(RecipeError, match="No such file"):
        Words([folder / "absent"] * 3)
    with pytest.raises(RecipeError, match="size: expected small, medium, large"):
        Words(folder, size="huge")
