"""What callbacks do to a training, against values that the tests choose."""

import csv

import numpy as np
import pytest

from fastrnn import layers, optimizers, random
from fastrnn.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from fastrnn.models import Sequential, load_model

X, Y = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)


class Says(Callback):
    """Writes given values to the logs of the epochs."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]


@pytest.fixture
def model():
    random.set_seed(0)
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile(optimizers.SGD(0.1), "mse")
    return model


def fit(model, *callbacks, epochs=10, **options):
    return model.fit(X, Y, epochs=epochs, verbose=0, callbacks=list(callbacks), **options)


LOSSES = [5.0, 4.0, 4.0, 3.99, 3.0, 3.5, 3.4, 3.3, 3.2, 3.1]


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({}, 3),  # epoch 2 does not improve
        ({"patience": 2}, 7),  # the best is epoch 4, then two more
        ({"min_delta": 0.5, "patience": 2}, 4),
        ({"patience": 2, "start_from_epoch": 4}, 7),
        ({"baseline": 3.2, "patience": 3}, 6),  # only 3.0 beats it: epochs 0, 1, then 3, 4, 5
        ({"mode": "max", "patience": 3}, 4),
        ({"patience": 10}, 10),
    ],
)
def test_early_stopping_waits_as_long_as_it_is_told(model, options, epochs):
    says = Says("val_loss", LOSSES)
    if "baseline" in options:
        says.values = [5.0, 4.0, 3.0, 3.5, 3.4, 3.3, 3.2, 3.1, 3.1, 3.1]
    assert len(fit(model, says, EarlyStopping(**options)).epoch) == epochs


def test_early_stopping_restores_the_best_weights(model):
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, epoch, logs=None):
            kept[epoch] = self.model.get_weights()

    stopping = EarlyStopping(patience=2, restore_best_weights=True)
    fit(model, Says("val_loss", LOSSES), Keep(), stopping)
    assert (stopping.best_epoch, stopping.stopped_epoch, stopping.best) == (4, 6, 3.0)
    for one, other in zip(model.get_weights(), kept[4], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(kept[4][0], kept[6][0])


def test_a_value_that_is_missing_warns(model):
    with pytest.warns(UserWarning, match="there is no 'val_loss' among loss"):
        fit(model, EarlyStopping(), epochs=1)


def test_what_is_better_follows_from_the_name(model):
    rising = Says("val_accuracy", [0.1, 0.2, 0.1, 0.3])
    assert len(fit(model, rising, EarlyStopping("val_accuracy"), epochs=4).epoch) == 3
    with pytest.raises(ValueError, match="mode: expected 'min' or 'max', as the name 'foo'"):
        EarlyStopping("foo")
    with pytest.raises(ValueError, match="mode: expected 'auto'"):
        EarlyStopping(mode="up")


def rates(history):
    return history.history["learning_rate"]


def test_the_learning_rate_falls_on_a_plateau(model):
    callback = ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1, min_lr=0.02)
    values = [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    found = rates(fit(model, Says("val_loss", values), callback))
    # Logged before it falls: after epoch 2, then one of rest and two of waiting, to the limit.
    assert found == pytest.approx([0.1] * 3 + [0.05] * 2 + [0.025] * 2 + [0.02] * 3)
    with pytest.raises(ValueError, match="factor: expected a number between 0 and 1"):
        ReduceLROnPlateau(factor=1.0)


def test_the_learning_rate_follows_a_schedule(model):
    found = rates(fit(model, LearningRateScheduler(lambda epoch, rate: rate / 2), epochs=3))
    assert found == pytest.approx([0.05, 0.025, 0.0125])
    found = rates(fit(model, LearningRateScheduler(lambda epoch: 0.1 * (epoch + 1)), epochs=3))
    assert found == pytest.approx([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="schedule: expected it to return a float, got None"):
        fit(model, LearningRateScheduler(lambda epoch, rate: None))


def test_a_loss_that_is_not_finite_ends_the_training(model, capsys):
    bad = X.copy()
    bad[4] = np.nan
    history = model.fit(
        bad, Y, batch_size=2, epochs=5, shuffle=False, verbose=0, callbacks=[TerminateOnNaN()]
    )
    assert history.epoch == [0]
    assert "Batch 2: the loss is nan" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="the loss is nan"):
        model.fit(bad, Y, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])


def test_checkpoints_are_named_and_can_be_loaded(model, tmp_path):
    path = tmp_path / "new" / "m-{epoch:02d}-{val_loss:.1f}.fastrnn"
    fit(model, Says("val_loss", LOSSES), ModelCheckpoint(path), epochs=3)
    names = sorted(p.name for p in path.parent.iterdir())
    assert names == ["m-01-5.0.fastrnn", "m-02-4.0.fastrnn", "m-03-4.0.fastrnn"]
    loaded = load_model(path.parent / names[-1])
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_only_the_best_is_kept_if_asked_for(model, tmp_path):
    path = tmp_path / "{epoch}.fastrnn"
    options = {"save_best_only": True, "initial_value_threshold": 4.5}
    fit(model, Says("val_loss", LOSSES), ModelCheckpoint(path, **options))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.fastrnn", "4.fastrnn", "5.fastrnn"]


def test_checkpoints_come_every_so_many_steps_and_with_weights_alone(model, tmp_path):
    path = tmp_path / "{epoch}-{batch}"
    checkpoint = ModelCheckpoint(path, save_freq=4, save_weights_only=True)
    fit(model, checkpoint, epochs=2, batch_size=2, shuffle=False)
    assert [p.name for p in tmp_path.iterdir()] == ["2-1"]
    before = model.get_weights()
    model.load_weights(tmp_path / "2-1")
    assert not np.array_equal(model.get_weights()[0], before[0])
    with pytest.raises(KeyError, match="is none of epoch, loss"):
        fit(model, ModelCheckpoint(tmp_path / "{nothing}"))
    with pytest.raises(ValueError, match="save_freq: expected"):
        ModelCheckpoint(path, save_freq=0)


def read_csv(path, separator=","):
    with path.open(newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_lines_are_written_for_epochs(model, tmp_path):
    path = tmp_path / "log.csv"
    history = fit(model, CSVLogger(path, separator=";"), epochs=2, validation_data=(X, Y)).history
    rows = read_csv(path, ";")
    assert rows[0] == ["epoch", "loss", "val_loss"]
    assert [float(value) for value in rows[2]] == [1, history["loss"][1], history["val_loss"][1]]
    fit(model, CSVLogger(path, separator=";", append=True), epochs=3, initial_epoch=2)
    rows = read_csv(path, ";")
    assert [row[0] for row in rows] == ["epoch", "0", "1", "2"]
    assert rows[3][2] == "NA"
    fit(model, CSVLogger(path), epochs=1)
    assert len(read_csv(path)) == 2
