"""Formulas as notes write them, against the gradients of the engine.

Where a formula of a note is wrong, the test says what is wrong, and shows that the engine has what
is right and not what is written.
"""

import numpy as np
import pytest
from numeric import gradient
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, NUMERIC_GRADIENT, assert_close

from fastrnn import functional

FEATURES, UNITS, SAMPLES = 3, 4, 5
GATES = ("u", "f", "c", "o")  # the engine's order i f g o, in the letters of the notes


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Step:
    """One step of an LSTM in the notation of Andrew Ng's course: samples are columns.

    W_f, W_u, W_c and W_o (n_a, n_a + n_x) stand before the column of a_prev on top of x; da_next
    and dc_next are what arrives from above and from the next step.
    """

    def __init__(self, rng):
        n_a, n_x, m = UNITS, FEATURES, SAMPLES
        self.W = {gate: rng.normal(size=(n_a, n_a + n_x)) for gate in GATES}
        self.b = {gate: rng.normal(size=(n_a, 1)) for gate in GATES}
        self.x = rng.normal(size=(n_x, m))
        self.a_prev, self.c_prev = rng.normal(size=(2, n_a, m))
        self.da_next, self.dc_next = rng.normal(size=(2, n_a, m))
        self.both = np.concatenate([self.a_prev, self.x])
        a = {gate: self.W[gate] @ self.both + self.b[gate] for gate in GATES}
        self.u, self.f, self.o = sigmoid(a["u"]), sigmoid(a["f"]), sigmoid(a["o"])
        self.c = np.tanh(a["c"])  # c with a tilde: the candidate
        self.c_next = self.f * self.c_prev + self.u * self.c
        self.a_next = self.o * np.tanh(self.c_next)

    def run(self):
        """The engine's (a_next, c_next) and gradients."""
        W = np.concatenate([self.W[g][:, UNITS:].T for g in GATES], axis=1)
        R = np.concatenate([self.W[g][:, :UNITS].T for g in GATES], axis=1)
        b = np.concatenate([self.b[g][:, 0] for g in GATES])
        state = (self.a_prev.T, self.c_prev.T)
        _, after, backward = functional.rnn("lstm", self.x.T[None], W, R, b, state)
        return after, backward(None, (self.da_next.T, self.dc_next.T))

    def of_gate(self, d, gate):
        """dW and db of one gate from the engine's gradients, in the notes' layout."""
        at = slice(GATES.index(gate) * UNITS, (GATES.index(gate) + 1) * UNITS)
        return np.concatenate([d.R[:, at], d.W[:, at]]).T, d.b[at, None]

    @property
    def through_c(self):
        """What da_next sends into c_next."""
        return self.o * (1 - np.tanh(self.c_next) ** 2) * self.da_next


@pytest.fixture
def step(rng):
    return Step(rng)


def right(s):
    """The gradients of the gates before their activations, as they are."""
    dc = s.dc_next + s.through_c
    return {
        "o": s.da_next * np.tanh(s.c_next) * s.o * (1 - s.o),  # (1)
        "c": dc * s.u * (1 - s.c**2),  # (2)
        "u": dc * s.c * s.u * (1 - s.u),  # (3)
        "f": dc * s.c_prev * s.f * (1 - s.f),  # (4)
    }


def written(s):
    """The same as the note writes them, letter by letter; c_prev with a tilde read as c_prev."""
    squashed = s.o * (1 - np.tanh(s.c_next) ** 2)
    i_t = s.u
    return {
        "o": s.da_next * np.tanh(s.c_next) * s.o * (1 - s.o),
        "c": s.dc_next * s.u + squashed * i_t * s.da_next * s.c * (1 - np.tanh(s.c) ** 2),
        "u": s.dc_next * s.c + squashed * s.c * s.da_next * s.u * (1 - s.u),
        "f": s.dc_next * s.c_prev + squashed * s.c_prev * s.da_next * s.f * (1 - s.f),
    }


def test_a_step_is_that_of_the_course(step):
    (a, c), _ = step.run()
    assert_close(a.T, step.a_next, FLOAT64_OUTPUT)
    assert_close(c.T, step.c_next, FLOAT64_OUTPUT)


def test_formulas_1_to_8_gates_and_weights(step):
    """(1) and (5) to (8) are right, and db is the sum over the samples.

    (2), (3) and (4) lack parentheses: the slope of the activation, u (1 - u) and the like, belongs
    to both terms, dc_next and what comes through a_next.  (2) also multiplies by the candidate
    itself, and takes the tanh of the candidate, which is a tanh already: 1 - c^2 is its slope.
    (4) has a tilde on c_prev, which is the state before and no candidate.
    """
    _, d = step.run()
    for gate, da in right(step).items():
        dW, db = step.of_gate(d, gate)
        assert_close(dW, da @ step.both.T, FLOAT64_GRADIENT, gate)  # (5) to (8)
        assert_close(db, np.sum(da, axis=1, keepdims=True), FLOAT64_GRADIENT, gate)
        as_written = written(step)[gate] @ step.both.T
        error = np.abs(dW - as_written).max() / np.abs(dW).max()
        assert error < 1e-12 if gate == "o" else error > 0.1, gate


@pytest.mark.parametrize("missing", ["dc_next", "da_next"])
def test_what_the_written_formulas_get_right(rng, missing):
    """Where dc_next is 0, (3) and (4) are right as they stand, and (2) is still wrong."""
    step = Step(rng)
    setattr(step, missing, np.zeros((UNITS, SAMPLES)))
    _, d = step.run()
    for gate in ("c", "u", "f"):
        dW, _ = step.of_gate(d, gate)
        error = np.abs(dW - written(step)[gate] @ step.both.T).max() / np.abs(dW).max()
        is_right = missing == "dc_next" and gate != "c"
        assert error < 1e-12 if is_right else error > 0.1, gate


def test_formulas_9_to_11_what_flows_on(step):
    """(9), (10) and (11) are right, but for the parts of W that (9) and (11) name.

    W[:n_a, :] and W[n_a:, :] are rows: of W_f (n_a, n_a + n_x) all of them and none.  The parts
    that meet a_prev and x are columns, W[:, :n_a] and W[:, n_a:].
    """
    _, d = step.run()
    gates = right(step)
    W_f = step.W["f"]
    assert (W_f[:UNITS, :].shape, W_f[UNITS:, :].size) == (W_f.shape, 0)
    da_prev = sum(step.W[g][:, :UNITS].T @ gates[g] for g in GATES)  # (9)
    dc_prev = step.dc_next * step.f + step.through_c * step.f  # (10)
    dx = sum(step.W[g][:, UNITS:].T @ gates[g] for g in GATES)  # (11)
    assert_close(d.state[0].T, da_prev, FLOAT64_GRADIENT)
    assert_close(d.state[1].T, dc_prev, FLOAT64_GRADIENT)
    assert_close(d.x[0].T, dx, FLOAT64_GRADIENT)


def test_gates_in_one_product(rng, step):
    """(i f o c~) = (sigma sigma sigma tanh) W (x h), with c = f c + i c~ and h = o tanh(c).

    Another note has h on top of x: the same with the columns of W in the other order.
    """
    in_order = ("u", "f", "o", "c")
    W = np.concatenate([np.roll(step.W[gate], FEATURES, axis=1) for gate in in_order])
    bias = np.concatenate([step.b[gate] for gate in in_order])
    gates = W @ np.concatenate([step.x, step.a_prev]) + bias
    i, f, o = np.split(sigmoid(gates[: 3 * UNITS]), 3)
    candidate = np.tanh(gates[3 * UNITS :])
    c = f * step.c_prev + i * candidate
    h = o * np.tanh(c)
    (found_h, found_c), _ = step.run()
    assert_close(found_c.T, c, FLOAT64_OUTPUT)
    assert_close(found_h.T, h, FLOAT64_OUTPUT)


@pytest.mark.parametrize(
    ("input_gate", "forget_gate", "behaviour"),
    [
        (0, 1, lambda before, new: before),  # remember the previous value
        (1, 1, lambda before, new: before + new),  # add to the previous value
        (0, 0, lambda before, new: 0 * before),  # erase the value
        (1, 0, lambda before, new: new),  # overwrite the value
    ],
)
def test_gates_that_are_open_or_shut(rng, input_gate, forget_gate, behaviour):
    """Biases of 60 open a gate as far as float64 can tell, those of -60 shut it to 1e-26."""
    H = UNITS
    W = np.zeros((FEATURES, 4 * H))
    W[:, 2 * H : 3 * H] = rng.normal(size=(FEATURES, H))
    b = np.repeat([60.0 * (2 * input_gate - 1), 60.0 * (2 * forget_gate - 1), 0, 0], H)
    x, before = rng.normal(size=(SAMPLES, FEATURES)), rng.normal(size=(SAMPLES, H))
    _, (_, c), _ = functional.rnn(
        "lstm", x[None], W, np.zeros((H, 4 * H)), b, (np.zeros((SAMPLES, H)), before)
    )
    assert_close(c, behaviour(before, np.tanh(x @ W[:, 2 * H : 3 * H])), FLOAT64_OUTPUT)


def test_gates_that_see_the_cell(rng):
    """Peepholes: c and h join x in the control of the gates, one number for each unit."""
    T, H = 3, UNITS
    x = rng.normal(size=(T, SAMPLES, FEATURES))
    W, R = rng.normal(size=(FEATURES, 4 * H)), rng.normal(size=(H, 4 * H))
    b, p_i, p_f, p_o = (rng.normal(size=n * H) for n in (4, 1, 1, 1))
    y, (h, c), _ = functional.rnn("peephole", x, W, R, np.concatenate([b, p_i, p_f, p_o]))
    seen = np.zeros((2, SAMPLES, H))
    for t in range(T):
        before = seen[1]
        a_i, a_f, a_g, a_o = np.split(x[t] @ W + seen[0] @ R + b, 4, axis=1)
        after = sigmoid(a_f + p_f * before) * before
        after = after + sigmoid(a_i + p_i * before) * np.tanh(a_g)
        seen = np.array([sigmoid(a_o + p_o * after) * np.tanh(after), after])
        assert_close(y[t], seen[0], FLOAT64_OUTPUT)
    assert_close(c, seen[1], FLOAT64_OUTPUT)
    without = np.concatenate([b, np.zeros(3 * H)])
    plain, _, _ = functional.rnn("lstm", x, W, R, b)
    assert_close(functional.rnn("peephole", x, W, R, without)[0], plain, FLOAT64_OUTPUT)
    assert np.abs(y - plain).max() > 0.1


class Network:
    """h_t = tanh(W_H h_{t-1} + W_X x_t + b_h), o_t = W_O h_t + b_q, L = sum_t |o_t - y_t|^2 / 2."""

    def __init__(self, rng, T=6, K=3, H=4):
        self.T = T
        self.W_H, self.W_X, self.W_O = (rng.normal(size=s) for s in ((H, H), (H, K), (K, H)))
        self.b_h, self.b_q = rng.normal(size=H), rng.normal(size=K)
        self.x, self.y = rng.normal(size=(2, T, K))

    def forward(self):
        """States (T + 1, H), of which h[-1] is 0, and outputs (T, K)."""
        h = np.zeros((self.T + 1, len(self.b_h)))
        for t in range(self.T):
            h[t] = np.tanh(self.W_H @ h[t - 1] + self.W_X @ self.x[t] + self.b_h)
        return h, h[:-1] @ self.W_O.T + self.b_q

    def loss(self):
        return 0.5 * np.square(self.forward()[1] - self.y).sum()

    def engine(self, only=None):
        """The engine's gradients by name; of the loss of step `only` if it is given."""
        h, _, backward = functional.rnn(
            "rnn", self.x[:, None], self.W_X.T, self.W_H.T, self.b_h
        )  # fmt: skip
        o, back_to_h = functional.linear(h, self.W_O.T, self.b_q)
        do = o - self.y[:, None]
        if only is not None:
            do[np.arange(self.T) != only] = 0
        out = back_to_h(do)
        d = backward(out.x)
        return {"W_H": d.R.T, "W_X": d.W.T, "b_h": d.b, "W_O": out.W.T, "b_q": out.b}


def test_all_gradients_are_central_differences(rng):
    network = Network(rng)
    for name, found in network.engine().items():
        differences = gradient(network.loss, getattr(network, name))
        assert_close(found, differences, NUMERIC_GRADIENT, name)


def immediate(network, h, k):
    """The derivative (H, H, H) of h_k with respect to W_H where h_{k-1} is taken as a number."""
    slope = 1 - h[k] ** 2
    return np.einsum("a,ab,c->abc", slope, np.eye(len(slope)), h[k - 1])


def test_the_gradient_is_a_sum_over_all_steps_before(rng):
    """dL_t/dW = sum_{k<=t} dL_t/do_t do_t/dh_t (prod_j dh_j/dh_{j-1}) dh_k/dW.

    Right if dh_k/dW is the immediate derivative, with h_{k-1} taken as a number.  The sums of the
    notes start at k = 0, the state before the first step, which no weight has touched: its term
    is 0.
    """
    network, t = Network(rng), 4
    h, o = network.forward()
    flowing = network.W_O.T @ (o[t] - network.y[t])  # dL_t/do_t do_t/dh_t
    of_H, of_X = np.zeros_like(network.W_H), np.zeros_like(network.W_X)
    for k in range(t, -1, -1):
        of_H += np.einsum("a,abc->bc", flowing, immediate(network, h, k))
        of_X += np.outer(flowing * (1 - h[k] ** 2), network.x[k])
        flowing = ((1 - h[k] ** 2)[:, None] * network.W_H).T @ flowing  # dh_k/dh_{k-1}
    found = network.engine(only=t)
    assert_close(found["W_H"], of_H, FLOAT64_GRADIENT)
    assert_close(found["W_X"], of_X, FLOAT64_GRADIENT)


def test_one_symbol_for_two_derivatives(rng):
    """dh_t/dW = dh_t/dW + dh_t/dh_{t-1} dh_{t-1}/dW + dh_t/dh_{t-1} dh_{t-1}/dh_{t-2} ... .

    The note writes the immediate and the whole derivative with the same symbol.  The sum is right
    where all of the right side are immediate ones.  Read as whole ones, its terms count the steps
    before again and again: the first term alone is then the left side already.
    """
    network, t = Network(rng), 4
    h, o = network.forward()
    whole = np.zeros((4, 4, 4))
    wholes = []
    for k in range(t + 1):
        slope = np.diag(1 - h[k] ** 2)
        whole = immediate(network, h, k) + np.einsum("ab,bcd->acd", slope @ network.W_H, whole)
        wholes.append(whole)
    dh = network.W_O.T @ (o[t] - network.y[t])
    found = network.engine(only=t)["W_H"]

    def summed(terms):
        total, product = np.zeros((4, 4, 4)), np.eye(4)
        for k in range(t, -1, -1):
            total += np.einsum("ab,bcd->acd", product, terms[k])
            product = product @ np.diag(1 - h[k] ** 2) @ network.W_H
        return np.einsum("a,abc->bc", dh, total)

    assert_close(found, summed([immediate(network, h, k) for k in range(t + 1)]), FLOAT64_GRADIENT)
    assert np.abs(found - summed(wholes)).max() > 0.1 * np.abs(found).max()


def test_the_output_weights_see_their_own_step_only(rng):
    """dL_t/dW_O = dL_t/do_t h_t^T, for o_t of K numbers and W_O (K, H).

    The note's table gives o_t the H numbers of h_t, and its text W_O the shape (H, K): neither
    fits o_t = W_O h_t with the W_O (K, H) of the table.
    """
    network = Network(rng)
    h, o = network.forward()
    total = np.zeros_like(network.W_O)
    for t in range(network.T):
        found = network.engine(only=t)["W_O"]
        expected = np.outer(o[t] - network.y[t], h[t])
        assert_close(found, expected, FLOAT64_GRADIENT)
        total += found
    assert_close(network.engine()["W_O"], total, FLOAT64_GRADIENT)
    assert o[0].shape == (3,) != h[0].shape
