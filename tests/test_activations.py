"""Activation functions against Keras', and their derivatives against central differences."""

import os

import numeric
import numpy as np
import pytest
from ops.checks import check
from tolerances import NUMERIC_GRADIENT, TORCH_FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, activations, layers, ops

# Away from the places where a derivative jumps.
X = np.array([[-4.1, -1.7, -0.83, -0.21], [0.17, 0.62, 0.93, 3.4]])


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_values_are_those_of_keras(name):
    torch = pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    x = X.astype(np.float32)
    desired = keras.activations.get(name)(torch.tensor(x))
    assert_close(activations.get(name)(x), desired.numpy(), TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize(
    "options",
    [
        {"max_value": 2.0},
        {"negative_slope": 0.1},
        {"threshold": 0.5},
        {"negative_slope": 0.1, "max_value": 2.0, "threshold": 0.5},
    ],
    ids=str,
)
def test_options_of_relu_are_those_of_keras(options, rng):
    torch = pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    x = X.astype(np.float32)
    desired = keras.activations.relu(torch.tensor(x), **options)
    assert_close(activations.relu(x, **options), desired.numpy(), TORCH_FLOAT32_OUTPUT)
    wanted = activations.relu(X, **options).value
    check(rng, lambda t: activations.relu(t, **options), [X.copy()], wanted)
    ends = activations.relu(np.array([-np.inf, np.nan, np.inf]), **options).numpy()
    assert np.isnan(ends).tolist() == [False, True, False]


@pytest.mark.parametrize("name", activations.ACTIVATIONS)
def test_derivatives_are_those_of_central_differences(name, rng):
    function = activations.get(name)
    x = Tensor(X.copy())
    factors = rng.standard_normal(np.shape(function(x)))
    with GradientTape() as tape:
        total = ops.sum(ops.multiply(function(x), factors))
    wanted = numeric.gradient(lambda: float((np.asarray(function(x)) * factors).sum()), x.value)
    assert_close(tape.gradient(total, x), wanted, NUMERIC_GRADIENT)


def test_layers_take_them_by_name():
    x = X[:, :, None].astype(np.float32)
    y = layers.Dense(2, activation="squareplus")(x)
    assert (y.numpy() > 0).all()
    cell = layers.SimpleRNN(3, activation="hard_tanh")(x)
    assert np.abs(cell.numpy()).max() <= 1
    assert activations.serialize(activations.get("celu")) == "celu"
    with pytest.raises(ValueError, match="even length in axis -1, got 3"):
        activations.get("glu")(np.ones(3, np.float32))
