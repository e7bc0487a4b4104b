"""The reference of the embedding."""

import numeric
import numpy as np
from tolerances import FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn.reference import embedding

IDS = np.array([[4, 0, 4], [1, 4, 6]])  # 4 three times; 2, 3 and 5 never


def test_output_is_the_named_rows(rng):
    E = rng.standard_normal((7, 3))
    y = embedding.forward(IDS, E)
    assert y.shape == (2, 3, 3)
    assert_close(y[1, 2], E[6], FLOAT64_OUTPUT)


def test_gradients_of_a_repeated_id_add_up():
    dE = embedding.backward([1, 1, 0], 3, [[1.0], [2.0], [4.0]])
    assert_close(dE, np.array([[4.0], [3.0], [0.0]]), FLOAT64_OUTPUT)


def test_gradient_matches_central_differences(rng):
    E, dy = rng.standard_normal((7, 3)), rng.standard_normal((2, 3, 3))
    desired = numeric.gradient(lambda: np.sum(embedding.forward(IDS, E) * dy), E)
    assert_close(embedding.backward(IDS, 7, dy), desired, NUMERIC_GRADIENT, "dE")
