"""Music: the file, the figures against float64, and whether the model learns."""

import itertools

import numpy as np
import pytest

from fastrnn import random
from fastrnn.recipes import Music, RecipeError, music

scipy_io = pytest.importorskip("scipy.io")


def rolls(rng, lengths):
    """Pieces in which each frame moves the lit keys up by one."""
    pieces = []
    for length in lengths:
        start = rng.integers(0, 40)
        roll = np.zeros((length, 88), np.uint8)
        for t in range(length):
            roll[t, [start + t % 24, start + t % 24 + 7]] = 1
        pieces.append(roll)
    return pieces


def cells(pieces):
    table = np.empty((1, len(pieces)), object)
    table[0] = [*pieces]
    return table


@pytest.fixture
def path(tmp_path, rng):
    parts = {
        "traindata": rolls(rng, [20, 30, 25, 31, 28, 22]),
        "validdata": rolls(rng, [17, 24, 12]),
        "testdata": rolls(rng, [9, 21]),
    }
    path = tmp_path / "rolls.mat"
    scipy_io.savemat(path, {name: cells(pieces) for name, pieces in parts.items()})
    return path


def test_figures_are_sums_over_keys_and_means_over_frames(path):
    random.set_seed(0)
    recipe = Music(path, units=8, dropout=0.0, input_dropout=0.0)
    recipe.fit(epochs=2)
    scores = {(s.who, s.what): s.value for s in recipe.evaluate().scores}
    for part, what in ((1, "validation pieces"), (2, "test pieces")):
        total, frames = 0.0, 0
        for piece in recipe.parts[part]:
            logits = recipe.model.predict(piece[None, :-1], verbose=0)[0].astype(np.float64)
            p = 1 / (1 + np.exp(-logits))
            total -= np.log(np.where(piece[1:] == 1, p, 1 - p)).sum()
            frames += len(piece) - 1
        assert scores["this model", what] == pytest.approx(total / frames, rel=1e-6)
    # What decides about the best epoch is the same figure, of padded pieces of unequal lengths.
    best = min(recipe.history["val_loss"])
    assert scores["this model", "validation pieces"] == pytest.approx(best, rel=1e-5)


def test_baselines_against_counting(path):
    training, _, test = ([np.float64(p) for p in part] for part in music.read(path))
    frames = np.concatenate(training)
    total, conditional, count = 0.0, 0.0, 0
    for piece in test:
        for before, now in itertools.pairwise(piece):
            count += 1
            for key in range(88):
                p = (frames[:, key].sum() + 0.5) / (len(frames) + 1)
                total -= np.log(p if now[key] else 1 - p)
                after = np.concatenate([q[1:, key][q[:-1, key] == before[key]] for q in training])
                p = (after.sum() + 0.5) / (len(after) + 1)
                conditional -= np.log(p if now[key] else 1 - p)
    assert music.frequencies_loss(training, test) == pytest.approx(total / count)
    assert music.repetition_loss(training, test) == pytest.approx(conditional / count)


def test_it_learns(path):
    random.set_seed(0)
    recipe = Music(path, units=32, dropout=0.0, input_dropout=0.0, batch=2, learning_rate=1e-2)
    recipe.fit(epochs=60)
    scores = {s.who: s.value for s in recipe.evaluate().scores if s.what == "test pieces"}
    assert scores["this model"] < scores["frequencies of the keys"]


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ({"traindata": cells([np.ones((4, 88))])}, "it has no validdata"),
        ({"traindata": cells([np.ones((4, 87))])}, r"arrays \(T, 88\)"),
        ({"traindata": cells([np.ones((1, 88))])}, "at least 2 frames"),
        ({"traindata": cells([np.full((4, 88), 2.0)])}, "numbers 0 and 1"),
        ({"traindata": np.array(["a"])}, r"arrays \(T, 88\)"),
    ],
)
def test_other_files_are_refused(tmp_path, content, fragment):
    path = tmp_path / "other.mat"
    scipy_io.savemat(path, content)
    with pytest.raises(RecipeError, match=fragment) as caught:
        Music(path)
    assert str(path) in str(caught.value)


def test_damaged_files_are_refused(tmp_path, path):
    damaged = tmp_path / "damaged.mat"
    for content in (b"not a .mat file", path.read_bytes()[:1000]):
        damaged.write_bytes(content)
        with pytest.raises(RecipeError, match="not a .mat file"):
            Music(damaged)
    with pytest.raises(RecipeError, match="cell"):
        Music(path, cell="rnn")
