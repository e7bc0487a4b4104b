"""The reference of the affine map."""

import numeric
import numpy as np
import pytest
from tolerances import FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn.reference import linear


def test_output_of_a_small_example():
    y = linear.forward([[1.0, 2.0]], [[3.0, 4.0, 5.0], [6.0, 7.0, 8.0]], [0.5, 0.0, -0.5])
    assert_close(y, np.array([[15.5, 18.0, 20.5]]), FLOAT64_OUTPUT)


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=str)
def test_gradients_match_central_differences(rng, leading):
    x, W, b = rng.standard_normal((*leading, 5)), rng.standard_normal((5, 4)), np.ones(4)
    dy = rng.standard_normal((*leading, 4))

    def objective():
        return np.sum(linear.forward(x, W, b) * dy)

    gradients = linear.backward(x, W, dy)
    for name, values in {"x": x, "W": W, "b": b}.items():
        desired = numeric.gradient(objective, values)
        assert_close(getattr(gradients, name), desired, NUMERIC_GRADIENT, f"d{name}")
