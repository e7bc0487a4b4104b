"""Steps over variables: missing and sparse gradients, constraints, averages, files, errors."""

import copy

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, ops, optimizers
from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads
from fastrnn.layers import Embedding
from fastrnn.optimizers import OPTIMIZERS, SGD, Adam, Nadam, schedules
from fastrnn.tape import RowGradients, Tensor, Variable

#: One of each rule of the kernels, by optimizer and options.
KINDS = {
    **{name: (kind, {}) for name, kind in OPTIMIZERS.items()},
    "momentum": (SGD, {"momentum": 0.9}),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True}),
    "rmsprop, momentum": (OPTIMIZERS["rmsprop"], {"momentum": 0.9}),
    "rmsprop, centered": (OPTIMIZERS["rmsprop"], {"centered": True}),
    "rmsprop, both": (OPTIMIZERS["rmsprop"], {"centered": True, "momentum": 0.9}),
    "amsgrad": (Adam, {"amsgrad": True}),
    "kept": (SGD, {"use_ema": True, "gradient_accumulation_steps": 2}),
}
SHAPES = [(50, 7), (7,), (), (0, 3), (17,)]


def made(rng, shapes=SHAPES, dtype=np.float32):
    return [Variable(np.asarray(rng.standard_normal(shape), dtype), "weight") for shape in shapes]


def drawn(rng, variables):
    return [np.asarray(rng.standard_normal(v.shape), v.dtype) for v in variables]


def values(variables):
    return [variable.value.copy() for variable in variables]


def assert_same(actual, desired):
    for one, other in zip(actual, desired, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", KINDS)
def test_variables_take_the_steps_of_arrays(name, rng):
    kind, options = KINDS[name]
    variables = made(rng)
    arrays = {str(number): value for number, value in enumerate(values(variables))}
    one, other = kind(0.01, **options), kind(0.01, **options)
    for step in range(3):
        gradients = drawn(rng, variables)
        assert one.apply_gradients(zip(gradients, variables, strict=True)) == step + 1
        other.update(arrays, {str(n): g for n, g in enumerate(gradients)})
    assert_same(values(variables), arrays.values())
    assert one.state.keys() == other.state.keys()
    assert_same(one.state.values(), other.state.values())


@pytest.mark.parametrize("name", KINDS)
def test_the_number_of_threads_changes_no_bit_of_awkward_sizes(name, rng):
    kind, options = KINDS[name]
    shapes = [(0,), (1,), (17,), (100003,)]
    start, before, results = values(made(rng, shapes)), get_num_threads(), []
    gradients = [drawn(rng, made(rng, shapes)) for _ in range(2)]
    try:
        for number in (1, 2):
            set_num_threads(number)
            variables = [Variable(value, "weight") for value in start]
            optimizer = kind(0.01, **options)
            for given in gradients:
                optimizer.apply(given, variables)
            results.append([*values(variables), *optimizer.state.values()])
    finally:
        set_num_threads(before)
    assert_same(results[0], results[1])
    assert not np.array_equal(results[0][3], start[3])


@pytest.mark.parametrize("name", KINDS)
def test_a_loaded_state_goes_on_bit_for_bit_before_and_after_build(name, rng):
    kind, options = KINDS[name]
    variables = made(rng)
    first = kind(0.01, **options)
    for _ in range(3):
        first.apply(drawn(rng, variables), variables)
    state = {name: array.copy() for name, array in first.state.items()}
    # Names of variables are of no account.
    copies = [[Variable(v.value, f"other_{n}") for n, v in enumerate(variables)] for _ in range(2)]
    unbuilt, built = (type(first).from_config(first.get_config()) for _ in range(2))
    built.build(copies[1])
    for optimizer in (unbuilt, built):
        optimizer.load_state(state)
        assert optimizer.iterations == first.iterations
    for _ in range(2):
        gradients = drawn(rng, variables)
        first.apply(gradients, variables)
        unbuilt.apply(gradients, copies[0])
        built.apply(gradients, copies[1])
    for others in copies:
        assert_same(values(others), values(variables))


@pytest.mark.parametrize("name", KINDS)
def test_gradients_of_rows_count_as_zero_elsewhere(name, rng):
    kind, options = KINDS[name]
    options = {"global_clipnorm": 1.0, **options}
    variables, others = made(rng, [(7,), (50, 3, 2)]), []
    others = [Variable(variable.value, "weight") for variable in variables]
    sparse, dense = kind(0.01, **options), kind(0.01, **options)
    for rows in ([0, 4, 49], [3, 4], [], [7]):
        given = RowGradients(rows, np.float32(rng.standard_normal((len(rows), 3, 2))), (50, 3, 2))
        first = drawn(rng, variables[:1])
        sparse.apply([*first, given], variables)
        dense.apply([*first, given.dense()], others)
    for one, other in zip(variables, others, strict=True):
        # Sums of squares are taken in another order.
        assert_close(one.value, other.value, FLOAT32_OUTPUT)


def test_rows_without_gradient_are_not_even_read_in_plain_descent():
    variable = Variable(np.full((4, 2), np.nan, np.float32), "table")
    variable.value[1] = 1
    SGD(0.5).apply([RowGradients([1], np.ones((1, 2), np.float32), (4, 2))], [variable])
    np.testing.assert_array_equal(variable.value[:, 0], [np.nan, 0.5, np.nan, np.nan])


def test_rows_of_a_step_that_failed_are_forgotten(rng):
    def schedule(step):
        return np.nan if step == 1 else 0.1

    variable = Variable(np.ones((4, 2), np.float32), "table")
    optimizer = Adam(schedule)
    row = np.ones((1, 2), np.float32)
    optimizer.apply([RowGradients([0], row, (4, 2))], [variable])
    before = variable.value.copy()
    with pytest.raises(ValueError, match="learning_rate: expected a number"):
        optimizer.apply([RowGradients([1], row, (4, 2))], [variable])
    np.testing.assert_array_equal(variable.value, before)
    optimizer.learning_rate = lambda step: 0.1
    optimizer.apply([RowGradients([2], row, (4, 2))], [variable])
    assert (variable.value[1] == 1).all() and (variable.value[3] == 1).all()


def test_variables_without_gradient_stay_and_are_named_once(rng):
    a, b, c = (Variable(np.ones(3), name) for name in "abc")
    optimizer = Adam(0.1)
    with pytest.warns(UserWarning, match="no gradient and stay as they are: a, c"):
        optimizer.apply_gradients(zip([None, np.ones(3), None], [a, b, c], strict=True))
    optimizer.apply_gradients(zip([None, np.ones(3), None], [a, b, c], strict=True))
    assert (a.value == 1).all() and (c.value == 1).all()
    assert (b.value < 0.81).all()
    # What is kept of the others did not change either, but steps are counted for all.
    twin, steps = Variable(np.ones(3), "twin"), Adam(0.1)
    steps.load_state({"iterations": np.array(2), "0/m": np.zeros(3), "0/v": np.zeros(3)})
    steps.apply([np.ones(3)], [twin])
    optimizer.apply([np.ones(3)], [c])
    np.testing.assert_array_equal(c.value, twin.value)


def test_variables_may_come_in_another_order_and_in_part(rng):
    variables = made(rng)
    others = [Variable(variable.value, "weight") for variable in variables]
    one, other = Adam(0.1), Adam(0.1)
    one.build(variables)
    other.build(others)
    gradients = drawn(rng, variables)
    one.apply(gradients)
    other.apply(gradients[::-1], others[::-1])
    one.apply(gradients[1:2], variables[1:2])
    other.apply(gradients[1:2], others[1:2])
    assert_same(values(variables), values(others))


def test_constraints_hold_after_the_step():
    arrays = []

    def limited(value):
        arrays.append(value)
        return np.minimum(value, 0.5)

    kept = Variable(np.zeros(3, np.float32), "kept", constraint=limited)
    free = Variable(np.zeros(3, np.float32), "free")
    memory = kept.value
    SGD(1.0).apply([np.float32([-1, 0, 1]), np.float32([-1, 0, 1])], [kept, free])
    np.testing.assert_array_equal(kept.value, [0.5, 0, -1])
    np.testing.assert_array_equal(free.value, [1, 0, -1])
    assert kept.value is memory and isinstance(arrays[0], np.ndarray)


def test_gradients_are_converted_where_they_must_be():
    variable = Variable(np.zeros((2, 3), np.float32), "w")
    desired = np.arange(6).reshape(2, 3)
    for gradient in (
        desired,
        desired.astype(np.float64),
        np.asfortranarray(desired, np.float32),
        np.repeat(desired, 2, axis=1)[:, ::2],
        Tensor(desired.astype(np.float32)),
        desired.tolist(),
    ):
        variable.assign(np.zeros((2, 3)))
        SGD(1.0).apply([gradient], [variable])
        np.testing.assert_array_equal(variable.value, -desired)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_nan_in_a_gradient_reaches_its_own_number_only(kind):
    variable = Variable(np.ones(40, np.float32), "w")
    gradient = np.ones(40, np.float32)
    gradient[[3, 39]] = np.nan
    optimizer = kind(0.1)
    optimizer.apply([gradient], [variable])
    np.testing.assert_array_equal(np.isnan(variable.value), np.isnan(gradient))
    optimizer.apply([np.ones(40, np.float32)], [variable])
    np.testing.assert_array_equal(np.isnan(variable.value), np.isnan(gradient))


def test_averages_replace_the_weights_at_the_end(rng):
    variable = Variable(np.zeros(2), "w")
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.75)
    for step in (1.0, 2.0, 4.0):
        optimizer.apply([np.full(2, -step)], [variable])
    np.testing.assert_array_equal(variable.value, 7)
    # 1, then 3/4 of it and 1/4 of 3, and so on.
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(variable.value, 0.75 * (0.75 + 0.75) + 0.25 * 7, rtol=1e-15)
    stranger = Variable(np.zeros(2), "stranger")
    with pytest.raises(ValueError, match="built without 'stranger'"):
        optimizer.finalize_variable_values([stranger])
    SGD().finalize_variable_values([stranger])


def test_a_gradient_that_accumulates_changes_nothing_at_first():
    variable = Variable(np.zeros(2), "w")
    optimizer = SGD(1.0, gradient_accumulation_steps=3)
    for call in range(1, 7):
        optimizer.apply([np.full(2, -3.0 * call)], [variable])
        assert optimizer.iterations == call // 3
        np.testing.assert_array_equal(variable.value, {1: 0, 2: 0, 6: 21}.get(call, 6))


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ([None, None], "at least one variable, got only None"),
        ([np.ones(3)], "grads: expected one for each of 2 variables, got 1"),
        ([np.ones(4), None], r"gradient of 'a': expected \(3,\) numbers, got \(4,\) float64"),
        ([None, np.ones((3, 1))], r"gradient of 'b': expected \(3,\) numbers"),
        ([np.ones(3), ["x"] * 3], "gradient of 'b': expected"),
        ([np.ones(3), np.ones(3, complex)], "gradient of 'b': expected"),
        ([np.ones(3), RowGradients([1], np.ones(1), (4,))], r"'b': expected shape \(3,\), got"),
    ],
)
@pytest.mark.filterwarnings("ignore:these variables have no gradient")
def test_bad_gradients_are_named_and_change_nothing(grads, message):
    a, b = Variable(np.ones(3), "a"), Variable(np.ones(3), "b")
    optimizer = Adam()
    with pytest.raises(ValueError, match=message):
        optimizer.apply(grads, [a, b])
    assert optimizer.iterations == 0
    assert (a.value == 1).all() and (b.value == 1).all()


def test_rows_that_were_spoilt_after_they_were_made_reach_no_kernel():
    gradient = RowGradients([0, 1], np.ones((2, 3)), (4, 3))
    gradient.rows = np.array([0, 400])
    variable = Variable(np.ones((4, 3)), "table")
    for optimizer in (SGD(), Adam()):
        with pytest.raises(ValueError, match=r"rows of the gradient of 'table': .* 0\.\.3"):
            optimizer.apply([gradient], [variable])
    gradient.rows, gradient.values = np.array([0, 1]), np.ones((1, 3))
    with pytest.raises(ValueError, match=r"gradient of 'table': expected \(2, 3\)"):
        SGD().apply([gradient], [variable])


def test_rows_of_a_tape_that_were_spoilt_reach_no_kernel():
    def write(gradient):
        gradient.rows.flags.writeable = True
        gradient.rows[-1] = 400

    def write_and_lock(gradient):
        write(gradient)
        gradient.rows.flags.writeable = False

    def replace(gradient):
        gradient.rows = gradient.rows + 400

    for spoil in (write, write_and_lock, replace):
        embedding = Embedding(100, 3)
        with GradientTape() as tape:
            loss = ops.sum(embedding(np.array([[3, 5, 3]])))
        gradient = tape.gradient(loss, embedding.embeddings)
        spoil(gradient)
        with pytest.raises(ValueError, match=r"rows of the gradient of .* in 0\.\.99"):
            Adam().apply([gradient], [embedding.embeddings])


def test_other_variables_than_at_first_are_refused(rng):
    a, b = Variable(np.ones(3), "a"), Variable(np.ones(3), "b")
    optimizer = SGD()
    with pytest.raises(ValueError, match=r"trainable_variables: .* no build"):
        optimizer.apply([np.ones(3)])
    optimizer.apply([], [])
    assert not optimizer.built and optimizer.iterations == 0
    optimizer.build([a])
    optimizer.build([a])
    assert optimizer.built
    with pytest.raises(ValueError, match="built for others"):
        optimizer.build([a, b])
    with pytest.raises(ValueError, match="built without 'b'"):
        optimizer.apply([np.ones(3)], [b])
    with pytest.raises(ValueError, match="each of them once"):
        optimizer.apply([np.ones(3)] * 2, [a, a])
    with pytest.raises(ValueError, match="each of them once"):
        SGD().build([b, b])


@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_variables_of_other_dtypes_are_refused(dtype):
    a, b = Variable(np.ones(3, np.float32), "a"), Variable(np.ones(3, dtype), "b")
    optimizer = SGD()
    with pytest.raises(ValueError, match="'b'.*expected a writable"):
        optimizer.build([a, b])
    assert not optimizer.built
    optimizer.build([a])


@pytest.mark.parametrize("name", KINDS)
def test_copies_have_memory_of_their_own(name, rng):
    kind, options = KINDS[name]
    variables = made(rng, [(50, 7), (7,)])
    first = kind(0.01, **options)

    def step(optimizer, weights):
        row = np.ones((1, 7), np.float32)
        optimizer.apply([RowGradients([3], row, (50, 7)), row[0]], weights)

    step(first, variables)
    second, others = copy.deepcopy((first, variables))
    before, state = values(variables), copy.deepcopy(first.state)
    step(second, others)
    step(second, others)
    assert_same(values(variables), before)
    assert_same(first.state.values(), state.values())
    step(first, variables)
    step(first, variables)
    assert_same(values(variables), values(others))


def test_weight_decay_leaves_out_what_it_is_told_to():
    kernel, bias, scale = (Variable(np.ones(3), name) for name in ("kernel", "bias", "scale"))
    optimizer = SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[scale], var_names=["^bias$"])
    optimizer.apply([np.zeros(3)] * 3, [kernel, bias, scale])
    assert [v.value[0] for v in (kernel, bias, scale)] == [0.5, 1.0, 1.0]
    with pytest.raises(ValueError, match="expected before build"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])
    named = {"kernel": np.ones(3), "bias": np.ones(3)}
    optimizer = SGD(1.0, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.update(named, {name: np.zeros(3) for name in named})
    assert named["kernel"][0] == 0.5 and named["bias"][0] == 1.0


@pytest.mark.parametrize("name", KINDS)
def test_own_variables_are_written_and_read_back(name, rng):
    kind, options = KINDS[name]
    variables = made(rng)
    first, second = kind(0.25, **options), kind(0.5, **options)
    second.build(variables)
    for _ in range(3):
        first.apply(drawn(rng, variables), variables)
    store = {}
    first.save_own_variables(store)
    second.load_own_variables(store)
    assert second.learning_rate == 0.25
    assert_same(second.state.values(), first.state.values())
    for spoilt, message in (
        ({}, "store: expected .* arrays, got 0"),
        (store | {"0": np.array([1])}, r"expected shape \(\) of 'iteration', got \(1,\)"),
        (store | {"0": np.array(-1)}, "expected at least 0 steps, got -1"),
        (store | {"1": np.array(-1.0)}, "learning_rate: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            second.load_own_variables(spoilt)
        assert second.iterations == first.iterations and second.learning_rate == 0.25


def test_momenta_of_nadam_follow_from_the_steps_alone():
    at_once, one_by_one = Nadam(), Nadam()
    rules = [one_by_one._rule(0.1, step) for step in range(1, 1001)]
    assert at_once._rule(0.1, 1000) == rules[-1]
    assert at_once._rule(0.1, 3) == rules[2]


def test_learning_rates_may_be_schedules_callables_and_tensors():
    decay = schedules.InverseTimeDecay(1.0, 1, 1.0)
    variable = Variable(np.zeros(1), "w")
    optimizer = SGD(decay)
    rates = []
    for _ in range(3):
        rates.append(optimizer.learning_rate)
        optimizer.apply([-np.ones(1)], [variable])
    assert rates == [1.0, 1 / 2, 1 / 3]
    assert variable.value[0] == pytest.approx(sum(rates))
    with pytest.raises(TypeError, match="expected a schedule in place of a schedule"):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = lambda step: step / 2
    assert optimizer.learning_rate == 1.5
    optimizer.learning_rate = Tensor(np.array(0.25, np.float32))
    assert optimizer.learning_rate == 0.25
    optimizer.learning_rate = np.float32(0.5)
    assert optimizer.learning_rate == 0.5
    for wrong in (-1.0, np.ones(2), "fast", None, float("nan")):
        with pytest.raises(ValueError, match="learning_rate: expected a number"):
            optimizer.learning_rate = wrong
    with pytest.raises(ValueError, match="learning_rate: expected a number"):
        SGD(lambda step: -1.0).learning_rate  # noqa: B018


def test_options_that_would_need_other_slots_are_found_at_the_step():
    variable = Variable(np.ones(3), "w")
    optimizer = SGD()
    optimizer.apply([np.ones(3)], [variable])
    optimizer.momentum = 0.9
    with pytest.raises(ValueError, match="options that it was made with"):
        optimizer.apply([np.ones(3)], [variable])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss_scale_factor": 2.0}, "loss_scale_factor: expected None"),
        ({"gradient_accumulation_steps": 1}, "gradient_accumulation_steps: .* at least 2, got 1"),
        ({"gradient_accumulation_steps": 2.5}, "gradient_accumulation_steps: .* integer"),
        ({"ema_overwrite_frequency": 0}, "ema_overwrite_frequency: .* at least 1, got 0"),
        ({"ema_momentum": 1.5}, r"ema_momentum: expected a number in \[0, 1\], got 1.5"),
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "clipvalue: expected None beside clipnorm"),
    ],
)
@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_bad_common_options_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**options)


@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_unknown_options_are_refused(kind):
    with pytest.raises(TypeError, match="lr"):
        kind(lr=0.1)


def test_optimizers_are_found_by_name_configuration_and_instance():
    for name, kind in OPTIMIZERS.items():
        for spelled in (name, name.upper(), kind.__name__):
            assert type(optimizers.get(spelled)) is kind
    adam = Adam(0.5, amsgrad=True, name="mine")
    assert optimizers.get(adam) is adam and optimizers.get(None) is None
    again = optimizers.get(optimizers.serialize(adam))
    assert again is not adam and again.get_config() == adam.get_config()
    assert adam.name == "mine" and Adam().name == "adam" and optimizers.AdamW().name == "adam_w"
    for wrong, message in (
        ("adan", "expected one of sgd, .*, got 'adan'"),
        (Adam, "identifier: expected the name"),
        (3, "identifier: expected the name"),
        ({"class_name": "Adam"}, "'class_name' and 'config'"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizers.get(wrong)


class Halving(SGD):
    """A user's own class."""


class Rise(schedules.LearningRateSchedule):
    """A user's own schedule."""

    _OPTIONS = ("slope",)

    def __init__(self, slope):
        self.slope = slope

    def __call__(self, step):
        return self.slope * step


def test_own_classes_are_written_and_read_back():
    written = optimizers.serialize(Halving(Rise(0.5), momentum=0.25))
    assert written["module"] is None and written["registered_name"] == "Halving"
    own = {"Halving": Halving, "Rise": Rise}
    again = optimizers.deserialize(written, custom_objects=own)
    assert type(again) is Halving and again.momentum == 0.25
    assert again.get_config() == optimizers.deserialize(written, own).get_config()
    with pytest.raises(ValueError, match="got 'Halving'"):
        optimizers.deserialize(written)
    with pytest.raises(ValueError, match="got 'Rise'"):
        optimizers.deserialize(written, {"Halving": Halving})
    with pytest.raises(TypeError, match="expected a number or a schedule"):
        SGD(lambda step: 0.1).get_config()
