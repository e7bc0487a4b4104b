"""The speed-ups as tables for a readme."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from statistics import geometric_mean

from . import summary
from .markup import figure
from .results import Case, Report, Result

_SPECIAL = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]|~#"})


def markdown_table(report: Report) -> str:
    """Return Markdown: for each group a table of the best rival's time over ours.

    A row is a workload, a column a cell and pass; in brackets stands our share of the arithmetic
    peak, and bold is where a rival is faster.
    """
    groups: dict[str, list[Result]] = {}
    for result in summary.compared(report.results):
        groups.setdefault(result.case.group, []).append(result)
    parts = []
    for group, results in groups.items():
        if len(groups) > 1:
            parts.append(f"**{_escaped(group)}**")
        parts.append(_table(results))
    return "\n\n".join(parts or ["Nothing was compared with a rival."]) + "\n"


def _table(results: Sequence[Result]) -> str:
    columns = list(dict.fromkeys((result.case.cell, result.case.task) for result in results))
    rows: dict[tuple[str, str], dict[tuple[str, str], Result]] = {}
    for result in results:
        key = (result.case.name, _sizes(result.case))
        rows.setdefault(key, {})[result.case.cell, result.case.task] = result
    lines = [
        _line(["workload", "T, B, I, H", *(f"{cell} {task}" for cell, task in columns)]),
        _line(["---"] * (2 + len(columns)), escape=False),
    ]
    for (name, sizes), found in rows.items():
        cells = [_cell(found[column]) if column in found else "" for column in columns]
        lines.append(f"{_line([name, sizes])[:-2]} {_line(cells, escape=False)}")
    means = [_mean(row[column] for row in rows.values() if column in row) for column in columns]
    lines.append(_line(["geometric mean, lowest", "", *means], escape=False))
    return "\n".join(lines)


def _sizes(case: Case) -> str:
    return ", ".join(filter(None, [case.shape, case.notes]))


def _cell(result: Result) -> str:
    ratio = summary.best_ratio(result).median
    shown = figure(ratio) if ratio >= 1.0 else f"**{figure(ratio)}**"
    share = result.ours.share if result.ours is not None else None
    return shown if share is None else f"{shown} ({share:.0%})"


def _mean(results: Iterable[Result]) -> str:
    ratios = [summary.best_ratio(result).median for result in results]
    return f"{figure(geometric_mean(ratios))}, {figure(min(ratios))}"


def _line(cells: Sequence[str], *, escape: bool = True) -> str:
    return f"| {' | '.join(_escaped(cell) if escape else cell for cell in cells)} |"


def _escaped(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return html.escape(text.translate(_SPECIAL), quote=False)
