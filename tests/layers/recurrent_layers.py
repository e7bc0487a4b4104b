"""Recurrent layers with random weights, for the tests of this folder."""

import numpy as np

from fastrnn.layers import Recurrent

B, T, I, H = 4, 6, 5, 7


def make_layer(cell, **options):
    """A layer in float64 whose weights are random, biases and gains too."""
    size = {"projection_size": 3} if cell == "lstmp" else {}
    layer = Recurrent(cell, H, dtype="float64", **size, **options)
    layer.build((None, None, I))
    rng = np.random.default_rng(7)
    for variable in layer.variables:
        variable.assign(0.5 * rng.standard_normal(variable.shape))
    return layer


def random_states(rng, layer):
    return [rng.standard_normal((B, size)) for size in layer.cell.sizes]
