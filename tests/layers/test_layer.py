"""Layers of one's own: what they inherit, and what they are told when they are wrong."""

import gc
import weakref

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, Variable, layers, ops, random
from fastrnn.layers import context


class Scale(layers.Layer):
    """Multiplies by a weight, and by another one that is not trained."""

    def build(self, input_shape):
        self.fixed = self.add_weight(shape=(), initializer="ones", trainable=False, name="fixed")
        self.factor = self.add_weight(
            "factor", shape=input_shape[-1:], initializer="ones", regularizer="l2",
            constraint="non_neg",
        )  # fmt: skip

    def call(self, inputs):
        return inputs * self.factor * self.fixed


class Block(layers.Layer):
    """Layers in attributes, lists and dicts."""

    def __init__(self, units, activation="tanh", **options):
        super().__init__(**options)
        self.first = Scale()
        self.more = [layers.Dense(units), {"last": layers.Dropout(0.5, seed=1)}]
        self.offset = Variable(np.zeros(units, np.float32), "offset")
        self.units = units
        self.activation = activation

    def call(self, inputs, training=None):
        self.seen = training
        x = self.more[0](self.first(inputs)) + self.offset
        return self.more[1]["last"](x)


def test_weights_are_made_at_the_first_call_in_the_layers_name():
    layer = Scale(name="own")
    assert not layer.built
    assert not layer.weights
    layer(np.ones((2, 3)))
    assert layer.built
    # As in Keras, trainable ones come first.
    assert [v.name for v in layer.weights] == ["own/factor", "own/fixed"]
    assert [v.name for v in layer.trainable_variables] == ["own/factor"]
    assert [v.name for v in layer.non_trainable_variables] == ["own/fixed"]
    assert layer.count_params() == 4
    with pytest.raises(ValueError, match="new expected 0 arrays, as it was not called or built"):
        Scale(name="new").set_weights([1, 2])


def test_layers_within_are_found_and_their_weights_named_after_both():
    block = Block(2, name="block")
    block(np.ones((4, 3)))
    names = [v.name for v in block.weights]
    scale, dense = block.first.name, block.more[0].name
    assert names == [
        "offset", f"block/{scale}/factor", f"block/{scale}/fixed", f"block/{dense}/kernel",
        f"block/{dense}/bias",
    ]  # fmt: skip
    assert block.layers_inside == [block.first, block.more[0], block.more[1]["last"]]
    block.more.append(layers.Dense(1))
    assert len(block.layers_inside) == 4


def test_freezing_is_undone_but_for_what_was_frozen_before():
    block = Block(2)
    block(np.ones((4, 3)))
    trained = block.trainable_variables
    block.more[0].trainable = False
    assert len(block.trainable_variables) == len(trained) - 2
    block.trainable = False
    assert not block.trainable_variables
    assert not any(v.trainable for v in block.weights)
    block.trainable = True
    assert [id(v) for v in block.trainable_variables] == [id(v) for v in trained]
    assert not block.first.fixed.trainable
    frozen = Scale(trainable=False)
    frozen(np.ones((2, 3)))
    assert not frozen.trainable_variables
    frozen.trainable = True
    assert frozen.trainable_variables == [frozen.factor]


def test_a_call_within_a_call_is_told_whether_this_is_training():
    block, x = Block(2, name="b"), np.ones((4, 3))
    block(x, training=True)
    assert block.seen is True
    assert block.more[1]["last"].step == 1
    block(x)
    assert block.seen is False
    assert block.more[1]["last"].step == 1
    with pytest.raises(RuntimeError, match="oops"):
        _Failing()(x, training=True)
    block(x)
    assert block.seen is False


class _Failing(layers.Layer):
    def call(self, inputs):
        raise RuntimeError("oops")


def test_losses_are_those_of_the_last_call():
    layer = layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1", name="d")
    x = np.ones((4, 3), np.float32)
    for _ in range(2):
        y = layer(x)
        activity, weights = (float(loss) for loss in layer.losses)
        assert activity == pytest.approx(0.01 * np.abs(y.value).sum() / len(x), rel=1e-5)
        assert weights == pytest.approx(0.01 * np.square(layer.kernel.value).sum(), rel=1e-5)
    layer.trainable = False
    assert len(layer.losses) == 1

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def call(self, inputs):
            y = self.inner(inputs)
            self.add_loss(ops.sum(y))
            return y

    outer = Outer()
    outer(x)
    outer(x)
    assert len(outer.losses) == 2


def test_gradient_of_a_regularized_loss_reaches_the_weights():
    layer = Scale()
    layer(np.ones((1, 3)))
    with GradientTape() as tape:
        loss = sum(layer.losses)
    (gradient,) = tape.gradient(loss, [layer.factor])
    np.testing.assert_allclose(gradient, 0.02 * np.ones(3), rtol=1e-6)
    assert layer.factor.constraint is not None
    assert layer.fixed.regularizer is None


def test_configuration_has_what_the_constructor_was_given():
    block = Block(3, activation="relu", name="block", trainable=False)
    config = block.get_config()
    assert config == {
        "name": "block", "trainable": False, "dtype": "float32", "units": 3, "activation": "relu",
    }  # fmt: skip
    again = Block.from_config(config)
    assert (again.name, again.units, again.trainable) == ("block", 3, False)
    with pytest.raises(NotImplementedError, match=r"Block.get_config: .*activation=<function"):
        Block(3, activation=lambda x: x).get_config()


def test_own_classes_are_loaded_when_they_are_registered():
    config = layers.serialize(Block(3, name="block"))
    with pytest.raises(ValueError, match="'Block' is not known; put @fastrnn.layers.register"):
        layers.deserialize(config)
    assert layers.deserialize(config, custom_objects={"Block": Block}).units == 3
    wrapped = layers.serialize(layers.TimeDistributed(Block(3)))
    assert layers.deserialize(wrapped, {"Block": Block}).layer.units == 3
    layers.register(package="tests", name="Own")(Block)
    try:
        config = layers.serialize(Block(3, name="block"))
        assert config["class_name"] == "tests>Own"
        assert isinstance(layers.deserialize(config), Block)
        with pytest.raises(ValueError, match="name: 'tests>Own' is taken"):
            layers.register(package="tests", name="Own")(Scale)
    finally:
        from fastrnn.layers import serialization

        del serialization.CLASSES["tests>Own"]
    with pytest.raises(ValueError, match="^config: expected a dict of class_name and config"):
        layers.deserialize({"name": "x"})


def test_numbers_become_floats_of_the_layer():
    for dtype in ("float32", "float64"):
        layer = Scale(dtype=dtype)
        for x in ([[1.0, 2.0]], np.ones((1, 2)), np.ones((1, 2), np.float32)):
            assert layer(x).dtype == np.dtype(dtype)
    source = Tensor(np.ones((1, 2)))
    with GradientTape() as tape:
        y = Scale()(source)
    assert y.dtype == np.float32
    assert tape.gradient(y, [source])[0].dtype == np.float64


def test_masks_end_at_layers_that_do_not_know_them():
    x = layers.Masking()(np.ones((2, 3, 4)))
    assert layers.Dense(2)(x).mask is x.mask
    with pytest.warns(UserWarning, match="^flat: Flatten does not support masking"):
        y = layers.Flatten(name="flat")(x)
    assert y.mask is None


def test_a_layer_of_ones_own_makes_masks_by_its_compute_mask(rng):
    class Ids(layers.Layer):
        def build(self, input_shape):
            self.vectors = self.add_weight(shape=(4, 3))

        def call(self, inputs):
            return ops.take(self.vectors, inputs, axis=0)

        def compute_mask(self, inputs, mask=None):
            return ops.not_equal(inputs, 0)

    class Halves(layers.Layer):
        def call(self, inputs):
            return ops.split(inputs, 2, axis=1)

        def compute_mask(self, inputs, mask=None):
            return ops.split(mask, 2, axis=1)

    class Silent(Ids):
        supports_masking = False

    ids = np.array([[1, 2, 0, 0], [3, 0, 1, 0]])
    own, known = Ids(), layers.Embedding(4, 3, mask_zero=True)
    y = own(ids)
    known(ids)
    known.set_weights(own.get_weights())
    assert y.mask.tolist() == (ids != 0).tolist()
    lstm = layers.LSTM(2)
    assert_close(lstm(y), lstm(known(ids)).value, FLOAT32_OUTPUT)
    assert [half.mask.tolist() for half in Halves()(y)] == [
        [[True, True], [True, False]], [[False, False], [True, False]]
    ]  # fmt: skip
    assert Silent()(ids).mask is None


def test_a_mask_is_given_by_hand_or_comes_with_the_input():
    class Spy(layers.Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            self.seen = mask
            return ops.multiply(inputs, 2.0)

    spy, mask = Spy(), np.array([[1, 0]])
    x = np.ones((1, 2, 3))
    y = spy(x, mask=mask)
    assert spy.seen.tolist() == y.mask.tolist() == [[True, False]]
    z = spy(y)
    assert spy.seen is y.mask is z.mask
    spy(x)
    assert spy.seen is None


def test_wrong_calls_are_told_with_the_layers_name():
    layer = Scale(name="own")
    with pytest.raises(TypeError, match="^own: expected inputs, got none"):
        layer()
    with pytest.raises(TypeError, match="^own: unexpected states"):
        layer(np.ones(2), states=3)
    with pytest.raises(TypeError, match="^own: expected the arguments inputs, got 2 positional"):
        layer(np.ones(2), np.ones(2))
    with pytest.raises(TypeError, match="^Dense: unexpected unit$"):
        layers.Dense(3, unit=4)

    class Hasty(layers.Layer):
        def __init__(self):
            self.units = 3

    with pytest.raises(RuntimeError, match=r"^Hasty.__init__: expected super\(\).__init__\(\)"):
        Hasty()(np.ones(2))
    with pytest.raises(NotImplementedError, match="^Layer: expected a method `call`"):
        layers.Layer()(np.ones(2))


def test_input_specs_are_checked():
    spec = layers.InputSpec(shape=(None, 3))
    layer = Scale(name="own")
    layer.input_spec = spec
    layer(np.ones((2, 3)))
    for shape in ((2, 4), (3,), (1, 2, 3)):
        with pytest.raises(ValueError, match=r"^own: expected an input of shape \(None, 3\)"):
            layer(np.ones(shape))
    pair = layers.InputSpec(min_ndim=2, max_ndim=2, axes={1: 3})
    assert [pair.fits(s) for s in ((2, 3), (None, None), (2,), (1, 3, 1))] == [True, True, False,
                                                                              False]  # fmt: skip
    layer.input_spec = [spec, spec]
    with pytest.raises(ValueError, match="^own: expected 2 inputs, got 1"):
        layer(np.ones((2, 3)))


def test_names_are_made_of_the_class_and_counted():
    class SomeOwnLayer(layers.Layer):
        pass

    names = [SomeOwnLayer().name for _ in range(3)]
    assert names == ["some_own_layer", "some_own_layer_1", "some_own_layer_2"]
    assert context.path("w") == "w"


def test_older_programs_give_the_shape_to_the_first_layer():
    assert layers.Dense(3, input_dim=4).given_input_shape == (None, 4)
    assert layers.LSTM(3, input_shape=(5, 4)).given_input_shape == (None, 5, 4)
    assert layers.LSTM(3, batch_input_shape=(2, 5, 4)).given_input_shape == (2, 5, 4)
    assert layers.Dense(3).given_input_shape is None


def test_weights_of_the_same_seed_are_the_same():
    def weights():
        random.set_seed(3)
        block = Block(2)
        block(np.ones((4, 3)))
        return block.get_weights()

    for one, again in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(one, again)


def test_what_a_layer_computed_is_freed_without_a_collection(rng):
    gc.disable()
    try:
        model = [layers.Embedding(20, 4), layers.LSTM(3, return_sequences=True), layers.Dense(2)]
        with GradientTape() as tape:
            x = rng.integers(0, 20, (2, 5))
            for layer in model:
                x = layer(x)
        tape.gradient(x, model[1].trainable_variables)
        gone = weakref.ref(x)
        del x, tape
        assert gone() is None
    finally:
        gc.enable()


def test_attention_wants_a_mask_for_each_input():
    x = np.ones((2, 3, 4))
    with pytest.raises(ValueError, match="^look: expected a list of masks"):
        layers.Attention(name="look")([x, x], mask=np.ones((2, 3), bool))
    with pytest.raises(ValueError, match=r"^look: expected \[query, value\]"):
        layers.Attention(name="look")(x)


@pytest.mark.parametrize("kind", [layers.Attention, layers.AdditiveAttention])
@pytest.mark.parametrize("shapes", [[(2, 3, 4), (2, 3, 5)], [(2, 3, 4), (2, 3, 4), (2, 2, 4)]])
def test_attention_wants_a_query_value_and_key_that_fit(kind, shapes):
    arrays, symbols = [np.ones(s) for s in shapes], [layers.Input(s[1:]) for s in shapes]
    for inputs in (arrays, symbols):
        with pytest.raises(ValueError, match=r"^look: expected query \(B, Tq, D\), value"):
            kind(name="look")(inputs)
