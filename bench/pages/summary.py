"""What the figures of a report say together: means, where a rival is faster, series of sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import geometric_mean
from typing import Any, NamedTuple, TypeVar

from .results import Case, Ratio, Report, Result

_Key = TypeVar("_Key")

# Fewer points make no curve.
_LEAST_POINTS = 3


class Mean(NamedTuple):
    """Ratios of one task (`forward`, `training`, ...) and cell, over all their cases.

    `rivals` has a geometric mean for each rival, `best` that of the best rival of each case.
    """

    task: str
    cell: str
    cases: int
    slower: int
    best: float
    lowest: float
    rivals: Mapping[str, float]


class Slower(NamedTuple):
    """A case in which a rival is faster."""

    result: Result
    rival: str
    ratio: Ratio


class Series(NamedTuple):
    """Results that differ in one size only, by that size."""

    axis: str
    title: str
    results: Mapping[int, Result]


def compared(results: Iterable[Result]) -> list[Result]:
    """Return the results in which a rival was compared with us."""
    return [result for result in results if result.best is not None]


def best_ratio(result: Result) -> Ratio:
    """Return the ratio of the best rival of a compared result."""
    assert result.best is not None
    return result.best[1]


def by_task(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Return the results of each task, as they come."""
    return _grouped(results, lambda result: result.case.task)


def means(report: Report) -> list[Mean]:
    """Return the means of each task and cell, after those of the task over all cells."""
    rows = []
    for task, results in by_task(compared(report.results)).items():
        cells = _grouped(results, lambda result: result.case.cell)
        groups = {"all": results} | cells if len(cells) > 1 else cells
        rows += [_mean(task, cell, of_cell) for cell, of_cell in groups.items()]
    return rows


def _mean(task: str, cell: str, results: Sequence[Result]) -> Mean:
    ratios: dict[str, list[float]] = {}
    for result in results:
        for name, ratio in result.ratios.items():
            ratios.setdefault(name, []).append(ratio.median)
    best = [best_ratio(result).median for result in results]
    return Mean(
        task=task,
        cell=cell,
        cases=len(results),
        slower=sum(ratio < 1.0 for ratio in best),
        best=geometric_mean(best),
        lowest=min(best),
        rivals={name: geometric_mean(found) for name, found in ratios.items()},
    )


def slower(report: Report) -> list[Slower]:
    """Return every rival that is faster than we are, the fastest first."""
    found = [
        Slower(result, name, ratio)
        for result in report.results
        for name, ratio in result.ratios.items()
        if ratio.slower
    ]
    return sorted(found, key=lambda entry: entry.ratio.median)


def series(report: Report) -> list[Series]:
    """Return all series over T, B or H: three results or more that differ in one size only.

    A series over H is of a fixed I, or one in which I is H.
    """
    return [found for axis in _AXES for found in _series_along(report.results, *axis)]


def _series_along(
    results: Iterable[Result],
    axis: str,
    size: Callable[[Case], int],
    rest: Callable[[Case], Case],
) -> Iterator[Series]:
    """Yield the series over one size; `rest` is what their cases have in common."""
    for alike in _grouped(results, lambda result: rest(result.case)).values():
        by_size = {size(result.case): result for result in alike if result.candidates}
        if len(by_size) >= _LEAST_POINTS:
            case = alike[0].case
            sizes = {"T": case.T, "B": case.B, "I": case.I, "H": case.H}
            fixed = [f"{name} {n}" for name, n in sizes.items() if name not in axis.split(" = ")]
            words = [f"{case.cell} {case.task}", *fixed, case.notes]
            yield Series(axis, ", ".join(filter(None, words)), dict(sorted(by_size.items())))


def _without(**sizes: Any) -> Callable[[Case], Case]:
    return lambda case: case._replace(name="", group="", **sizes)


def _square(case: Case) -> Case:
    """Return what a series in which I is H shares: nothing but itself where it is not."""
    return _without(H=0, I=0)(case) if case.I == case.H else case


_AXES: list[tuple[str, Callable[[Case], int], Callable[[Case], Case]]] = [
    ("B", lambda case: case.B, _without(B=0)),
    ("H", lambda case: case.H, _without(H=0)),
    ("H = I", lambda case: case.H, _square),
    ("T", lambda case: case.T, _without(T=0)),
]


def _grouped(results: Iterable[Result], key: Callable[[Result], _Key]) -> dict[_Key, list[Result]]:
    groups: dict[_Key, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups
