"""Layers one after the other."""

import numpy as np
import pytest

from fastrnn import layers
from fastrnn.models import Model, Sequential, clone_model


def test_layers_are_added_taken_off_and_found():
    model = Sequential(name="stack")
    model.add(layers.LSTM(4, return_sequences=True, name="below"))
    model.add(layers.Dense(2, name="above"))
    assert [layer.name for layer in model.layers] == ["below", "above"]
    assert model.get_layer("above") is model.get_layer(index=-1) is model.layers[1]
    assert not model.built
    assert model(np.ones((2, 3, 5), np.float32)).shape == (2, 3, 2)
    assert model.built
    assert [v.shape for v in model.variables][-2:] == [(4, 2), (2,)]
    assert model.pop().name == "above"
    assert model(np.ones((2, 3, 5), np.float32)).shape == (2, 3, 4)


@pytest.mark.parametrize(
    "start",
    [
        lambda: [layers.Input((7, 3)), layers.GRU(4)],
        lambda: [layers.GRU(4, input_shape=(7, 3))],
        lambda: [layers.GRU(4)],
    ],
)
def test_weights_are_there_when_the_shape_is_known(start):
    model = Sequential([*start(), layers.Dense(1)])
    if not model.built:
        model.build((None, 7, 3))
    assert model.input_shape == (None, 7, 3)
    assert model.output_shape == (None, 1)
    assert model.count_params() == 3 * 4 * 3 + 3 * 4 * 4 + 2 * 3 * 4 + 4 + 1
    assert [layer.built for layer in model.layers] == [True, True]


def test_training_reaches_all_layers():
    model = Sequential([Sequential([layers.Dropout(0.5)])])
    x = np.ones((50, 50), np.float32)
    assert (np.asarray(model(x)) == 1).all()
    assert (np.asarray(model(x, training=True)) == 0).any()


def test_masks_travel_through_nested_models():
    inner = Sequential([layers.Embedding(5, 3, mask_zero=True), layers.Dropout(0.1)])
    model = Sequential([inner, layers.LSTM(2)])
    padded, short = np.array([[1, 2, 0, 0]]), np.array([[1, 2]])
    np.testing.assert_array_equal(model.predict(padded, verbose=0), model.predict(short, verbose=0))


def test_states_are_reset():
    model = Sequential([layers.LSTM(3, stateful=True)])
    x = np.ones((2, 4, 1), np.float32)
    first = model.predict(x, verbose=0)
    assert not np.array_equal(model.predict(x, verbose=0), first)
    model.reset_states()
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)


def test_configurations_make_like_models():
    model = Sequential(
        [
            layers.Input((4,), name="in"),
            layers.Dense(3, activation="relu"),
            Sequential([layers.Dense(2)]),
        ]
    )
    twin = Sequential.from_config(model.get_config())
    assert twin.get_config() == model.get_config()
    assert twin.input_shape == model.input_shape
    assert [w.shape for w in twin.get_weights()] == [w.shape for w in model.get_weights()]
    twin.set_weights(model.get_weights())
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    copy = clone_model(model)
    assert copy.get_weights()[0].shape == (4, 3)
    assert not np.array_equal(copy.get_weights()[0], model.get_weights()[0])


def test_freezing_stops_learning(rng):
    model = Sequential([layers.Dense(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(8, 2)), rng.normal(size=(8, 1))
    model.predict(x, verbose=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Sequential([3]), TypeError, "layer: expected a Layer, got int"),
        (lambda: Sequential([layers.Dense(1, name="a"), layers.Dense(1, name="a")]), ValueError,
         "the name 'a' is taken"),
        (lambda: Sequential([layers.Dense(1), layers.Input((2,))]), ValueError, "below all"),
        (lambda: Sequential().pop(), ValueError, "there is none"),
        (lambda: Sequential().predict(np.ones((2, 2)), verbose=0), ValueError, "call add"),
        (lambda: Sequential([layers.Dense(1)]).get_layer("x"), ValueError, "name: expected one of"),
        (lambda: Sequential([layers.Dense(1)]).get_layer(index=4), ValueError, "index: expected"),
        (lambda: Sequential().get_layer(), ValueError, "either a name or an index"),
        (lambda: Sequential.from_config({"name": "x"}), ValueError, "damaged"),
        (lambda: Sequential().output_shape, AttributeError, "before it is built"),
        (lambda: Model()(np.ones(2)), NotImplementedError, "a method `call`"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
