"""Gradients that go into a backward run of `functional.rnn`, and those that come out."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastrnn.functional import steps as time_steps

Array = NDArray[Any]


class Gradients(NamedTuple):
    """What `backward` returns: a gradient for each argument of `rnn`.

    x is (T, B, I), or (vocabulary, I) for the table of `Embedded` input, or None where it was
    not asked for; R and b are None where there are none; state is () where it was not asked for.
    norms (T, B) are those of the gradient of h after each step, or None where they were not asked
    for.  extra has the gradients of the cell's other weights by name, and is None for a cell
    without.
    """

    x: Array | None
    W: Array
    R: Array | None
    b: Array | None
    state: tuple[Array, ...]
    norms: Array | None = None
    extra: dict[str, Array] | None = None


class Cotangents(NamedTuple):
    """The gradients that a walk backwards starts from, in the order of the steps.

    dy       of y, or None
    dextra_steps  (S - 1, N, padded) of the other states after every step, or None
    squares  (vectors of h, N) where to write sums of squares of the gradient of h, or None
    dh       (B, whole vectors) of the last h; then of the initial h
    dextra   (S - 1, B, padded) of the other last states; then of the initial ones
    """

    dy: time_steps.StepView | None
    dextra_steps: Array | None
    squares: Array | None
    dh: Array
    dextra: Array
