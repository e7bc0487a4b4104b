"""Ours with 1, 2, ... threads, in turns, beside what the plan's cost model expects."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from . import meters, timing
from .cases import Case
from .library import OURS, OURS_ENTRY, Library, clock, figures, start_oracle
from .suite import Settings


class Scaling:
    """A process of ours for each number of threads, on as many processors."""

    def __init__(self, threads: int, settings: Settings) -> None:
        self._settings = settings
        self._numbers = range(1, threads + 1)

    def __enter__(self) -> Scaling:
        with ExitStack() as stack:
            self._oracle = start_oracle(stack)
            self._libraries = {}
            for number in self._numbers:
                with meters.pinned(number):
                    self._libraries[number] = Library(OURS, OURS_ENTRY, number, stack)
            self._oracle.load()
            for library in self._libraries.values():
                library.load()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        return self._stack.__exit__(*exception)

    def measure(self, case: Case) -> dict[str, Any]:
        """Return the entry of a case.

        Raises
        ------
        WrongCandidateError, UnableRivalError, WorkerError
            If what is computed is wrong, or nothing is.
        """
        expected = self._oracle.outputs(case)
        clocks = {}
        for number, library in self._libraries.items():
            clocks[str(number)] = clock(library.prepare(case, expected).worker)
        peaks = {number: timing.measure_peak(number) for number in self._numbers}
        times = timing.take_turns(
            clocks, rounds=self._settings.rounds, seconds=self._settings.seconds
        )
        entries = []
        for number in self._numbers:
            peak = max(peaks[number], timing.measure_peak(number))
            peak *= 0.5 if case.dtype == "float64" else 1.0
            found = figures(case, times.seconds[str(number)], peak) | {"peak_gflops": peak}
            entries.append({"threads": number, **found, **self._libraries[number].explain(case)})
        return {"case": case.to_json(), "threads": entries}


def lines(entry: dict[str, Any]) -> Sequence[str]:
    """Return an entry as lines of text."""
    case, points = entry["case"], entry["threads"]
    shape = ", ".join(str(case[letter]) for letter in "TBIH")
    found = [f"\n{case['name']} {case['cell']} {case['pass']} ({shape})"]
    for point in points:
        speedup = points[0]["ms"] / point["ms"]
        expected = point["predicted_ms"]
        model = "" if expected is None else f", the plan expects {expected:.3f} ms"
        found.append(
            f"  {point['threads']} threads: {point['ms']:.3f} ms ({point['low_ms']:.3f} to "
            f"{point['high_ms']:.3f}), {speedup:.2f} times as fast as 1, {point['gflops']:.0f} "
            f"GFLOP/s, {point['share']:.0%} of their peak{model}"
        )
        found += [f"      {line}" for line in point["plan"].splitlines()]
    return found
