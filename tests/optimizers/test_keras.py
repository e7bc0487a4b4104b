"""Keras as an outside witness: the same steps, slots and configurations, option by option."""

import os
import warnings

import numpy as np
import pytest
from tolerances import TORCH_FLOAT32_OUTPUT, TORCH_FLOAT64_OUTPUT, assert_close

from fastrnn import optimizers
from fastrnn.optimizers import schedules
from fastrnn.tape import Variable

SHAPES = {"kernel": (17, 5), "bias": (5,), "scale": ()}
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:keras", "ignore::DeprecationWarning:torch"
)
STEPS = 5
# Keras keeps a learning rate in float32: one that is exact there.
RATE = 2.0**-6


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("keras")


#: Class and options of an optimizer.
CASES = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.75}),
    "nesterov": ("SGD", {"momentum": 0.75, "nesterov": True}),
    "momentum 1": ("SGD", {"momentum": 1.0}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop, momentum": ("RMSprop", {"rho": 0.5, "momentum": 0.75, "epsilon": 1e-3}),
    "rmsprop, centered": ("RMSprop", {"centered": True, "epsilon": 1e-3}),
    "rmsprop, both": ("RMSprop", {"centered": True, "momentum": 0.5, "epsilon": 1e-3}),
    "adagrad": ("Adagrad", {}),
    "adagrad, options": ("Adagrad", {"initial_accumulator_value": 0.5, "epsilon": 1e-3}),
    "adadelta": ("Adadelta", {}),
    "adadelta, options": ("Adadelta", {"rho": 0.5, "epsilon": 1e-3}),
    "adam": ("Adam", {}),
    "adam, options": ("Adam", {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 1e-3}),
    "amsgrad": ("Adam", {"beta_2": 0.5, "amsgrad": True}),
    "adamw": ("AdamW", {}),
    "adamw, options": ("AdamW", {"weight_decay": 0.5, "beta_1": 0.5, "amsgrad": True}),
    "adamax": ("Adamax", {}),
    "adamax, options": ("Adamax", {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 1e-3}),
    "nadam": ("Nadam", {}),
    "nadam, options": ("Nadam", {"beta_1": 0.5, "beta_2": 0.75, "epsilon": 1e-3}),
    "lion": ("Lion", {}),
    "lion, options": ("Lion", {"beta_1": 0.5, "beta_2": 0.75}),
}
#: Options that all optimizers have.
COMMON = {
    "weight decay": {"weight_decay": 0.5},
    "clipnorm": {"clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.25},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "average": {"use_ema": True, "ema_momentum": 0.75},
    "overwriting": {"use_ema": True, "ema_momentum": 0.75, "ema_overwrite_frequency": 2},
    "accumulation": {"gradient_accumulation_steps": 2, "global_clipnorm": 0.5},
    "everything": {
        "weight_decay": 0.25,
        "clipnorm": 0.75,
        "use_ema": True,
        "ema_overwrite_frequency": 2,
        "gradient_accumulation_steps": 2,
    },
}


class Twins:
    """An optimizer here and in Keras, each with its own copy of the same variables."""

    def __init__(self, keras, name, options, dtype, rng):
        import torch

        self._tensor = torch.tensor
        values = {n: np.asarray(rng.standard_normal(s), dtype) for n, s in SHAPES.items()}
        self.ours = [Variable(value, name) for name, value in values.items()]
        self.theirs = [keras.Variable(v, name=n, dtype=v.dtype.name) for n, v in values.items()]
        self.optimizer = getattr(optimizers, name)(**options)
        self.witness = getattr(keras.optimizers, name)(**options)
        self.rng, self.dtype = rng, dtype

    def step(self):
        gradients = [np.asarray(self.rng.standard_normal(v.shape), self.dtype) for v in self.ours]
        self.optimizer.apply_gradients(zip(gradients, self.ours, strict=True))
        tensors = [self._tensor(gradient) for gradient in gradients]
        self.witness.apply_gradients(zip(tensors, self.theirs, strict=True))

    def compare(self, kind):
        for ours, theirs in zip(self.ours, self.theirs, strict=True):
            assert_close(ours.value, theirs.numpy(), kind, ours.name)


@pytest.mark.parametrize("case", CASES)
def test_steps_and_slots_are_those_of_keras(case, keras, rng):
    name, options = CASES[case]
    twins = Twins(keras, name, {"learning_rate": RATE, **options}, np.float32, rng)
    for _ in range(STEPS):
        twins.step()
        twins.compare(TORCH_FLOAT32_OUTPUT)
    ours, theirs = twins.optimizer.variables, twins.witness.variables
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.value, other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("common", COMMON)
@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "Nadam"])
def test_common_options_are_those_of_keras(name, common, keras, rng):
    options = {"learning_rate": RATE, **COMMON[common]}
    twins = Twins(keras, name, options, np.float32, rng)
    for _ in range(STEPS):
        twins.step()
        twins.compare(TORCH_FLOAT32_OUTPUT)
        assert twins.optimizer.iterations == int(twins.witness.iterations)
    twins.optimizer.finalize_variable_values(twins.ours)
    twins.witness.finalize_variable_values(twins.theirs)
    twins.compare(TORCH_FLOAT32_OUTPUT)


def test_float64_is_as_good(keras, rng):
    twins = Twins(keras, "SGD", {"learning_rate": RATE, "momentum": 0.75}, np.float64, rng)
    for _ in range(STEPS):
        twins.step()
    twins.compare(TORCH_FLOAT64_OUTPUT)


def test_excluded_weights_do_not_decay(keras, rng):
    twins = Twins(keras, "SGD", {"learning_rate": RATE, "weight_decay": 0.5}, np.float32, rng)
    twins.optimizer.exclude_from_weight_decay(var_list=twins.ours[2:], var_names=["bias"])
    twins.witness.exclude_from_weight_decay(var_list=twins.theirs[2:], var_names=["bias"])
    twins.step()
    twins.compare(TORCH_FLOAT32_OUTPUT)


def test_schedules_are_asked_for_calls_also_where_gradients_accumulate(keras, rng):
    both = {}
    for module in (schedules, keras.optimizers.schedules):
        schedule = module.ExponentialDecay(RATE, decay_steps=1, decay_rate=0.5)
        both[module] = {"learning_rate": schedule, "gradient_accumulation_steps": 2}
    twins = Twins(keras, "SGD", {"gradient_accumulation_steps": 2}, np.float32, rng)
    twins.optimizer = optimizers.SGD(**both[schedules])
    twins.witness = keras.optimizers.SGD(**both[keras.optimizers.schedules])
    for _ in range(STEPS):
        twins.step()
        twins.compare(TORCH_FLOAT32_OUTPUT)
        assert twins.optimizer.learning_rate == pytest.approx(float(twins.witness.learning_rate))


@pytest.mark.parametrize("case", CASES)
def test_a_saved_optimizer_goes_on_in_the_other_framework(case, keras, rng):
    name, options = CASES[case]
    twins = Twins(keras, name, {"learning_rate": RATE, "use_ema": True, **options}, "float32", rng)
    for _ in range(2):
        twins.step()
    store = {}
    twins.witness.save_own_variables(store)
    twins.optimizer = getattr(optimizers, name)(0.5, use_ema=True, **options)
    twins.optimizer.build(twins.ours)
    twins.optimizer.load_own_variables(store)
    assert twins.optimizer.learning_rate == RATE
    twins.step()
    twins.compare(TORCH_FLOAT32_OUTPUT)
    store = {}
    twins.optimizer.save_own_variables(store)
    twins.witness = getattr(keras.optimizers, name)(0.5, use_ema=True, **options)
    twins.witness.build(twins.theirs)
    twins.witness.load_own_variables(store)
    twins.step()
    twins.compare(TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "AdamW",
                                  "Adamax", "Nadam", "Lion"])  # fmt: skip
def test_defaults_and_configurations_are_those_of_keras(name, keras):
    ours = getattr(optimizers, name)().get_config()
    theirs = getattr(keras.optimizers, name)(name=ours["name"]).get_config()
    assert ours.pop("learning_rate") == pytest.approx(theirs.pop("learning_rate"))
    assert ours == theirs
    # In both directions, and with a schedule in it.
    schedule = schedules.PolynomialDecay(0.5, 10, power=2.0)
    given = optimizers.serialize(getattr(optimizers, name)(schedule, clipnorm=2.0))
    taken = keras.optimizers.deserialize(given)
    assert type(taken).__name__ == name
    assert taken.get_config()["clipnorm"] == 2.0
    assert float(taken.learning_rate) == 0.5
    back = optimizers.deserialize(keras.optimizers.serialize(taken))
    assert back.get_config() == getattr(optimizers, name)(schedule, clipnorm=2.0).get_config()


SCHEDULES = {
    "exponential": ("ExponentialDecay", {"decay_steps": 7, "decay_rate": 0.5}),
    "exponential, stairs": (
        "ExponentialDecay",
        {"decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ),
    "inverse time": ("InverseTimeDecay", {"decay_steps": 7, "decay_rate": 0.5}),
    "inverse time, stairs": (
        "InverseTimeDecay",
        {"decay_steps": 7, "decay_rate": 0.5, "staircase": True},
    ),
    "polynomial": ("PolynomialDecay", {"decay_steps": 7}),
    "polynomial, options": (
        "PolynomialDecay",
        {"decay_steps": 7, "end_learning_rate": 0.25, "power": 2.0, "cycle": True},
    ),
    "cosine": ("CosineDecay", {"decay_steps": 7}),
    "cosine, warm-up": (
        "CosineDecay",
        {"decay_steps": 12, "alpha": 0.25, "warmup_target": 2.0, "warmup_steps": 5},
    ),
    "restarts": ("CosineDecayRestarts", {"first_decay_steps": 7}),
    "restarts, options": (
        "CosineDecayRestarts",
        {"first_decay_steps": 8, "t_mul": 1.0, "m_mul": 0.5, "alpha": 0.25},
    ),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_schedules_are_those_of_keras(case, keras):
    name, options = SCHEDULES[case]
    ours = getattr(schedules, name)(0.75, **options)
    theirs = getattr(keras.optimizers.schedules, name)(0.75, **options)
    for step in range(30):
        assert ours(step) == pytest.approx(float(theirs(step)), rel=1e-5, abs=1e-6), step
    assert ours.get_config() == theirs.get_config()
    again = schedules.deserialize(keras.optimizers.schedules.serialize(theirs))
    assert again.get_config() == ours.get_config()


def test_piecewise_constants_are_those_of_keras(keras):
    arguments = ([3, 10], [1.0, 0.5, 0.25])
    ours = schedules.PiecewiseConstantDecay(*arguments)
    theirs = keras.optimizers.schedules.PiecewiseConstantDecay(*arguments)
    assert [ours(step) for step in range(20)] == [float(theirs(step)) for step in range(20)]
    assert ours.get_config() == theirs.get_config()
