"""All cases at a glance: our speed beside that of the best rival."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from . import summary
from .drawing import (
    WIDTH,
    Chart,
    Theme,
    label,
    label_axis,
    legend,
    ticks_within,
)
from .markup import figure
from .results import Report, Result
from .summary import Mean

_README_WIDTH = 9.0
_ROW = 0.34  # inches
_TALLEST = 60.0

# Columns of figures right of the axes, in points.
_MEAN, _LEAST = 40.0, 78.0


def by_task(report: Report) -> list[Chart]:
    """Return a picture for each task: a row for each cell, a mark for each case."""
    return [
        Chart(
            name=f"overview-{number}",
            text=_text([task]),
            width=WIDTH,
            height=_height(len(_rows(report, task))),
            draw=partial(_draw, report=report, tasks=[task]),
        )
        for number, task in enumerate(_tasks(report), 1)
    ]


def for_readme(report: Report) -> Chart | None:
    """Return one picture of forward and training side by side; None where nothing is compared."""
    tasks = [task for task in ("forward", "training") if task in _tasks(report)] or _tasks(report)
    if not tasks:
        return None
    rows = max(len(_rows(report, task)) for task in tasks)
    return Chart(
        name="overview",
        text=_text(tasks),
        width=_README_WIDTH if len(tasks) > 1 else WIDTH,
        height=_height(rows),
        draw=partial(_draw, report=report, tasks=tasks),
    )


def _height(rows: int) -> float:
    return min(1.4 + _ROW * rows, _TALLEST)


def _text(tasks: Sequence[str]) -> str:
    return (
        f"Speed-up over the best rival, {' and '.join(tasks)}: a mark for each case, "
        "a row for each cell, and its geometric mean; the figures are in the table of means."
    )


def _tasks(report: Report) -> list[str]:
    return [*summary.by_task(summary.compared(report.results))]


def _rows(report: Report, task: str) -> list[Mean]:
    return [mean for mean in summary.means(report) if mean.task == task]


def _draw(canvas: Any, theme: Theme, *, report: Report, tasks: Sequence[str]) -> None:
    results = [r for r in summary.compared(report.results) if r.case.task in tasks]
    ratios = [summary.best_ratio(result).median for result in results]
    low, high = 0.85 * min(0.95, *ratios), 1.15 * max(1.3, *ratios)
    all_axes = canvas.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(all_axes, tasks, strict=True):
        rows = _rows(report, task)
        _draw_task(axes, theme, rows, [r for r in results if r.case.task == task])
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        label_axis(axes.xaxis, ticks_within(low, high))
        axes.set_title(task)
        axes.set_xlabel("best rival's time / our time", fontsize=8.5)
    legend(canvas, _handles(theme, any(ratio < 1.0 for ratio in ratios)))


def _draw_task(axes: Any, theme: Theme, rows: Sequence[Mean], results: Sequence[Result]) -> None:
    for row, mean in enumerate(rows):
        of_row = [r for r in results if mean.cell in ("all", r.case.cell)]
        ordered = sorted(summary.best_ratio(result).median for result in of_row)
        for k, ratio in enumerate(ordered):
            # Spread over the height of the row, so that equal ones are not one mark.
            offset = 0.44 * ((k * 0.618) % 1.0 - 0.5)
            is_slower = ratio < 1.0
            axes.plot(
                ratio, row + offset, linestyle="", alpha=0.75, markeredgewidth=0.0,
                marker="v" if is_slower else "o", markersize=6.5 if is_slower else 4.5,
                color=theme.slower if is_slower else theme.ours,
            )  # fmt: skip
        axes.plot(
            [mean.best] * 2, [row - 0.36, row + 0.36], color=theme.ink, linewidth=2.2, zorder=1.9
        )
        for x, ratio, weight in ((_MEAN, mean.best, "bold"), (_LEAST, mean.lowest, "normal")):
            axes.annotate(
                figure(ratio), (1.0, row), xycoords=("axes fraction", "data"), xytext=(x, 0),
                textcoords="offset points", ha="right", va="center", fontsize=9, weight=weight,
                annotation_clip=False,
                color=theme.slower if ratio < 1.0 else theme.ink,
            )  # fmt: skip
    axes.axvline(1.0, color=theme.ink, linewidth=1.0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [label(mean.cell, 18) for mean in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    for x, text in ((_MEAN, "mean"), (_LEAST, "least")):
        axes.annotate(text, (1.0, 1.0), xytext=(x, 3), xycoords="axes fraction",
                      textcoords="offset points", ha="right", fontsize=8, color=theme.faint,
                      annotation_clip=False)  # fmt: skip


def _handles(theme: Theme, with_slower: bool) -> list[Any]:
    from matplotlib.lines import Line2D

    def mark(marker: str, size: float, colour: str, text: str) -> Any:
        return Line2D([], [], linestyle="", marker=marker, markersize=size, color=colour,
                      markeredgewidth=2.2 if marker == "|" else 0.0, label=text)  # fmt: skip

    handles = [mark("o", 5.0, theme.ours, "we are faster")]
    if with_slower:
        handles.append(mark("v", 6.5, theme.slower, "a rival is faster"))
    return [*handles, mark("|", 10.0, theme.ink, "geometric mean")]
