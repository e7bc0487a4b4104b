"""Gradients that explode or vanish over many steps, and the forget gate that lets them pass."""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, functional, layers
from fastrnn.cells import CELLS

STEPS = 1000


def linear_unit(w):
    """y_t = x_t + w y_{t-1}."""
    return layers.SimpleRNN(
        1, activation="linear", use_bias=False, kernel_initializer="ones",
        recurrent_initializer=lambda shape, dtype=None: np.full(shape, w), dtype="float64",
    )  # fmt: skip


@pytest.mark.parametrize("w", [1.0, 1.01, 0.99, 0.01])
def test_y1000_is_the_999th_power_of_w(w):
    """1, about 20000, and about 0 twice; the gradient goes from 2e7 to 0 within the same 2%."""
    x = np.zeros((1, STEPS, 1))
    x[:, 0] = 1
    layer = linear_unit(w)
    with GradientTape() as tape:
        y1000 = layer(x)
    dw = tape.gradient(y1000, layer.cell.recurrent_kernel)
    # No longer than what multiplying takes: a power differs from it by up to 999 roundings.
    power = np.full((1, 1), np.prod(np.full(STEPS - 1, w)))
    slope = np.full((1, 1), (STEPS - 1) * np.prod(np.full(STEPS - 2, w)))
    assert_close(np.asarray(y1000), power, FLOAT64_OUTPUT)
    assert_close(dw, slope, FLOAT64_GRADIENT)
    scale = {1.0: (1, 999), 1.01: (2.075e4, 2.05e7), 0.99: (4.36e-5, 0.044), 0.01: (0, 0)}[w]
    assert (float(power[0, 0]), float(slope[0, 0])) == pytest.approx(scale, rel=0.01)


def gradient_of_the_start(cell, R, b, T):
    """How much h after T steps without input depends on the last state, 0.3, before the first."""
    states = len(CELLS[cell].STATES)
    W, start = np.zeros((1, R.shape[1])), np.full((1, 1), 0.3)
    _, _, backward = functional.rnn(cell, np.zeros((T, 1, 1)), W, R, b, (start,) * states)
    seeds = (np.ones((1, 1)), *[None] * (states - 1))
    return backward(None, seeds).state[-1].item()


def test_slopes_below_one_do_not_alone_decide():
    """prod_j activate'(S_j) W_s: vanishing or exploding depends on W_s as well.

    A note concludes from activate' <= 1 that the product vanishes, and that it explodes where
    activate' > 1.  A tanh never has a slope above 1: what makes the product explode are weights
    above 1, so long as the states stay small.
    """
    b, state_gradients = np.zeros(1), []
    for w in (0.9, 1.0, 1.1):
        _, _, backward = functional.rnn(
            "rnn", np.zeros((50, 1, 1)), np.zeros((1, 1)), np.full((1, 1), w), b,
            (np.full((1, 1), 1e-9),),
        )  # fmt: skip
        state_gradients.append(backward(None, (np.ones((1, 1)),)).state[0].item())
    assert state_gradients == pytest.approx([0.9**50, 1.0, 1.1**50], rel=1e-9)


def test_an_open_forget_gate_keeps_the_gradient_of_a_thousand_steps():
    """c_t = f c_{t-1} + ...: what arrives is the product of the forget gates, 0.5, 0.73 or 1."""
    R = np.zeros((1, 4))
    shut_input = -60.0
    found = {}
    for forget_bias in (0.0, 1.0, 10.0, 60.0):
        b = np.array([shut_input, forget_bias, 0, 60.0])
        found[forget_bias] = gradient_of_the_start("lstm", R, b, STEPS)
    gate = {bias: 1 / (1 + np.exp(-bias)) for bias in found}
    for bias, dc in found.items():
        remaining = 0.3 * gate[bias] ** STEPS
        expected = gate[bias] ** STEPS * (1 - np.tanh(remaining) ** 2)
        assert dc == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert found[1.0] < 1e-130 < 0.8 < found[10.0] < found[60.0]
    assert gradient_of_the_start("rnn", np.full((1, 1), 0.9), np.zeros(1), STEPS) < 1e-45


def test_layers_start_with_the_forget_gate_open():
    for unit_forget_bias in (True, False):
        layer = layers.LSTM(3, unit_forget_bias=unit_forget_bias)
        layer.build((None, None, 2))
        *_, bias = layer.get_weights()
        i, f, c, o = np.split(bias, 4)
        assert (f == unit_forget_bias).all()
        assert not np.concatenate([i, c, o]).any()
