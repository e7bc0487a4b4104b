"""The references of the activations."""

import numeric
import numpy as np
import pytest
from tolerances import (
    FLOAT64_OUTPUT,
    NUMERIC_GRADIENT,
    TORCH_FLOAT64_GRADIENT,
    TORCH_FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn.reference import activations
from fastrnn.reference.autodiff import Node

# With numbers that are not the defaults; and the same by hand.
FORMULAS = {
    ("affine", 0.7, -0.3): lambda x: 0.7 * x - 0.3,
    ("elu", 0.7): lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
    ("hard_sigmoid", 0.3, 0.4): lambda x: np.clip(0.3 * x + 0.4, 0, 1),
    ("leaky_relu", 0.3): lambda x: np.maximum(x, 0.3 * x),
    ("linear",): lambda x: x,
    ("relu",): lambda x: np.maximum(x, 0),
    ("scaled_tanh", 1.7, 0.6): lambda x: 1.7 * np.tanh(0.6 * x),
    ("sigmoid",): lambda x: 1 / (1 + np.exp(-x)),
    ("softplus",): lambda x: np.log1p(np.exp(x)),
    ("softsign",): lambda x: x / (1 + np.abs(x)),
    ("tanh",): np.tanh,
    ("thresholded_relu", 0.8): lambda x: x * (x > 0.8),
}
DEFAULTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0,),
    "hard_sigmoid": (0.2, 0.5),
    "leaky_relu": (0.01,),
    "scaled_tanh": (1.0, 1.0),
    "thresholded_relu": (1.0,),
}


@pytest.fixture(params=FORMULAS, ids=lambda activation: activation[0])
def activation(request):
    return request.param


def test_every_activation_is_covered():
    assert [name for name, *_ in FORMULAS] == sorted(activations.ACTIVATIONS)


def test_values_are_those_of_the_formula(rng, activation):
    x = 3 * rng.standard_normal((20, 5))
    assert_close(activations.forward(activation, x), FORMULAS[activation](x), FLOAT64_OUTPUT)


def test_gradients_match_central_differences(rng, activation):
    x, dy = 3 * rng.standard_normal((2, 20, 5))
    desired = numeric.gradient(lambda: np.sum(activations.forward(activation, x) * dy), x)
    assert_close(activations.backward(activation, x, dy), desired, NUMERIC_GRADIENT)


@pytest.mark.parametrize("name", sorted(activations.ACTIVATIONS))
def test_what_is_left_out_takes_onnx_defaults(rng, name):
    x = 3 * rng.standard_normal(50)
    given = activations.forward((name, *DEFAULTS.get(name, ())), x)
    np.testing.assert_array_equal(activations.forward(name, x), given)


@pytest.mark.filterwarnings("error")
def test_huge_arguments_do_not_overflow_and_nan_passes(activation):
    x = np.array([-1e6, 1e6, np.nan])
    y, dx = activations.forward(activation, x), activations.backward(activation, x, np.ones(3))
    assert np.isfinite(y[:2]).all()
    assert np.isfinite(dx[:2]).all()
    assert np.isnan(y[2])


@pytest.mark.parametrize(
    ("name", "x", "slope"),
    [
        ("relu", 0.0, 0.0),
        (("leaky_relu", 0.25), 0.0, 0.25),
        (("thresholded_relu", 0.5), 0.5, 0.0),
        (("elu", 0.25), 0.0, 0.25),
        (("hard_sigmoid", 0.25, 0.5), 2.0, 0.25),
        (("hard_sigmoid", 0.25, 0.5), -2.0, 0.25),
    ],
)
def test_slope_at_a_kink(name, x, slope):
    assert activations.backward(name, [x], [1.0]) == slope


def test_limit_clips_the_argument(activation):
    x = np.array([-5.0, -0.5, 0.5, 5.0])
    clipped = activations.function(activation, limit=1.0)(Node(x)).value
    desired = activations.forward(activation, np.array([-1.0, -0.5, 0.5, 1.0]))
    np.testing.assert_array_equal(clipped, desired)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (("elu", 0.7), lambda F, x: F.elu(x, 0.7)),
        # torch's own hardsigmoid takes 1/6 from float32 in its gradient.
        (("hard_sigmoid", 1 / 6, 0.5), lambda F, x: F.relu6(x + 3) / 6),
        (("leaky_relu", 0.3), lambda F, x: F.leaky_relu(x, 0.3)),
        (("relu",), lambda F, x: F.relu(x)),
        (("sigmoid",), lambda F, x: F.sigmoid(x)),
        (("softplus",), lambda F, x: F.softplus(x)),
        (("softsign",), lambda F, x: F.softsign(x)),
        (("tanh",), lambda F, x: F.tanh(x)),
        (("thresholded_relu", 0.8), lambda F, x: F.threshold(x, 0.8, 0.0)),
    ],
    ids=lambda part: part[0] if isinstance(part, tuple) else "",
)
def test_values_and_gradients_match_torch(rng, ours, theirs):
    torch = pytest.importorskip("torch")
    x, dy = 3 * rng.standard_normal((2, 50))
    leaf = torch.tensor(x, requires_grad=True)
    y = theirs(torch.nn.functional, leaf)
    y.backward(torch.tensor(dy))
    assert_close(activations.forward(ours, x), y.detach().numpy(), TORCH_FLOAT64_OUTPUT, "y")
    dx = activations.backward(ours, x, dy)
    assert_close(dx, leaf.grad.numpy(), TORCH_FLOAT64_GRADIENT, "dx")
