"""Models between symbols."""

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn import layers, ops
from fastrnn.models import Model, Sequential, load_model


def branches():
    """Two inputs, a shared layer, a layer with states, two outputs."""
    p, q = layers.Input((None, 3), name="p"), layers.Input((4,), name="q")
    sequence, h, c = layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(p)
    shared = layers.Dense(4, name="shared")
    one = shared(q)
    two = shared(h)
    joined = layers.Concatenate(name="joined")([one, two, c])
    outputs = {"y": layers.Dense(2, name="y")(joined), "s": layers.Dense(1, name="s")(sequence)}
    return Model([p, q], outputs)


def test_branches_sharing_and_states_compute_what_calls_by_hand_do(rng):
    model = branches()
    p = rng.normal(size=(2, 5, 3)).astype(np.float32)
    q = rng.normal(size=(2, 4)).astype(np.float32)
    found = model.predict([p, q], verbose=0)
    get = model.get_layer
    sequence, h, c = get("lstm")(p)
    joined = get("joined")([get("shared")(q), get("shared")(h), c])
    np.testing.assert_array_equal(found["y"], np.asarray(get("y")(joined)))
    np.testing.assert_array_equal(found["s"], np.asarray(get("s")(sequence)))
    assert {k: v.shape for k, v in found.items()} == {"y": (2, 2), "s": (2, 5, 1)}
    named = model.predict({"q": q, "p": p}, verbose=0)
    np.testing.assert_array_equal(named["y"], found["y"])
    assert sum(layer.name == "shared" for layer in model.layers) == 1
    assert len(model.trainable_variables) == 3 + 2 + 2 + 2


def test_shapes_and_names_are_known_before_the_first_call():
    model = branches()
    assert model.input_shape == [(None, None, 3), (None, 4)]
    assert model.output_shape == {"y": (None, 2), "s": (None, None, 1)}
    assert [symbol.name for symbol in model.inputs] == ["p", "q"]
    assert model.built


def test_a_part_of_a_model_is_a_model_between_its_layers_symbols(rng):
    model = branches()
    p = rng.normal(size=(2, 5, 3)).astype(np.float32)
    lstm = model.get_layer("lstm")
    assert lstm.input is model.inputs[0] is model.get_layer("p").output
    _, h, c = lstm.output
    ends = Model(lstm.input, [h, c]).predict(p, verbose=0)
    np.testing.assert_array_equal(ends, [state.value for state in lstm(p)[1:]])
    chain = Sequential([layers.Input((None, 3)), layers.GRU(4), layers.Dense(2)])
    lower = Model(chain.input, chain.layers[0].output)
    np.testing.assert_array_equal(lower.predict(p, verbose=0), chain.layers[0](p).value)
    with pytest.raises(AttributeError, match="^late has no output, as it was not called on"):
        _ = layers.Dense(3, name="late").output


def test_a_trained_translator_is_taken_apart_for_decoding(rng, tmp_path):
    p, q = layers.Input((None, 3)), layers.Input((None, 2))
    _, *states = layers.LSTM(4, return_state=True)(p)
    y, _, _ = layers.LSTM(4, return_sequences=True, return_state=True)(q, initial_state=states)
    Model([p, q], layers.Dense(2)(y)).save(tmp_path / "translator.fastrnn")
    model = load_model(tmp_path / "translator.fastrnn")
    _, *states = model.layers[2].output
    encoder = Model(model.input[0], states)
    state_inputs = [layers.Input((4,)), layers.Input((4,))]
    y, *after = model.layers[3](model.input[1], initial_state=state_inputs)
    decoder = Model([model.input[1], *state_inputs], [model.layers[4](y), *after])
    source, target = rng.normal(size=(1, 5, 3)), rng.normal(size=(1, 4, 2))
    now, outputs = encoder.predict(source, verbose=0), []
    for t in range(4):
        output, *now = decoder.predict([target[:, t : t + 1], *now], verbose=0)
        outputs.append(output)
    whole = model.predict([source, target], verbose=0)
    assert_close(np.concatenate(outputs, axis=1), whole, FLOAT32_OUTPUT)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_weights_are_in_keras_order(monkeypatch, rng):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")

    def build(module, model_class):
        p = module.Input((None, 3))
        q = module.Input((4,))
        late = module.Dense(5)
        a = module.Dense(4)(q)
        b = module.LSTM(4)(p)
        c = module.Add()([a, module.Dense(4, activation="tanh")(b)])
        return model_class([p, q], [module.Dense(1)(c), late(b)])

    ours, theirs = build(layers, Model), build(keras.layers, keras.Model)
    weights = [rng.normal(size=w.shape).astype(np.float32) for w in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    x = [rng.normal(size=(2, 5, 3)).astype(np.float32), rng.normal(size=(2, 4)).astype(np.float32)]
    for one, other in zip(ours.predict(x, verbose=0), theirs.predict_on_batch(x), strict=True):
        assert_close(one, np.asarray(other), FLOAT32_OUTPUT)
    names = [type(layer).__name__ for layer in theirs.layers]
    assert [type(layer).__name__ for layer in ours.layers] == names


def test_configurations_make_like_models(rng):
    model = branches()
    twin = Model.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    x = [rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4))]
    for name, value in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(twin.predict(x, verbose=0)[name], value)
    assert twin.get_config() == model.get_config()


def test_models_are_layers_of_models(rng):
    x = layers.Input((3,))
    inner = Model(x, layers.Dense(2)(x), name="inner")
    outer = Sequential([inner, layers.Dense(1)])
    y = layers.Input((3,))
    both = Model(y, layers.Add()([inner(y), Sequential([layers.Dense(2)])(y)]))
    data = rng.normal(size=(4, 3)).astype(np.float32)
    assert outer.predict(data, verbose=0).shape == (4, 1)
    assert both.output_shape == (None, 2)
    expected = sum(np.asarray(layer(data)) for layer in both.layers[1:3])
    np.testing.assert_array_equal(both.predict(data, verbose=0), expected)
    assert len(both.variables) == 4


def test_outputs_have_losses_by_the_names_of_their_layers(rng):
    x = layers.Input((3,))
    model = Model(x, [layers.Dense(2, name="a")(x), layers.Dense(1, name="b")(x)])
    model.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"b": "mse"})
    data = rng.normal(size=(4, 3))
    history = model.fit(data, [np.ones((4, 2)), np.ones((4, 1))], verbose=0).history
    assert list(history) == ["a_loss", "b_loss", "b_mse", "loss"]


def test_a_subclass_may_be_made_between_symbols(rng):
    class Counting(Model):
        steps = 0

        def train_step(self, data):
            self.steps += 1
            return super().train_step(data)

    x = layers.Input((3,))
    model = Counting(x, layers.Dense(1)(x))
    model.compile("sgd", "mse")
    model.fit(rng.normal(size=(8, 3)), np.ones((8, 1)), batch_size=4, verbose=0)
    assert model.steps == 2


def test_a_long_chain_needs_no_deep_stack():
    x = end = layers.Input((1,))
    for _ in range(1200):
        end = layers.Dropout(0.1)(end)
    assert len(Model(x, end).layers) == 1201


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Model(layers.Input((2,)), layers.Dense(1)(layers.Input((2,)))), ValueError,
         "which is not given"),
        (lambda: Model(np.ones(2), np.ones(2)), ValueError, "inputs: expected symbols"),
        (lambda: Model(layers.Input((2,))), TypeError, "both inputs and outputs"),
        (lambda: branches().predict(np.ones((2, 5, 3)), verbose=0), ValueError,
         "expected 2, got 1"),
        (lambda: branches().predict([np.ones((2, 5, 3)), np.ones((2, 9))], verbose=0), ValueError,
         "expected 'q' of shape"),
        (lambda: branches().predict({"p": np.ones((2, 5, 3))}, verbose=0), ValueError, "'q'"),
        (lambda: Model.from_config({"nodes": [], "layers": 3}), ValueError, "damaged"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_layer_may_insist_on_a_mask(rng):
    class TemporalSoftmax(layers.Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            if mask is None:
                raise ValueError("expected a mask")
            kept = ops.exp(inputs) * ops.expand_dims(ops.cast(mask, "float32"), -1)
            return kept / ops.sum(kept, axis=1, keepdims=True)

    ids = layers.Input((None,), dtype="int32")
    scores = layers.Dense(1)(layers.Embedding(10, 8, mask_zero=True)(ids))
    model = Model(ids, TemporalSoftmax()(scores))
    assert model.output_shape == (None, None, 1)
    steps = np.array([[3, 4, 0], [5, 0, 0]])
    shares = model(steps).value
    assert_close(shares.sum(axis=1)[:, 0], np.ones(2), FLOAT32_OUTPUT)
    np.testing.assert_array_equal(shares[..., 0] > 0, steps > 0)
    with pytest.raises(ValueError, match="expected a mask"):
        Model(ids, TemporalSoftmax()(layers.Dense(1)(layers.Embedding(10, 8)(ids))))(steps)
