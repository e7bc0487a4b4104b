"""Learning, evaluating, predicting: the loop around the engine."""

from itertools import pairwise

import numpy as np
import pytest
from tolerances import FLOAT32_GRADIENT, FLOAT32_OUTPUT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, layers, losses, metrics, optimizers, random, utils
from fastrnn.callbacks import LambdaCallback
from fastrnn.data import Dataset, LengthBatches
from fastrnn.models import Model, Sequential


def parity_task(rng, count=64, length=6):
    """Sequences of 0 and 1, and whether the first step is 1."""
    x = rng.integers(0, 2, (count, length, 1)).astype(np.float32)
    return x, x[:, 0, 0].astype(np.int64)


def classifier(seed=0, **options):
    random.set_seed(seed)
    model = Sequential(
        [layers.Input((None, 1)), layers.LSTM(8), layers.Dense(1, activation="sigmoid")]
    )
    options = {"optimizer": optimizers.Adam(0.05), "loss": "binary_crossentropy", **options}
    model.compile(metrics=["accuracy"], **options)
    return model


def regressor(seed=0, **options):
    """One Dense layer, whose results NumPy can follow."""
    random.set_seed(seed)
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile(**{"optimizer": optimizers.SGD(0.1), "loss": "mse", **options})
    return model


def points(rng, count=20):
    x = rng.normal(size=(count, 3)).astype(np.float32)
    return x, x.sum(axis=1, keepdims=True)


def test_a_small_task_is_learned(rng):
    x, y = parity_task(rng)
    model = classifier()
    history = model.fit(x, y, batch_size=16, epochs=30, verbose=0)
    assert history.epoch == list(range(30))
    assert list(history.history) == ["accuracy", "loss"]
    assert history.history["loss"][0] > 0.5
    assert history.history["loss"][-1] < 0.02
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert loss < 0.02
    assert accuracy == 1.0
    assert ((model.predict(x, verbose=0)[:, 0] > 0.5) == y).all()


def test_history_and_weights_equal_those_of_a_loop_by_hand_bit_for_bit(rng):
    x, y = parity_task(rng, count=22)
    model, twin = classifier(3), classifier(3)
    history = model.fit(x, y, batch_size=8, epochs=3, verbose=0).history

    loss_of, optimizer = losses.BinaryCrossentropy(), optimizers.Adam(0.05)
    for epoch in range(3):
        order = random.generator((model.shuffle_seed, epoch)).permutation(22)
        mean = metrics.Mean()
        for start in (0, 8, 16):
            rows = order[start : start + 8]
            with GradientTape() as tape:
                loss = loss_of(y[rows], twin(x[rows], training=True))
            gradients = tape.gradient(loss, twin.trainable_variables)
            optimizer.apply_gradients(zip(gradients, twin.trainable_variables, strict=True))
            mean.update_state(loss.value, sample_weight=len(rows))
        assert float(mean.result()) == history["loss"][epoch]
    for one, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(rng):
    x, y = parity_task(rng)
    first, again, other = (
        classifier(seed).fit(x, y, epochs=2, verbose=0).history["loss"] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_epochs_differ_in_order_and_go_on_from_call_to_call(rng):
    x, y = points(rng)
    whole, parts = regressor(), regressor()
    losses_of_whole = whole.fit(x, y, batch_size=3, epochs=4, verbose=0).history["loss"]
    found = parts.fit(x, y, batch_size=3, epochs=1, verbose=0).history["loss"]
    found += parts.fit(x, y, batch_size=3, epochs=4, initial_epoch=1, verbose=0).history["loss"]
    assert found == losses_of_whole
    kept = regressor()
    kept.fit(x, y, batch_size=3, epochs=1, shuffle=False, verbose=0)
    assert kept.get_weights()[0].tolist() != whole.get_weights()[0].tolist()


def test_validation_takes_the_last_rows_and_leaves_them_out_of_learning(rng):
    x, y = points(rng)
    model, twin = regressor(), regressor()
    history = model.fit(x, y, validation_split=0.25, epochs=2, verbose=0).history
    alone = twin.fit(x[:15], y[:15], epochs=2, verbose=0).history
    assert history["loss"] == alone["loss"]
    assert history["val_loss"][-1] == twin.evaluate(x[15:], y[15:], verbose=0)


def test_validation_data_frequency_and_batch_size(rng):
    x, y = points(rng)
    model = regressor()
    options = {"validation_data": (x, y), "epochs": 5, "verbose": 0, "validation_batch_size": 3}
    assert len(model.fit(x, y, validation_freq=2, **options).history["val_loss"]) == 2
    assert len(model.fit(x, y, validation_freq=[1, 4, 5], **options).history["val_loss"]) == 3
    seen = []
    watch = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(x, y, validation_steps=2, callbacks=[watch], **options)
    assert seen == [0, 1] * 5
    model.optimizer.learning_rate = 0.0
    losses = model.fit(x, y, validation_steps=2, **options).history["val_loss"]
    assert losses == [losses[0]] * 5  # of the first rows, every time


def test_sample_and_class_weights_weigh_the_loss(rng):
    x, y = points(rng)
    weights = rng.uniform(0, 2, 20)
    model = regressor(weighted_metrics=["mse"])
    squares = (model.predict(x, verbose=0).astype(np.float64) - y)[:, 0] ** 2
    loss, metric = model.evaluate(x, y, sample_weight=weights, batch_size=20, verbose=0)
    assert_close(np.float32(loss), np.mean(squares * weights), FLOAT32_OUTPUT)
    assert_close(np.float32(metric), np.sum(squares * weights) / weights.sum(), FLOAT32_OUTPUT)

    labels = (y > 0).astype(np.float32)
    logits = regressor(loss=losses.BinaryCrossentropy(from_logits=True))
    z = logits.predict(x, verbose=0).astype(np.float64)
    entropy = np.maximum(z, 0) - z * labels + np.log1p(np.exp(-np.abs(z)))
    expected = np.mean(entropy * np.where(labels > 0, 3.0, 1.0))
    found = logits.train_on_batch(x, labels, class_weight={1: 3.0})
    assert_close(np.float32(found), expected, FLOAT32_OUTPUT)


def test_a_step_of_descent_is_the_gradient_of_the_weighted_mean(rng):
    x, y = points(rng, 7)
    weights = rng.uniform(0, 2, 7)
    model = regressor()
    before = [w.astype(np.float64) for w in model.get_weights()]
    model.fit(x, y, sample_weight=weights, batch_size=7, verbose=0)
    error = 2 * (x.astype(np.float64) @ before[0] + before[1] - y) * weights[:, None] / 7
    assert_close(model.get_weights()[0], before[0] - 0.1 * x.T @ error, FLOAT32_OUTPUT)
    assert_close(model.get_weights()[1], before[1] - 0.1 * error.sum(axis=0), FLOAT32_OUTPUT)


def test_losses_of_an_epoch_are_means_over_rows(rng):
    x, y = points(rng, 10)
    model = regressor(optimizer=optimizers.SGD(0.0))
    squares = (model.predict(x, verbose=0).astype(np.float64) - y) ** 2
    found = model.fit(x, y, batch_size=4, verbose=0).history["loss"][0]
    assert_close(np.float32(found), np.mean(squares), FLOAT32_OUTPUT)


def test_datasets_generators_and_arrays_lead_to_the_same_weights(rng):
    x, y = points(rng)

    def batches():
        for i in range(0, 20, 5):
            yield x[i : i + 5], y[i : i + 5]

    def generator():
        while True:
            yield from batches()

    results = []
    for data, options in (
        ((x, y), {"batch_size": 5, "shuffle": False}),
        ((Dataset.from_tensor_slices((x, y)).batch(5),), {}),
        ((generator(),), {"steps_per_epoch": 4}),
        ((list_of(batches()),), {}),
    ):
        model = regressor()
        model.fit(*data, epochs=2, verbose=0, **options)
        results.append(model.get_weights()[0])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def list_of(batches):
    """An object with as many batches as its length says."""
    kept = list(batches)

    class Batches:
        def __len__(self):
            return len(kept)

        def __iter__(self):
            return iter(kept)

    return Batches()


def test_a_generator_that_ends_early_ends_the_training(rng):
    x, y = points(rng)
    model = regressor()
    with pytest.warns(UserWarning, match="ran out of batches"):
        history = model.fit(iter([(x, y)] * 3), steps_per_epoch=2, epochs=4, verbose=0)
    assert history.epoch == [0, 1]
    with pytest.raises(ValueError, match="x: expected at least one batch"):
        model.fit(iter([]), verbose=0)


def test_batches_of_unequal_lengths_cost_and_give_what_single_sequences_do(rng):
    sequences = [rng.normal(size=(n, 2)).astype(np.float32) for n in (3, 5, 2, 4)]
    model = Sequential([layers.GRU(4), layers.Dense(1)])
    alone = np.concatenate([model.predict(s[None], verbose=0) for s in sequences])
    batches = LengthBatches(sequences, batch_size=2, seed=1)
    together = model.predict(batches, verbose=0)[np.argsort(batches.order)]
    assert_close(together, alone.astype(np.float64), FLOAT32_OUTPUT)
    model.compile("sgd", "mse")
    y = np.arange(4, dtype=np.float32)[:, None]
    found = model.fit(LengthBatches(sequences, y), epochs=9, verbose=0).history["loss"]
    assert found[-1] < found[0]


class TwoHeads(Model):
    def __init__(self, kind=list):
        super().__init__()
        self.one, self.two = layers.Dense(2), layers.Dense(1)
        self.kind = kind

    def call(self, x):
        outputs = self.one(x), self.two(x)
        return dict(zip("ab", outputs, strict=True)) if self.kind is dict else list(outputs)


def test_several_outputs_have_losses_weights_and_metrics_of_their_own(rng):
    x, _ = points(rng, 6)
    a, b = np.ones((6, 2), np.float32), np.zeros((6, 1), np.float32)
    model = TwoHeads(dict)
    model.compile(
        "sgd", {"a": "mse", "b": "mae"}, loss_weights={"b": 0.5}, metrics={"a": ["mae"], "b": "mse"}
    )
    found = model.evaluate(x, {"a": a, "b": b}, verbose=0, return_dict=True)
    assert list(found) == ["a_loss", "a_mae", "b_loss", "b_mse", "loss"]
    p, q = (model.predict(x, verbose=0)[name].astype(np.float64) for name in "ab")
    assert_close(np.float32(found["a_loss"]), np.mean((p - a) ** 2), FLOAT32_OUTPUT)
    assert_close(np.float32(found["b_mse"]), np.mean((q - b) ** 2), FLOAT32_OUTPUT)
    expected = np.mean((p - a) ** 2) + 0.5 * np.mean(np.abs(q - b))
    assert_close(np.float32(found["loss"]), expected, FLOAT32_OUTPUT)
    values = model.evaluate(x, {"a": a, "b": b}, verbose=0)
    names = ["loss", "a_loss", "b_loss", "a_mae", "b_mse"]
    assert values == [found[name] for name in names]

    listed = TwoHeads()
    listed.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mae"]])
    history = listed.fit(x, [a, b], verbose=0).history
    assert list(history) == ["loss", "mae", "mae_1", "mae_loss", "mse_loss"]


def test_dictionaries_of_inputs_are_batched_together(rng):
    class Sum(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs, training=None):
            return self.dense(inputs["p"]) + self.dense(inputs["q"])

    x, y = points(rng)
    model = Sum()
    model.compile("sgd", "mse")
    model.fit({"p": x, "q": 2 * x}, y, epochs=1, verbose=0)
    kernel, bias = (w.astype(np.float64) for w in model.get_weights())
    result = model.predict({"p": x, "q": x}, batch_size=7, verbose=0)
    assert_close(result, 2 * (x @ kernel + bias), FLOAT32_OUTPUT)


def test_float64_layers_learn_in_float64(rng):
    model = Sequential([layers.Dense(1, dtype="float64")])
    model.compile(optimizers.SGD(0.1), "mse")
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 1))
    before = None
    model.predict(x, verbose=0)
    before = model.get_weights()
    model.fit(x, y, batch_size=8, verbose=0)
    error = 2 * (x @ before[0] + before[1] - y) / 8
    assert_close(model.get_weights()[0], before[0] - 0.1 * x.T @ error, FLOAT64_OUTPUT)


def test_one_may_write_ones_own_step(rng):
    class Own(Sequential):
        def train_step(self, data):
            x, y = data
            with GradientTape() as tape:
                loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"own": loss.value}

    x, y = points(rng)
    model = Own([layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, y, epochs=3, verbose=0).history
    assert list(history) == ["own"]
    assert history["own"][2] < history["own"][0]


def test_ones_own_step_takes_what_there_is(rng):
    class Own(Sequential):
        def train_step(self, data):
            taken.append(data)
            return super().train_step(data)

        def predict_step(self, data):
            taken.append(data)
            return super().predict_step(data)

    taken = []
    x, y = points(rng)
    model = Own([layers.Dense(1, activity_regularizer="l2")])
    model.compile("sgd")
    model.fit(x, batch_size=len(x), verbose=0)
    model.train_on_batch(x)
    model.predict(x, batch_size=len(x), verbose=0)
    assert [type(data) for data in taken] == [np.ndarray] * 3
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0, steps_per_epoch=1)
    model.fit(x, y, verbose=0, steps_per_epoch=1, sample_weight=np.ones(len(x)))
    assert [len(data) for data in taken[3:]] == [2, 3]
    assert utils.unpack_x_y_sample_weight(taken[3])[2] is None


def test_rows_are_divided_into_the_steps_that_are_asked_for(rng):
    sizes = []

    class Own(Sequential):
        def train_step(self, data):
            sizes.append(len(data[0]))
            return super().train_step(data)

    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    model = Own([layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, y, steps_per_epoch=4, verbose=0)
    model.fit(x, y, steps_per_epoch=2, batch_size=5, verbose=0)
    assert sizes == [13, 13, 13, 11, 5, 5]
    assert len(model.predict(x, steps=1, verbose=0)) == 50
    assert model.evaluate(x, y, steps=1, verbose=0) == model.evaluate(
        x, y, batch_size=50, verbose=0
    )


class Steps(metrics.Metric):
    """Counts batches, and remembers the last targets."""

    def __init__(self):
        super().__init__(name="steps")
        self.batches, self.last = 0, None

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.batches, self.last = self.batches + 1, np.array(y_true)

    def result(self):
        return self.batches

    def reset_state(self):
        self.batches = 0


@pytest.mark.parametrize("is_weighted", [False, True], ids=["", "weighted"])
def test_metrics_are_the_same_whether_or_not_somebody_looks_at_every_step(rng, is_weighted):
    x, y = parity_task(rng, count=70)
    weights = rng.uniform(size=70) if is_weighted else None
    seen = []
    watcher = LambdaCallback(on_train_batch_end=lambda i, logs: seen.append(logs))
    histories = []
    for callbacks in ([], [watcher]):
        model = classifier(4, weighted_metrics=["mae", metrics.AUC(name="auc")])
        history = model.fit(
            x, y, sample_weight=weights, batch_size=1, epochs=2, verbose=0, callbacks=callbacks
        )
        histories.append(history.history)
        assert model.train_on_batch(x, y, return_dict=True).keys() == history.history.keys()
    assert histories[0] == histories[1]
    assert [seen[69], seen[139]] == [
        {name: values[epoch] for name, values in histories[0].items()} for epoch in range(2)
    ]


def test_metrics_know_every_batch_when_they_are_asked(rng):
    x, y = points(rng, 90)
    steps = Steps()
    asked = []

    def look(epoch, logs):
        asked.append((steps.batches, model.metrics[1].metrics[0].result(), logs["steps"]))

    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[steps])
    watcher = LambdaCallback(on_epoch_end=look)
    model.fit(x, y, batch_size=2, epochs=2, shuffle=False, verbose=0, callbacks=[watcher])
    assert asked == [(45, 45, 45)] * 2
    np.testing.assert_array_equal(steps.last, y[-2:])


def test_targets_that_a_generator_writes_over_are_measured_as_they_were(rng):
    x, y = points(rng, 40)

    def batches():
        target = np.empty((4, 1), np.float32)
        for i in range(0, 40, 4):
            target[:] = y[i : i + 4]
            yield x[i : i + 4], target

    histories = []
    for source in ((batches(),), (x, y)):
        model = regressor(5, metrics=["mae"])
        model.fit(*source, batch_size=None if len(source) == 1 else 4, shuffle=False, verbose=0)
        histories.append(model.history.history)
    assert histories[0] == histories[1]


def test_steps_of_ones_own_are_asked_for_their_logs(rng):
    class Own(Sequential):
        def train_step(self, data):
            return super().train_step(data) | {"own": 3.0}

    x, y = points(rng)
    model = Own([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    history = model.fit(x, y, batch_size=4, epochs=2, verbose=0).history
    assert list(history) == ["loss", "mae", "own"]
    assert history["own"] == [3.0, 3.0]


def test_metrics_kept_in_attributes_are_reset_for_every_epoch(rng):
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.error = metrics.MeanAbsoluteError(name="error")

        def call(self, inputs):
            return self.dense(inputs)

        def test_step(self, data):
            x, y = data
            self.error.update_state(y, self(x, training=False))
            return {"error": self.error.result()}

    x, y = points(rng)
    model = Own()
    model.compile("sgd", "mse")
    first = model.evaluate(x, y, verbose=0)
    assert model.evaluate(2 * x, y, verbose=0) != first
    assert model.evaluate(x, y, verbose=0) == first


@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("average", [{}, {"use_ema": True, "ema_momentum": 0.5}], ids=["", "ema"])
def test_training_follows_keras(rng, monkeypatch, average):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    x = rng.integers(0, 7, (20, 5))
    x[:, 3:] *= rng.integers(0, 2, (20, 1))  # some end early
    y, weights = (x[:, 0] > 3).astype(np.float32), rng.uniform(0.5, 2, 20).astype(np.float32)

    def build(module, sequential):
        model = sequential(
            [
                module.Embedding(7, 4, mask_zero=True),
                module.GRU(5, return_sequences=True, activity_regularizer="l2"),
                module.LSTM(4, kernel_regularizer="l2"),
                module.Dense(1, activation="sigmoid"),
            ]
        )
        model.build((None, 5))
        return model

    ours, theirs = build(layers, Sequential), build(keras.layers, keras.Sequential)
    start = [rng.normal(0, 0.4, w.shape).astype(np.float32) for w in ours.get_weights()]
    histories = []
    for model, module in ((ours, optimizers), (theirs, keras.optimizers)):
        model.set_weights(start)
        model.compile(
            module.Adam(0.02, **average), "binary_crossentropy", metrics=["accuracy"],
            weighted_metrics=["mae"],
        )  # fmt: skip
        histories.append(
            model.fit(
                x, y, sample_weight=weights, batch_size=6, epochs=3, shuffle=False, verbose=0,
                validation_data=(x[:7], y[:7]), validation_batch_size=2, validation_steps=2,
            ).history
        )  # fmt: skip
    one, other = histories
    assert list(one) == list(other)
    for name, values in one.items():
        assert_close(np.float32(values), np.float64(other[name]), FLOAT32_GRADIENT)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, FLOAT32_GRADIENT)


@pytest.mark.parametrize("is_frozen_first", [True, False])
def test_freezing_between_two_batches_holds_from_the_next_one_on(rng, is_frozen_first):
    x, y = points(rng)
    model = Sequential([layers.Dense(4, activation="tanh"), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.train_on_batch(x, y)
    first = model.layers[0]
    first.trainable = not is_frozen_first
    kernels = [first.get_weights()[0]]

    def end_batch(batch, logs):
        kernels.append(first.get_weights()[0])
        if batch == 1:
            first.trainable = is_frozen_first

    callback = LambdaCallback(on_train_batch_end=end_batch)
    model.fit(x, y, batch_size=5, callbacks=[callback], verbose=0)
    has_moved = [not np.array_equal(a, b) for a, b in pairwise(kernels)]
    assert has_moved == [not is_frozen_first] * 2 + [is_frozen_first] * 2


def test_losses_of_layers_count(rng):
    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(3.0)
            return inputs

    x, y = points(rng)
    model = Sequential([layers.Dense(1, kernel_regularizer="l2"), Penalty()])
    model.compile(optimizers.SGD(0.0), "mse")
    total = model.fit(x, y, verbose=0).history["loss"][0]
    p, kernel = model.predict(x, verbose=0), model.get_weights()[0].astype(np.float64)
    expected = np.mean((p.astype(np.float64) - y) ** 2) + 3 + 0.01 * np.sum(kernel**2)
    assert_close(np.float32(total), expected, FLOAT32_OUTPUT)


def test_steps_on_single_batches_return_their_own_metrics(rng):
    x, y = points(rng)
    model = regressor(metrics=["mae"])
    for _ in range(2):
        before = model.evaluate(x, y, batch_size=20, verbose=0)
        assert list(model.train_on_batch(x, y, return_dict=True).values()) == before
    assert model.test_on_batch(x, y) == model.evaluate(x, y, batch_size=20, verbose=0)
    np.testing.assert_array_equal(model.predict_on_batch(x), model.predict(x, verbose=0))


def test_which_accuracy_is_meant_follows_from_the_shapes(rng):
    x, _ = points(rng, 8)
    labels = rng.integers(0, 4, 8)
    for y, loss in (
        (labels, "sparse_categorical_crossentropy"),
        (labels[:, None], "sparse_categorical_crossentropy"),
        (np.eye(4, dtype=np.float32)[labels], "categorical_crossentropy"),
    ):
        model = Sequential([layers.Dense(4, activation="softmax")])
        model.compile("sgd", loss, metrics=["acc"])
        found = model.evaluate(x, y, verbose=0, return_dict=True)["acc"]
        assert found == np.mean(model.predict(x, verbose=0).argmax(axis=1) == labels)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m, x, y: m.fit(x, y[:5]), ValueError, "equal numbers of rows"),
        (lambda m, x, y: m.fit(x, y, verbose=3), ValueError, "verbose: expected"),
        (lambda m, x, y: m.fit(x, y, epochs="3"), ValueError, "epochs: expected .*, got '3'"),
        (lambda m, x, y: m.fit(x, y, epochs=-1), ValueError, "epochs: expected .* 0, got -1"),
        (lambda m, x, y: m.fit(x, y, steps_per_epoch=0), ValueError, "steps_per_epoch: expected"),
        (lambda m, x, y: m.fit(x, y, validation_freq=0), ValueError, "validation_freq: expected"),
        (lambda m, x, y: m.evaluate(x, y, steps=-1), ValueError, "steps: expected"),
        (lambda m, x, y: m.predict(x, steps="x"), ValueError, "steps: expected"),
        (lambda m, x, y: m.fit(x, verbose=0), ValueError, "y: expected targets"),
        (lambda m, x, y: m.fit(x, y, callbacks=[3]), TypeError, "callbacks: expected"),
        (lambda m, x, y: m.fit(x, y, validation_split=2), ValueError, "validation_split"),
        (lambda m, x, y: m.evaluate(x, {"z": y, "w": y}), ValueError, "y: expected names"),
        (lambda m, x, y: m.compile("sgd", "nonsense"), ValueError, "loss: expected one of"),
        (lambda m, x, y: m.compile("nonsense", "mse"), ValueError, "optimizer"),
    ],
)
def test_bad_arguments_are_named(rng, call, error, message):
    x, y = points(rng)
    model = regressor()
    with pytest.raises(error, match=message):
        call(model, x, y)


def test_a_model_that_is_not_compiled_says_so(rng):
    x, y = points(rng)
    model = Sequential([layers.Dense(1)])
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(RuntimeError, match="call compile"):
            call(x, y)
    assert model.predict(x, verbose=0).shape == (20, 1)
