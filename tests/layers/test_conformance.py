"""What every layer keeps: shapes, configuration, weights, gradients, training flag and masks."""

import json

import numeric
import numpy as np
import pytest
from tolerances import NUMERIC_GRADIENT, assert_close

from fastrnn import GradientTape, Tensor, layers, ops
from fastrnn.cells import CELLS
from fastrnn.layers.structure import is_shape
from fastrnn.layers.structure import leaves as flat

B, T, I, H = 2, 3, 2, 2
SEQUENCE = [(B, T, I)]
MASK = np.array([[True, True, False], [False, True, True]])

#: A layer by what it is called here, the shapes of its inputs, and whether a mask is given.
CASES = {
    "dense": (lambda: layers.Dense(3, "tanh"), SEQUENCE, False),
    "dense of vectors": (lambda: layers.Dense(3, use_bias=False), [(B, I)], False),
    "activation": (lambda: layers.Activation("softplus"), SEQUENCE, True),
    "dropout": (lambda: layers.Dropout(0.5, seed=1), SEQUENCE, True),
    "spatial dropout": (lambda: layers.SpatialDropout1D(0.5, seed=1), SEQUENCE, True),
    "masking": (lambda: layers.Masking(), SEQUENCE, False),
    "normalization": (lambda: layers.LayerNormalization(), SEQUENCE, True),
    "normalization of two axes": (
        lambda: layers.LayerNormalization(axis=[1, 2], gamma_initializer="uniform"),
        SEQUENCE,
        False,
    ),
    "simple rnn": (lambda: layers.SimpleRNN(H, return_sequences=True), SEQUENCE, True),
    "lstm": (lambda: layers.LSTM(H, return_state=True, return_sequences=True), SEQUENCE, True),
    "lstm backwards": (lambda: layers.LSTM(H, go_backwards=True), SEQUENCE, True),
    "lstm step by step": (
        lambda: layers.LSTM(H, activation="silu", return_sequences=True),
        SEQUENCE,
        True,
    ),
    "gru": (lambda: layers.GRU(H, return_sequences=True), SEQUENCE, True),
    "gru reset before": (lambda: layers.GRU(H, reset_after=False), SEQUENCE, True),
    "gru step by step": (lambda: layers.GRU(H, "gelu", reset_after=False), SEQUENCE, False),
    "rnn of cells": (
        lambda: layers.RNN([layers.LSTMCell(H), layers.GRUCell(4)], return_state=True),
        SEQUENCE,
        True,
    ),
    "rnn of one cell in a list": (
        lambda: layers.RNN([layers.LSTMCell(H)], return_state=True),
        SEQUENCE,
        False,
    ),
    "bidirectional": (
        lambda: layers.Bidirectional(layers.GRU(H, return_sequences=True)),
        SEQUENCE,
        True,
    ),
    "both outputs": (
        lambda: layers.Bidirectional(layers.LSTM(H, return_state=True), merge_mode=None),
        SEQUENCE,
        True,
    ),
    "time distributed": (
        lambda: layers.TimeDistributed(layers.Dense(3, "relu")),
        SEQUENCE,
        True,
    ),
    "embedding": (lambda: layers.Embedding(5, 3, mask_zero=True), [(B, T)], False),
    "concatenation": (lambda: layers.Concatenate(), SEQUENCE * 2, True),
    "dot": (lambda: layers.Dot(1), SEQUENCE * 2, True),
    "cosine": (lambda: layers.Dot((2, 1), normalize=True), [(B, T, I), (B, I, 4)], False),
    "sum": (lambda: layers.Add(), SEQUENCE * 3, True),
    "difference": (lambda: layers.Subtract(), SEQUENCE * 2, True),
    "product": (lambda: layers.Multiply(), SEQUENCE * 2, True),
    "stretched product": (lambda: layers.Multiply(), [(B, T, I), (B, 1, I)], False),
    "product of ranks": (lambda: layers.Multiply(), [(B, T, I), (B, I)], False),
    "mean": (lambda: layers.Average(), SEQUENCE * 2, True),
    "largest": (lambda: layers.Maximum(), SEQUENCE * 2, True),
    "smallest": (lambda: layers.Minimum(), SEQUENCE * 2, True),
    "attention": (lambda: layers.Attention(use_scale=True), [(B, T, I), (B, 4, I)], False),
    "attention of key": (
        lambda: layers.Attention(score_mode="concat", use_scale=True),
        [(B, T, I), (B, 4, I), (B, 4, I)],
        False,
    ),
    "additive attention": (lambda: layers.AdditiveAttention(), SEQUENCE * 2, True),
    "repeat": (lambda: layers.RepeatVector(3), [(B, I)], False),
    "reshape": (lambda: layers.Reshape((-1, 3)), SEQUENCE, False),
    "flatten": (lambda: layers.Flatten(), SEQUENCE, False),
    "permute": (lambda: layers.Permute((2, 1)), SEQUENCE, False),
    "average pooling": (lambda: layers.GlobalAveragePooling1D(), SEQUENCE, True),
    "max pooling": (
        lambda: layers.GlobalMaxPooling1D(data_format="channels_first", keepdims=True),
        SEQUENCE,
        False,
    ),
} | {
    f"recurrent {name}": (
        lambda name=name: layers.Recurrent(name, H, return_sequences=True),
        SEQUENCE,
        True,
    )
    for name in CELLS
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request):
    make, shapes, is_masked = CASES[request.param]
    layer = in_float64(make())
    rng = np.random.default_rng(3)
    if isinstance(layer, layers.Embedding):
        inputs = rng.integers(0, 5, shapes[0])
    else:
        inputs = [Tensor(rng.standard_normal(shape)) for shape in shapes]
        for tensor in inputs:
            tensor.mask = MASK if is_masked else None
        inputs = inputs if len(inputs) > 1 else inputs[0]
    layer(inputs)
    for variable in layer.weights:
        variable.assign(0.7 * rng.standard_normal(variable.shape))
    return layer, inputs


def in_float64(layer):
    """The layer anew in float64, with whatever layers are in it."""

    def converted(config):
        if isinstance(config, dict):
            if {"class_name", "config"} <= config.keys() and "name" in config["config"]:
                config["config"]["dtype"] = "float64"
            return {key: converted(value) for key, value in config.items()}
        return [converted(each) for each in config] if isinstance(config, list) else config

    return layers.deserialize(converted(layers.serialize(layer)))


def tensors_of(outputs):
    return [leaf for leaf in flat(outputs) if isinstance(leaf, Tensor)]


def test_configuration_and_weights_make_the_same_layer(case):
    layer, inputs = case
    config = json.loads(json.dumps(layers.serialize(layer)))
    again = layers.deserialize(config)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    again(inputs)
    again.set_weights(layer.get_weights())
    for ours, wanted in zip(tensors_of(again(inputs)), tensors_of(layer(inputs)), strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_gradients_are_those_of_central_differences(case):
    layer, inputs = case
    sources = [s for s in flat(inputs) if isinstance(s, Tensor)] + layer.trainable_variables
    rng = np.random.default_rng(5)
    factors = [rng.standard_normal(y.shape) for y in tensors_of(layer(inputs))]

    def objective():
        total = 0.0
        for y, factor in zip(tensors_of(layer(inputs)), factors, strict=True):
            total = total + ops.sum(y * factor)
        return total

    if not sources:
        pytest.skip("nothing to differentiate")
    with GradientTape() as tape:
        result = objective()
    gradients = tape.gradient(result, sources)
    for source, gradient in zip(sources, gradients, strict=True):
        desired = numeric.gradient(lambda: float(objective()), source.value)
        gradient = np.zeros(source.shape) if gradient is None else np.asarray(gradient)
        assert_close(gradient, desired, NUMERIC_GRADIENT, getattr(source, "name", "input"))


def test_symbols_tell_the_shapes_of_the_outputs(case):
    layer, inputs = case
    outputs = layer(inputs)
    dtype = "int64" if isinstance(layer, layers.Embedding) else "float64"
    symbols = [layers.Input(batch_shape=(None, *each.shape[1:]), dtype=dtype)
               for each in (inputs if isinstance(inputs, list) else [inputs])]  # fmt: skip
    made = layer(symbols if len(symbols) > 1 else symbols[0])
    assert isinstance(made, tuple) == isinstance(outputs, tuple)
    assert [s.shape for s in flat(made)] == [(None, *y.shape[1:]) for y in flat(outputs)]
    assert flat(made)[0].dtype == flat(outputs)[0].dtype
    shape = layer.compute_output_shape([s.shape for s in symbols] if len(symbols) > 1
                                       else symbols[0].shape)  # fmt: skip
    assert is_shape(shape) == (not isinstance(outputs, tuple))


def test_masks_go_on_where_steps_do(case):
    layer, inputs = case
    first = inputs[0] if isinstance(inputs, list) else inputs
    output = flat(layer(inputs))[0]
    if isinstance(layer, layers.Embedding):
        np.testing.assert_array_equal(output.mask, inputs != 0)
    elif isinstance(layer, layers.Masking):
        assert output.mask.all()
    elif first.mask is None or output.shape[:2] != (B, T):
        assert output.mask is None
    else:
        np.testing.assert_array_equal(output.mask, MASK)


def test_only_dropout_depends_on_training(case):
    layer, inputs = case
    still, moving = (tensors_of(layer(inputs, training=t))[0].value for t in (False, True))
    assert np.array_equal(still, moving) != isinstance(layer, layers.Dropout)
    np.testing.assert_array_equal(still, tensors_of(layer(inputs))[0])


def test_a_frozen_layer_has_no_trainable_weights(case):
    layer, _ = case
    count = len(layer.trainable_variables)
    assert count == len(layer.weights)
    layer.trainable = False
    assert not layer.trainable_variables
    assert len(layer.non_trainable_variables) == count
    assert not any(variable.trainable for variable in layer.weights)
    layer.trainable = True
    assert len(layer.trainable_variables) == count


def test_every_public_layer_is_here():
    covered = {type(make()) for make, _, _ in CASES.values()}
    cells = {
        layers.Cell, layers.FormulaCell, layers.GRUCell, layers.LSTMCell, layers.SimpleRNNCell,
        layers.StackedRNNCells, layers.Layer, layers.InputSpec, layers.LookedUp, layers.Symbol,
    }  # fmt: skip
    public = {getattr(layers, name) for name in layers.__all__}
    assert {each for each in public if isinstance(each, type)} <= covered | cells
