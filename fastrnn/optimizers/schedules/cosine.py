"""Learning rates that fall along a cosine (Loshchilov and Hutter 2017)."""

from __future__ import annotations

import math
from typing import Any

from fastrnn.optimizers.schedules.schedule import LearningRateSchedule, finite, positive


class CosineDecay(LearningRateSchedule):
    """A straight rise, if wanted, and then a fall along half a cosine.

    Parameters
    ----------
    initial_learning_rate : float
        Where the rise begins; without a rise, where the fall does.
    decay_steps : number above 0
        Steps of the fall.
    alpha : float
        What is left in the end, as a share of where the fall begins.
    name : str
    warmup_target : float, optional
        Where the rise ends and the fall begins; if not given, there is no rise.
    warmup_steps : number
        Steps of the rise, at least 0.

    Source
    ------
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.

    Examples
    --------
    >>> schedule = CosineDecay(0.0, 100, warmup_target=1.0, warmup_steps=10)
    >>> schedule(5), schedule(10), round(schedule(60), 6), schedule(110)
    (0.5, 1.0, 0.5, 0.0)
    """

    _OPTIONS = (
        "initial_learning_rate",
        "decay_steps",
        "alpha",
        "name",
        "warmup_target",
        "warmup_steps",
    )

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.decay_steps = positive("decay_steps", decay_steps)
        self.alpha = finite("alpha", alpha)
        self.name = name
        self.warmup_target = (
            None if warmup_target is None else finite("warmup_target", warmup_target)
        )
        if finite("warmup_steps", warmup_steps) < 0:
            raise ValueError(f"warmup_steps: expected a number of at least 0, got {warmup_steps!r}")
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> float:
        """Return the learning rate after so many steps."""
        fallen = float(step)
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if fallen < self.warmup_steps:
                return start + (self.warmup_target - start) * (fallen / self.warmup_steps)
            fallen -= self.warmup_steps
            start = self.warmup_target
        return start * _fall(min(1.0, fallen / self.decay_steps), 1.0, self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Falls along half a cosine, again and again.

    Parameters
    ----------
    initial_learning_rate : float
    first_decay_steps : number above 0
        Steps of the first fall.
    t_mul : float
        At least 1: how many times longer each fall is than the last.
    m_mul : float
        At least 0: how many times higher each fall begins than the last.
    alpha : float
        What is left at the end of a fall, as a share of `initial_learning_rate`.
    name : str

    Source
    ------
    I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017.

    Examples
    --------
    >>> schedule = CosineDecayRestarts(1.0, 10, m_mul=0.5)
    >>> schedule(0), schedule(10), schedule(30)
    (1.0, 0.5, 0.25)
    """

    _OPTIONS = ("initial_learning_rate", "first_decay_steps", "t_mul", "m_mul", "alpha", "name")

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        self.initial_learning_rate = finite("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = positive("first_decay_steps", first_decay_steps)
        self.t_mul = finite("t_mul", t_mul)
        if self.t_mul < 1.0:
            raise ValueError(f"t_mul: expected a number of at least 1, got {t_mul!r}")
        self.m_mul = finite("m_mul", m_mul)
        if self.m_mul < 0.0:
            raise ValueError(f"m_mul: expected a number of at least 0, got {m_mul!r}")
        self.alpha = finite("alpha", alpha)
        self.name = name

    def __call__(self, step: Any) -> float:
        """Return the learning rate after so many steps."""
        done = float(step) / self.first_decay_steps  # in lengths of the fall that it is in
        falls = 0
        if self.t_mul == 1.0:
            falls = math.floor(done)
            done -= falls
        while done >= 1.0:
            done = (done - 1.0) / self.t_mul
            falls += 1
        return self.initial_learning_rate * _fall(done, self.m_mul**falls, self.alpha)


def _fall(done: float, height: float, alpha: float) -> float:
    """Return the share of the learning rate at part `done` of a fall from `height` to `alpha`."""
    return (1.0 - alpha) * 0.5 * height * (1.0 + math.cos(math.pi * done)) + alpha
