"""Formulas of cells: forward is what the papers write, and backward is its derivative."""

from functools import partial
from math import exp, log, log1p
from typing import NamedTuple

import numeric
import numpy as np
import pytest
from simd.vectors import uncached
from tolerances import FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn.cells import CELLS, protocol
from fastrnn.cells.activations import (
    Affine,
    Clipped,
    Elu,
    HardSigmoid,
    LeakyRelu,
    Linear,
    Relu,
    ScaledTanh,
    Sigmoid,
    Softplus,
    Softsign,
    Tanh,
    ThresholdedRelu,
    activate,
)
from fastrnn.cells.cifg import CoupledLSTM
from fastrnn.cells.gru import GRU
from fastrnn.cells.indrnn import IndRNN
from fastrnn.cells.lstm import LSTM
from fastrnn.cells.peephole import PeepholeLSTM
from fastrnn.cells.rnn import RNN
from fastrnn.cells.slstm import SLSTM
from fastrnn.kernels.cpu.task import Floats
from fastrnn.simd.memory import lanes, load, load_tuple, store, store_tuple
from fastrnn.simd.target import lanes_of

# The states after a step, of pre-activations in tile order, the states before it, and the cell's
# activations in the order of its fields.


def rnn(a_n, h_prev, f):
    return (f(a_n),)


def indrnn(a_n, u, h_prev, f):
    return (f(a_n + u * h_prev),)


def lstm(a_i, a_f, a_g, a_o, h_prev, c_prev, gate, candidate, output):
    c = gate(a_f) * c_prev + gate(a_i) * candidate(a_g)
    return gate(a_o) * output(c), c


def peephole(a_i, a_f, a_g, a_o, p_i, p_f, p_o, h_prev, c_prev, gate, candidate, output):
    i, f = gate(a_i + p_i * c_prev), gate(a_f + p_f * c_prev)
    c = f * c_prev + i * candidate(a_g)
    return gate(a_o + p_o * c) * output(c), c


def cifg(a_i, a_g, a_o, h_prev, c_prev, gate, candidate, output):
    c = (1 - gate(a_i)) * c_prev + gate(a_i) * candidate(a_g)
    return gate(a_o) * output(c), c


def gru(a_nx, a_r, a_z, a_nh, h_prev, gate, candidate):
    n = candidate(a_nx + gate(a_r) * a_nh)
    return ((1 - gate(a_z)) * n + gate(a_z) * h_prev,)


def slstm(a_i, a_f, a_g, a_o, h_prev, c_prev, n_prev, m_prev):
    log_f = -log1p(exp(-a_f))
    m = max(log_f + m_prev, a_i)
    i, f = exp(a_i - m), exp(log_f + m_prev - m)
    c = f * c_prev + i * (1 - exp(-2 * a_g)) / (1 + exp(-2 * a_g))
    n = f * n_prev + i
    return 1 / (1 + exp(-a_o)) * c / n, c, n, m


FORMULAS = {
    RNN: rnn,
    IndRNN: indrnn,
    LSTM: lstm,
    PeepholeLSTM: peephole,
    CoupledLSTM: cifg,
    GRU: gru,
    SLSTM: slstm,
}
ACTIVATIONS = [
    Affine(-0.8, 0.3),
    Elu(1.2),
    HardSigmoid(0.3, 0.4),
    LeakyRelu(0.2),
    Linear(),
    Relu(),
    ScaledTanh(1.4, 0.6),
    Sigmoid(),
    Softplus(),
    Softsign(),
    Tanh(),
    ThresholdedRelu(0.3),
]


def variants(kind):
    """The cell as it is by default, and with every activation, clipped or not, in every field."""
    cells = [kind()]
    fields = range(len(kind._fields))
    for n in range(len(ACTIVATIONS)):
        # Another one in each field, so that none is taken for its neighbour.
        some = [ACTIVATIONS[(n + 4 * field) % len(ACTIVATIONS)] for field in fields]
        cells += [kind(*some), kind(*(Clipped(f, 0.9) for f in some))]
    return cells if fields else cells[:1]


CASES = [cell for kind in FORMULAS for cell in variants(kind)]


class Step(NamedTuple):
    """Inputs of one step of one unit, as one array: pre-activations and states."""

    a: np.ndarray
    state: np.ndarray


def random_step(rng, cell):
    """Pre-activations and states of any sign, but of a normaliser n."""
    state = rng.standard_normal(len(cell.STATES))
    if "n" in cell.STATES:
        state[cell.STATES.index("n")] = rng.uniform(0.5, 2)
    return Step(rng.standard_normal(len(cell.GATES)), state)


@pytest.mark.parametrize("cell", CASES, ids=repr)
def test_forward_is_the_formula(cell, rng):
    functions = [partial(activate, field) for field in cell]
    for _ in range(20):
        a, state = random_step(rng, cell)
        _, after = protocol.forward(cell, tuple(a), tuple(state))
        desired = FORMULAS[type(cell)](*a, *state, *functions)
        assert_close(np.array(after), np.array(desired), FLOAT64_OUTPUT)


OWN_WEIGHT = 0.7


def forward(cell, a, state):
    """One step of one unit; inner gates take what it makes of its own h."""
    if protocol.has_inner(cell):
        a, operand = protocol.operand(cell, a, state[0])
        first, last = protocol.inner_gates(cell)
        inner = tuple(v + OWN_WEIGHT * operand for v in a[first:last])
        a = a[:first] + inner + a[last:]
    return protocol.forward(cell, a, state)


def backward(cell, saved, before, after, dstate):
    """Undo `forward`."""
    da, dbefore = protocol.backward(cell, saved, before, after, dstate)
    if protocol.has_inner(cell):
        first, last = protocol.inner_gates(cell)
        doperand = OWN_WEIGHT * sum(da[first:last])
        da, dh = protocol.operand_backward(cell, da, before[0], doperand)
        dbefore = (dbefore[0] + dh, *dbefore[1:])
    return da, dbefore


@pytest.mark.parametrize("cell", CASES + [kind() for kind in CELLS.values()], ids=repr)
def test_backward_is_the_derivative(cell, rng):
    names = protocol.gate_names(type(cell), "BIAS")
    places = [cell.GATES.index(name) for name in names]
    for _ in range(10):
        a, state = random_step(rng, cell)
        dstate = rng.standard_normal(len(cell.STATES))

        def objective(a=a, state=state, dstate=dstate):
            _, after = forward(cell, tuple(a), tuple(state))
            return np.dot(dstate, after)

        saved, after = forward(cell, tuple(a), tuple(state))
        assert len(saved) == len(cell.GATES)
        da, dbefore = backward(cell, saved, tuple(state), after, tuple(dstate))
        desired = numeric.gradient(objective, a)
        assert_close(np.array(da)[places], desired[places], NUMERIC_GRADIENT, "da")
        desired = numeric.gradient(objective, state)
        assert_close(np.array(dbefore), desired, NUMERIC_GRADIENT, "dstate")


def test_h_of_slstm_does_not_depend_on_the_scale_of_its_states():
    a = (0.3, -0.4, 0.8, 0.2)
    _, (desired, *_) = protocol.forward(SLSTM(), a, (0.0, 0.7, 1.2, 0.0))
    for m_prev in (-20.0, -1.0, 3.0, 20.0):
        scale = exp(-m_prev)
        _, (h, *_) = protocol.forward(SLSTM(), a, (0.0, 0.7 * scale, 1.2 * scale, m_prev))
        assert h == pytest.approx(desired, rel=1e-14)


def test_slstm_stands_exponents_beyond_the_range_of_exp():
    before, trace = (0.0, 0.0, 0.0, 0.0), []
    for a_i, a_f in ((2e3, 0.0), (-2e3, 1e3), (1e4, -1e4), (-1e4, -1e4), (0.0, 0.0)):
        saved, after = protocol.forward(SLSTM(), (a_i, a_f, 0.5, 0.1), before)
        trace.append((saved, before, after))
        before = after
        assert abs(after[0]) <= 1
    dstate = (1.0, 0.0, 0.0, 0.0)
    for saved, before, after in reversed(trace):
        da, dstate = protocol.backward(SLSTM(), saved, before, after, dstate)
        assert np.isfinite(da + dstate).all()


def test_equal_arguments_of_the_maximum_share_its_gradient():
    a_i = log(0.5) + 1.0  # log(sigmoid(0)) + m_prev
    before = (0.0, 0.5, 1.5, 1.0)
    saved, after = protocol.forward(SLSTM(), (a_i, 0.0, 0.4, 0.1), before)
    assert after[3] == a_i
    da, dbefore = protocol.backward(SLSTM(), saved, before, after, (0.0, 0.0, 0.0, 1.0))
    assert da == pytest.approx((0.5, 0.25, 0.0, 0.0))
    assert dbefore == pytest.approx((0.0, 0.0, 0.0, 0.5))


class Compiled(NamedTuple):
    """One step of a vector of units: rows of `a`, `state` and so on are gates and states."""

    a: Floats
    state: Floats
    dstate: Floats
    zeros: Floats
    saved: Floats
    after: Floats
    da: Floats
    dbefore: Floats


def compiled_step(gates, states):
    @uncached
    def step(cell, args, worker, workers):
        cell = cell[0]
        s = args[0]
        lane = lanes(s.a)
        before = load_tuple(s.state, lane, states)
        saved, after = protocol.forward(cell, load_tuple(s.a, lane, gates), before)
        store_tuple(s.saved, lane, saved)
        store_tuple(s.after, lane, after)
        dstate = load_tuple(s.dstate, lane, states)
        da, dbefore = protocol.backward(cell, saved, before, after, dstate)
        store_tuple(s.da, lane, da)
        # The first is a number where h_prev acts through R only.
        store(s.dbefore, load(s.zeros) + dbefore[0])
        store_tuple(s.dbefore + lane, lane, dbefore[1:])

    return step


@pytest.mark.parametrize("cell", [c for kind in FORMULAS for c in variants(kind)[:3]], ids=repr)
def test_compiled_formulas_are_those_of_floats(cell, rng):
    gates, states = len(cell.GATES), len(cell.STATES)
    units = lanes_of(np.dtype(np.float64))
    steps = [random_step(rng, cell) for _ in range(units)]
    dstate = rng.standard_normal((states, units))
    results = [np.full((rows, units), np.nan) for rows in (gates, states, gates, states)]
    inputs = [np.ascontiguousarray(np.transpose(rows)) for rows in zip(*steps, strict=True)]
    compiled_step(gates, states)(cell, Compiled(*inputs, dstate, np.zeros(units), *results), 1)
    for unit, (a, before) in enumerate(steps):
        saved, after = protocol.forward(cell, tuple(a), tuple(before))
        back = protocol.backward(cell, saved, tuple(before), after, tuple(dstate[:, unit]))
        for actual, desired in zip(results, (saved, after, *back), strict=True):
            assert_close(actual[:, unit], np.array(desired, np.float64), FLOAT64_OUTPUT)
