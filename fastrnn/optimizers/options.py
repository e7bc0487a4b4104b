"""Options that all optimizers take, and the checks of numbers among the options."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, TypedDict

from fastrnn.optimizers.schedules import LearningRateSchedule

#: What `learning_rate` may be: a number, or a function of the number of steps taken.
LearningRate = float | LearningRateSchedule | Callable[[int], float]


class Options(TypedDict, total=False):
    """Keyword arguments of every optimizer; see `Optimizer`.

    They are spelled once, here and there: nine constructors that repeat them would say less.
    """

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    loss_scale_factor: None
    gradient_accumulation_steps: int | None
    name: str | None


def number(name: str, value: Any) -> float:
    """Return the argument `name` if it is a number of at least 0."""
    converted = float(value) if isinstance(value, numbers.Real) else math.nan
    if not 0.0 <= converted < math.inf:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return converted


def share(name: str, value: Any) -> float:
    """Return the argument `name` if it is a number in [0, 1)."""
    if number(name, value) >= 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value!r}")
    return float(value)


def closed_share(name: str, value: Any) -> float:
    """Return the argument `name` if it is a number in [0, 1]."""
    if number(name, value) > 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1], got {value!r}")
    return float(value)


def count(name: str, value: Any, *, least: int) -> int | None:
    """Return the argument `name` if it is None or an integer of at least `least`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name}: expected None or an integer of at least {least}, got {value!r}")
    return int(value)


def limits(**given: float | None) -> None:
    """Raise ValueError unless at most one limit is given, and it is above 0."""
    names = [name for name, limit in given.items() if limit is not None]
    if len(names) > 1:
        raise ValueError(f"{names[1]}: expected None beside {names[0]}")
    for name in names:
        if number(name, given[name]) == 0.0:
            raise ValueError(f"{name}: expected a number above 0, got {given[name]!r}")
