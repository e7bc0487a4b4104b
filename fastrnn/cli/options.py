"""What a training run can be told, with defaults and limits."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, NamedTuple

SCHEDULES = ("cosine", "linear", "constant")


class Limits(NamedTuple):
    """The values that a number may take."""

    kind: type[int] | type[float]
    low: float
    high: float
    low_allowed: bool = True
    high_allowed: bool = True

    def __str__(self) -> str:
        if self.kind is int:
            return f"an integer in {self.low}..{self.high}"
        low = "at least" if self.low_allowed else "above"
        high = "at most" if self.high_allowed else "below"
        return f"a number {low} {self.low:g} and {high} {self.high:g}"

    def check(self, value: object) -> None:
        """Raise a ValueError if `value` is of another type or outside."""
        allowed = int if self.kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, allowed):
            raise ValueError(f"expected {self}, got {value!r}")
        above = self.low <= value if self.low_allowed else self.low < value
        below = value <= self.high if self.high_allowed else value < self.high
        if not (above and below):
            raise ValueError(f"expected {self}, got {value}")

    def parse(self, text: str) -> int | float:
        """Return the number in `text`, for argparse."""
        try:
            value = self.kind(text)
            self.check(value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"expected {self}, got {text!r}") from error
        return value


SEED = Limits(int, 0, 2**32 - 1)


def _option(default: Any, limits: Limits | None, text: str) -> Any:
    return field(default=default, metadata={"limits": limits, "help": text})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a training run that decide its result.

    Raises
    ------
    ValueError
        If a value is out of its limits, naming the option.
    """

    cell: str = _option("lstm", None, "kind of cell: a name out of fastrnn.cells.CELLS")
    units: int = _option(256, Limits(int, 1, 16384), "hidden units of each layer")
    layers: int = _option(2, Limits(int, 1, 64), "recurrent layers")
    embedding: int = _option(64, Limits(int, 1, 16384), "numbers that stand for a character")
    dropout: float = _option(
        0.2, Limits(float, 0, 1, high_allowed=False), "share of outputs dropped in training"
    )
    batch: int = _option(32, Limits(int, 1, 65536), "streams of text side by side")
    window: int = _option(64, Limits(int, 1, 65536), "steps that gradients flow back through")
    epochs: int = _option(10, Limits(int, 1, 1_000_000), "passes over the training part")
    minutes: float | None = _option(
        None,
        Limits(float, 0, 525_600, low_allowed=False),
        "train for this long instead of a number of epochs; the learning rate then follows the "
        "clock, so that two such runs differ",
    )
    learning_rate: float = _option(
        5e-3, Limits(float, 0, 10, low_allowed=False), "largest learning rate"
    )
    schedule: str = _option("cosine", None, f"how the learning rate falls: {', '.join(SCHEDULES)}")
    clip: float = _option(1.0, Limits(float, 0, 1e6), "largest norm of a gradient; 0: no limit")
    seed: int = _option(0, SEED, "seed of weights, dropout and sample")

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            limits = entry.metadata["limits"]
            if limits is None:
                if not isinstance(value, str):
                    raise ValueError(f"{entry.name}: expected a name, got {value!r}")
            elif value is not None or entry.default is not None:
                try:
                    limits.check(value)
                except ValueError as error:
                    raise ValueError(f"{entry.name}: {error}") from error
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule: expected {', '.join(SCHEDULES)}, got {self.schedule!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Options:
        """Return the options that `to_dict` described.

        Raises
        ------
        ValueError
            If an option is missing, unknown, or out of its limits.
        """
        names = {entry.name for entry in fields(cls)}
        if not isinstance(values, dict) or values.keys() != names:
            raise ValueError(f"expected the options {', '.join(sorted(names))}")
        return cls(**values)


def flag(name: str) -> str:
    """Return the command line's spelling of an option."""
    return "--" + name.replace("_", "-")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options to `parser`; those not given stay out of the namespace."""
    for entry in fields(Options):
        limits: Limits | None = entry.metadata["limits"]
        parse: Callable[[str], Any] = limits.parse if limits else str
        assert entry.default is not MISSING
        default = "" if entry.default is None else f" (default: {entry.default})"
        parser.add_argument(
            flag(entry.name),
            dest=entry.name,
            type=parse,
            default=argparse.SUPPRESS,
            metavar="N" if limits and limits.kind is int else "X" if limits else "NAME",
            help=entry.metadata["help"] + default,
        )
