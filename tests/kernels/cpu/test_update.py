"""The optimizers' kernels: the reference's numbers, in place, for any number of workers."""

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn.kernels.cpu import rules, update
from fastrnn.reference import update as reference

DTYPES = [np.float32, np.float64]
OUTPUT = {np.float32: FLOAT32_OUTPUT, np.float64: FLOAT64_OUTPUT}
SHAPES = [(1,), (3,), (17, 33), (100, 333), (), (0, 4)]
STEPS = 3


def corrected(step):
    return 0.001 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)


def nadam(step):
    momenta = [0.9 * (1 - 0.5 * 0.96**n) for n in range(1, step + 2)]
    ahead = 0.001 * momenta[-1] / (1 - np.prod(momenta))
    now = 0.001 * (1 - momenta[-2]) / (1 - np.prod(momenta[:-1]))
    return rules.Nadam(ahead, now, 1 / (1 - 0.999**step), 0.9, 0.999, 1e-7)


#: By name: the rule of a step, and the reference's step from (p, g, averages, step).
RULES = {
    "descent": (
        lambda step: rules.Descent(0.01),
        lambda p, g, averages, step: reference.sgd(p, g, 0 * p)[:1],
    ),
    "momentum": (
        lambda step: rules.Momentum(0.01, 0.9),
        lambda p, g, averages, step: reference.sgd(p, g, *averages, momentum=0.9),
    ),
    "nesterov": (
        lambda step: rules.Nesterov(0.01, 0.9),
        lambda p, g, averages, step: reference.sgd(p, g, *averages, momentum=0.9, nesterov=True),
    ),
    "rmsprop": (
        lambda step: rules.RMSprop(0.001, 0.9, 1e-7),
        lambda p, g, averages, step: reference.rmsprop(p, g, *averages),
    ),
    "rmsprop, momentum": (
        lambda step: rules.RMSpropMomentum(0.001, 0.9, 1e-7, 0.8),
        lambda p, g, averages, step: reference.rmsprop_with_momentum(p, g, *averages, momentum=0.8),
    ),
    "rmsprop, centered": (
        lambda step: rules.CenteredRMSprop(0.001, 0.9, 1e-7),
        lambda p, g, averages, step: np.delete(
            reference.centered_rmsprop(p, g, averages[0], 0 * p, averages[1]), 2, axis=0
        ),
    ),
    "rmsprop, centered, momentum": (
        lambda step: rules.CenteredRMSpropMomentum(0.001, 0.9, 1e-7, 0.8),
        lambda p, g, averages, step: reference.centered_rmsprop(p, g, *averages, momentum=0.8),
    ),
    "adagrad": (
        lambda step: rules.Adagrad(0.001, 1e-7),
        lambda p, g, averages, step: reference.adagrad(p, g, *averages),
    ),
    "adadelta": (
        lambda step: rules.Adadelta(0.001, 0.95, 1e-7),
        lambda p, g, averages, step: reference.adadelta(p, g, *averages),
    ),
    "adam": (
        lambda step: rules.Adam(corrected(step), 0.9, 0.999, 1e-7),
        lambda p, g, averages, step: reference.adam(p, g, *averages, step),
    ),
    "amsgrad": (
        lambda step: rules.AMSGrad(corrected(step), 0.9, 0.999, 1e-7),
        lambda p, g, averages, step: reference.amsgrad(p, g, *averages, step),
    ),
    "adamax": (
        lambda step: rules.Adamax(0.001 / (1 - 0.9**step), 0.9, 0.999, 1e-7),
        lambda p, g, averages, step: reference.adamax(p, g, *averages, step),
    ),
    "nadam": (nadam, lambda p, g, averages, step: reference.nadam(p, g, *averages, step)),
    "lion": (
        lambda step: rules.Lion(0.001, 0.9, 0.99),
        lambda p, g, averages, step: reference.lion(p, g, *averages),
    ),
    "mix": (
        lambda step: rules.Mix(0.75, 0.5),
        lambda p, g, averages, step: (0.75 * p + 0.5 * g,),
    ),
}


def test_every_rule_is_tested():
    assert {type(make(1)) for make, _ in RULES.values()} == set(rules.SLOTS)


def slots_for(parameters, rule):
    count = len(rules.SLOTS[type(rule)])
    return [update.allocate_slots(p.size, count, p.dtype) for p in parameters]


def workers(monkeypatch, number):
    monkeypatch.setattr(update, "workers_over", lambda numbers: number)


def walk(rng, name, dtype):
    """Take some steps with all shapes; return parameters, slots and the gradients taken."""
    make_rule, _ = RULES[name]
    parameters = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    slots = slots_for(parameters, make_rule(1))
    tensors = update.Tensors(parameters, slots)
    taken = []
    for step in range(1, STEPS + 1):
        gradients = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
        tensors.set_gradients(gradients)
        tensors.step(make_rule(step), limit=np.inf)
        taken.append(gradients)
    return parameters, slots, taken


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_steps_match_the_reference(name, dtype):
    _, step_reference = RULES[name]
    parameters, slots, taken = walk(np.random.default_rng(1), name, dtype)
    rng = np.random.default_rng(1)
    for n, shape in enumerate(SHAPES):
        p = np.asarray(rng.standard_normal(shape), dtype).astype(np.float64)
        averages = [np.zeros(shape)] * len(slots[n])
        for step in range(1, STEPS + 1):
            p, *averages = step_reference(p, taken[step - 1][n], averages, step)
        assert_close(parameters[n], p, OUTPUT[dtype], f"p {shape}")
        for slot, average in zip(slots[n], averages, strict=True):
            assert_close(slot[: p.size].reshape(shape), average, OUTPUT[dtype], f"slot {shape}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_any_number_of_workers_gives_the_same_bits(name, dtype, monkeypatch):
    workers(monkeypatch, 1)
    alone = walk(np.random.default_rng(1), name, dtype)
    for number in (2, 3, 8):
        workers(monkeypatch, number)
        shared = walk(np.random.default_rng(1), name, dtype)
        for one, other in zip(alone[0] + alone[1], shared[0] + shared[1], strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [1, 3, 17, 33, 100])
def test_neighbours_of_unaligned_tensors_stay(size, dtype):
    memory, gradient = np.full(size + 40, 7, dtype), np.full(size + 40, np.nan, dtype)
    parameter, g = memory[1 : size + 1], gradient[1 : size + 1]
    g[:] = 1
    rule = rules.Adam(0.001, 0.9, 0.999, 1e-7)
    tensors = update.Tensors([parameter], slots_for([parameter], rule))
    tensors.set_gradients([g])
    tensors.step(rule, limit=np.inf)
    assert (parameter < 7).all()
    assert memory[0] == 7 and (memory[size + 1 :] == 7).all()
    np.testing.assert_array_equal(tensors.square_sums(), [size])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_nan_in_a_gradient_reaches_its_own_number_only(name, dtype):
    p, g = np.ones(100, dtype), np.ones(100, dtype)
    g[41] = np.nan
    rule = RULES[name][0](1)
    slots = slots_for([p], rule)
    tensors = update.Tensors([p], slots)
    tensors.set_gradients([g])
    tensors.step(rule, limit=2.0)
    np.testing.assert_array_equal(np.isnan(p), np.isnan(g))
    for slot in slots[0]:
        np.testing.assert_array_equal(np.isnan(slot[:100]), np.isnan(g))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_are_scaled_each_and_then_cut_off(dtype):
    first, second = np.zeros(33, dtype), np.zeros(5, dtype)
    tensors = update.Tensors([first, second], [update.allocate_slots(33, 0, first.dtype)] * 2)
    gradients = np.linspace(-4, 4, 33).astype(dtype), np.array([1, np.inf, 3, -8, 0.5], dtype)
    tensors.set_gradients(gradients)
    tensors.step(rules.Descent(1.0), scales=np.array([0.5, 2.0]), limit=1.5)
    assert_close(first, -np.clip(np.linspace(-2, 2, 33), -1.5, 1.5), OUTPUT[dtype])
    assert_close(second, -np.array([1.5, 1.5, 1.5, -1.5, 1.0]), OUTPUT[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_square_sums_are_those_of_float64_for_any_number_of_workers(dtype, rng, monkeypatch):
    gradients = [np.asarray(rng.standard_normal(shape) * 1e4, dtype) for shape in SHAPES]
    parameters = [np.zeros_like(g) for g in gradients]
    desired = np.array([np.sum(g.astype(np.float64) ** 2) for g in gradients])
    found = []
    for number in (1, 2, 3, 8):
        workers(monkeypatch, number)
        tensors = update.Tensors(parameters, slots_for(parameters, rules.Descent(0.1)))
        tensors.set_gradients(gradients)
        found.append(tensors.square_sums())
        assert_close(found[-1], desired, FLOAT64_GRADIENT)
        np.testing.assert_array_equal(found[-1], found[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_square_sums_show_what_is_not_finite(value):
    gradients = [np.ones(5, np.float32), np.full(9, value, np.float32)]
    tensors = update.Tensors(gradients, slots_for(gradients, rules.Descent(0.1)))
    tensors.set_gradients(gradients)
    np.testing.assert_array_equal(tensors.square_sums(), [5, value])


@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_rows_that_are_left_out_are_not_even_read(number, monkeypatch, rng):
    workers(monkeypatch, number)
    table, other = np.ones((50, 7), np.float32), np.ones(20, np.float32)
    rows = np.array([0, 3, 4, 49])
    gradient = np.full_like(table, np.nan)
    gradient[rows] = rng.standard_normal((4, 7))
    tensors = update.Tensors([table, other], slots_for([table, other], rules.Descent(0.1)))
    tensors.set_gradients([gradient, np.ones_like(other)], [rows, None])
    desired = np.sum(gradient[rows].astype(np.float64) ** 2)
    assert_close(tensors.square_sums(), np.array([desired, 20.0]), FLOAT64_GRADIENT)
    tensors.step(rules.Descent(0.5), limit=np.inf)
    assert_close(table[rows], 1 - 0.5 * gradient[rows].astype(np.float64), FLOAT32_OUTPUT)
    assert (np.delete(table, rows, axis=0) == 1).all()
    assert (other == 0.5).all()
    # The next step may be on all rows again.
    tensors.set_gradients([np.ones_like(table), np.ones_like(other)])
    tensors.step(rules.Descent(0.5), limit=np.inf)
    assert (np.delete(table, rows, axis=0) == 0.5).all()


@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_a_gradient_may_have_the_used_rows_alone(number, monkeypatch, rng):
    workers(monkeypatch, number)
    table, other, empty = np.ones((50, 7)), np.ones(20), np.ones((9, 2))
    rows = np.array([0, 3, 4, 49])
    gradient = rng.standard_normal((4, 7))
    tensors = update.Tensors(
        [other, table, empty], slots_for([other, table, empty], rules.Descent(0.5))
    )
    tensors.set_gradients(
        [np.ones(20), gradient, np.zeros((0, 2))], [None, rows, np.zeros(0, np.int64)]
    )
    desired = np.array([20.0, np.sum(gradient**2), 0.0])
    assert_close(tensors.square_sums(), desired, FLOAT64_GRADIENT)
    tensors.step(rules.Descent(0.5), limit=np.inf)
    assert_close(table[rows], 1 - 0.5 * gradient, FLOAT64_OUTPUT)
    assert (np.delete(table, rows, axis=0) == 1).all()
    assert (other == 0.5).all() and (empty == 1).all()


@pytest.mark.parametrize("number", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", [(50, 7), (9, 1), (300, 100), (5, update.PIECE + 3)])
@pytest.mark.parametrize("alone", [True, False])
def test_rows_without_gradient_may_take_the_step_as_well(number, shape, alone, monkeypatch, rng):
    workers(monkeypatch, number)
    rule = rules.Adam(0.1, 0.9, 0.999, 1e-7)
    start = [rng.standard_normal(s).astype(np.float32) for s in (shape, (20,))]
    found = []
    for is_dense in (False, True):
        table, other = (array.copy() for array in start)
        slots = slots_for([table, other], rule)
        tensors = update.Tensors([table, other], slots)
        draws = np.random.default_rng(0)
        for rows in ([0, 1, 3], [4], [], [2, len(table) - 1], range(len(table))):
            rows = np.unique(np.array(rows, np.int64))
            gradient = np.zeros_like(table)
            gradient[rows] = draws.standard_normal((len(rows), shape[1]))
            if is_dense:
                tensors.set_gradients([gradient, np.ones_like(other)])
            else:
                given = gradient[rows] if alone else gradient
                tensors.set_gradients([given, np.ones_like(other)], [rows, None], skips=False)
                desired = [np.sum(gradient.astype(np.float64) ** 2), 20.0]
                assert_close(tensors.square_sums(), np.array(desired), FLOAT64_GRADIENT)
            tensors.step(rule, scales=0.5, decays=np.array([0.01, 0.0]), limit=1.0)
        found.append([table, other, *slots])
    for sparse, dense in zip(*found, strict=True):
        np.testing.assert_array_equal(sparse, dense)


def test_each_parameter_has_its_own_decay():
    first, second = np.full(33, 4.0), np.full(5, 4.0)
    tensors = update.Tensors([first, second], [update.allocate_slots(33, 0, first.dtype)] * 2)
    tensors.set_gradients([np.ones(33), np.ones(5)])
    tensors.step(rules.Descent(1.0), decays=np.array([0.25, 0.0]), limit=np.inf)
    np.testing.assert_array_equal(first, 4 - 1 - 1)
    np.testing.assert_array_equal(second, 4 - 1)


def test_the_sign_of_zero_is_zero_and_of_nan_nan():
    p, g = np.zeros(4), np.array([0.0, 2.0, -2.0, np.nan])
    tensors = update.Tensors([p], slots_for([p], rules.Lion(0.5, 0.9, 0.9)))
    tensors.set_gradients([g])
    tensors.step(rules.Lion(0.5, 0.9, 0.9), limit=np.inf)
    np.testing.assert_array_equal(p, [0, -0.5, 0.5, np.nan])


def test_rounding_makes_no_variance_negative():
    # v and a * a are about g * g, with an error that is larger than epsilon.
    p, g = np.zeros(64, np.float32), np.linspace(1e4, 2e4, 64).astype(np.float32)
    rule = rules.CenteredRMSprop(0.001, 0.5, 1e-7)
    tensors = update.Tensors([p], slots_for([p], rule))
    for _ in range(100):
        tensors.set_gradients([g])
        tensors.step(rule, limit=np.inf)
    assert np.isfinite(p).all()
