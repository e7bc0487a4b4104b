"""Learning rates that fall by steps, powers and hyperbolas."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from fastrnn.optimizers.schedules.schedule import LearningRateSchedule, finite, positive


class ExponentialDecay(LearningRateSchedule):
    """initial_learning_rate * decay_rate ** (step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : number above 0
        Steps in which the learning rate shrinks by `decay_rate` once.
    decay_rate : float
        At least 0.
    staircase : bool
        Whether it shrinks once every `decay_steps` steps and stays the same in between.
    name : str

    Examples
    --------
    >>> ExponentialDecay(1.0, decay_steps=10, decay_rate=0.25)(5)
    0.5
    """

    _OPTIONS = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.decay_rate = finite("decay_rate", decay_rate)
        if self.decay_rate < 0.0:
            raise ValueError(f"decay_rate: expected a number of at least 0, got {decay_rate!r}")
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> float:
        """Return the learning rate after so many steps."""
        power = float(step) / self.decay_steps
        if self.staircase:
            power = math.floor(power)
        return float(self.initial_learning_rate * self.decay_rate**power)


class InverseTimeDecay(LearningRateSchedule):
    """initial_learning_rate / (1 + decay_rate * step / decay_steps).

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : number above 0
    decay_rate : float
        At least 0.
    staircase : bool
        Whether step / decay_steps is rounded down.
    name : str

    Examples
    --------
    >>> InverseTimeDecay(1.0, decay_steps=10, decay_rate=2.0)(5)
    0.5
    """

    _OPTIONS = ("initial_learning_rate", "decay_steps", "decay_rate", "staircase", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.decay_rate = finite("decay_rate", decay_rate)
        if self.decay_rate < 0.0:
            raise ValueError(f"decay_rate: expected a number of at least 0, got {decay_rate!r}")
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> float:
        """Return the learning rate after so many steps."""
        time = float(step) / self.decay_steps
        if self.staircase:
            time = math.floor(time)
        return self.initial_learning_rate / (1.0 + self.decay_rate * time)


class PolynomialDecay(LearningRateSchedule):
    """A power of the steps that are left leads from one learning rate to another.

    (initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power
    + end_learning_rate, which stays after `decay_steps` steps.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : number above 0
    end_learning_rate : float
    power : float
        Above 0; 1 is a straight line.
    cycle : bool
        Whether, at its end, the learning rate rises again to fall from there over a time that is
        longer by `decay_steps` steps than the last.
    name : str

    Examples
    --------
    >>> PolynomialDecay(1.0, decay_steps=10, end_learning_rate=0.5)(5)
    0.75
    """

    _OPTIONS = (
        "initial_learning_rate",
        "decay_steps",
        "end_learning_rate",
        "power",
        "cycle",
        "name",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.end_learning_rate = finite("end_learning_rate", end_learning_rate)
        self.power = positive("power", power)
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> float:
        """Return the learning rate after so many steps."""
        step = float(step)
        steps: float = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        left = 1.0 - min(step, steps) / steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * left**self.power + self.end_learning_rate)


class PiecewiseConstantDecay(LearningRateSchedule):
    """One learning rate up to each boundary, and one beyond the last.

    Parameters
    ----------
    boundaries : sequence of increasing numbers
        The last step, counted from 0, of each of the first learning rates.
    values : sequence of floats
        The learning rates, one more than boundaries.
    name : str

    Examples
    --------
    >>> schedule = PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> schedule(100), schedule(101), schedule(1000)
    (0.1, 0.01, 0.001)
    """

    _OPTIONS = ("boundaries", "values", "name")

    def __init__(
        self,
        boundaries: Sequence[float],
        values: Sequence[float],
        name: str = "PiecewiseConstant",
    ) -> None:
        self.boundaries = list(boundaries)
        self.values = [finite("values", value) for value in values]
        if len(self.boundaries) != len(self.values) - 1:
            raise ValueError(
                f"values: expected one more than the {len(self.boundaries)} boundaries, "
                f"got {len(self.values)}"
            )
        sorted_boundaries = sorted(finite("boundaries", boundary) for boundary in boundaries)
        if self.boundaries != sorted_boundaries:
            raise ValueError(f"boundaries: expected increasing numbers, got {self.boundaries}")
        self.name = name

    def __call__(self, step: Any) -> float:
        """Return the learning rate after so many steps."""
        return self.values[bisect_left(self.boundaries, float(step))]
