"""Gradients by central differences: slow, and independent of any derivation."""

import numpy as np

STEP = 1e-5  # balances truncation, STEP**2, against rounding, 1e-16 / STEP


def gradient(objective, values):
    """Gradient of the number `objective()` with respect to the float64 array `values`.

    Every element is moved up and down in place and put back.
    """
    result = np.zeros_like(values)
    for index in np.ndindex(values.shape):
        kept = values[index]
        values[index] = kept + STEP
        above = objective()
        values[index] = kept - STEP
        below = objective()
        values[index] = kept
        result[index] = (above - below) / (2 * STEP)
    return result
