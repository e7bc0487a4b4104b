"""Optimizers: the reference's steps, limits, state that resumes bit for bit, clear errors."""

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, FLOAT64_OUTPUT, assert_close

from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads
from fastrnn.optimizers import (
    OPTIMIZERS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Nadam,
    RMSprop,
)
from fastrnn.reference import update as reference

DTYPES = [np.float32, np.float64]
OUTPUT = {np.float32: FLOAT32_OUTPUT, np.float64: FLOAT64_OUTPUT}
SHAPES = {"W": (17, 33), "b": (33,), "scale": (), "R": (100, 3)}


def without_step(function):
    return lambda p, g, slots, step, **options: function(p, g, *slots, **options)


def with_step(function):
    return lambda p, g, slots, step, **options: function(p, g, *slots, step, **options)


def descent(p, g, slots, step, **options):
    return reference.sgd(p, g, 0 * p, **options)[:1]


def centered_rmsprop(p, g, slots, step, *, centered, **options):
    v, *m, a = slots
    p, v, new_m, a = reference.centered_rmsprop(p, g, v, *(m or [0 * p]), a, **options)
    return (p, v, new_m, a) if m else (p, v, a)


def amsgrad(p, g, slots, step, *, amsgrad, **options):
    return reference.amsgrad(p, g, *slots, step, **options)


def adagrad(p, g, slots, step, *, initial_accumulator_value=0.1, **options):
    v = slots[0] + initial_accumulator_value if step == 1 else slots[0]
    return reference.adagrad(p, g, v, **options)


#: An optimizer's class, options of both sides, the reference's step, and the slots to compare.
CASES = {
    "sgd": (SGD, {}, descent, ""),
    "momentum": (SGD, {"momentum": 0.8}, without_step(reference.sgd), "m"),
    "nesterov": (SGD, {"momentum": 0.8, "nesterov": True}, without_step(reference.sgd), "m"),
    "rmsprop": (RMSprop, {"rho": 0.8, "epsilon": 1e-5}, without_step(reference.rmsprop), "v"),
    "rmsprop, momentum": (
        RMSprop,
        {"rho": 0.8, "momentum": 0.5},
        without_step(reference.rmsprop_with_momentum),
        "vm",
    ),
    "rmsprop, centered": (RMSprop, {"rho": 0.8, "centered": True}, centered_rmsprop, "va"),
    "rmsprop, both": (RMSprop, {"momentum": 0.5, "centered": True}, centered_rmsprop, "vma"),
    "adagrad": (Adagrad, {}, adagrad, "v"),
    "adagrad, all options": (
        Adagrad,
        {"initial_accumulator_value": 0.5, "epsilon": 1e-3},
        adagrad,
        "v",
    ),
    "adadelta": (Adadelta, {}, without_step(reference.adadelta), "vd"),
    "adadelta, all options": (
        Adadelta,
        {"rho": 0.5, "epsilon": 1e-3},
        without_step(reference.adadelta),
        "vd",
    ),
    "adam": (Adam, {}, with_step(reference.adam), "mv"),
    "adam, all options": (
        Adam,
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-4},
        with_step(reference.adam),
        "mv",
    ),
    "amsgrad": (Adam, {"amsgrad": True, "beta_2": 0.5}, amsgrad, ("m", "v", "v_max")),
    "adamw": (AdamW, {"weight_decay": 0.1}, with_step(reference.adamw), "mv"),
    "adamax": (Adamax, {"beta_2": 0.5}, with_step(reference.adamax), "mu"),
    "nadam": (Nadam, {"beta_1": 0.8}, with_step(reference.nadam), "mv"),
    "lion": (Lion, {"beta_1": 0.8, "beta_2": 0.9}, without_step(reference.lion), "m"),
}


def arrays(rng, dtype):
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def copy(weights):
    return {name: array.copy() for name, array in weights.items()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_steps_match_the_reference(case, dtype, rng):
    kind, options, step_reference, letters = CASES[case]
    optimizer = kind(0.01, **options)
    weights = arrays(rng, dtype)
    desired = {
        name: (array.astype(np.float64), *[np.zeros(array.shape)] * len(letters))
        for name, array in weights.items()
    }
    for step in range(1, 6):
        gradients = arrays(rng, dtype)
        before = copy(gradients)
        norm = optimizer.update(weights, gradients)
        assert norm == pytest.approx(reference.global_norm(list(before.values())), rel=1e-12)
        for name, (p, *slots) in desired.items():
            desired[name] = step_reference(
                p, before[name], slots, step, learning_rate=0.01, **options
            )
            np.testing.assert_array_equal(gradients[name], before[name])
    assert optimizer.iterations == 5
    state = optimizer.state
    assert state.keys() == {"iterations"} | {f"{n}/{letter}" for n in SHAPES for letter in letters}
    for name, (p, *slots) in desired.items():
        assert_close(weights[name], p, OUTPUT[dtype], name)
        for letter, slot in zip(letters, slots, strict=True):
            assert_close(state[f"{name}/{letter}"], slot, OUTPUT[dtype], f"{name}/{letter}")


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_weight_decay_comes_before_the_step(kind, rng):
    plain, decaying = kind(0.01, weight_decay=0.0), kind(0.01, weight_decay=0.5)
    weights, gradients = arrays(rng, np.float64), arrays(rng, np.float64)
    shrunk = {name: np.asarray((1 - 0.005) * w) for name, w in weights.items()}
    plain.update(shrunk, gradients)
    decaying.update(weights, gradients)
    for name, weight in weights.items():
        assert_close(weight, shrunk[name], FLOAT64_OUTPUT, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_global_clipnorm_matches_the_reference(limit, dtype, rng):
    weights, gradients = arrays(rng, dtype), arrays(rng, dtype)
    clipped, norm = reference.clip_by_global_norm(list(gradients.values()), limit)
    before = copy(weights)
    assert SGD(1.0, global_clipnorm=limit).update(weights, gradients) == pytest.approx(norm)
    for (name, weight), g in zip(weights.items(), clipped, strict=True):
        assert_close(weight, before[name].astype(np.float64) - g, OUTPUT[dtype], name)


@pytest.mark.parametrize("limit", [0.1, 1e6])
def test_clipnorm_limits_each_gradient_by_itself(limit, rng):
    weights, gradients = arrays(rng, np.float64), arrays(rng, np.float64)
    gradients["b"][:] = 0
    before = copy(weights)
    norm = SGD(1.0, clipnorm=limit).update(weights, gradients)
    assert norm == pytest.approx(reference.global_norm(list(gradients.values())))
    for name, weight in weights.items():
        (g,), _ = reference.clip_by_global_norm([gradients[name]], limit)
        assert_close(weight, before[name] - g, FLOAT64_OUTPUT, name)


def test_clipvalue_cuts_gradients_off(rng):
    weights, gradients = arrays(rng, np.float64), arrays(rng, np.float64)
    before = copy(weights)
    SGD(1.0, clipvalue=0.3).update(weights, gradients)
    for name, weight in weights.items():
        g = np.clip(gradients[name], -0.3, 0.3)
        assert_close(weight, before[name] - g, FLOAT64_OUTPUT, name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("limit", ["clipnorm", "global_clipnorm"])
def test_a_broken_gradient_cannot_pass_for_a_small_one(limit, value, rng):
    weights, gradients = arrays(rng, np.float64), arrays(rng, np.float64)
    gradients["W"][3, 4] = value
    norm = SGD(0.1, **{limit: 1.0}).update(weights, gradients)
    assert not np.isfinite(norm)
    assert np.isnan(weights["W"]).all()
    assert np.isnan(weights["b"]).all() == (limit == "global_clipnorm")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_number_of_threads_changes_no_bit(case, dtype):
    kind, options, _, _ = CASES[case]
    before = get_num_threads()
    results = []
    try:
        for number in (1, 2, 3, 8):
            set_num_threads(number)
            rng = np.random.default_rng(3)
            weights = {"W": rng.standard_normal((300, 1000)).astype(dtype)} | arrays(rng, dtype)
            optimizer = kind(0.01, global_clipnorm=1.0, **options)
            for _ in range(2):
                gradients = {
                    name: np.asarray(rng.standard_normal(w.shape), dtype)
                    for name, w in weights.items()
                }
                norm = optimizer.update(weights, gradients)
            results.append((norm, weights, optimizer.state))
    finally:
        set_num_threads(before)
    for norm, weights, state in results[1:]:
        assert norm == results[0][0]
        for name in weights:
            np.testing.assert_array_equal(weights[name], results[0][1][name])
        for name in state:
            np.testing.assert_array_equal(state[name], results[0][2][name])


@pytest.mark.parametrize("case", CASES)
def test_loaded_state_resumes_bit_for_bit(case, rng):
    kind, options, _, _ = CASES[case]
    first, second = kind(0.01, **options), kind(0.01, **options)
    weights = arrays(rng, np.float32)
    for _ in range(3):
        first.update(weights, arrays(rng, np.float32))
    saved, state = copy(weights), copy(first.state)
    second.load_state(state)
    for name, array in second.state.items():
        np.testing.assert_array_equal(array, state[name])
        assert array.dtype == state[name].dtype
    gradients = arrays(rng, np.float32)
    for _ in range(2):
        first.update(weights, gradients)
        second.update(saved, gradients)
    for name in weights:
        np.testing.assert_array_equal(weights[name], saved[name])
    # A state may also be loaded on the way, into an optimizer that knows its weights.
    first.load_state(state)
    assert first.iterations == 3


def test_state_is_independent_of_what_was_loaded(rng):
    optimizer = Adam()
    state = {"iterations": np.array(2), "w/m": np.ones(3), "w/v": np.ones(3)}
    optimizer.load_state(state)
    optimizer.update({"w": np.ones(3)}, {"w": np.ones(3)})
    assert (state["w/m"] == 1).all() and (state["w/v"] == 1).all() and state["iterations"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"iterations": None}, "'iterations'"),
        ({"iterations": np.array(-1)}, "'iterations'"),
        ({"iterations": np.array(1.5)}, "'iterations'"),
        ({"iterations": np.array([1])}, "'iterations'"),
        ({"w/v": None}, "'w/v' is missing"),
        ({"w/x": np.ones(3)}, "unexpected 'w/x'"),
        ({"noise": np.ones(3)}, "unexpected 'noise'"),
        ({"w/v": np.ones(4)}, r"'w/v': expected \(3,\)"),
        ({"w/v": np.ones(3, np.float32)}, "'w/v': expected"),
        ({"w/m": np.ones(3, int)}, "'w/m': expected"),
        ({"w/m": None, "w/v": None}, "weight 'w' are missing"),
        ({"w/m": np.ones(4), "w/v": np.ones(4)}, r"weight 'w' to be \(3,\) float64, got \(4,\)"),
        ({"u/m": np.ones(4), "u/v": np.ones(4)}, "no weight 'u'"),
    ],
)
def test_bad_states_are_named_and_change_nothing(changes, message):
    optimizer = Adam()
    optimizer.update({"w": np.ones(3)}, {"w": np.ones(3)})
    before = copy(optimizer.state)
    state = {k: v for k, v in (before | changes).items() if v is not None}
    with pytest.raises(ValueError, match=message):
        optimizer.load_state(state)
    for name, array in optimizer.state.items():
        np.testing.assert_array_equal(array, before[name])


def test_state_that_does_not_fit_the_weights_is_found_at_the_step():
    for name, shape, message in (("u", 3, "weight 'u' are missing"), ("w", 4, "to be \\(4,\\)")):
        optimizer = Adam()
        optimizer.load_state({"iterations": np.array(2), "w/m": np.ones(3), "w/v": np.ones(3)})
        with pytest.raises(ValueError, match=message):
            optimizer.update({name: np.ones(shape)}, {name: np.ones(shape)})


def test_averages_follow_the_name_when_arrays_are_replaced(rng):
    one, other = Adam(), Adam()
    weights = arrays(rng, np.float64)
    replaced = copy(weights)
    for _ in range(3):
        gradients = arrays(rng, np.float64)
        one.update(weights, gradients)
        replaced = dict(reversed(copy(replaced).items()))
        other.update(replaced, gradients)
    for name, weight in weights.items():
        np.testing.assert_array_equal(weight, replaced[name])


@pytest.mark.parametrize(
    ("options", "used"),
    [({}, True), ({"momentum": 0.9}, False), ({"weight_decay": 0.1}, False)],
    ids=["plain", "momentum", "decay"],
)
def test_rows_are_left_out_only_where_that_is_exact(options, used, rng):
    gradient = np.zeros((50, 7))
    rows = np.array([2, 3, 40])
    gradient[rows] = rng.standard_normal((3, 7))
    weights = {"E": rng.standard_normal((50, 7))}
    desired = copy(weights)
    lazy, dense = SGD(0.1, **options), SGD(0.1, **options)
    for _ in range(2):
        norm = lazy.update(weights, {"E": gradient}, rows={"E": rows})
        assert norm == pytest.approx(dense.update(desired, {"E": gradient}))
    np.testing.assert_array_equal(weights["E"], desired["E"])
    spoilt = gradient + np.nan
    spoilt[rows] = 0
    lazy.update(weights, {"E": spoilt}, rows={"E": rows})
    assert np.isfinite(weights["E"]).all() == used


def test_bad_rows_are_named():
    weights = {"E": np.ones((5, 2))}
    for rows in ([1, 2], np.array([1.0]), np.array([2, 1]), np.array([1, 1]), np.array([5]),
                 np.array([-1, 2]), np.array([[1]])):  # fmt: skip
        with pytest.raises(ValueError, match=r"rows\['E'\]: expected sorted integers in 0\.\.4"):
            SGD().update(weights, weights, rows={"E": rows})
    with pytest.raises(ValueError, match="rows: expected names of weights, got 'x'"):
        SGD().update(weights, weights, rows={"x": np.array([1])})


def read_only():
    array = np.ones(3)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "weight",
    [np.ones((3, 4))[:, ::2], np.ones((3, 4)).T, np.ones(3, int), np.ones(3, np.float16),
     np.ones(3, ">f8"), read_only(), [1.0, 2.0]],
)  # fmt: skip
def test_bad_weights_are_named(weight):
    with pytest.raises(ValueError, match=r"weights\['w'\]: expected a writable C-contiguous"):
        SGD().update({"w": weight}, {"w": weight})


def test_weights_of_two_dtypes_or_shared_memory_are_refused():
    mixed = {"a": np.ones(3), "b": np.ones(3, np.float32)}
    with pytest.raises(ValueError, match=r"weights\['b'\]: expected .* got \(3,\) float32"):
        SGD().update(mixed, mixed)
    memory = np.ones(10)
    shared = {"a": memory[:6], "b": memory[5:]}
    with pytest.raises(ValueError, match="'a' and 'b' share memory"):
        SGD().update(shared, shared)
    with pytest.raises(ValueError, match="weights: expected at least one"):
        SGD().update({}, {})


@pytest.mark.parametrize(
    "gradient",
    [np.ones((4, 3)), np.ones((3, 4), np.float32), np.ones((4, 3)).T, np.ones((3, 8))[:, ::2],
     [[1.0] * 4] * 3, None],
)  # fmt: skip
def test_bad_gradients_are_named_and_change_nothing(gradient):
    weights = {"w": np.ones((3, 4))}
    optimizer = SGD()
    with pytest.raises(ValueError, match=r"gradients\['w'\]: expected \(3, 4\) float64, C-contig"):
        optimizer.update(weights, {"w": gradient})
    assert optimizer.iterations == 0 and (weights["w"] == 1).all()


def test_names_of_gradients_and_weights_must_agree():
    with pytest.raises(ValueError, match="gradients: expected the names of the weights; see 'b'"):
        SGD().update({"a": np.ones(3)}, {"a": np.ones(3), "b": np.ones(3)})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (SGD, {"learning_rate": -1}),
        (SGD, {"learning_rate": np.nan}),
        (SGD, {"learning_rate": "fast"}),
        (SGD, {"momentum": 1.1}),
        (SGD, {"momentum": -0.1}),
        (SGD, {"weight_decay": -0.1}),
        (SGD, {"clipnorm": 0}),
        (SGD, {"clipvalue": -1}),
        (SGD, {"global_clipnorm": np.inf}),
        (RMSprop, {"rho": 1.0}),
        (RMSprop, {"epsilon": -1e-7}),
        (RMSprop, {"momentum": 2.0}),
        (Adagrad, {"initial_accumulator_value": -0.1}),
        (Adadelta, {"rho": 1.0}),
        (Adamax, {"beta_1": 1.0}),
        (Nadam, {"beta_2": 1.0}),
        (Lion, {"beta_1": 0.0}),
        (Lion, {"beta_2": 1.5}),
        (AdamW, {"weight_decay": None}),
        (Adam, {"beta_1": 1.0}),
        (Adam, {"beta_2": 1.5}),
        (Adam, {"epsilon": None}),
        (AdamW, {"weight_decay": -1}),
    ],
)
def test_bad_options_are_named(kind, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}: expected a number"):
        kind(**options)


def test_only_one_limit_may_be_given():
    with pytest.raises(ValueError, match="global_clipnorm: expected None beside clipnorm"):
        Adam(clipnorm=1.0, global_clipnorm=1.0)


def test_learning_rate_can_be_changed_between_steps():
    optimizer, weights = SGD(0.5), {"w": np.zeros(2)}
    optimizer.update(weights, {"w": np.ones(2)})
    optimizer.learning_rate = 0.25
    optimizer.update(weights, {"w": np.ones(2)})
    np.testing.assert_array_equal(weights["w"], -0.75)
    with pytest.raises(ValueError, match="learning_rate: expected"):
        optimizer.learning_rate = -1.0


def test_defaults_are_those_of_keras():
    assert SGD().learning_rate == 0.01 and SGD().momentum == 0.0
    assert (RMSprop().learning_rate, RMSprop().rho, RMSprop().epsilon) == (0.001, 0.9, 1e-7)
    adam = Adam()
    assert (adam.learning_rate, adam.beta_1, adam.beta_2) == (0.001, 0.9, 0.999)
    assert (adam.epsilon, adam.weight_decay) == (1e-7, None)
    assert AdamW().weight_decay == 0.004
