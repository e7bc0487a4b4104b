"""Products of matrices and of arrays with named axes."""

from __future__ import annotations

import re
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.ops.arithmetic import multiply
from fastrnn.ops.operation import Result, common, operation, sequence_operation
from fastrnn.ops.shapes import reshape
from fastrnn.tape import Tensor, as_array

Array = NDArray[Any]


@operation(2, common)
def matmul(x1: Any, x2: Any) -> Result:
    """Return the matrix product of x1 (..., n, k) and x2 (..., k, m), (..., n, m).

    A vector (k,) on either side has no n or m.
    """

    def of_x1(d: Array) -> Array:
        if x2.ndim == 1:
            return np.asarray(d)[..., None] * x2 if x1.ndim > 1 else np.asarray(d * x2)
        if x1.ndim == 1:
            return np.asarray((d[..., None, :] * x2).sum(axis=-1))
        return np.asarray(d @ np.swapaxes(x2, -1, -2))

    def of_x2(d: Array) -> Array:
        if x1.ndim == 1:
            return np.asarray(d)[..., None, :] * x1[:, None] if x2.ndim > 1 else np.asarray(d * x1)
        if x2.ndim == 1:
            return np.asarray((d[..., None] * x1).sum(axis=tuple(range(x1.ndim - 1))))
        if x2.ndim == 2:
            # One product over all rows instead of a sum of products.
            rows = int(np.prod(x1.shape[:-1], dtype=np.int64))
            left, right = x1.reshape(rows, x1.shape[-1]), d.reshape(rows, d.shape[-1])
            return np.asarray(left.T @ right)
        return np.asarray(np.swapaxes(x1, -1, -2) @ d)

    return np.matmul(x1, x2), of_x1, of_x2


def dot(x1: Any, x2: Any) -> Tensor:
    """Return the sums of products over the last axis of x1 and the last but one of x2.

    Scalars multiply; of a vector its only axis is taken.
    """
    a, b = _axes(x1), _axes(x2)
    if a == 0 or b == 0:
        return multiply(x1, x2)
    return tensordot(x1, x2, [[a - 1], [0 if b == 1 else b - 2]])


def outer(x1: Any, x2: Any) -> Tensor:
    """Return the products (n, m) of all numbers of x1, n in all, and all of x2, m."""
    return einsum("i,j->ij", reshape(x1, (-1,)), reshape(x2, (-1,)))


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Tensor:
    """Return the sums of products over `axes`.

    axes : an int n for the last n of x1 and the first n of x2, or a pair of axes or of sequences
    of axes, those of x1 and those of x2.
    """
    a, b = _axes(x1), _axes(x2)
    if isinstance(axes, int):
        pairs = [(a - axes + i, i) for i in range(axes)]
    else:
        first, second = ([side] if isinstance(side, int) else list(side) for side in axes)
        pairs = [(i % a, j % b) for i, j in zip(first, second, strict=True)]
    left, right = list(ascii_letters[:a]), list(ascii_letters[a : a + b])
    for i, j in pairs:
        right[j] = left[i]
    summed = {left[i] for i, _ in pairs}
    kept = [letter for letter in left + right if letter not in summed]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", x1, x2)


def einsum(subscripts: str, *operands: Any) -> Tensor:
    """Return sums of products of arrays whose axes have letters.

    Parameters
    ----------
    subscripts : str
        As "bij,bjk->bik"; without "->" the letters that occur once, in order.  "..." stands for
        axes that are stretched to each other.  No letter may occur twice in one array.
    operands : arrays

    Raises
    ------
    ValueError
        If `subscripts` is not as described, or does not fit.
    """
    return _einsum(list(operands), subscripts)


@sequence_operation(common)
def _einsum(operands: Any, subscripts: str) -> Result:
    inputs, output = _letters(subscripts, [operand.ndim for operand in operands])
    y = np.einsum(f"{','.join(inputs)}->{output}", *operands, optimize=True)

    def pull(i: int) -> Any:
        own, shape = inputs[i], operands[i].shape
        terms = [output, *inputs[:i], *inputs[i + 1 :]]
        others = [*operands[:i], *operands[i + 1 :]]
        # A letter that no other has was summed over: its gradient is the same all along.
        here = "".join(letter for letter in own if letter in "".join(terms))
        alone = [axis for axis, letter in enumerate(own) if letter not in here]

        def backward(d: Array) -> Array:
            part = np.einsum(f"{','.join(terms)}->{here}", d, *others, optimize=True)
            part = np.expand_dims(part, tuple(alone))
            return np.broadcast_to(part, np.broadcast_shapes(part.shape, shape))

        return backward

    return y, *(pull(i) for i in range(len(operands)))


def _letters(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Return the letters of each array's axes and of the result's, dots written out."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    plain = [term.replace("...", "", 1) for term in inputs]
    if (
        not re.fullmatch(r"[A-Za-z]*", "".join(plain) + output.replace("...", "", 1))
        or any(len(set(term)) != len(term) for term in [*plain, output.replace("...", "")])
        or len(inputs) != len(ndims)
    ):
        raise ValueError(
            f"subscripts: expected letters of {len(ndims)} arrays, each once in an array, "
            f"got {subscripts!r}"
        )
    dots = [ndim - len(term) for ndim, term in zip(ndims, plain, strict=True)]
    for n, term, whole in zip(dots, plain, inputs, strict=True):
        if n < 0 or (n > 0 and "..." not in whole):
            raise ValueError(f"subscripts: {whole!r} does not fit an array of {n + len(term)} axes")
    free = [letter for letter in ascii_letters if letter not in text]
    stretched = "".join(free[: max(dots)])
    if not arrow:
        joined = "".join(plain)
        output = "..." + "".join(sorted(x for x in set(joined) if joined.count(x) == 1))
    written = [
        term.replace("...", stretched[len(stretched) - n :])
        for term, n in zip(inputs, dots, strict=True)
    ]
    return written, output.replace("...", stretched)


def _axes(x: Any) -> int:
    return x.ndim if isinstance(x, Tensor) else as_array(x).ndim
