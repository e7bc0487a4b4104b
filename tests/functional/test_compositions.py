"""Functions side by side with `rnn`: their closures in reverse order give all gradients.

Dropout of the input and between layers (W. Zaremba et al., 2014), and of the recurrent weights
(S. Merity et al., Regularizing and optimizing LSTM language models, ICLR 2018).
"""

import numeric
import numpy as np
import pytest
from functional.problems import random_problem
from tolerances import NUMERIC_GRADIENT, assert_close

from fastrnn import functional

T, B, I, H = SIZES = (3, 2, 3, 4)
RATE, KEY = 0.4, (7, 1)


@pytest.fixture(params=["lstm", "gru", "gru_reset_before"])
def cell(request):
    return request.param


def assert_gradients_are_differences(objective, gradients):
    """Compare pairs (array, its gradient) with differences of `objective()`."""
    for place, (array, actual) in enumerate(gradients):
        desired = numeric.gradient(objective, array)
        assert desired.any()
        assert_close(actual, desired, NUMERIC_GRADIENT, f"array {place}")


def test_dropout_of_the_input(rng, cell):
    x, W, R, b, state, dy, *_ = random_problem(rng, cell, *SIZES, np.float64)

    def forward():
        dropped, undrop = functional.dropout(x, RATE, KEY)
        y, _, backward = functional.rnn(cell, dropped, W, R, b, state)
        return dropped, y, lambda dy: (d := backward(dy))._replace(x=undrop(d.x))

    dropped, _, backward = forward()
    is_dropped = dropped == 0
    assert is_dropped.any()
    assert not is_dropped.all()
    d = backward(dy)
    assert not d.x[is_dropped].any()
    assert_gradients_are_differences(
        lambda: np.vdot(forward()[1], dy), [(x, d.x), (W, d.W), (R, d.R)]
    )


def test_dropout_between_layers(rng, cell):
    x, W, R, b, state, *_ = random_problem(rng, cell, *SIZES, np.float64)
    _, W2, R2, b2, state2, dy, *_ = random_problem(rng, cell, T, B, H, H, np.float64)

    def forward():
        below, _, backward_below = functional.rnn(cell, x, W, R, b, state)
        dropped, undrop = functional.dropout(below, RATE, KEY)
        y, _, backward = functional.rnn(cell, dropped, W2, R2, b2, state2)

        def backward_all(dy):
            d = backward(dy)
            return backward_below(undrop(d.x)), d

        return y, backward_all

    first, second = forward()[1](dy)
    assert_gradients_are_differences(
        lambda: np.vdot(forward()[0], dy),
        [(x, first.x), (W, first.W), (R, first.R), (W2, second.W), (R2, second.R)],
    )


def test_dropout_of_recurrent_weights(rng, cell):
    x, W, R, b, state, dy, *_ = random_problem(rng, cell, *SIZES, np.float64)

    def forward():
        dropped, undrop = functional.dropout(R, RATE, KEY)  # one mask for all steps
        y, _, backward = functional.rnn(cell, x, W, dropped, b, state)
        return dropped, y, lambda dy: (d := backward(dy))._replace(R=undrop(d.R))

    dropped, _, backward = forward()
    is_dropped = dropped == 0
    assert is_dropped.any()
    assert not is_dropped.all()
    d = backward(dy)
    assert not d.R[is_dropped].any()
    assert_gradients_are_differences(
        lambda: np.vdot(forward()[1], dy), [(R, d.R), (W, d.W), (x, d.x)]
    )
