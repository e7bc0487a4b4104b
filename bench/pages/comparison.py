"""Two reports side by side: what became slower, and whether it can be the machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import geometric_mean, median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .markup import figure
from .results import OURS, Case, Measurement, Report, ThreadPoint

# A smaller change of the median is none, even where the quartiles are apart.
LEAST_CHANGE = 1.05

# The machine itself is said to have changed from here on.
_LEAST_DRIFT = 1.05


class Change(NamedTuple):
    """A candidate of a case that is in both reports; `threads` where their number was varied."""

    case: Case
    candidate: str
    threads: int | None
    before: Measurement | ThreadPoint
    after: Measurement | ThreadPoint

    @property
    def name(self) -> str:
        """The candidate, and its number of threads where it was varied."""
        return self.candidate + ("" if self.threads is None else f", threads: {self.threads}")

    @property
    def ratio(self) -> float:
        """The later median over the earlier one: above 1 it became slower."""
        return self.after.ms / self.before.ms

    @property
    def verdict(self) -> str:
        """`slower` or `faster` where the quartiles are apart and the medians differ; or empty."""
        if self.ratio >= LEAST_CHANGE and self.after.low_ms > self.before.high_ms:
            return "slower"
        if self.ratio <= 1.0 / LEAST_CHANGE and self.after.high_ms < self.before.low_ms:
            return "faster"
        return ""

    @property
    def is_ours(self) -> bool:
        """Whether it is about us, not a rival."""
        return self.candidate == OURS

    @property
    def is_regression(self) -> bool:
        """Whether we became slower: that a rival did is none."""
        return self.is_ours and self.verdict == "slower"


def compare(before: Report, after: Report) -> list[Change]:
    """Return what both reports measured, what became slower most first."""
    old, new = _measurements(before), _measurements(after)
    changes = [Change(*key, old[key], measured) for key, measured in new.items() if key in old]
    return sorted(changes, key=lambda change: -change.ratio)


def _measurements(
    report: Report,
) -> dict[tuple[Case, str, int | None], Measurement | ThreadPoint]:
    found: dict[tuple[Case, str, int | None], Measurement | ThreadPoint] = {}
    for result in report.results:
        for name, measured in result.candidates.items():
            found[result.case, name, None] = measured
    for scaling in report.scaling:
        for point in scaling.points:
            found[scaling.case, OURS, point.threads] = point
    return found


def unmatched(before: Report, after: Report) -> list[str]:
    """Return a sentence for each case that is in one of the reports only."""
    old, new = ({result.case: None for result in report.results} for report in (before, after))
    return [f"only before: {case.heading}" for case in old if case not in new] + [
        f"only after: {case.heading}" for case in new if case not in old
    ]


def cautions(before: Report, after: Report) -> list[str]:
    """Return why the figures may differ for another reason than our code."""
    found = []
    if before.threads != after.threads:
        found.append(f"threads: {before.threads} before, {after.threads} after")
    if before.pinning != after.pinning:
        found.append(f"pinning: {before.pinning or 'none'} before, {after.pinning or 'none'} after")
    found += _differing("machine", before.machine, after.machine)
    found += _differing("version of", before.versions, after.versions)
    for name in before.rivals.keys() & after.rivals.keys():
        versions = before.rivals[name].versions, after.rivals[name].versions
        found += _differing(f"version for {name} of", *versions)
    return [*dict.fromkeys(found), *_drift(before, after)]


def _differing(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name, "not given"), after.get(name, "not given")
        if old != new:
            yield f"{what} {name}: {old} before, {new} after"


def _drift(before: Report, after: Report) -> Iterator[str]:
    peaks = [
        median(result.peak_gflops for result in report.results) if report.results else None
        for report in (before, after)
    ]
    if peaks[0] is not None and peaks[1] is not None and _has_moved(peaks[1] / peaks[0]):
        yield f"arithmetic peak: {peaks[0]:.4g} GFLOP/s before, {peaks[1]:.4g} after"
    rivals = [c.ratio for c in compare(before, after) if not c.is_ours]
    if rivals and _has_moved(mean := geometric_mean(rivals)):
        yield f"the rivals take {mean:.2f} times as long as before: the machine may have changed"


def _has_moved(ratio: float) -> bool:
    return not 1.0 / _LEAST_DRIFT < ratio < _LEAST_DRIFT


def has_regression(changes: Iterable[Change]) -> bool:
    """Return whether we became slower anywhere."""
    return any(change.is_regression for change in changes)


def verdict(changes: Sequence[Change]) -> str:
    """Return one sentence about all changes."""
    if not changes:
        return "Nothing was measured in both reports."
    ours = [change for change in changes if change.is_ours]
    slower, faster = (sum(c.verdict == way for c in ours) for way in ("slower", "faster"))
    return (
        f"fastrnn: {slower} of {len(ours)} slower, {faster} faster, the others within the spread "
        f"or by less than {LEAST_CHANGE - 1.0:.0%}."
    )


def print_comparison(console: Console, before: Report, after: Report) -> bool:
    """Print what changed between two reports; return whether we became slower anywhere."""
    changes = compare(before, after)
    for caution in cautions(before, after):
        console.print(Text(f"warning: {caution}", style="yellow"), soft_wrap=True)
    table = Table("case", "candidate", box=None, pad_edge=False)
    for heading in ("before ms", "after ms", "after / before"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for change in (change for change in changes if change.verdict):
        style = "bold red" if change.is_regression else ""
        words = (
            change.case.heading,
            change.name,
            figure(change.before.ms),
            figure(change.after.ms),
            f"{change.ratio:.2f}",
            change.verdict,
        )
        table.add_row(*(Text(word, style=style, overflow="fold") for word in words))
    if table.row_count:
        console.print(table)
    for sentence in unmatched(before, after):
        console.print(Text(sentence, style="dim"), soft_wrap=True)
    console.print(Text(verdict(changes)), soft_wrap=True)
    return has_regression(changes)
