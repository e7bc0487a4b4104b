"""Schedules: values by hand, ends and edges, configurations, clear errors."""

import math

import numpy as np
import pytest

from fastrnn.optimizers import schedules
from fastrnn.optimizers.schedules import (
    SCHEDULES,
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from fastrnn.tape import Tensor

MADE = [
    ExponentialDecay(0.5, 10, 0.5, staircase=True),
    InverseTimeDecay(0.5, 10, 0.5),
    PolynomialDecay(0.5, 10, 0.25, power=2, cycle=True),
    PiecewiseConstantDecay([1, 2], [0.5, 0.25, 0.125]),
    CosineDecay(0.5, 10, 0.25, warmup_target=1.0, warmup_steps=5),
    CosineDecayRestarts(0.5, 10, 3.0, 0.5, 0.25),
]


def test_every_schedule_is_tested():
    assert {type(schedule) for schedule in MADE} == set(SCHEDULES.values())


@pytest.mark.parametrize("schedule", MADE, ids=lambda schedule: type(schedule).__name__)
def test_configurations_make_the_same_schedule_again(schedule):
    again = schedules.deserialize(schedules.serialize(schedule))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    steps = [0, 1, 2, 5, 10, 11, 29, 40, 1000]
    assert [again(step) for step in steps] == [schedule(step) for step in steps]
    # What counts steps may be an int of another kind.
    assert schedule(np.int64(7)) == schedule(Tensor(np.array(7))) == schedule(7)
    assert type(schedule(7)) is float


def test_falls_by_hand():
    assert ExponentialDecay(1.0, 4, 0.25)(2) == 0.5
    assert ExponentialDecay(1.0, 4, 0.25, staircase=True)(7) == 0.25
    assert InverseTimeDecay(1.0, 4, 2.0)(2) == 0.5
    assert InverseTimeDecay(1.0, 4, 1.0, staircase=True)(7) == 0.5
    assert PolynomialDecay(1.0, 4, 0.5, power=2.0)(2) == 0.625
    assert PolynomialDecay(1.0, 4, 0.5)(100) == 0.5
    assert PolynomialDecay(1.0, 4, 0.0, cycle=True)(5) == 1 - 5 / 8


def test_cosines_by_hand():
    decay = CosineDecay(1.0, 8, alpha=0.5)
    assert decay(0) == 1.0 and decay(8) == 0.5 and decay(100) == 0.5
    assert decay(4) == pytest.approx(0.75)
    assert decay(2) == pytest.approx(0.5 + 0.25 * (1 + math.cos(math.pi / 4)))
    rise = CosineDecay(0.5, 8, warmup_target=1.0, warmup_steps=4)
    assert [rise(step) for step in (0, 2, 4)] == [0.5, 0.75, 1.0]
    assert rise(12) == 0.0
    assert CosineDecay(0.5, 8, warmup_target=1.0)(0) == 1.0


@pytest.mark.parametrize("t_mul", [1, 2, 3, 5, 10])
def test_falls_restart_at_the_exact_step(t_mul):
    schedule = CosineDecayRestarts(1.0, 10, t_mul=t_mul, m_mul=0.5)
    start = 0
    for fall in range(6):
        assert schedule(start) == 0.5**fall
        assert schedule(start + 10 * t_mul**fall - 1) < 0.1 * 0.5**fall
        start += 10 * t_mul**fall


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExponentialDecay(0.1, 0, 0.5), "decay_steps: expected a number above 0, got 0"),
        (lambda: ExponentialDecay("x", 1, 0.5), "initial_learning_rate: expected a finite number"),
        (lambda: ExponentialDecay(0.1, 1, -0.5), "decay_rate: expected a number of at least 0"),
        (lambda: InverseTimeDecay(0.1, -1, 0.5), "decay_steps: expected a number above 0"),
        (lambda: InverseTimeDecay(0.1, 1, -0.5), "decay_rate: expected a number of at least 0"),
        (lambda: PolynomialDecay(0.1, 1, power=0), "power: expected a number above 0"),
        (lambda: PolynomialDecay(0.1, 1, math.nan), "end_learning_rate: expected a finite"),
        (lambda: PiecewiseConstantDecay([1], [0.1]), "values: expected one more than the 1"),
        (lambda: PiecewiseConstantDecay([2, 1], [1, 2, 3]), "boundaries: expected increasing"),
        (lambda: CosineDecay(0.1, 0), "decay_steps: expected a number above 0"),
        (lambda: CosineDecay(0.1, 1, warmup_steps=-1), "warmup_steps: expected a number of at"),
        (lambda: CosineDecayRestarts(0.1, 0), "first_decay_steps: expected a number above 0"),
        (lambda: CosineDecayRestarts(0.1, 1, t_mul=0.5), "t_mul: expected a number of at least 1"),
        (lambda: CosineDecayRestarts(0.1, 1, m_mul=-1), "m_mul: expected a number of at least 0"),
        (lambda: schedules.deserialize({"class_name": "Rise", "config": {}}), "got 'Rise'"),
        (lambda: schedules.deserialize({"config": {}}), "'class_name' and 'config'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
