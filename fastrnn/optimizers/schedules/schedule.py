"""What all schedules have in common."""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from typing import Any, ClassVar


class LearningRateSchedule(ABC):
    """A learning rate that depends on the number of steps taken.

    A subclass has `__call__(step)`; an optimizer calls it with an int, 0 at the first step, and
    takes what it returns as a number.

    Examples
    --------
    >>> from fastrnn.optimizers import SGD
    >>> class Rise(LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return min(1.0, (step + 1) / 10)
    >>> SGD(Rise()).learning_rate
    0.1
    """

    #: Arguments of the constructor, which are attributes too.
    _OPTIONS: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, step: Any) -> Any:
        """Return the learning rate after so many steps."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON knows them."""
        return {name: getattr(self, name) for name in self._OPTIONS}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """Return a schedule with these constructor's arguments."""
        return cls(**config)


def finite(name: str, value: Any) -> float:
    """Return the argument `name` if it is a finite number."""
    if isinstance(value, numbers.Real) or hasattr(value, "__float__"):
        converted = float(value)
        if math.isfinite(converted):
            return converted
    raise ValueError(f"{name}: expected a finite number, got {value!r}")


def positive(name: str, value: Any) -> float | int:
    """Return the argument `name`, an int as such, if it is a finite number above 0."""
    converted = finite(name, value)
    if converted <= 0.0:
        raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    return int(value) if isinstance(value, numbers.Integral) else converted
