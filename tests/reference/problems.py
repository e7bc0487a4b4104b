"""Random problems for the references of the cells, every option, and the comparison of runs."""

from typing import NamedTuple

import numpy as np
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn.reference import CELLS

#: Cells by name, each with the options it runs with.
CASES = {name: (cell, {}) for name, cell in CELLS.items()}
CASES["rnn_relu"] = (CELLS["rnn"], {"activations": ("relu",)})

OTHER_ACTIVATIONS = (("hard_sigmoid", 0.2, 0.4), ("scaled_tanh", 1.2, 0.8), "softsign")


class Problem(NamedTuple):
    """Random inputs of a cell, and cotangents for all that it returns."""

    x: np.ndarray
    W: np.ndarray
    R: np.ndarray | None
    b: np.ndarray
    state: tuple
    extra: dict
    dy: np.ndarray
    dstate: tuple
    dstates: tuple


class Run(NamedTuple):
    """Everything that comes out of a forward and a backward run."""

    y: np.ndarray
    state: tuple
    states: tuple
    gradients: tuple
    norms: np.ndarray


def random_problem(rng, cell, shape):
    """A problem of the sizes T, B, I, H, whose normalisers n are positive."""
    T, B, I, H = shape
    S = H
    if "P" in cell.EXTRA:
        S = H - 1 if H > 1 else 2
    widths = [S if s == "h" else H for s in cell.STATES]

    def numbers(*shape, scale=1.0):
        return rng.standard_normal(shape) * scale

    sizes = {"P": (H, S), "gain_c": (H,), "bias_c": (H,)}
    sizes["gain_x"] = sizes["gain_h"] = (len(cell.INPUT) * H,)
    return Problem(
        x=numbers(T, B, I),
        W=numbers(I, len(cell.INPUT) * H, scale=I**-0.5),
        R=numbers(S, len(cell.RECURRENT) * H, scale=S**-0.5) if cell.RECURRENT else None,
        b=numbers(len(cell.BIAS) * H),
        state=tuple(
            rng.uniform(0.5, 2.0, (B, width)) if s == "n" else numbers(B, width)
            for s, width in zip(cell.STATES, widths, strict=True)
        ),
        extra={name: numbers(*sizes[name]) for name in cell.EXTRA},
        dy=numbers(T, B, S),
        dstate=tuple(numbers(B, width) for width in widths),
        dstates=tuple(numbers(T, B, width) for width in widths),
    )


def options_of(cell):
    """Names of the options with a gradient of their own that the cell has."""
    names = ["resets", "zoneout"]
    if cell.RECURRENT:
        names += ["mask", "fixed mask"]
    if cell.ACTIVATIONS:
        names += ["clip", "activations"]
    return names


def random_option(rng, name, cell, problem):
    """Keyword arguments for one of `options_of`."""
    T, B, S = problem.dy.shape
    return {
        "resets": {"resets": rng.random((T, B)) < 0.3},
        "zoneout": {"zoneout": tuple(rng.random(ds.shape) for ds in problem.dstates)},
        "mask": {"recurrent_mask": rng.uniform(0.5, 2.0, (T, B, S))},
        "fixed mask": {"recurrent_mask": rng.uniform(0.5, 2.0, (B, S))},
        "clip": {"clip": 0.7},
        "activations": {"activations": OTHER_ACTIVATIONS[: len(cell.ACTIVATIONS)]},
    }[name]


def all_options(rng, cell, problem):
    """All options of the cell at once, `truncate` among them."""
    together = {"truncate": 2}
    for name in options_of(cell):
        if name != "fixed mask":
            together |= random_option(rng, name, cell, problem)
    return together


def unequal_lengths(T, B):
    """0, T and what lies between, in no order."""
    return np.array([T, 0, 1, max(T - 1, 0)] * B)[:B]


def beyond(lengths, T):
    """Mask (T, B) of the steps that rows do not run."""
    return np.arange(T)[:, None] >= lengths


def run(cell, problem, lengths=None, **options):
    """Results of both directions."""
    x, W, R, b, state, extra, dy, dstate, dstates = problem
    y, state_T, saved = cell.forward(x, W, R, b, state, lengths, extra=extra, **options)
    gradients = cell.backward(saved, dy, dstate, dstates)
    norms = cell.gradient_norms(saved, dy, dstate, dstates)
    return Run(y, state_T, saved.states, gradients, norms)


def weight_gradients(gradients):
    """The gradients of W, b, and, where the cell has them, of R and the other weights."""
    named = {"W": gradients.W, "R": gradients.R, "b": gradients.b, **gradients.extra}
    return {name: gradient for name, gradient in named.items() if gradient is not None}


def assert_same_outputs(actual, desired):
    """Compare what two runs computed forwards."""
    assert_close(actual.y, desired.y, FLOAT64_OUTPUT, "y")
    for name in ("state", "states"):
        for s, wanted in zip(getattr(actual, name), getattr(desired, name), strict=True):
            assert_close(s, wanted, FLOAT64_OUTPUT, name)


def assert_same_run(actual, desired):
    """Compare two results of `run`."""
    assert_same_outputs(actual, desired)
    assert_close(actual.norms, desired.norms, FLOAT64_GRADIENT, "norms")
    ours, wanted = actual.gradients, desired.gradients
    assert_close(ours.x, wanted.x, FLOAT64_GRADIENT, "dx")
    assert weight_gradients(ours).keys() == weight_gradients(wanted).keys()
    for name, gradient in weight_gradients(ours).items():
        assert_close(gradient, weight_gradients(wanted)[name], FLOAT64_GRADIENT, f"d{name}")
    for ds, ds_wanted in zip(ours.states, wanted.states, strict=True):
        assert_close(ds, ds_wanted, FLOAT64_GRADIENT, "gradient of initial state")


def before(problem, t):
    """The problem's steps before t."""
    return problem._replace(
        x=problem.x[:t], dy=problem.dy[:t], dstates=tuple(ds[:t] for ds in problem.dstates)
    )


def after(problem, t, state):
    """The problem's steps from t on, from these states."""
    dstates = tuple(ds[t:] for ds in problem.dstates)
    return problem._replace(x=problem.x[t:], state=state, dy=problem.dy[t:], dstates=dstates)


def options_within(index, options):
    """Options whose arrays (T, B, ...) are cut to some steps and rows."""
    options = dict(options)
    for name in {"resets", "recurrent_mask"} & options.keys():
        options[name] = options[name][index]
    if "zoneout" in options:
        options["zoneout"] = tuple(z[index] for z in options["zoneout"])
    return options


def joined(early, late):
    """Two runs, one after the other, as one."""
    extra = {
        name: gradient + late.gradients.extra[name]
        for name, gradient in early.gradients.extra.items()
    }
    R = early.gradients.R
    return Run(
        y=np.concatenate([early.y, late.y]),
        state=late.state,
        states=tuple(map(np.concatenate, zip(early.states, late.states, strict=True))),
        gradients=early.gradients._replace(
            x=np.concatenate([early.gradients.x, late.gradients.x]),
            W=early.gradients.W + late.gradients.W,
            R=None if R is None else R + late.gradients.R,
            b=early.gradients.b + late.gradients.b,
            extra=extra,
        ),
        norms=np.concatenate([early.norms, late.norms]),
    )
