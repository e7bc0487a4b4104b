"""The one dtype of the reference: whatever comes in is taken to float64 first."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def as_float64(values: ArrayLike) -> Array:
    """`values` of any shape and real dtype as a float64 array; no copy if it is one already."""
    return np.asarray(values, dtype=np.float64)
