"""What cells have to do with each other, and the formulas of those with no other witness."""

import numpy as np
from reference.problems import assert_same_outputs, random_problem, run
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn.reference import CELLS

SHAPE = (5, 3, 4, 2)  # T, B, I, H


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def columns(a, letters, order):
    """The parts of the last axis, by the letters of their order, put together in another one.

    A part is given by its letter, or by its letter and a factor.
    """
    parts = dict(zip(letters, np.split(a, len(letters), axis=-1), strict=True))
    chosen = [(letter, 1.0) if isinstance(letter, str) else letter for letter in order]
    return np.concatenate([factor * parts[letter] for letter, factor in chosen], axis=-1)


def regrouped(problem, letters, order):
    """A problem with other gates, made of the columns of its weights."""
    W, R, b = (columns(a, letters, order) for a in (problem.W, problem.R, problem.b))
    return problem._replace(W=W, R=R, b=b)


def test_lstm_with_unit_projection_is_lstm(rng):
    lstm = random_problem(rng, CELLS["lstm"], SHAPE)
    projected = run(CELLS["lstmp"], lstm._replace(extra={"P": np.eye(2)}))
    desired = run(CELLS["lstm"], lstm)
    assert_same_outputs(projected, desired)
    for name in "xWRb":
        ours, wanted = (getattr(result.gradients, name) for result in (projected, desired))
        assert_close(ours, wanted, FLOAT64_GRADIENT, f"d{name}")


def test_peephole_lstm_with_zero_peepholes_is_lstm(rng):
    lstm = random_problem(rng, CELLS["lstm"], SHAPE)
    peephole = lstm._replace(b=np.concatenate([lstm.b, np.zeros(3 * 2)]))
    assert_same_outputs(run(CELLS["peephole"], peephole), run(CELLS["lstm"], lstm))


def test_peepholes_look_at_the_old_cell_state_from_i_and_f_and_at_the_new_one_from_o(rng):
    problem = random_problem(rng, CELLS["peephole"], SHAPE)
    h, c = problem.state
    p_i, p_f, p_o = problem.b[-6:].reshape(3, 2)
    for x in problem.x:
        i, f, g, o = np.split(x @ problem.W + h @ problem.R + problem.b[:8], 4, axis=1)
        i, f = sigmoid(i + c * p_i), sigmoid(f + c * p_f)
        c = c * f + np.tanh(g) * i
        h = np.tanh(c) * sigmoid(o + c * p_o)
    _, (h_T, c_T), *_ = run(CELLS["peephole"], problem)
    assert_close(h_T, h, FLOAT64_OUTPUT, "h")
    assert_close(c_T, c, FLOAT64_OUTPUT, "c")


def test_coupled_gates_are_an_lstm_that_forgets_by_minus_the_input_gate(rng):
    cifg = random_problem(rng, CELLS["cifg"], SHAPE)
    lstm = regrouped(cifg, "igo", ("i", ("i", -1.0), "g", "o"))
    assert_same_outputs(run(CELLS["cifg"], cifg), run(CELLS["lstm"], lstm))


def test_both_kinds_of_gru_are_one_where_nothing_is_reset(rng):
    before = random_problem(rng, CELLS["gru_reset_before"], SHAPE)
    before.b[:2] = 1e3  # r is 1
    after = before._replace(b=np.concatenate([before.b, np.zeros(2)]))
    assert_same_outputs(run(CELLS["gru_reset_before"], before), run(CELLS["gru"], after))


def test_gru_that_resets_before_by_hand(rng):
    problem = random_problem(rng, CELLS["gru_reset_before"], SHAPE)
    (h,) = problem.state
    R_rz, R_n = problem.R[:, :4], problem.R[:, 4:]
    for x in problem.x:
        a = x @ problem.W + problem.b
        r, z = np.split(sigmoid(a[:, :4] + h @ R_rz), 2, axis=1)
        h = z * h + (1 - z) * np.tanh(a[:, 4:] + (h * r) @ R_n)
    assert_close(run(CELLS["gru_reset_before"], problem).state[0], h, FLOAT64_OUTPUT, "h")


def test_minimal_gated_unit_is_a_gru_whose_gates_are_one(rng):
    mgu = random_problem(rng, CELLS["mgu"], SHAPE)
    gru = regrouped(mgu, "fn", ("f", ("f", -1.0), "n"))
    assert_same_outputs(run(CELLS["mgu"], mgu), run(CELLS["gru_reset_before"], gru))


def test_independent_units_are_a_network_with_diagonal_weights(rng):
    indrnn = random_problem(rng, CELLS["indrnn"], SHAPE)
    b, u = np.split(indrnn.b, 2)
    dense = run(CELLS["rnn"], indrnn._replace(R=np.diag(u), b=b), activations=("relu",))
    desired = run(CELLS["indrnn"], indrnn)
    assert_same_outputs(desired, dense)
    db = np.concatenate([dense.gradients.b, np.diag(dense.gradients.R)])
    assert_close(desired.gradients.b, db, FLOAT64_GRADIENT, "db")


def test_stabiliser_of_slstm_changes_nothing_but_the_scale_of_its_states(rng):
    cell, problem = CELLS["slstm"], random_problem(rng, CELLS["slstm"], SHAPE)
    h, c, n, m = problem.state
    c, n = c * np.exp(m), n * np.exp(m)
    for x in problem.x:
        i, f, g, o = np.split(x @ problem.W + h @ problem.R + problem.b, 4, axis=1)
        c = sigmoid(f) * c + np.exp(i) * np.tanh(g)
        n = sigmoid(f) * n + np.exp(i)
        h = sigmoid(o) * c / n
    _, (h_T, c_T, n_T, m_T), *_ = run(cell, problem)
    assert_close(h_T, h, FLOAT64_OUTPUT, "h")
    assert_close(c_T * np.exp(m_T), c, FLOAT64_OUTPUT, "c")
    assert_close(n_T * np.exp(m_T), n, FLOAT64_OUTPUT, "n")


def test_stabiliser_of_slstm_is_the_larger_exponent(rng):
    cell = CELLS["slstm"]
    problem = random_problem(rng, cell, (1, 3, 4, 2))
    i, f = np.split(problem.x[0] @ problem.W + problem.state[0] @ problem.R + problem.b, 4, 1)[:2]
    m = np.maximum(np.log(sigmoid(f)) + problem.state[3], i)
    assert_close(run(cell, problem).state[3], m, FLOAT64_OUTPUT, "m")
