"""Each rival's time over ours, case by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from . import summary
from .drawing import (
    WIDTH,
    Chart,
    Style,
    Theme,
    label,
    label_axis,
    styles,
    ticks_within,
    title,
)
from .markup import figure
from .results import Report, Result

# Bars in one picture: more are continued in the next one.
_MOST_BARS = 42

_BAR = 0.17  # inches
_HEAD = 0.34  # of a case: its name, and air

_LONGEST_NAME = 50

# The share of the width that is left for what stands beside the longest bar.
_TEXT = 0.36


def charts(report: Report) -> list[Chart]:
    """Return a picture for each group and task, more where there are many cases."""
    found: list[Chart] = []
    look = styles(report.rival_names)
    for group, about in _groups(report):
        for part, results in enumerate(_parts(group), 1):
            several = f" ({part})" if len(_parts(group)) > 1 else ""
            found.append(
                Chart(
                    name=f"speedup-{len(found) + 1}",
                    text=f"Bars: time of each rival over ours, {about}{several}, "
                    f"{len(results)} cases; all figures are in the tables below.",
                    width=WIDTH,
                    height=0.8 + sum(_HEAD + _BAR * len(r.ratios) for r in results),
                    draw=partial(_draw, results=results, about=about + several, look=look),
                )
            )
    return found


def _groups(report: Report) -> list[tuple[list[Result], str]]:
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in summary.compared(report.results):
        groups.setdefault((result.case.group, result.case.task), []).append(result)
    return [(results, f"{group}: {task}") for (group, task), results in groups.items()]


def _parts(results: Sequence[Result]) -> list[list[Result]]:
    """Return parts of nearly as many bars each."""
    bars = sum(len(result.ratios) for result in results)
    number = -(-bars // _MOST_BARS)
    size = -(-len(results) // number)
    return [[*results[start : start + size]] for start in range(0, len(results), size)]


def _draw(
    canvas: Any, theme: Theme, *, results: Sequence[Result], about: str, look: Mapping[str, Style]
) -> None:
    axes = canvas.add_subplot()
    ratios = [ratio for result in results for ratio in result.ratios.values()]
    low = min(0.8, 0.85 * min(ratio.low for ratio in ratios))
    high = max(1.25, *(ratio.high for ratio in ratios))
    high *= (high / low) ** (_TEXT / (1.0 - _TEXT))
    place = 0.0  # inches from the top
    for result in results:
        place += _HEAD
        heading = label(result.case.title, _LONGEST_NAME)
        axes.annotate(
            heading, (0.0, place - 0.12), xycoords=("axes fraction", "data"), fontsize=8.5,
            va="baseline", annotation_clip=False,
            bbox={"facecolor": theme.paper, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        for name, ratio in result.ratios.items():
            middle = place + 0.5 * _BAR
            # From 1 on: the logarithm of a bar is as long for twice as fast as for half as fast.
            axes.barh(
                middle, ratio.median - 1.0, 0.8 * _BAR, left=1.0, color=look[name].colour,
                hatch="/////" if ratio.slower else None, linewidth=1.0 if ratio.slower else 0.0,
                edgecolor=theme.ink,
            )  # fmt: skip
            axes.plot([ratio.low, ratio.high], [middle] * 2, color=theme.ink, linewidth=1.0)
            right = max(1.0, ratio.high)
            # Names beside the bars: nobody has to tell colours apart.
            text = f"{figure(ratio.median)}  {label(name)}{' is faster' if ratio.slower else ''}"
            axes.annotate(
                text, (right, middle), xytext=(4, 0), textcoords="offset points", va="center",
                fontsize=8.5, color=theme.slower if ratio.slower else theme.ink,
                weight="bold" if ratio.slower else "normal",
            )  # fmt: skip
            place += _BAR
    axes.axvline(1.0, color=theme.ink, linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(place + 0.08, 0.0)
    label_axis(axes.xaxis, ticks_within(low, high))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("rival's time / our time, logarithmic: right of 1 we are faster", fontsize=8.5)
    axes.set_title(title(about))
