"""Dense layers, alone and with their fused loss."""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, reference
from fastrnn.layers import Dense


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 4)], ids=str)
def test_products_and_gradients_match_reference(rng, shape):
    layer = Dense(7, 5, dtype="float64", seed=1)
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
    layer = Dense(7, 5, dtype="float64", seed=1)
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
        layer = Dense(2, 3, dtype=dtype)
        for x in ([[1, 2, 3]], [[1.0, 2.0, 3.0]], np.array([[1, 2, 3]])):
            assert layer(x).dtype == np.dtype(dtype)


@pytest.mark.parametrize("change", [{"units": 0}, {"input_dim": "3"}, {"units": True}], ids=str)
def test_wrong_sizes_are_named(change):
    with pytest.raises(ValueError, match=f"^{next(iter(change))}: expected an int of at least 1"):
        Dense(**{"units": 2, "input_dim": 3} | change)
