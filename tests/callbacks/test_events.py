"""Who is told what, and when."""

import numpy as np
import pytest

from fastrnn import layers, random
from fastrnn.callbacks import Callback, CallbackList, History, LambdaCallback
from fastrnn.models import Sequential

X, Y = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)


@pytest.fixture
def model():
    random.set_seed(0)
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


class Recorder(Callback):
    """Writes down every event, with the names in its logs."""

    def __init__(self):
        super().__init__()
        self.events = []


def _heard(event):
    def hear(self, *arguments, logs=None):
        *number, given = (*arguments, logs) if logs is not None else (*arguments, {})
        self.events.append((event, *number, *sorted(given or {})))

    return hear


for _event in [name for name in dir(Callback) if name.startswith("on_") and "_batch" in name]:
    if _event not in ("on_batch_begin", "on_batch_end"):
        setattr(Recorder, _event, _heard(_event))
for _event in ("on_epoch_begin", "on_epoch_end"):
    setattr(Recorder, _event, lambda self, n, logs=None, e=_event: self.events.append(
        (e, n, *sorted(logs or {}))))  # fmt: skip
for _event in ("train", "test", "predict"):
    for _end in ("begin", "end"):
        setattr(Recorder, f"on_{_event}_{_end}", lambda self, logs=None, e=f"on_{_event}_{_end}":
                self.events.append((e, *sorted(logs or {}))))  # fmt: skip


def test_events_come_in_keras_order(model):
    recorder = Recorder()
    model.fit(X, Y, batch_size=3, epochs=1, validation_data=(X, Y), verbose=0, callbacks=[recorder])
    assert recorder.events == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0, "loss"),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1, "loss"),
        ("on_test_begin",),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0, "loss"),
        ("on_test_batch_begin", 1),
        ("on_test_batch_end", 1, "loss"),
        ("on_test_end", "loss"),
        ("on_epoch_end", 0, "loss", "val_loss"),
        ("on_train_end", "loss", "val_loss"),
    ]
    assert recorder.model is model
    assert recorder.params == {"verbose": 0, "epochs": 1, "steps": 2}
    recorder.events.clear()
    model.predict(X, batch_size=6, verbose=0, callbacks=[recorder])
    assert recorder.events == [
        ("on_predict_begin",),
        ("on_predict_batch_begin", 0),
        ("on_predict_batch_end", 0, "outputs"),
        ("on_predict_end",),
    ]


def test_older_names_of_batches_are_heard_too(model):
    class Older(Callback):
        batches = 0

        def on_batch_end(self, batch, logs=None):
            assert np.isfinite(logs["loss"])
            self.batches += 1

    older = Older()
    model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=older)
    assert older.batches == 6


def test_the_logs_may_have_another_name(model):
    class Own(Callback):
        heard = ()

        def on_train_begin(self, before):
            self.heard = (*self.heard, before)

        def on_epoch_end(self, epoch, values):
            self.heard = (*self.heard, epoch, list(values))

    own = Own()
    function = LambdaCallback(on_train_batch_end=lambda batch, values: list(values))
    model.fit(X, Y, verbose=0, callbacks=[own, function])
    assert own.heard == ({}, 0, ["loss"])


def test_functions_are_called_with_number_and_logs(model):
    heard = []
    callback = LambdaCallback(
        on_epoch_end=lambda epoch, logs: heard.append((epoch, list(logs))),
        on_train_begin=lambda logs: heard.append("begin"),
        on_test_batch_end=lambda batch, logs: heard.append(batch),
    )
    model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[callback])
    assert heard == ["begin", 0, (0, ["loss", "val_loss"])]


def test_a_callback_ends_the_training_after_the_step(model):
    def stop(batch, logs):
        model.stop_training = batch == 1

    history = model.fit(
        X, Y, batch_size=2, epochs=9, verbose=0,
        callbacks=[LambdaCallback(on_train_batch_end=stop)],
    )  # fmt: skip
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2


def test_the_history_is_the_models(model):
    mine = History()
    assert model.fit(X, Y, epochs=2, verbose=0, callbacks=[mine]) is mine is model.history
    assert mine.epoch == [0, 1]
    model.fit(X, Y, epochs=3, initial_epoch=2, verbose=0, callbacks=[mine])
    assert len(mine.history["loss"]) == 3
    assert mine.epoch == [2]


def test_lists_refuse_what_is_no_callback():
    with pytest.raises(TypeError, match="callbacks: expected Callback objects, got 3"):
        CallbackList([3])
    with pytest.raises(TypeError, match="there is no event 'on_nothing'"):
        LambdaCallback(on_nothing=print)
    with pytest.raises(TypeError, match="on_epoch_end: expected a function"):
        LambdaCallback(on_epoch_end=3)
    with pytest.raises(TypeError, match="there is no event 'set_model'"):
        LambdaCallback(set_model=print)
