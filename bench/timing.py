"""Fair comparisons: the same numbers first, then turns, medians of many rounds.

Only what needs fastrnn imports it: the processes of rivals import this file too.
"""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

# The workers of OpenMP look out for more work for 10 to 20 ms after a call, on the processors that
# the next candidate needs; see also `rest`.
GAP_SECONDS = 0.05

# How long `rest` looks whether threads are at work, and when it gives up.
_LOOK_SECONDS = 0.02
_RESTLESS_SECONDS = 1.0

# A call of this length says enough: its threads need not be woken first.
LONG_SECONDS = 0.1

# Average number of running processes, over the last minute, below which timings can be trusted.
_QUIET = 0.5


# Returns the mean seconds of so many calls.
Clock = Callable[[int], float]


class WrongAnswerError(AssertionError):
    """Two candidates disagree: how fast they are is no question."""


def check(name: str, actual: ArrayLike, desired: ArrayLike, tolerance: float) -> float:
    """Return the largest error of `actual` over max|desired|.

    Raises
    ------
    WrongAnswerError
        If it is above `tolerance`, the shapes differ, or a number on either side is not finite.
    """
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    if actual.shape != desired.shape:
        raise WrongAnswerError(f"{name}: shape {actual.shape}, expected {desired.shape}")
    if not (np.isfinite(actual).all() and np.isfinite(desired).all()):
        raise WrongAnswerError(f"{name}: not finite")
    error = float(np.max(np.abs(actual - desired), initial=0.0))
    largest = float(np.max(np.abs(desired), initial=0.0))
    if not error <= tolerance * largest:
        raise WrongAnswerError(
            f"{name}: off by {error:.3g}, expected at most {tolerance * largest:.3g}; no figures"
        )
    return error / largest if error else 0.0


class Times(NamedTuple):
    """Seconds of one call, by candidate: one number for each round."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median of all rounds."""
        return median(self.seconds[name])

    def ratios(self, slow: str, fast: str) -> list[float]:
        """Return how many times as long `slow` took, round by round."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return [a / b for a, b in pairs]

    def ratio(self, slow: str, fast: str) -> float:
        """Return how many times as long `slow` took: the median over the rounds' ratios."""
        return median(self.ratios(slow, fast))


def measure(
    candidates: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    seconds: float = 0.05,
    gap: float = GAP_SECONDS,
) -> Times:
    """Time candidates of this process in turns: see `take_turns`."""
    clocks = {name: partial(seconds_of, call) for name, call in candidates.items()}
    return take_turns(clocks, rounds=rounds, seconds=seconds, gap=gap)


def seconds_of(candidate: Callable[[], Any], calls: int) -> float:
    """Return the mean seconds of `calls` calls, after one that wakes the candidate's threads.

    A single long call is timed without one before.
    """
    start = time.perf_counter()
    candidate()
    first = time.perf_counter() - start
    if calls == 1 and first > LONG_SECONDS:
        return first
    start = time.perf_counter()
    for _ in range(calls):
        candidate()
    return (time.perf_counter() - start) / calls


def take_turns(
    clocks: Mapping[str, Clock],
    *,
    rounds: int,
    seconds: float = 0.05,
    gap: float = GAP_SECONDS,
) -> Times:
    """Time candidates in turns; `clocks` are their `seconds_of`, each in whatever process.

    In a round each candidate waits until the others' threads are asleep, is called once to wake
    its own, and is then timed over as many calls as fill `seconds`.  Every other round goes
    through the candidates backwards, so that none always follows the same one.
    """
    calls = {name: max(1, round(seconds / clock(1))) for name, clock in clocks.items()}
    times: dict[str, list[float]] = {name: [] for name in clocks}
    with garbage_collection_off():
        for turn in range(rounds):
            for name in list(clocks)[:: 1 if turn % 2 == 0 else -1]:
                rest(gap)
                times[name].append(clocks[name](calls[name]))
            gc.collect()
    return Times(times)


def fastest(clocks: Mapping[str, Clock]) -> dict[str, float]:
    """Return seconds of a call, the fastest first: of one call where that says enough.

    Those that come close to each other are told apart in a few turns.
    """
    seconds = {}
    for name, clock in clocks.items():
        if len(clocks) > 1:
            rest()
        seconds[name] = clock(1)
    best = min(seconds.values())
    close = {name: clocks[name] for name in clocks if seconds[name] < 3 * best}
    if len(close) > 1 and best <= LONG_SECONDS:
        times = take_turns(close, rounds=3, seconds=0.02)
        seconds |= {name: times.median(name) for name in close}
        return dict(sorted(seconds.items(), key=lambda item: (item[0] not in close, item[1])))
    return dict(sorted(seconds.items(), key=lambda item: item[1]))


def rest(seconds: float = GAP_SECONDS) -> None:
    """Sleep so long, and then until no thread of this process is at work any more.

    After a call OpenBLAS' threads look out for more for up to 130 ms; whoever is timed meanwhile
    has a processor less.
    """
    end = time.monotonic() + _RESTLESS_SECONDS
    time.sleep(seconds)
    while time.monotonic() < end:
        worked = time.process_time()
        time.sleep(_LOOK_SECONDS)
        if time.process_time() - worked < _LOOK_SECONDS / 10:
            return


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Collect now, and not while timing."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def count(text: str) -> int:
    """Return a number of an option: the `type` of an argument of argparse."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected an int of at least 1, got {text}")
    return number


def measure_peak(threads: int | None = None) -> float:
    """Return the float32 peak in GFLOP/s of some threads, as many as fastrnn uses by default."""
    import fastrnn
    from fastrnn.kernels.cpu import machine

    rest()
    return machine.measure_peak(threads or fastrnn.get_num_threads())


def use_threads(number: int) -> None:
    """Give fastrnn and, where it is installed, torch the same number of threads."""
    import fastrnn

    fastrnn.set_num_threads(number)
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(number)


def print_machine() -> None:
    """Print what the figures depend on, and a warning where other processes are at work."""
    from fastrnn.kernels.cpu import machine

    facts = machine.describe()
    with suppress(metadata.PackageNotFoundError):
        facts["torch"] = metadata.version("torch")  # not imported: it would change what is measured
    print("; ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()))
    if warning := busy():
        print(f"WARNING: {warning}")
    print(flush=True)


def busy() -> str:
    """Return a warning where other processes are at work, else nothing."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return f"the machine is busy (load {load:.1f}): the figures mean little" * (load > _QUIET)
