"""A library that takes part: its processes, and the figures of its rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from . import timing
from .cases import Case
from .rivals import Rival
from .worker import Worker

OURS = "fastrnn"

OURS_ENTRY = Rival("bench.ours", ("fastrnn",), "fastrnn", "fastrnn.set_num_threads")


def start_oracle(stack: ExitStack) -> Worker:
    """Return the process that knows what must come out, which `stack` ends."""
    return stack.enter_context(Worker("bench.oracle", 1, {}))


class WrongCandidateError(Exception):
    """A candidate has computed something else than it should."""

    def __init__(self, candidate: str, reason: str) -> None:
        super().__init__(reason)
        self.candidate = candidate


class UnableRivalError(Exception):
    """A rival takes no part in a case; the message says why."""


class Ready(NamedTuple):
    """A library with a case built, and what is known of it before the rounds."""

    worker: Worker
    facts: dict[str, Any]


class Library:
    """The processes of one library, which `stack` ends."""

    def __init__(self, name: str, rival: Rival, threads: int, stack: ExitStack) -> None:
        self._name = name
        self._workers = {
            process: stack.enter_context(Worker(rival.module, threads, environment))
            for process, environment in rival.environments.items()
        }

    def load(self) -> None:
        """Wait until all have imported it; raise WorkerError if one has failed."""
        for worker in self._workers.values():
            worker.load()

    def prepare(self, case: Case, expected: Mapping[str, Any]) -> Ready:
        """Build and check a case in all ways; return the process that is the fastest.

        Raises
        ------
        WrongCandidateError, UnableRivalError, WorkerError
            Where a way computes something wrong, none can be built, or a process has ended.
        """
        built = {}
        for process, worker in self._workers.items():
            built[process] = found = worker.build(case, expected)
            for way, reason in found.wrong.items():
                raise WrongCandidateError(self._name, _named(way, reason))
            if not found.first_call_s:
                raise UnableRivalError("; ".join(_named(*item) for item in found.unable.items()))
        chosen = {process: worker.choose() for process, worker in self._workers.items()}
        clocks = {process: clock(worker) for process, worker in self._workers.items()}
        process = next(iter(clocks))
        if len(clocks) > 1:
            process = next(iter(timing.fastest(clocks)))
        way, worker = next(iter(chosen[process])), self._workers[process]
        variants = {
            _joined(name, where): 1e3 * seconds
            for where, ways in chosen.items()
            for name, seconds in ways.items()
        }
        facts = {
            "error": built[process].errors[way],
            "first_call_s": built[process].first_call_s[way],
            "peak_rss_mb": worker.peak_resident_megabytes(),
            "variant": _joined(way, process),
            "variants": variants,
        }
        return Ready(worker, facts)

    def explain(self, case: Case) -> dict[str, Any]:
        """Return what our own library's plan says about a case."""
        (worker,) = self._workers.values()
        return worker.explain(case)


def _named(way: str, reason: str) -> str:
    return f"{way}: {reason}" if way else reason


def _joined(*names: str) -> str:
    return ", ".join(filter(None, names))


def clock(worker: Worker, energies: list[float] | None = None) -> timing.Clock:
    """Return a worker's clock, which adds to `energies` the joules of a call, where known."""

    def measure(calls: int) -> float:
        seconds, joules = worker.measure(calls)
        if joules is not None and energies is not None:
            energies.append(joules)
        return seconds

    return measure


def quartiles(numbers: Sequence[float]) -> list[float]:
    """Return the lower quartile, the median and the upper quartile."""
    return statistics.quantiles(numbers, n=4, method="inclusive")


def figures(case: Case, seconds: Sequence[float], peak: float) -> dict[str, Any]:
    """Return the figures of one candidate from its rounds; `peak` in GFLOP/s."""
    low, median, high = quartiles(seconds)
    gflops = case.operations() / median / 1e9
    return {
        "ms": 1e3 * median,
        "low_ms": 1e3 * low,
        "high_ms": 1e3 * high,
        "rounds_ms": [1e3 * number for number in seconds],
        "gflops": gflops,
        "share": gflops / peak,
    }
