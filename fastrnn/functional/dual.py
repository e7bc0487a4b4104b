"""Dual numbers: arrays in which every number carries its derivative in one direction.

(v, t) stands for v + t e, with e * e = 0: a function f makes f(v) + f'(v) t e of it (W. K.
Clifford, 1873; R. E. Wengert, CACM 1964).  What is written with + - * /, matrix products and the
functions of `fastrnn.simd.mathematics`, such as the formulas of cells, runs on them as it is and
computes its own derivative besides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu.scan.statistics import EPSILON
from fastrnn.simd.mathematics import EXP_RANGE, Elementwise

Array = NDArray[Any]


class Dual(Elementwise):
    """Numbers `value` and their derivatives `tangent`, float64 arrays of one shape.

    Numbers and arrays of that shape are constants beside it.  At a kink the derivative is the one
    that `fastrnn.cells` gives to gradients: that of maximum(x, 0.0) at x = 0 is 0.
    """

    __slots__ = ("tangent", "value")
    __array_ufunc__ = None  # array * Dual is ours

    def __init__(self, value: Array, tangent: Array) -> None:
        self.value = value
        self.tangent = tangent

    def __getitem__(self, index: Any) -> Dual:
        return Dual(self.value[index], self.tangent[index])

    def __setitem__(self, index: Any, x: Any) -> None:
        self.value[index], self.tangent[index] = parts(x)

    def copy(self) -> Dual:
        """Return the same numbers elsewhere."""
        return Dual(self.value.copy(), self.tangent.copy())

    def reshape(self, *shape: int) -> Dual:
        """Return the same numbers in another shape."""
        return Dual(self.value.reshape(shape), self.tangent.reshape(shape))

    def constant(self, rows: NDArray[np.intp]) -> Dual:
        """Return the same numbers, of which some rows are constants."""
        if not len(rows):
            return self
        result = self.copy()
        result.tangent[rows] = 0.0
        return result

    @property
    def T(self) -> Dual:
        """The transposed matrix."""
        return Dual(self.value.T, self.tangent.T)

    def __neg__(self) -> Dual:
        return Dual(-self.value, -self.tangent)

    def __add__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.tangent + other.tangent)
        return Dual(self.value + other, self.tangent)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Dual:
        return self.__add__(-other)

    def __rsub__(self, other: Any) -> Dual:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            tangent = self.tangent * other.value + self.value * other.tangent
            return Dual(self.value * other.value, tangent)
        return Dual(self.value * other, self.tangent * other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Dual:
        if isinstance(other, Dual):
            y = self.value / other.value
            return Dual(y, (self.tangent - y * other.tangent) / other.value)
        return Dual(self.value / other, self.tangent / other)

    def __rtruediv__(self, other: Any) -> Dual:
        y = other / self.value
        return Dual(y, -y * self.tangent / self.value)

    def __matmul__(self, other: Dual) -> Dual:
        tangent = self.tangent @ other.value + self.value @ other.tangent
        return Dual(self.value @ other.value, tangent)

    def __abs__(self) -> Dual:
        return self.where_less(0.0, -self, self)

    def sum(self) -> Dual:
        """Return the sums (M,) of the columns of (N, M)."""
        return Dual(self.value.sum(axis=0), self.tangent.sum(axis=0))

    def mean(self) -> Dual:
        """Return the means (N, 1) of the rows of (N, M)."""
        return Dual(
            self.value.mean(axis=1, keepdims=True), self.tangent.mean(axis=1, keepdims=True)
        )

    def exp(self) -> Dual:
        """Exponential."""
        y = np.exp(np.clip(self.value, *EXP_RANGE["float64"]))
        return Dual(y, y * self.tangent)

    def expm1(self) -> Dual:
        """exp(x) - 1."""
        y = np.expm1(np.clip(self.value, *EXP_RANGE["float64"]))
        return Dual(y, (y + 1.0) * self.tangent)

    def log(self) -> Dual:
        """Natural logarithm."""
        return Dual(np.log(self.value), self.tangent / self.value)

    def sqrt(self) -> Dual:
        """Square root."""
        y = np.sqrt(self.value)
        return Dual(y, 0.5 * self.tangent / y)

    def tanh(self) -> Dual:
        """Hyperbolic tangent."""
        y = np.tanh(self.value)
        return Dual(y, (1.0 - y * y) * self.tangent)

    def softplus(self) -> Dual:
        """log(1 + exp(x))."""
        y = np.logaddexp(0.0, self.value)
        return Dual(y, -np.expm1(-y) * self.tangent)

    def maximum(self, bound: Any) -> Dual:
        """Higher of x and `bound`, a constant number where they are equal; NaN in x stays."""
        if isinstance(bound, Dual):
            return self.where_less(bound, bound, self)
        return self._bounded(self.value <= bound, bound)

    def minimum(self, bound: Any) -> Dual:
        """Lower of x and `bound`, a constant number where they are equal; NaN in x stays."""
        if isinstance(bound, Dual):
            return bound.where_less(self, bound, self)
        return self._bounded(self.value >= bound, bound)

    def _bounded(self, is_beyond: NDArray[np.bool_], bound: float) -> Dual:
        return Dual(np.where(is_beyond, bound, self.value), np.where(is_beyond, 0.0, self.tangent))

    def where_less(self, bound: Any, yes: Any, no: Any) -> Dual:
        """`yes` where x < bound, else `no`."""
        is_less = self.value < parts(bound)[0]
        (yes, dyes), (no, dno) = parts(yes), parts(no)
        return Dual(np.where(is_less, yes, no), np.where(is_less, dyes, dno))


def parts(x: Any) -> tuple[Any, Any]:
    """Return the value of a dual or of a constant, and its tangent."""
    return (x.value, x.tangent) if isinstance(x, Dual) else (x, 0.0)


def zeros(*shape: int) -> Dual:
    """Return zeros, to be written to."""
    return Dual(np.zeros(shape), np.zeros(shape))


def dual(value: Array, tangent: Array | None) -> Dual:
    """Return a dual of two arrays of any dtype; without a tangent, a constant."""
    value = np.asarray(value, np.float64)
    tangent = np.zeros_like(value) if tangent is None else np.asarray(tangent, np.float64)
    return Dual(value, tangent)


class Normalised(NamedTuple):
    """Rows (N, M) with mean 0 and variance 1, and the factors (N, 1) that made the latter so."""

    rows: Dual
    scales: Dual


def normalise(a: Dual) -> Normalised:
    """Normalise the rows of a (N, M), as `kernels.cpu.layer_norm` does."""
    centred = a - a.mean()
    scales = 1.0 / ((centred * centred).mean() + EPSILON).sqrt()
    return Normalised(centred * scales, scales)


def normalise_backward(normalised: Normalised, e: Dual) -> Dual:
    """Return the gradient of `a` from that of the normalised rows (N, M)."""
    rows, scales = normalised
    return (e - e.mean() - rows * (rows * e).mean()) * scales
