"""Random recurrent problems, run by the engine and by the reference, and their comparison."""

from typing import NamedTuple

import numpy as np
from tolerances import (
    FLOAT32_GRADIENT,
    FLOAT32_OUTPUT,
    FLOAT64_GRADIENT,
    FLOAT64_OUTPUT,
    assert_close,
)

from fastrnn import functional, reference
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import extra_names, gate_names, normalised, projects

OUTPUT = {np.dtype(np.float32): FLOAT32_OUTPUT, np.dtype(np.float64): FLOAT64_OUTPUT}
GRADIENT = {np.dtype(np.float32): FLOAT32_GRADIENT, np.dtype(np.float64): FLOAT64_GRADIENT}


class Problem(NamedTuple):
    """Inputs of `functional.rnn`, and cotangents for all that it returns."""

    x: np.ndarray
    W: np.ndarray
    R: np.ndarray | None
    b: np.ndarray | None
    state: tuple | None
    dy: np.ndarray | None
    dstate: tuple | None
    extra: tuple  # in the order of the cell's EXTRA


class Results(NamedTuple):
    """Everything that comes out of a forward and a backward run."""

    y: np.ndarray
    state: tuple
    dx: np.ndarray | None
    dW: np.ndarray
    dR: np.ndarray | None
    db: np.ndarray | None
    dstate: tuple
    dextra: tuple


def random_problem(rng, cell, T, B, I, H, dtype):
    """A problem of the given sizes; weights are scaled so that no gate is always saturated."""
    kind = CELLS[cell]
    states = kind.STATES
    inputs, recurrent, biases = (
        len(gate_names(kind, part)) * H for part in ("INPUT", "RECURRENT", "BIAS")
    )
    S = H
    if projects(kind):
        S = H - 1 if H > 1 else 2
    widths = [S if s == "h" else H for s in states]

    def numbers(*shape, scale=1.0):
        return (rng.standard_normal(shape) * scale).astype(dtype)

    x = numbers(T, B, I)
    if normalised(kind):
        # The products of a small x, of one feature above all, are normalised to little more than
        # their signs, and the gradient of x is made of their roundings.
        x += 2 * np.sign(x)
    sizes = {"P": (H, S), "gain_x": (inputs,), "gain_h": (recurrent,)}
    return Problem(
        x=x,
        W=numbers(I, inputs, scale=I**-0.5),
        R=numbers(S, recurrent, scale=S**-0.5) if recurrent else None,
        b=numbers(biases),
        # The normaliser of an sLSTM divides: near 0 it magnifies every rounding.
        state=tuple(
            abs(numbers(B, width)) + 1 if s == "n" else numbers(B, width)
            for s, width in zip(states, widths, strict=True)
        ),
        dy=numbers(T, B, S),
        # All states but h of an sLSTM depend on its maximum, whose gradient jumps where two
        # numbers are equal but for float32's roundings.
        dstate=tuple(
            numbers(B, width, scale=float(s == "h" or "m" not in states or dtype == np.float64))
            for s, width in zip(states, widths, strict=True)
        ),
        extra=tuple(
            numbers(*sizes.get(name, (H,)), scale=H**-0.5 if name == "P" else 1.0)
            for name in extra_names(kind)
        ),
    )


def extra_weights(cell, problem):
    """The other weights of a problem by name, as `functional.rnn` takes them."""
    kind = CELLS[cell] if isinstance(cell, str) else type(cell)
    return dict(zip(extra_names(kind), problem.extra, strict=True))


def call(cell, problem, **options):
    """What `functional.rnn` returns."""
    x, W, R, b, state, *_ = problem
    return functional.rnn(cell, x, W, R, b, state, extra=extra_weights(cell, problem), **options)


def results_of(y, final, gradients):
    """Results of the engine, from what came forward and what came back."""
    d = gradients
    dextra = () if d.extra is None else tuple(d.extra.values())
    return Results(y, final, d.x, d.W, d.R, d.b, d.state, dextra)


def run(cell, problem, **options):
    """Results of the engine."""
    y, final, backward = call(cell, problem, **options)
    y = y.copy()
    return results_of(y, final, backward(problem.dy, problem.dstate))


def reference_run(cell, problem, lengths=None, reverse=False, **options):
    """Results of the reference; a missing array is zero, and so is the gradient of no bias."""
    return reference_results(cell, problem, lengths, reverse, options, None)[0]


def reference_results(cell, problem, lengths, reverse, options, dstates):
    """Results of the reference, the states after all steps, and the norms of the gradients of h."""
    x, W, R, b, state, dy, dstate, _ = problem
    T, B, _ = x.shape
    module = reference.CELLS[cell]
    H = W.shape[1] // len(module.INPUT)
    widths = [R.shape[0] if s == "h" and R is not None else H for s in module.STATES]
    nothing = [None] * len(widths)
    whole = [
        [
            np.zeros((B, w)) if s is None else s
            for s, w in zip(given or nothing, widths, strict=True)
        ]
        for given in (state, dstate)
    ]
    steps = np.arange(T)[:, None].repeat(B, axis=1)
    if reverse:
        ends = np.full(B, T) if lengths is None else np.asarray(lengths)
        # Each sequence is turned around within its length; its padding stays.
        steps = np.where(steps < ends, ends - 1 - steps, steps)
    turn = (steps, np.arange(B))

    def turned(a):
        if isinstance(a, tuple):
            return tuple(map(turned, a))
        return a[turn] if isinstance(a, np.ndarray) and a.shape[:2] == (T, B) else a

    options = {name: turned(value) for name, value in options.items()}
    y, final, saved = module.forward(
        x[turn], W, R, np.zeros(len(module.BIAS) * H) if b is None else b, tuple(whole[0]), lengths,
        extra=extra_weights(cell, problem), **options,
    )  # fmt: skip
    cotangents = (np.zeros_like(y) if dy is None else dy[turn], whole[1], turned(dstates))
    gradients = module.backward(saved, *cotangents)
    db = None if b is None else gradients.b
    dx = gradients.x[turn]
    dextra = tuple(gradients.extra.values())
    results = Results(y[turn], final, dx, gradients.W, gradients.R, db, gradients.states, dextra)
    norms = module.gradient_norms(saved, *cotangents)
    return results, turned(saved.states), norms[turn]


def assert_results_close(actual, desired):
    """Compare two `Results` within the tolerance of the first one's dtype."""
    output, gradient = OUTPUT[actual.y.dtype], GRADIENT[actual.y.dtype]
    assert_close(actual.y, desired.y, output, "y")
    for n, (s, wanted) in enumerate(zip(actual.state, desired.state, strict=True)):
        assert_close(s, wanted, output, f"state[{n}]")
    for name in ("dx", "dW", "dR", "db"):
        ours, wanted = getattr(actual, name), getattr(desired, name)
        assert (ours is None) == (wanted is None), name
        if ours is not None:
            assert_close(ours, wanted, gradient, name)
    for n, (s, wanted) in enumerate(zip(actual.dstate, desired.dstate, strict=True)):
        assert_close(s, wanted, gradient, f"dstate[{n}]")
    for n, (d, wanted) in enumerate(zip(actual.dextra, desired.dextra, strict=True)):
        assert_close(d, wanted, gradient, f"dextra[{n}]")


def arrays_of(results):
    """All arrays of `Results` or of a `Problem` in one list."""
    flat = []
    for field in results:
        flat += field if isinstance(field, tuple) else [field]
    return [array for array in flat if array is not None]


def assert_same_bits(actual, desired):
    """Compare two `Results` bit for bit, NaN equal to NaN."""
    for ours, wanted in zip(arrays_of(actual), arrays_of(desired), strict=True):
        np.testing.assert_array_equal(ours, wanted)


def in_records(a):
    """The numbers of `a` as a field of packed records: rows at odd addresses."""
    fields = [("mark", "u1"), ("numbers", a.dtype, a.shape[-1:])]
    records = np.zeros(a.shape[:-1], np.dtype(fields))
    records["numbers"] = a
    return records["numbers"]
