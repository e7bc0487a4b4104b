"""The runner: what a case computes is compared first, then all are timed in turns.

A candidate whose numbers are not those of the float64 reference leaves its case without any
figures.  A rival with several ways to compute the same (with or without XLA, padded or packed) is
timed at its fastest for each case.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

from . import meters, timing
from .cases import Case
from .library import (
    OURS,
    OURS_ENTRY,
    Library,
    Ready,
    UnableRivalError,
    WrongCandidateError,
    clock,
    figures,
    quartiles,
    start_oracle,
)
from .record import Record
from .rivals import RIVALS, Rival
from .worker import WorkerError


class Settings(NamedTuple):
    """How long is measured.

    seconds     of each candidate in a round
    limit       seconds after which no other case is begun
    """

    rounds: int = 9
    seconds: float = 0.05
    limit: float = math.inf

    def to_json(self) -> dict[str, Any]:
        """Return what is worth knowing about the measurement."""
        return {
            "rounds": self.rounds,
            "seconds a candidate and round": self.seconds,
            "pause between candidates in seconds": timing.GAP_SECONDS,
            "energy": "of all processor packages, whatever runs on them",
            "memory": "peak of a library's whole process during a call",
            "first call": "building and calling, the library being imported",
        }


class Display(Protocol):
    """Shows how a run goes."""

    def begin(self, total: int, rivals: Sequence[str], record: Record) -> None:
        """Show what comes before the first case."""

    def doing(self, case: Case, what: str) -> None:
        """Show what is done now."""

    def row(self, result: Mapping[str, Any]) -> None:
        """Show the figures of a case."""

    def wrong(self, case: Case, candidate: str, reason: str) -> None:
        """Show that a case has no figures, and why."""

    def left_out(self, missed: Sequence[Case]) -> None:
        """Show which cases time did not suffice for."""


class Suite:
    """All libraries, each in processes of its own, and what was measured with them."""

    def __init__(
        self, rivals: Sequence[str], record: Record, threads: int, settings: Settings
    ) -> None:
        self._record, self._settings, self._threads = record, settings, threads
        self._rivals = list(rivals)

    def __enter__(self) -> Suite:
        self._end = time.monotonic() + self._settings.limit
        with ExitStack() as stack:
            self._record.content["pinning"] = stack.enter_context(meters.pinned(self._threads))
            self._oracle = start_oracle(stack)
            self._libraries = {OURS: Library(OURS, OURS_ENTRY, self._threads, stack)}
            for name, rival in RIVALS.items():
                self._start(name, rival, stack)
            self._oracle.load()
            self._libraries[OURS].load()
            for name in [*self._libraries][1:]:
                self._load(name)
            self._peak = 0.0
            self._bandwidth = meters.measure_bandwidth(self._threads)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> bool | None:
        return self._stack.__exit__(*exception)

    @property
    def rivals(self) -> list[str]:
        """Names of the rivals that take part."""
        return [name for name in self._libraries if name != OURS]

    def _start(self, name: str, rival: Rival, stack: ExitStack) -> None:
        if name not in self._rivals:
            facts: dict[str, Any] = {"status": "not asked"}
        elif not rival.is_installed():
            facts = {"status": "missing", "install": rival.install}
        else:
            self._libraries[name] = Library(name, rival, self._threads, stack)
            facts = {
                "status": "measured",
                "versions": rival.versions(),
                "threads": rival.threads,
                "denormals": rival.denormals,
                "install": rival.install,
            }
        self._record.set_rival(name, facts)

    def _load(self, name: str) -> None:
        try:
            self._libraries[name].load()
        except WorkerError as error:
            self._drop(name, error)

    def _drop(self, name: str, error: WorkerError) -> None:
        """Go on without a rival whose process has failed."""
        reason = str(error).strip().splitlines()[-1]
        del self._libraries[name]
        self._record.content["rivals"][name] |= {"status": "failed", "reason": reason}

    def run(self, cases: Sequence[Case], display: Display) -> bool:
        """Compare all cases; return whether all numbers were right."""
        display.begin(len(cases), self.rivals, self._record)
        for number, case in enumerate(cases):
            if time.monotonic() > self._end:
                self._record.content["settings"]["cases without time"] = len(cases) - number
                self._record.save()
                display.left_out(cases[number:])
                break
            try:
                result = self._compare(case, display)
            except WrongCandidateError as error:
                wrong = {"candidate": error.candidate, "reason": str(error)}
                self._record.add("wrong", {"case": case.to_json(), **wrong})
                display.wrong(case, **wrong)
            else:
                self._record.add("results", result)
                display.row(result)
        return not self._record.content["wrong"]

    def _compare(self, case: Case, display: Display) -> dict[str, Any]:
        """Return the figures of a case."""
        display.doing(case, "float64 reference")
        expected = self._oracle.outputs(case)
        ready, refused = self._prepare(case, expected, display)
        del expected
        display.doing(case, "timing")
        energies: dict[str, list[float]] = {name: [] for name in ready}
        clocks = {name: clock(prepared.worker, energies[name]) for name, prepared in ready.items()}
        self._peak = max(self._peak, timing.measure_peak(self._threads))
        times = timing.take_turns(
            clocks, rounds=self._settings.rounds, seconds=self._settings.seconds
        )
        self._peak = max(self._peak, timing.measure_peak(self._threads))
        peak = self._peak * (0.5 if case.dtype == "float64" else 1.0)
        candidates = {}
        for name, prepared in ready.items():
            found = figures(case, times.seconds[name], peak) | prepared.facts
            found["energy_j"] = statistics.median(energies[name]) if energies[name] else None
            if name != OURS:
                low, ratio, high = quartiles(times.ratios(name, OURS))
                found |= {"ratio": ratio, "ratio_low": low, "ratio_high": high}
            candidates[name] = found
        return {
            "case": case.to_json(),
            "operations": case.operations(),
            "bytes": case.bytes(),
            "peak_gflops": peak,
            "bandwidth_gb_s": self._bandwidth,
            "candidates": candidates,
            "refused": refused,
        }

    def _prepare(
        self, case: Case, expected: Mapping[str, Any], display: Display
    ) -> tuple[dict[str, Ready], dict[str, str]]:
        """Have every library solve a case; return those that can, and why others cannot."""
        ready, refused = {}, {}
        for name, library in list(self._libraries.items()):
            display.doing(case, name)
            try:
                ready[name] = library.prepare(case, expected)
            except UnableRivalError as error:
                if name == OURS:
                    raise WrongCandidateError(name, str(error)) from error
                refused[name] = str(error)
            except WorkerError as error:
                if name == OURS:
                    raise
                self._drop(name, error)
                refused[name] = str(error).strip().splitlines()[-1]
        return ready, refused
