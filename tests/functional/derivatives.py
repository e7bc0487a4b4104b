"""First and second derivatives of `rnn` as trees of arrays, and differences to compare with."""

from typing import NamedTuple

import numpy as np
from functional.problems import extra_weights, random_problem
from tolerances import NUMERIC_GRADIENT, assert_close

from fastrnn import functional

T, B, I, H = SIZES = (5, 3, 2, 4)


class Gradients(NamedTuple):
    """The arguments of `rnn` that have gradients; or gradients of them; or a direction."""

    x: np.ndarray
    W: np.ndarray
    R: np.ndarray | None
    b: np.ndarray
    state: tuple
    extra: dict


class Cotangents(NamedTuple):
    """Gradients of the outputs of `rnn`."""

    dy: np.ndarray
    dstate: tuple
    dstates: tuple


def leaves(tree):
    """All arrays in nested tuples and dictionaries, in one order."""
    if tree is None:
        return []
    if isinstance(tree, np.ndarray):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in leaves(child)]


def mapped(function, *trees):
    """Trees of one form, made into one, leaf by leaf."""
    first = trees[0]
    if first is None:
        return None
    if isinstance(first, np.ndarray):
        return function(*trees)
    if isinstance(first, dict):
        return {name: mapped(function, *(tree[name] for tree in trees)) for name in first}
    children = [mapped(function, *parts) for parts in zip(*trees, strict=True)]
    return type(first)(*children) if hasattr(first, "_fields") else tuple(children)


def dot(one, other):
    return sum(np.vdot(a, b) for a, b in zip(leaves(one), leaves(other), strict=True))


def sizes_of(*trees):
    """A bound of all sums that lead to `dot`."""
    return np.prod([np.sqrt(dot(tree, tree)) for tree in trees])


def random_like(rng, tree):
    return mapped(lambda a: rng.standard_normal(a.shape).astype(a.dtype), tree)


def random_case(rng, cell, dtype=np.float64, sizes=SIZES):
    """Arguments of `rnn` and cotangents of its outputs, also of the states of all steps."""
    problem = random_problem(rng, cell, *sizes, dtype)
    x, W, R, b, state, dy, dstate, _ = problem
    dstates = tuple(rng.standard_normal((len(x), *d.shape)).astype(dtype) for d in dstate)
    arguments = Gradients(x, W, R, b, state, extra_weights(cell, problem))
    return problem, arguments, Cotangents(dy, dstate, dstates)


def first(cell, arguments, cotangents, **options):
    """What `backward` returns."""
    *positional, extra = arguments
    _, _, backward = functional.rnn(cell, *positional, extra=extra, **options)
    d = backward(cotangents.dy, cotangents.dstate, dstates=cotangents.dstates)
    return Gradients(d.x, d.W, d.R, d.b, d.state, d.extra or {})


def second(cell, arguments, cotangents, v, **options):
    """The gradients of <v, first(...)>, of arguments and of cotangents."""
    *positional, extra = arguments
    d = functional.rnn_double_backward(
        cell, *positional, extra=extra, **cotangents._asdict(),
        ddx=v.x, ddW=v.W, ddR=v.R, ddb=v.b, ddstate=v.state, ddextra=v.extra, **options,
    )  # fmt: skip
    np.testing.assert_array_equal(d.dy, d.dstates[0])
    return (
        Gradients(d.x, d.W, d.R, d.b, d.state, d.extra or {}),
        Cotangents(d.dy, d.dstate, d.dstates),
    )


STEP = 1e-5  # small enough for no pre-activation to cross a kink


def assert_differences_agree(rng, function, inputs, gradients):
    """Compare gradients of `function(*inputs)` with differences of the fourth order.

    Each array is moved in a random direction, in place, and put back.
    """
    for k, place in enumerate(leaves(inputs)):
        kept = place.copy()
        direction = rng.standard_normal(place.shape)
        values = {}
        for steps in (-2, -1, 1, 2):
            place[...] = kept + steps * STEP * direction
            values[steps] = function(*inputs)
        place[...] = kept
        difference = (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / (12 * STEP)
        actual = np.vdot(leaves(gradients)[k], direction)
        assert_close(actual, difference, NUMERIC_GRADIENT, f"array {k}")


def assert_derives_the_gradients(rng, cell, case, options, gradients_of=None):
    """Compare second derivatives with differences of first ones."""
    arguments, cotangents = case
    v = random_like(rng, arguments)
    gradients = second(cell, arguments, cotangents, v, **options)

    def objective(arguments, cotangents):
        if gradients_of is not None:
            return dot(v, gradients_of(arguments, cotangents))
        return dot(v, first(cell, arguments, cotangents, **options))

    assert_differences_agree(rng, objective, case, gradients)
