"""Symbols: shapes and history of calls without values."""

import numpy as np
import pytest

from fastrnn import layers, ops


def test_inputs_have_shapes_dtypes_and_names():
    x = layers.Input((None, 3), name="words", dtype="int64")
    assert (x.shape, x.dtype, x.name, x.ndim) == ((None, None, 3), np.int64, "words", 3)
    assert layers.Input((), batch_size=4).shape == (4,)
    assert layers.Input(batch_shape=(2, 5)).shape == (2, 5)
    assert layers.Input(7).shape == (None, 7)
    assert x.node.layer is None
    for arguments in ({}, {"shape": (1,), "batch_shape": (1, 2)}, {"shape": ("a",)}):
        with pytest.raises(ValueError, match="^shape: expected"):
            layers.Input(**arguments)


def test_calls_are_remembered():
    x, state = layers.Input((4, 3)), layers.Input((5,))
    layer = layers.GRU(5, return_sequences=True, return_state=True)
    y, h = layer(x, initial_state=[state], training=True)
    assert (y.shape, h.shape) == ((None, 4, 5), (None, 5))
    node = y.node
    assert node is h.node
    assert (y.index, h.index) == (0, 1)
    assert node.layer is layer
    assert node.inputs == {"sequences": x, "initial_state": [state], "training": True}
    assert node.sources == [x, state]
    assert layer.built
    again = layer(x, initial_state=[state])
    assert again[0].node is not node


def test_layers_without_a_shape_formula_are_tried_on_zeros():
    class Halves(layers.Layer):
        def call(self, inputs):
            return ops.concatenate([inputs, inputs], axis=1), ops.mean(inputs, axis=[1, 2])

    whole, mean = Halves()(layers.Input((None, 3)))
    assert (whole.shape, mean.shape) == ((None, None, 3), (None,))
    fixed, _ = Halves()(layers.Input((4, 3)))
    assert fixed.shape == (None, 8, 3)


def test_shapes_that_do_not_fit_are_told_while_the_model_is_built():
    dense = layers.Dense(3, name="dense")
    dense(layers.Input((4,)))
    with pytest.raises(ValueError, match="^dense: expected an input of"):
        dense(layers.Input((5,)))
    with pytest.raises(ValueError, match="^sum: expected shapes that fit together"):
        layers.Add(name="sum")([layers.Input((4,)), layers.Input((5,))])
    with pytest.raises(ValueError, match="expected shapes that differ in axis -1 only"):
        layers.Concatenate()([layers.Input((4, 1)), layers.Input((5, 1))])
    with pytest.raises(ValueError, match="^shape_: expected an input that fits"):
        layers.Reshape((3,), name="shape_")(layers.Input((4,)))


@pytest.mark.parametrize(
    "use",
    [
        np.asarray,
        lambda x: x + 1,
        lambda x: np.ones(3) * x,
        lambda x: x[:, 0],
        len,
        bool,
        ops.tanh,
        lambda x: ops.add(1.0, x),
        lambda x: ops.concatenate([x, x]),
    ],
)
def test_symbols_have_no_value(use):
    with pytest.raises(TypeError, match=r"has no value: pass it to layers only"):
        use(layers.Input((3,)))
