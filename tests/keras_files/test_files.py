"""Models in files of Keras: the same predictions here and there, both ways."""

import json
import zipfile

import numpy as np
import pytest
from tolerances import TORCH_MODULE_FLOAT32, assert_close

import fastrnn.keras
from fastrnn import layers, models

pytest.importorskip("h5py")
# Of Keras' own making.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore:.*does not support masking:UserWarning"
)

B, T, I = 3, 5, 4
WORDS = np.array([[1, 2, 0, 0, 0], [3, 1, 4, 2, 5], [5, 0, 3, 0, 0]], np.int32)


def vectors(seed=0, features=I):
    x = np.random.default_rng(seed).normal(size=(B, T, features)).astype(np.float32)
    x[1, 3:] = x[2, 2:] = 0
    return x


def flat(value):
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in flat(each)]
    return [np.asarray(value)]


def randomize(model):
    """Give a model weights that all differ: a bias of zeros would hide much."""
    rng = np.random.default_rng(5)
    model.set_weights([rng.normal(size=w.shape, scale=0.4) for w in model.get_weights()])


def same(ours, theirs, x):
    pairs = zip(flat(ours.predict(x, verbose=0)), flat(theirs.predict(x, verbose=0)), strict=True)
    for number, (actual, desired) in enumerate(pairs):
        assert_close(actual, desired, TORCH_MODULE_FLOAT32, f"output {number}")


def check(keras, theirs, x, folder):
    """Take a model of Keras here and back again, and compare predictions at each stage."""
    randomize(theirs)
    theirs.save(folder / "theirs.keras")
    ours = fastrnn.keras.load(folder / "theirs.keras")
    same(ours, theirs, x)
    fastrnn.keras.save(ours, folder / "ours.keras")
    same(ours, keras.saving.load_model(folder / "ours.keras"), x)
    same(fastrnn.keras.load(folder / "ours.keras"), theirs, x)
    return ours


STACKS = {
    "lstm": lambda L: [L.LSTM(3)],
    "lstm of all options": lambda L: [
        L.LSTM(3, activation="softsign", recurrent_activation="hard_sigmoid", use_bias=False,
               return_sequences=True, go_backwards=True, kernel_regularizer="l2",
               recurrent_constraint="max_norm", dropout=0.2, seed=3),
    ],
    "gru": lambda L: [L.GRU(3, return_sequences=True)],
    "gru reset before": lambda L: [L.GRU(3, reset_after=False), L.Activation("relu")],
    "simple rnn": lambda L: [L.SimpleRNN(3, activation="relu", unroll=True)],
    "an activation without a kernel": lambda L: [L.LSTM(3, activation="gelu")],
    "masked": lambda L: [L.Masking(0.0), L.LSTM(3, return_sequences=True), L.GRU(2)],
    "both ways": lambda L: [L.Masking(), L.Bidirectional(L.LSTM(3, return_sequences=True)),
                            L.Bidirectional(L.GRU(2), merge_mode="ave")],
    "another layer backwards": lambda L: [
        L.Bidirectional(L.LSTM(3), backward_layer=L.GRU(3, go_backwards=True), merge_mode="mul"),
    ],
    "cells": lambda L: [L.RNN([L.LSTMCell(3), L.GRUCell(2), L.SimpleRNNCell(4)],
                              return_sequences=True), L.RNN(L.GRUCell(3))],
    "cells both ways": lambda L: [
        L.Bidirectional(L.RNN(L.LSTMCell(3), return_sequences=True)),
        L.Bidirectional(L.RNN([L.GRUCell(3), L.LSTMCell(2)])),
    ],
    "every step": lambda L: [L.TimeDistributed(L.Dense(3, activation="softmax")),
                             L.SpatialDropout1D(0.3), L.GlobalMaxPooling1D()],
    "masked mean": lambda L: [L.Masking(), L.GlobalAveragePooling1D(keepdims=True)],
    "shapes": lambda L: [L.Permute((2, 1)), L.Reshape((2, -1)), L.Flatten(), L.RepeatVector(2),
                         L.LayerNormalization(axis=[1, 2], center=False)],
    "trees": lambda L: [L.Dense(3, use_bias=False), L.Dropout(0.5), L.Dense(2), L.Dense(2)],
}  # fmt: skip


@pytest.mark.parametrize("stack", STACKS)
def test_sequential_models_predict_the_same(keras, stack, tmp_path):
    parts = STACKS[stack](keras.layers)
    check(keras, keras.Sequential([keras.Input((T, I)), *parts]), vectors(), tmp_path)


def test_a_sequential_within_another_and_words(keras, tmp_path):
    L = keras.layers
    inner = keras.Sequential([L.Embedding(6, 3, mask_zero=True), L.LSTM(4, return_sequences=True)])
    model = keras.Sequential([keras.Input((None,), dtype="int32"), inner, L.GRU(2), L.Dense(1)])
    ours = check(keras, model, WORDS, tmp_path)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in model.layers]


def encoder_decoder(keras):
    """Attention, states from one layer to another, several inputs and outputs."""
    L = keras.layers
    words = keras.Input((None,), dtype="int32", name="words")
    x = keras.Input((None, I), name="vectors")
    e = L.Embedding(6, 4, mask_zero=True)(words)
    s, h, c, h_back, c_back = L.Bidirectional(
        L.LSTM(2, return_sequences=True, return_state=True)
    )(e)  # fmt: skip
    state = [L.Concatenate()([h, h_back]), L.Concatenate()([c, c_back])]
    y = L.LSTM(4, return_sequences=True)(L.Masking()(x), initial_state=state)
    attended = L.Attention(use_scale=True)([y, s])
    more = L.AdditiveAttention()([L.Dense(4)(y), s, s])
    mean = L.GlobalAveragePooling1D()(L.Add()([attended, more]))
    return keras.Model([words, x], {"mean": L.Dense(1)(mean), "all": attended})


def shared_layers(keras):
    """One layer called twice, operators, and an inner functional model called twice."""
    L = keras.layers
    a, b = keras.Input((T, I), name="a"), keras.Input((T, I), name="b")
    lstm, dense = L.LSTM(3), L.Dense(3)
    p = keras.Input((3,))
    inner = keras.Model(p, [L.Dense(2)(p), L.Dense(2, activation="tanh")(p)])
    one, other = inner(lstm(a)), inner(dense(lstm(b)))
    y = L.Subtract()([one[0], other[1]]) * 2.0 + L.Maximum()([one[1], other[0]])
    return keras.Model([a, b], [y, dense(lstm(a)), L.Minimum()([one[0], one[1]])])


def masks_that_meet(keras):
    L = keras.layers
    words, x = keras.Input((T,), dtype="int32"), keras.Input((T, I))
    e = L.Embedding(6, I, mask_zero=True)(words)
    m = L.Masking()(x)
    y = L.GRU(2, return_sequences=True)(L.Add()([e, m]))
    z = L.GRU(2, return_sequences=True)(L.Concatenate()([y, m]))
    time = L.GRU(2)(L.Concatenate(axis=1)([y, z]))
    return keras.Model([words, x], [L.LSTM(2)(L.Average()([y, z])), time])


def parts_of_arrays(keras):
    """Last steps, as they are often written, and other indices."""
    L = keras.layers
    words, x = keras.Input((T,), dtype="int32"), keras.Input((T, I))
    y = L.GRU(3, return_sequences=True)(L.Embedding(6, I, mask_zero=True)(words))
    z = L.LSTM(3, return_sequences=True)(x)
    parts = [y[:, -1, :], z[:, -1], L.LSTM(2)(z[:, 1:4:2]), z[..., 0], L.Add()([y, z])[:, None, 2]]
    return keras.Model([words, x], parts)


@pytest.mark.parametrize("make", [encoder_decoder, shared_layers, masks_that_meet, parts_of_arrays])
def test_functional_models_predict_the_same(keras, make, tmp_path):
    model = make(keras)
    x = [vectors(seed, I) for seed in range(2)]
    if model.inputs[0].dtype == "int32":
        x[0] = WORDS
    check(keras, model, x, tmp_path)


def test_models_of_keras_are_saved_as_ours(keras, tmp_path):
    model, x = encoder_decoder(keras), [WORDS, vectors()]
    model.save(tmp_path / "t.keras")
    fastrnn.keras.load(tmp_path / "t.keras").save(tmp_path / "o.fastrnn")
    same(models.load_model(tmp_path / "o.fastrnn"), model, x)


def test_masks_given_as_arguments_stay(keras, tmp_path):
    L = keras.layers
    x, mask = keras.Input((T, I)), keras.Input((T,), dtype="bool")
    model = keras.Model([x, mask], L.GRU(3)(x, mask=mask))
    check(keras, model, [vectors(), WORDS > 0], tmp_path)


def random_graph(keras, rng):
    """A graph of layers of the same classes and shapes, so that any other order shows."""
    L = keras.layers
    words, x = keras.Input((T,), dtype="int32"), keras.Input((T, 3))
    made = [L.Embedding(6, 3, mask_zero=bool(rng.integers(2)))(words), x]
    for _ in range(9):
        source = made[rng.integers(len(made))]
        match rng.integers(5):
            case 0:
                made.append(L.Dense(3)(source))
            case 1:
                made.append(L.GRU(3, return_sequences=True)(source))
            case 2:
                made.append(L.Masking(0.0)(source))
            case 3:
                made.append(L.Add()([source, made[rng.integers(len(made))]]))
            case _:
                made.append(L.Dense(3)(L.Concatenate()([source, made[rng.integers(len(made))]])))
    return keras.Model([words, x], [L.Dense(3)(made[-1]), made[rng.integers(2, len(made))]])


@pytest.mark.parametrize("seed", range(8))
def test_layers_of_any_graph_are_in_the_order_of_keras(keras, seed, tmp_path):
    model = random_graph(keras, np.random.default_rng(seed))
    check(keras, model, [WORDS, vectors(features=3)], tmp_path)


def test_our_own_models_reach_keras(keras, tmp_path):
    words, x = layers.Input((None,), dtype="int32"), layers.Input((None, I))
    e = layers.Embedding(6, 3, mask_zero=True)(words)
    y, h = layers.GRU(3, return_sequences=True, return_state=True)(e)
    z = layers.GRU(3, return_sequences=True)(layers.Masking()(x), initial_state=h)
    out = layers.TimeDistributed(layers.Dense(2))(layers.Add()([y, z]))
    model = models.Model([words, x], [out, layers.Bidirectional(layers.SimpleRNN(2))(z)])
    randomize(model)
    fastrnn.keras.save(model, tmp_path / "m.keras")
    # Keras passes no mask on where there is an initial state: the file has to say it.
    same(model, keras.saving.load_model(tmp_path / "m.keras"), [WORDS, vectors()])


def test_stateful_layers_start_anew_and_then_go_on(keras, tmp_path):
    shape = keras.Input(batch_shape=(B, T, I))
    theirs = keras.Sequential([shape, keras.layers.GRU(3, stateful=True)])
    theirs.save(tmp_path / "t.keras")
    ours = fastrnn.keras.load(tmp_path / "t.keras")
    fastrnn.keras.save(ours, tmp_path / "o.keras")
    again = keras.saving.load_model(tmp_path / "o.keras")
    for _ in range(2):
        desired = theirs.predict(vectors(), verbose=0)
        for each in (ours, again):
            assert_close(each.predict(vectors(), verbose=0), desired, TORCH_MODULE_FLOAT32)


def test_weights_of_keras_fit_models_of_ours(keras, tmp_path):
    def made(library):
        L = library.layers
        parts = [L.Bidirectional(L.GRU(3)), L.Dense(4), L.Dense(4), L.LayerNormalization()]
        return getattr(library, "Sequential", models.Sequential)([L.Input((T, I)), *parts])

    import fastrnn

    theirs, ours = made(keras), made(fastrnn)
    theirs.compile("adam", "mse")
    randomize(theirs)
    theirs.fit(vectors(), np.ones((B, 4)), verbose=0)  # the optimizer's are in the file as well
    theirs.save_weights(tmp_path / "w.weights.h5")
    fastrnn.keras.load_weights(ours, tmp_path / "w.weights.h5")
    same(ours, theirs, vectors())
    theirs.save(tmp_path / "t.keras")
    randomize(ours)
    fastrnn.keras.load_weights(ours, tmp_path / "t.keras")
    same(ours, theirs, vectors())


def test_layers_and_functions_of_ones_own(keras, tmp_path):
    @keras.saving.register_keras_serializable("mine")
    class Twice(keras.layers.Layer):
        def __init__(self, factor=2.0, **options):
            super().__init__(**options)
            self.factor = factor
            self.inner = keras.layers.Dense(2)

        def build(self, shape):
            self.scale = self.add_weight(name="scale", shape=shape[-1:])
            self.inner.build(shape)

        def call(self, inputs):
            return self.inner(inputs * self.scale * self.factor)

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    class Ours(layers.Layer):
        def __init__(self, factor=2.0, **options):
            super().__init__(**options)
            self.factor = factor
            self.inner = layers.Dense(2)

        def build(self, shape):
            self.scale = self.add_weight(name="scale", shape=shape[-1:])
            self.inner.build(shape)

        def call(self, inputs):
            return self.inner(inputs * self.scale * self.factor)

    theirs = keras.Sequential([keras.Input((T, I)), Twice(3.0)])
    randomize(theirs)
    theirs.save(tmp_path / "t.keras")
    ours = fastrnn.keras.load(tmp_path / "t.keras", custom_objects={"Twice": Ours})
    same(ours, theirs, vectors())
    with pytest.raises(ValueError, match=r"Ours"):
        fastrnn.keras.save(ours, tmp_path / "o.keras")
    assert not (tmp_path / "o.keras").exists()


def test_loaded_models_remember_how_weights_start_and_are_frozen(keras, tmp_path):
    L = keras.layers
    frozen = L.Dense(2, kernel_initializer=keras.initializers.HeNormal(seed=4), trainable=False)
    theirs = keras.Sequential([keras.Input((I,)), frozen, L.Dense(1, kernel_regularizer="l2")])
    theirs.save(tmp_path / "t.keras")
    ours = fastrnn.keras.load(tmp_path / "t.keras")
    assert [len(layer.trainable_variables) for layer in ours.layers] == [0, 2]
    new = models.clone_model(ours)
    start = new.layers[0].get_weights()[0]
    assert start.any()
    assert np.array_equal(start, models.clone_model(ours).layers[0].get_weights()[0])
    assert len(new.losses) == 1


def test_the_same_model_gives_the_same_file(tmp_path):
    model = models.Sequential([layers.Input((T, I)), layers.LSTM(2)])
    for name in ("a.keras", "b.keras"):
        fastrnn.keras.save(model, tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert json.loads(archive.read("metadata.json"))["keras_version"].startswith("3.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]


def test_what_keras_has_no_place_for_is_named_all_at_once(tmp_path):
    model = models.Sequential([
        layers.Input((T, I)), layers.Recurrent("mgu", 3, name="one", return_sequences=True),
        layers.LSTM(2, activation=lambda x: x, name="two"),
    ])  # fmt: skip
    with pytest.raises(ValueError, match=r"(?s)one.*two"):
        fastrnn.keras.save(model, tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"build it first"):
        fastrnn.keras.save(models.Sequential([layers.LSTM(2)]), tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"ends in \.keras"):
        fastrnn.keras.save(model, tmp_path / "m.h5")
