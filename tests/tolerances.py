"""How close is close enough: every tolerance of the tests, and the one way to apply them.

A bound is `rtol * max|desired| + atol` for all elements of an array alike. Elements of a
recurrent network are sums whose terms cancel, so their rounding errors follow the largest
magnitudes of the array and not the element's own.
"""

from typing import NamedTuple

import numpy as np


class Kind(NamedTuple):
    """One kind of comparison: the dtype `actual` must have, and its bound."""

    dtype: type
    rtol: float
    atol: float


# Our float64 against the reference: the same formulas, with sums in another order and another
# exp. Each rounding costs 1.1e-16; thousands of steps and terms stay well below this.
FLOAT64_OUTPUT = Kind(np.float64, rtol=1e-12, atol=1e-13)
# Gradients also sum over all rows and steps.
FLOAT64_GRADIENT = Kind(np.float64, rtol=2e-12, atol=2e-13)

# Our float32 against the reference: a rounding costs 6e-8, our exp and tanh a few of them, and
# the recurrence, which contracts, keeps some dozens of them alive: 1e-5 allows about 170.
FLOAT32_OUTPUT = Kind(np.float32, rtol=1e-5, atol=1e-6)
# Gradients start from rounded activations and then gather their own errors: twice as much.
FLOAT32_GRADIENT = Kind(np.float32, rtol=2e-5, atol=2e-6)

# Central differences with the step of `numeric.gradient`: the truncated third derivative and
# the rounding of an objective of about 10 divided by the step are each near 1e-10.
NUMERIC_GRADIENT = Kind(np.float64, rtol=1e-8, atol=1e-9)

# PyTorch in the same dtype errs as much as we do, so the difference may be both errors.
TORCH_FLOAT64_OUTPUT = Kind(np.float64, rtol=2e-12, atol=2e-13)
TORCH_FLOAT64_GRADIENT = Kind(np.float64, rtol=4e-12, atol=4e-13)
TORCH_FLOAT32_OUTPUT = Kind(np.float32, rtol=2e-5, atol=2e-6)
TORCH_FLOAT32_GRADIENT = Kind(np.float32, rtol=4e-5, atol=4e-6)

# Whole modules in place of torch.nn's: several layers, each of which starts from the rounding
# errors of the last, and gradients summed over all steps of both directions.
TORCH_MODULE_FLOAT64 = Kind(np.float64, rtol=1e-9, atol=1e-11)
TORCH_MODULE_FLOAT32 = Kind(np.float32, rtol=1e-4, atol=1e-5)

# Keras on PyTorch multiplies matrices in float32 even where all arrays are float64: sums of some
# dozens of products, each rounded at 6e-8, pass through several steps there and back.
KERAS = Kind(np.float64, rtol=2e-6, atol=1e-6)


def assert_close(actual, desired, kind, name="array"):
    """Fail unless `actual` has the shape of `desired`, the dtype of `kind`, and is within bound.

    NaN and infinity must stand in the same places of both. `desired` may be more precise than
    `actual`, never less.
    """
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape, f"{name}: shape {actual.shape}, not {desired.shape}"
    assert actual.dtype == kind.dtype, f"{name}: dtype {actual.dtype}, not {np.dtype(kind.dtype)}"
    assert desired.dtype in (np.dtype(kind.dtype), np.dtype(np.float64)), (
        f"{name}: desired values are {desired.dtype}, too coarse to judge {actual.dtype}"
    )

    finite = np.isfinite(desired)
    np.testing.assert_array_equal(
        actual[~finite], desired[~finite], err_msg=f"{name}: NaN or infinity expected"
    )
    magnitude = np.max(np.abs(desired), where=finite, initial=0.0)
    bound = kind.rtol * float(magnitude) + kind.atol
    error = np.zeros(desired.shape)
    np.subtract(actual, desired, out=error, where=finite)
    # Written so that a NaN error, from a NaN in `actual` alone, is wrong too.
    wrong = ~(np.abs(error) <= bound)
    if wrong.any():
        worst = np.unravel_index(np.argmax(np.where(wrong, np.abs(error), -1.0)), error.shape)
        raise AssertionError(
            f"{name}: {np.count_nonzero(wrong)} of {error.size} elements off by more than "
            f"{bound:.3g}; worst at {tuple(map(int, worst))}: {actual[worst]!r}, "
            f"expected {desired[worst]!r}"
        )
