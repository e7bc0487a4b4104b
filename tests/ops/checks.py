"""The one way the operations' gradients are checked: against central differences."""

import numeric
import numpy as np
from tolerances import FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn import GradientTape, Tensor


def check(rng, function, arrays, expected=None):
    """Check what `function` of float64 arrays returns, and all its gradients.

    Cotangents are random; `expected`, where given, is what NumPy makes of the same arrays.
    """
    tensors = [Tensor(array.copy()) for array in arrays]
    with GradientTape(persistent=True) as tape:
        output = function(*tensors)
    assert type(output) is Tensor
    if expected is not None:
        assert_close(output, np.asarray(expected), FLOAT64_OUTPUT, "value")
    d = rng.standard_normal(output.shape)
    before = [tensor.value.copy() for tensor in tensors]
    gradients = tape.gradient(output, tensors, d)
    again = tape.gradient(output, tensors, d)
    for i, (tensor, gradient) in enumerate(zip(tensors, gradients, strict=True)):
        np.testing.assert_array_equal(tensor.value, before[i], "an argument was written")
        np.testing.assert_array_equal(gradient, again[i], "a second gradient differs")
        desired = numeric.gradient(lambda: np.sum(function(*tensors).value * d), tensor.value)
        assert_close(gradient, desired, NUMERIC_GRADIENT, f"gradient {i}")


def apart(rng, shape, gap=0.05):
    """Numbers that differ from each other, and from whole numbers, by `gap` at least.

    So no step of a central difference passes a kink.
    """
    n = int(np.prod(shape))
    values = (np.arange(n) - n // 2) * 2 * gap + gap
    values = np.where(np.abs(values - np.round(values)) < gap / 2, values + gap / 2, values)
    return rng.permutation(values).reshape(shape)
