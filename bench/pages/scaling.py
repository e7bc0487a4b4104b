"""How speed changes with one size, and time with the number of threads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from . import summary
from .drawing import (
    ORANGE,
    WIDTH,
    Chart,
    Style,
    Theme,
    label,
    label_axis,
    legend,
    styles,
    ticks_within,
    title,
)
from .results import OURS, Report, Scaling
from .roofline import speed
from .summary import Series

_NAMES = {
    "T": "time steps T",
    "B": "sequences B",
    "H": "hidden units H",
    "H = I": "hidden units H = input features I",
}
_HEIGHT = 3.4


def by_size(report: Report) -> list[Chart]:
    """Return a picture of GFLOP/s for each series of results that differ in one size."""
    look = styles(report.rival_names)
    return [
        Chart(
            name=f"size-{number}",
            text=f"GFLOP/s of each candidate for {len(found.results)} {_NAMES[found.axis]} "
            f"from {min(found.results)} to {max(found.results)}: {found.title}.",
            width=WIDTH,
            height=_HEIGHT,
            draw=partial(_draw_series, found=found, look=look),
        )
        for number, found in enumerate(summary.series(report), 1)
    ]


def by_threads(report: Report) -> list[Chart]:
    """Return a picture of our time for each case that was run on several numbers of threads."""
    return [
        Chart(
            name=f"threads-{number}",
            text=f"Our time on up to {max(point.threads for point in found.points)} threads, "
            f"measured and as the plan predicted: {found.case.heading}.",
            width=WIDTH,
            height=_HEIGHT,
            draw=partial(_draw_threads, found=found),
        )
        for number, found in enumerate((s for s in report.scaling if s.points), 1)
    ]


def _draw_series(canvas: Any, theme: Theme, *, found: Series, look: Mapping[str, Style]) -> None:
    axes = canvas.add_subplot()
    peak = max(result.peak_gflops for result in found.results.values())
    highest = peak
    handles: list[Any] = []
    for name, style in {OURS: Style(theme.ours, "o"), **look}.items():
        points = {
            size: speed(result, result.candidates[name])
            for size, result in found.results.items()
            if name in result.candidates
        }
        if points:
            middles, lows, highs = zip(*points.values(), strict=True)
            errors = [[m - low for m, low in zip(middles, lows, strict=True)],
                      [h - m for m, h in zip(middles, highs, strict=True)]]  # fmt: skip
            highest = max(highest, *highs)
            line = axes.errorbar(
                [*points], middles, yerr=errors, color=style.colour, marker=style.marker,
                markersize=4.5, linewidth=2.0 if name == OURS else 1.3, capsize=2,
                zorder=3 if name == OURS else 2, label=label(name),
            )  # fmt: skip
            handles.append(line)
    roof = axes.axhline(
        peak, color=theme.ink, linewidth=1.0, linestyle="--", label="arithmetic peak"
    )
    handles.append(roof)
    axes.set_xscale("log")
    label_axis(axes.xaxis, _spaced([*found.results]))
    axes.set_ylim(0.0, 1.08 * highest)
    axes.set_xlabel(_NAMES[found.axis], fontsize=8.5)
    axes.set_ylabel("GFLOP/s", fontsize=8.5)
    axes.set_title(title(found.title))
    legend(canvas, handles)


def _draw_threads(canvas: Any, theme: Theme, *, found: Scaling) -> None:
    axes = canvas.add_subplot()
    points = sorted(found.points, key=lambda point: point.threads)
    threads = [point.threads for point in points]
    times = [point.ms for point in points]
    ideal = [points[0].ms * threads[0] / n for n in threads]
    predicted = [(p.threads, p.predicted_ms) for p in points if p.predicted_ms]
    errors = [[p.ms - p.low_ms for p in points], [p.high_ms - p.ms for p in points]]
    handles = [axes.errorbar(threads, times, yerr=errors, color=theme.ours, marker="o",
                             markersize=4.5, linewidth=2.0, capsize=2, zorder=3,
                             label="measured")]  # fmt: skip
    if predicted:
        handles += axes.plot(*zip(*predicted, strict=True), color=ORANGE, linestyle="--",
                             marker="s", markersize=6, markerfacecolor="none",
                             label="predicted by the plan")  # fmt: skip
    handles += axes.plot(threads, ideal, color=theme.faint, linewidth=1.2, linestyle=":",
                         label="n threads in 1/n of the time")  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    low = 0.8 * min([p.low_ms for p in points] + ideal + [ms for _, ms in predicted])
    high = 1.25 * max([p.high_ms for p in points] + [ms for _, ms in predicted])
    axes.set_ylim(low, high)
    label_axis(axes.xaxis, _spaced(threads))
    label_axis(axes.yaxis, ticks_within(low, high))
    axes.set_xlabel("threads", fontsize=8.5)
    axes.set_ylabel("ms", fontsize=8.5)
    axes.set_title(title(found.case.heading))
    legend(canvas, handles)


def _spaced(sizes: list[int]) -> list[int]:
    """Return those of the sizes whose labels do not overlap on a logarithmic axis."""
    span = max(sizes) / min(sizes)
    shown = [max(sizes)]
    for size in sorted(sizes, reverse=True):
        if shown[-1] / size >= span**0.09:
            shown.append(size)
    return shown if span > 1.0 else shown[:1]
