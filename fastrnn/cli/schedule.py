"""How the learning rate goes up and down in a run."""

from __future__ import annotations

import math

WARM_UP_STEPS = 100
WARM_UP_SHARE = 0.1
FINAL = 0.01


def factor(schedule: str, *, step: int, fraction: float, steps: int | None) -> float:
    """Return what to multiply the largest learning rate with.

    Parameters
    ----------
    schedule
        "cosine", "linear" or "constant".
    step
        Steps done before this one.
    fraction
        Share of the run that is done, 0..1.
    steps
        Steps of the whole run, or None where a clock ends it.

    Returns
    -------
    float
        A straight rise over the first `WARM_UP_STEPS` steps, fewer in a short run, times a fall
        to `FINAL` at the end.
    """
    warm_up = WARM_UP_STEPS if steps is None else min(WARM_UP_STEPS, steps * WARM_UP_SHARE)
    rise = min(1.0, (step + 1) / (warm_up + 1))
    match schedule:
        case "cosine":
            fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, fraction)))
        case "linear":
            fall = 1.0 - min(1.0, fraction)
        case "constant":
            return rise
        case _:
            raise ValueError(f"schedule: expected cosine, linear or constant, got {schedule!r}")
    return rise * (FINAL + (1.0 - FINAL) * fall)
