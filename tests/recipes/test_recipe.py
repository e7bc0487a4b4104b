"""What all recipes share: limits, the best epoch, refusals."""

import numpy as np
import pytest

from fastrnn import random
from fastrnn.callbacks import Callback
from fastrnn.layers import Dense
from fastrnn.models import Sequential
from fastrnn.optimizers import SGD
from fastrnn.recipes import DivergenceError, Recipe, RecipeError, Report
from fastrnn.recipes.recipe import Annealing, Deadline, decode, read_bytes, require


class Same:
    """One batch several times."""

    def __init__(self, count, x, y):
        self.count, self.batch = count, (x, y)

    def __len__(self):
        return self.count

    def __iter__(self):
        return iter([self.batch] * self.count)


class Line(Recipe):
    """Learn y = 2 x with one weight; the validation data want y = x."""

    patience = 100

    def __init__(self, learning_rate=0.05, target=2.0):
        super().__init__()
        random.set_seed(0)
        self.x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
        self.target = target
        self.model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros")])
        self.model.build((None, 1))
        self.model.compile(SGD(learning_rate), "mean_squared_error")

    def facts(self):
        return []

    def batches(self):
        return Same(4, self.x, self.target * self.x), Same(1, self.x, self.x)

    def evaluate(self):
        return Report([], [], [self.curves()])


def test_the_best_epoch_is_what_remains():
    recipe = Line()
    recipe.fit(epochs=40)
    losses = recipe.history["val_loss"]
    best = int(np.argmin(losses))
    assert 0 < best < 39  # the weight passes 1 on its way to 2
    assert recipe.model.evaluate(recipe.x, recipe.x, verbose=0) == pytest.approx(losses[best])


def test_learning_ends_when_validation_no_longer_improves():
    recipe = Line()
    recipe.patience = 3
    recipe.fit(epochs=40)
    losses = recipe.history["val_loss"]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3


def test_a_clock_ends_the_run_after_the_epoch_was_validated(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("fastrnn.recipes.recipe.time.monotonic", lambda: float(next(now)))
    recipe = Line(learning_rate=1e-4)
    # A step a second from the first on: the 7th is the first at 6 seconds.
    recipe.fit(epochs=40, minutes=0.1)
    assert len(recipe.history["val_loss"]) == 2


def test_a_deadline_counts_from_the_end_of_the_first_step(monkeypatch):
    now = iter([100.0, 159.0, 160.0])
    monkeypatch.setattr("fastrnn.recipes.recipe.time.monotonic", lambda: next(now))
    deadline, model = Deadline(1.0), Line().model
    deadline.set_model(model)
    stopped = []
    for batch in range(3):
        deadline.on_train_batch_end(batch)
        stopped.append(model.stop_training)
    assert stopped == [False, False, True]


def test_annealing_goes_along_half_a_cosine():
    rates = []

    class Watch(Callback):
        def on_train_batch_begin(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    recipe = Line(learning_rate=0.5, target=1.0)
    recipe.own_callbacks = lambda epochs, minutes: [Annealing(epochs, minutes), Watch()]
    recipe.fit(epochs=5)
    expected = 0.25 * (1 + np.cos(np.pi * np.arange(20) / 20))
    np.testing.assert_allclose(rates, expected, rtol=1e-6)
    assert float(recipe.model.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)


def test_a_loss_that_is_not_finite_ends_the_run():
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="epoch 1"):
        Line(learning_rate=1e30).fit(epochs=3)


def test_curves_have_a_point_for_each_epoch():
    recipe = Line()
    recipe.fit(epochs=3)
    lines = recipe.evaluate().panels[0].lines
    assert lines.keys() == {"training", "validation"}
    x, y = lines["validation"]
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == recipe.history["val_loss"]


def test_a_missing_package_is_named():
    with pytest.raises(RecipeError, match="music needs .* pip install nothing-like-it"):
        require("nothing_like_it", "nothing-like-it", "music")


def test_unusable_files_are_named(tmp_path):
    (tmp_path / "empty").touch()
    for path, fragment in (
        (tmp_path / "absent", "No such file"),
        (tmp_path, "folder"),
        (tmp_path / "empty", "empty"),
    ):
        with pytest.raises(RecipeError, match=fragment) as caught:
            read_bytes(path)
        assert str(path) in str(caught.value)
    with pytest.raises(RecipeError, match="0xe9 at offset 3"):
        decode("text", b"caf\xe9")
