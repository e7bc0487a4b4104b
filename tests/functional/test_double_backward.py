"""Second derivatives are those of torch, and the derivatives of our own first ones."""

import numpy as np
import pytest
from functional.derivatives import (
    STEP,
    B,
    Cotangents,
    Gradients,
    H,
    I,
    T,
    assert_derives_the_gradients,
    dot,
    first,
    leaves,
    mapped,
    random_case,
    random_like,
    second,
    sizes_of,
)
from functional.test_options import random_options
from structures import STRUCTURES, WITH_EXTRA
from tolerances import (
    FLOAT32_GRADIENT,
    FLOAT64_GRADIENT,
    NUMERIC_GRADIENT,
    TORCH_FLOAT64_GRADIENT,
    assert_close,
)

from fastrnn import functional
from fastrnn.cells import cell as own_cell
from fastrnn.cells.activations import ACTIVATIONS, Clipped, Relu, Softplus
from fastrnn.cells.rnn import RNN
from fastrnn.simd.mathematics import (
    exp,
    expm1,
    log,
    logsigmoid,
    maximum,
    minimum,
    sigmoid,
    softplus,
    tanh,
    where_less,
)

CELLS_OF_EVERY_KIND = [*STRUCTURES, *WITH_EXTRA]


OPTIONS = [
    (), ("mask of each step",), ("mask of all steps",), ("zoneout",), ("resets",), ("lengths",),
    ("reverse",), ("mask of each step", "zoneout", "resets", "lengths", "reverse"),
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=" and ".join)
def test_second_derivatives_are_differences_of_gradients(rng, cell, options):
    problem, *case = random_case(rng, cell)
    chosen = random_options(rng, cell, problem, options)
    assert_derives_the_gradients(rng, cell, case, chosen)


def truncated_gradients(cell, base, options):
    """A function like `first`, of pieces between which the states are constants.

    base    the arguments at which the constants are taken
    """
    truncate, reverse = options["truncate"], options.get("reverse", False)
    lengths = options.get("lengths", np.full(B, T))
    resets = options.get("resets", np.zeros((T, B), bool))
    mask, zoneout = options.get("recurrent_mask"), options.get("zoneout")
    if mask is not None and mask.ndim == 2:
        mask = np.broadcast_to(mask, (T, *mask.shape))
    *positional, extra = base
    _, _, backward = functional.rnn(cell, *positional, extra=extra, **options)
    constants = [s.copy() for s in backward.states()]

    def at(array, times, row):
        return None if array is None else array[times, row][:, None]

    def gradients(arguments, cotangents):
        total = mapped(np.zeros_like, arguments)
        x, W, R, b, state, extra = arguments
        dy, dstate, dstates = cotangents
        for row in range(B):
            times = np.arange(lengths[row])
            times = times[::-1] if reverse else times
            if not len(times):
                for d, ds in zip(total.state, dstate, strict=True):
                    d[row] = ds[row]
            for start in range(0, len(times), truncate):
                piece = times[start : start + truncate]
                initial = [s[row] for s in state]
                if start:
                    initial = [s[times[start - 1], row] for s in constants]
                _, _, backward = functional.rnn(
                    cell, at(x, piece, row), W, R, b, tuple(s[None] for s in initial), extra=extra,
                    resets=at(resets, piece, row), recurrent_mask=at(mask, piece, row),
                    zoneout=zoneout and tuple(at(z, piece, row) for z in zoneout),
                )  # fmt: skip
                is_last = start + truncate >= len(times)
                d = backward(
                    at(dy, piece, row),
                    tuple(ds[row][None] for ds in dstate) if is_last else None,
                    dstates=tuple(at(ds, piece, row) for ds in dstates),
                )
                total.x[piece, row] = d.x[:, 0]
                weights = (total.W, total.R, total.b, total.extra), (d.W, d.R, d.b, d.extra)
                for whole, part in zip(*map(leaves, weights), strict=True):
                    whole += part
                if not start:
                    for whole, part in zip(total.state, d.state, strict=True):
                        whole[row] = part[0]
        return total

    return gradients


@pytest.mark.parametrize("cell", CELLS_OF_EVERY_KIND)
@pytest.mark.parametrize(
    "options",
    [("truncate",), ("truncate", "mask of each step", "zoneout", "resets", "lengths", "reverse")],
    ids=" and ".join,
)
def test_what_truncation_cuts_is_constant(rng, cell, options):
    problem, *case = random_case(rng, cell)
    chosen = random_options(rng, cell, problem, options)
    gradients_of = truncated_gradients(cell, case[0], chosen)
    actual, desired = gradients_of(*case), first(cell, *case, **chosen)
    for ours, wanted in zip(leaves(actual), leaves(desired), strict=True):
        assert_close(ours, wanted, FLOAT64_GRADIENT)
    assert_derives_the_gradients(rng, cell, case, chosen, gradients_of)


EVERYTHING = ("mask of each step", "zoneout", "resets", "truncate", "lengths", "reverse")


@pytest.mark.parametrize("options", [(), EVERYTHING], ids=["plain", "all options"])
def test_second_derivatives_are_symmetric(rng, cell, options):
    problem, arguments, cotangents = random_case(rng, cell)
    chosen = random_options(rng, cell, problem, options)
    v, w = random_like(rng, arguments), random_like(rng, arguments)
    Hv, Jv = second(cell, arguments, cotangents, v, **chosen)
    Hw, _ = second(cell, arguments, cotangents, w, **chosen)
    bound = FLOAT64_GRADIENT.rtol * sizes_of(w, Hv)
    assert abs(dot(w, Hv) - dot(v, Hw)) <= bound
    # J is that of the gradients: <J v, u> = <v, J^T u> for any u.
    u = random_like(rng, cotangents)
    gradients = first(cell, arguments, u, **chosen)
    assert abs(dot(Jv, u) - dot(v, gradients)) <= FLOAT64_GRADIENT.rtol * sizes_of(v, gradients)


@pytest.mark.parametrize("options", [(), EVERYTHING], ids=["plain", "all options"])
def test_float32_is_float64_rounded(rng, cell, options):
    problem, *case = random_case(rng, cell, np.float32)
    chosen = random_options(rng, cell, problem, options)
    v = random_like(rng, case[0])
    actual = second(cell, *case, v, **chosen)
    double = mapped(lambda a: a.astype(np.float64), (*case, v))

    def doubled(value):
        if isinstance(value, tuple):
            return tuple(map(doubled, value))
        return value.astype(np.float64) if getattr(value, "dtype", None) == np.float32 else value

    chosen = {name: doubled(value) for name, value in chosen.items()}
    desired = second(cell, *double, **chosen)
    for ours, wanted in zip(leaves(actual), leaves(desired), strict=True):
        assert_close(ours, wanted, FLOAT32_GRADIENT)


def test_what_is_not_given_is_zero(rng, cell):
    _, arguments, cotangents = random_case(rng, cell)
    x, W, R, b, state, extra = arguments
    v = mapped(np.zeros_like, arguments)._replace(x=rng.standard_normal(x.shape))
    nothing = mapped(np.zeros_like, cotangents)._replace(dy=cotangents.dy)
    zero_state = mapped(np.zeros_like, state)
    desired = second(cell, arguments._replace(state=zero_state), nothing, v)
    d = functional.rnn_double_backward(cell, x, W, R, b, extra=extra, dy=nothing.dy, ddx=v.x)
    actual = (
        Gradients(d.x, d.W, d.R, d.b, d.state, d.extra or {}),
        Cotangents(d.dy, d.dstate, d.dstates),
    )
    for ours, wanted in zip(leaves(actual), leaves(desired), strict=True):
        np.testing.assert_array_equal(ours, wanted)


def test_sequences_of_no_steps_pass_directions_on(rng):
    _, arguments, cotangents = random_case(rng, "lstm")
    v = random_like(rng, arguments)
    ours, back = second("lstm", arguments, cotangents, v, lengths=np.zeros(B, int))
    assert all(not np.any(a) for a in leaves(ours))
    assert not np.any(back.dy)
    for ds, direction in zip(back.dstate, v.state, strict=True):
        np.testing.assert_array_equal(ds, direction)


@pytest.mark.parametrize("vocabulary", [3, 40])
def test_embedded_input_gives_gradients_of_its_table(rng, vocabulary):
    _, arguments, cotangents = random_case(rng, "gru")
    ids, E = rng.integers(0, vocabulary, (T, B)), rng.standard_normal((vocabulary, I))
    v = random_like(rng, arguments)._replace(x=rng.standard_normal(E.shape))
    options = {"lengths": np.array([5, 2, 0]), "reverse": True}
    embedded = arguments._replace(x=functional.Embedded(ids, E))
    actual, back = second("gru", embedded, cotangents, v, **options)
    looked_up = arguments._replace(x=E[ids])
    desired, desired_back = second("gru", looked_up, cotangents, v._replace(x=v.x[ids]), **options)
    dE = np.zeros_like(E)
    np.add.at(dE, ids, desired.x)
    for ours, wanted in zip(
        leaves((actual, back)), leaves((desired._replace(x=dE), desired_back)), strict=True
    ):
        assert_close(ours, wanted, FLOAT64_GRADIENT)


@own_cell
class Everything:
    """A cell with all functions that formulas may call; its last states change places."""

    GATES = ("i", "f", "n", "p")
    INPUT = ("i", "f", "n")
    RECURRENT = ("i", "f", "n")
    STATES = ("h", "c", "m", "k", "q")
    rate: float = 0.3

    def step(self, a, state):
        i, f, n, p = a
        h, c, m, k, q = state
        new = sigmoid(f + p * c) * c + exp(-softplus(i)) * tanh(n) / (2.0 + h * h) ** 1.5
        slow = m + self.rate * (minimum(logsigmoid(i), -0.5) - m)
        gap = where_less(n, 0.1, log(1.0 + c * c), maximum(i, f)) * expm1(0.1 * n)
        h_new = new / abs(2.0 + sigmoid(slow)) + self.rate * gap + k * tanh(n)
        return h_new, new, slow, q, k


def test_cells_of_ones_own_have_second_derivatives(rng):
    shapes = Gradients((T, B, I), (I, 3 * H), (H, 3 * H), (4 * H,), ((B, H),) * 5, {})
    outputs = Cotangents((T, B, H), ((B, H),) * 5, ((T, B, H),) * 5)

    def numbers(tree):
        if tree and isinstance(tree[0], int):
            return rng.standard_normal(tree)
        children = map(numbers, tree)
        return type(tree)(*children) if hasattr(tree, "_fields") else tuple(children)

    case = numbers(shapes)._replace(extra={}), numbers(outputs)
    assert_derives_the_gradients(rng, Everything(), case, {"lengths": np.array([5, 3, 0])})


@pytest.mark.parametrize("name", [*ACTIVATIONS, "clipped softplus"])
def test_all_activations_have_second_derivatives(rng, name):
    f = Clipped(Softplus(), 0.7) if name not in ACTIVATIONS else ACTIVATIONS[name]()
    _, *case = random_case(rng, "rnn")
    assert_derives_the_gradients(rng, RNN(f), case, {})


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_slope_does_not_change_at_a_kink(name):
    f = ACTIVATIONS[name]()
    ones = np.ones((1, 1))
    for b in (0.0, -2.5, 2.5, 1.0):  # kinks of one activation or another
        case = Gradients(0 * ones[None], ones, ones, b * ones[0], (0 * ones,), {})
        v = Gradients(ones[None], 0 * ones, 0 * ones, 0 * ones[0], (0 * ones,), {})
        u = Cotangents(ones[None], (0 * ones,), (0 * ones[None],))
        gradients, back = second(RNN(f), case, u, v)
        # y has the derivative that its gradient says.
        np.testing.assert_allclose(back.dy, first(RNN(f), case, u).x, rtol=1e-14, atol=0)
        if name in ("relu", "leaky_relu", "thresholded_relu", "hard_sigmoid", "linear", "affine"):
            assert not gradients.b.any()
            assert not gradients.x.any()


def test_hessian_times_vector(rng):
    """Of a loss that is not linear in y, as the docstring says."""
    _, arguments, _ = random_case(rng, "gru")
    *positional, _ = arguments
    v = random_like(rng, arguments)

    def gradient(*arguments):
        y, _, backward = functional.rnn("gru", *arguments)
        d = backward(y**3)  # of sum(y**4) / 4
        return Gradients(d.x, d.W, d.R, d.b, d.state, {})

    y, _, backward = functional.rnn("gru", *positional)
    curved = functional.rnn_double_backward(
        "gru", *positional, dy=y**3, ddx=v.x, ddW=v.W, ddR=v.R, ddb=v.b, ddstate=v.state
    )
    through_y = backward(3 * y**2 * curved.dy)
    above, below = (
        gradient(*mapped(lambda a, da, s=sign: a + s * STEP * da, arguments, v)[:-1])
        for sign in (1, -1)
    )
    for name in ("x", "W", "R", "b"):
        actual = getattr(curved, name) + getattr(through_y, name)
        difference = (getattr(above, name) - getattr(below, name)) / (2 * STEP)
        assert_close(actual, difference, NUMERIC_GRADIENT, name)


def test_nan_comes_out_where_it_went_in(rng):
    _, arguments, cotangents = random_case(rng, "lstm")
    v = random_like(rng, arguments)
    clean, clean_back = second("lstm", arguments, cotangents, v)
    arguments.x[2, 1] = np.nan
    ours, back = second("lstm", arguments, cotangents, v)
    assert np.isnan(back.dy[2:, 1]).all()
    assert np.isnan(ours.x[:, 1]).all()
    assert np.isnan(ours.W).all()
    others = [0, 2]
    np.testing.assert_array_equal(back.dy[:2], clean_back.dy[:2])
    assert_close(back.dy[:, others], clean_back.dy[:, others], FLOAT64_GRADIENT)
    assert_close(ours.x[:, others], clean.x[:, others], FLOAT64_GRADIENT)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ddx": np.ones((T, B, I + 1))}, ValueError, r"^ddx: expected \(5, 3, 2\) .*got "),
        ({"ddx": "text"}, ValueError, r"^ddx: expected \(5, 3, 2\) .*got "),
        ({"ddx": np.ones((T, B, I), np.float32)}, TypeError, "^ddx: expected float64 as R, got"),
        ({"ddW": np.ones((I, H))}, ValueError, r"^ddW: expected \(2, 16\) .*got "),
        ({"ddR": np.ones((H, H))}, ValueError, r"^ddR: expected \(4, 16\) .*got "),
        ({"ddb": np.ones(H)}, ValueError, r"^ddb: expected \(16,\) .*got "),
        ({"b": None}, ValueError, r"^ddb: expected None, as b is, got \(16,\) float64"),
        ({"ddstate": (None,)}, ValueError, r"^ddstate: expected 2 arrays \(h, c\), got "),
        ({"ddstate": (None, np.ones(H))}, ValueError, r"^ddstate\[1\]: expected \(3, 4\) .*got "),
        ({"ddextra": {"P": np.ones(H)}}, ValueError, "^ddextra: expected None for this cell, got "),
        ({"ddextra": 3}, ValueError, "^ddextra: expected None for this cell, got "),
        ({"dy": np.ones((T, B))}, ValueError, r"^dy: expected \(5, 3, 4\) .*got "),
        ({"dstate": (None,)}, ValueError, r"^dstate: expected 2 arrays \(h, c\), got "),
        ({"dstates": (None, np.ones(H))}, ValueError, r"^dstates\[1\]: expected \(5, 3, 4\)"),
        ({"x": np.ones((T, B, I + 1))}, ValueError, r"^x: expected \(T, B, 2\) .*got "),
        ({"W": np.ones((I, H))}, ValueError, r"^W: expected \(I, 16\) .*got "),
        ({"lengths": [T, T, T + 1]}, ValueError, r"^lengths: expected .*got 6"),
        ({"resets": np.ones((T, B))}, ValueError, r"^resets: expected \(5, 3\) bools, got "),
        ({"recurrent_mask": np.ones(H)}, ValueError, "^recurrent_mask: expected "),
        ({"zoneout": (None,)}, ValueError, "^zoneout: expected 2 arrays "),
        ({"truncate": -1}, ValueError, "^truncate: expected an int of at least 0, got -1"),
        ({"cell": "gnu"}, ValueError, "^cell: expected one of .*got 'gnu'"),
    ],
)
def test_wrong_arguments_are_named(rng, change, error, message):
    _, arguments, cotangents = random_case(rng, "lstm")
    x, W, R, b, state, _ = arguments
    right = {
        "cell": "lstm", "x": x, "W": W, "R": R, "b": b, "state": state, **cotangents._asdict(),
        "ddx": x, "ddW": W, "ddR": R, "ddb": b, "ddstate": state,
    }  # fmt: skip
    functional.rnn_double_backward(**right)
    with pytest.raises(error, match=message):
        functional.rnn_double_backward(**right | change)


def test_wrong_arguments_of_other_cells_are_named(rng):
    _, arguments, _ = random_case(rng, "indrnn")
    x, W, _, b, *_ = arguments
    with pytest.raises(ValueError, match="^ddR: expected None, as R is, got "):
        functional.rnn_double_backward("indrnn", x, W, None, b, ddR=np.ones((H, H)))
    _, arguments, _ = random_case(rng, "lstmp")
    x, W, R, b, _, extra = arguments
    with pytest.raises(ValueError, match=r'^ddextra\["P"\]: expected \(4, 3\) .*got '):
        functional.rnn_double_backward(
            "lstmp", x, W, R, b, extra=extra, ddextra={"P": np.ones((H, H))}
        )
    with pytest.raises(ValueError, match="^ddextra: expected a mapping of P, got .*gain"):
        functional.rnn_double_backward("lstmp", x, W, R, b, extra=extra, ddextra={"gain": x})
    embedded = functional.Embedded(np.zeros((T, B), int), np.ones((7, I)))
    with pytest.raises(ValueError, match=r"^ddx: expected \(7, 2\) .*got "):
        functional.rnn_double_backward("lstmp", embedded, W, R, b, extra=extra, ddx=x)


def torch_second(kind, arguments, cotangents, v, lengths):
    """`second` by torch; the columns of b stand in its two biases."""
    torch = pytest.importorskip("torch")
    name, options = kind
    x, W, R, b, state, _ = arguments

    def tensor(a):
        return torch.tensor(a, requires_grad=True)

    def in_two(b):
        """Biases of x and of h, or their gradients; GRUs have an n of each."""
        if name == "GRU":
            return b[: 3 * H], np.concatenate([np.zeros(2 * H), b[3 * H :]])
        return b, np.zeros_like(b)

    def in_one(b_x, b_h):
        return np.concatenate([b_x, b_h[2 * H :]]) if name == "GRU" else b_x

    module = getattr(torch.nn, name)(I, H, dtype=torch.float64, **options)
    weights = list(module.parameters())  # W, R, b_x, b_h
    with torch.no_grad():
        for weight, values in zip(weights, (W.T, R.T, *in_two(b)), strict=True):
            weight.copy_(torch.tensor(values))
    x, states = tensor(x), [tensor(s[None]) for s in state]
    given = x
    if lengths is not None:
        given = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths))
    # oneDNN, which cannot be differentiated twice, does not take float64.
    y, final = module(given, tuple(states) if len(states) > 1 else states[0])
    if lengths is not None:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)
    final = final if len(states) > 1 else (final,)
    dy, dstate = tensor(cotangents.dy), [tensor(d[None]) for d in cotangents.dstate]
    sources = [x, *weights, *states]
    first = torch.autograd.grad((y, *final), sources, (dy, *dstate), create_graph=True)
    vx, vW, vR, vb, vstate, _ = v
    directions = (vx, vW.T, vR.T, *in_two(vb), *(s[None] for s in vstate))
    objective = sum(
        (d * torch.tensor(direction)).sum() for d, direction in zip(first, directions, strict=True)
    )
    results = torch.autograd.grad(objective, [*sources, dy, *dstate])
    dx, dW, dR, db_x, db_h, *others = (d.numpy() for d in results)
    d_state, ddy, ddstate = others[: len(states)], others[len(states)], others[len(states) + 1 :]
    return (
        Gradients(dx, dW.T, dR.T, in_one(db_x, db_h), tuple(s[0] for s in d_state), {}),
        (ddy, tuple(d[0] for d in ddstate)),
    )


@pytest.mark.parametrize("lengths", [None, np.array([5, 4, 1])], ids=["full", "packed"])
@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("lstm", ("LSTM", {})),
        ("gru", ("GRU", {})),
        ("rnn", ("RNN", {})),
        (RNN(Relu()), ("RNN", {"nonlinearity": "relu"})),
    ],
    ids=["lstm", "gru", "tanh", "relu"],
)
def test_second_derivatives_are_those_of_torch(rng, cell, kind, lengths):
    _, arguments, cotangents = random_case(rng, cell if isinstance(cell, str) else "rnn")
    cotangents = cotangents._replace(dstates=None)
    v = random_like(rng, arguments)
    desired, desired_back = torch_second(kind, arguments, cotangents, v, lengths)
    actual, back = second(cell, arguments, cotangents, v, lengths=lengths)
    actual, desired = (actual, back.dy, back.dstate), (desired, *desired_back)
    for ours, wanted in zip(leaves(actual), leaves(desired), strict=True):
        assert_close(ours, wanted, TORCH_FLOAT64_GRADIENT)
