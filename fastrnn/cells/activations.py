"""Activations as types: the class picks the formula at compile time, the fields are its constants.

An activation is a NamedTuple class, an instance of which is a field of a cell.  It has

    activate(activation, x)     y
    slope(activation, y)        dy/dx, from y alone: backward keeps no x

Cells call the functions of the same names.  The formulas use + - * / and the functions of
`fastrnn.simd.mathematics` only, and so run on vectors in kernels and on Python floats elsewhere.
NaN in is NaN out.

Names, formulas and default constants are those of ONNX; where it has no default, the constants
leave x as it is.  Instances are told apart by their class, not by ==: as tuples, all activations
without constants are equal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numba.extending import overload

from fastrnn._jit import POINTWISE
from fastrnn.simd import mathematics
from fastrnn.simd.mathematics import (
    absolute,
    expm1,
    maximum,
    minimum,
    precision,
    where_less,
)


def activate(activation: Any, x: Any) -> Any:
    """Return the activation of x."""
    return type(activation).activate(activation, x)


def slope(activation: Any, y: Any) -> Any:
    """Return the derivative of the activation where it is y."""
    return type(activation).slope(activation, y)


@overload(activate, jit_options=POINTWISE, strict=False)
def _overload_activate(activation, x):  # type: ignore[no-untyped-def]
    return activation.instance_class.activate


@overload(slope, jit_options=POINTWISE, strict=False)
def _overload_slope(activation, y):  # type: ignore[no-untyped-def]
    return activation.instance_class.slope


class Sigmoid(NamedTuple):
    """1 / (1 + exp(-x))."""

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return mathematics.sigmoid(x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return y * (1.0 - y)


class Tanh(NamedTuple):
    """Hyperbolic tangent."""

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return mathematics.tanh(x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return 1.0 - y * y


class Relu(NamedTuple):
    """max(x, 0); its slope at 0 is 0."""

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return maximum(x, 0.0)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(-y, 0.0, 1.0, y)  # the last: 0 or NaN


class HardSigmoid(NamedTuple):
    """min(max(alpha * x + beta, 0), 1); Keras has alpha = 1/6."""

    alpha: float = 0.2
    beta: float = 0.5

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return minimum(maximum(f.alpha * x + f.beta, 0.0), 1.0)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        inside = y * (1.0 - y)
        return where_less(-inside, 0.0, f.alpha, inside)  # the last: 0 or NaN


class Linear(NamedTuple):
    """x."""

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return x

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return 1.0


class Softsign(NamedTuple):
    """x / (1 + abs(x))."""

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        # Far beyond where it rounds to 1, and infinity / infinity does not arise.
        x = minimum(maximum(x, -1e30), 1e30)
        return x / (1.0 + absolute(x))

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        rest = 1.0 - absolute(y)
        return rest * rest


class Softplus(NamedTuple):
    """log(1 + exp(x))."""

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return mathematics.softplus(x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return -expm1(-y)


class Elu(NamedTuple):
    """x where x >= 0, else alpha * (exp(x) - 1); alpha > 0."""

    alpha: float = 1.0

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(x, 0.0, f.alpha * expm1(minimum(x, 0.0)), x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(y, 0.0, y + f.alpha, 1.0)


class LeakyRelu(NamedTuple):
    """x where x >= 0, else alpha * x; alpha >= 0."""

    alpha: float = 0.01

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(x, 0.0, f.alpha * x, x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(y, 0.0, f.alpha, 1.0)


class ScaledTanh(NamedTuple):
    """alpha * tanh(beta * x); alpha != 0."""

    alpha: float = 1.0
    beta: float = 1.0

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return f.alpha * mathematics.tanh(f.beta * x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return f.beta * (f.alpha - y * y / f.alpha)


class Affine(NamedTuple):
    """alpha * x + beta."""

    alpha: float = 1.0
    beta: float = 0.0

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return f.alpha * x + f.beta

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return f.alpha


class ThresholdedRelu(NamedTuple):
    """x where x >= alpha, else 0; alpha >= 0."""

    alpha: float = 1.0

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(x, f.alpha, 0.0, x)

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        return where_less(-y, 0.0, 1.0, y)  # the last: 0 or NaN


class Clipped(NamedTuple):
    """Another activation, of min(max(x, -limit), limit); its slope at the bounds is 0."""

    activation: Any
    limit: float

    def activate(f: Any, x: Any) -> Any:  # noqa: N805
        """See the module."""
        return activate(f.activation, minimum(maximum(x, -f.limit), f.limit))

    def slope(f: Any, y: Any) -> Any:  # noqa: N805
        """See the module."""
        # y < y holds nowhere: these are like y, of a bound in all lanes.
        low = activate(f.activation, where_less(y, y, y, -f.limit))
        high = activate(f.activation, where_less(y, y, y, f.limit))
        # Beyond a bound, y is what the bound gives, but for roundings.
        edge = precision(y) * (absolute(low) + absolute(high))
        inside = minimum(y - minimum(low, high), maximum(low, high) - y) - edge
        return where_less(-inside, 0.0, slope(f.activation, y), inside * 0.0)


#: Every activation that takes no other, by the name users give.
ACTIVATIONS: dict[str, Any] = {
    "affine": Affine,
    "elu": Elu,
    "hard_sigmoid": HardSigmoid,
    "leaky_relu": LeakyRelu,
    "linear": Linear,
    "relu": Relu,
    "scaled_tanh": ScaledTanh,
    "sigmoid": Sigmoid,
    "softplus": Softplus,
    "softsign": Softsign,
    "tanh": Tanh,
    "thresholded_relu": ThresholdedRelu,
}
