"""Dense layers, alone and with their fused loss."""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, reference
from fastrnn.layers import Dense


def make_layer(**options):
    layer = Dense(7, dtype="float64", **options)
    layer.build((None, 5))
    return layer


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 4)], ids=str)
def test_products_and_gradients_match_reference(rng, shape):
    layer = make_layer()
    layer.bias.assign(rng.standard_normal(7))
    x, dy = Tensor(rng.standard_normal((*shape, 5))), rng.standard_normal((*shape, 7))
    with GradientTape() as tape:
        y = layer(x)
    gradients = tape.gradient(y, [x, *layer.variables], dy)
    W, b = layer.get_weights()
    assert_close(y, reference.linear.forward(x.value, W, b), FLOAT64_OUTPUT)
    for ours, wanted in zip(gradients, reference.linear.backward(x.value, W, dy), strict=True):
        assert_close(ours, wanted, FLOAT64_GRADIENT)


def test_fused_loss_matches_reference(rng):
    layer = make_layer()
    x, targets = Tensor(rng.standard_normal((2, 3, 5))), rng.integers(0, 7, (2, 3))
    with GradientTape() as tape:
        loss = layer.cross_entropy(x, targets, training=True)
    gradients = tape.gradient(loss, [x, *layer.variables], 2.0)
    W, b = layer.get_weights()
    logits = reference.linear.forward(x.value, W, b).reshape(6, 7)
    assert_close(
        np.float64(float(loss)),
        np.float64(reference.softmax.forward(logits, targets.ravel())),
        FLOAT64_OUTPUT,
    )
    dlogits = reference.softmax.backward(logits, targets.ravel(), dloss=2.0).reshape(2, 3, 7)
    for ours, wanted in zip(gradients, reference.linear.backward(x.value, W, dlogits), strict=True):
        assert_close(ours, wanted, FLOAT64_GRADIENT)
    assert float(layer.cross_entropy(x, targets, training=False)) == float(loss)


def test_python_numbers_take_the_dtype_of_the_layer():
    for dtype in ("float32", "float64"):
        layer = Dense(2, dtype=dtype)
        for x in ([[1, 2, 3]], [[1.0, 2.0, 3.0]], np.array([[1, 2, 3]])):
            assert layer(x).dtype == np.dtype(dtype)


@pytest.mark.parametrize("units", [0, "3", True, 2.5], ids=repr)
def test_wrong_sizes_are_named(units):
    with pytest.raises(ValueError, match="^units: expected an int of at least 1"):
        Dense(units)


def test_wrong_inputs_are_told_with_the_layers_name():
    layer = make_layer(name="top")
    with pytest.raises(
        ValueError, match=r"^top: expected an input of .*length 5 in axis -1, got shape \(2, 6\)"
    ):
        layer(np.zeros((2, 6)))
    with pytest.raises(ValueError, match="^top: expected an input"):
        layer(np.float64(1))
    with pytest.raises(ValueError, match="^activation: expected a function or one of"):
        Dense(2, "thanh")


def test_activation_comes_after_the_products(rng):
    plain, layer = make_layer(), make_layer(activation="relu", use_bias=False)
    layer.set_weights(plain.get_weights()[:1])
    x = rng.standard_normal((4, 5))
    np.testing.assert_array_equal(layer(x), np.maximum(plain(x).value, 0))
