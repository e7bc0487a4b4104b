"""Achieved arithmetic beside what the processor and its memory allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from .drawing import (
    GREEN,
    ORANGE,
    PINK,
    WIDTH,
    Chart,
    Theme,
    label,
    label_axis,
    legend,
    ticks_within,
)
from .results import OURS, Measurement, Report, Result


def _look(result: Result, theme: Theme) -> tuple[str, str]:
    """Return colour and marker of our own point."""
    match result.case.kind, result.case.pass_:
        case "layer", "forward":
            return theme.ours, "o"
        case "layer", _:
            return GREEN, "s"
        case "step", _:
            return PINK, "^"
        case _:
            return ORANGE, "D"


def charts(report: Report) -> list[Chart]:
    """Return a picture for each dtype."""
    by_dtype: dict[str, list[Result]] = {}
    for result in report.results:
        if result.ours is not None and result.operations > 0 and result.bytes > 0:
            by_dtype.setdefault(result.case.dtype, []).append(result)
    return [
        Chart(
            name=f"roofline-{number}",
            text=f"Roofline of {dtype}: GFLOP/s achieved against operations per byte, "
            f"{len(results)} cases, below the measured arithmetic peak and memory bandwidth.",
            width=WIDTH,
            height=4.2,
            draw=partial(_draw, dtype=dtype, results=results),
        )
        for number, (dtype, results) in enumerate(by_dtype.items(), 1)
    ]


def speed(result: Result, measured: Measurement) -> tuple[float, float, float]:
    """Return GFLOP/s of a candidate: of the median time, and of the slow and the fast quartile."""
    median = measured.gflops or result.operations / (1e6 * measured.ms)
    return median, median * measured.ms / measured.high_ms, median * measured.ms / measured.low_ms


def _draw(canvas: Any, theme: Theme, *, dtype: str, results: Sequence[Result]) -> None:
    axes = canvas.add_subplot()
    peak = max(result.peak_gflops for result in results)
    bandwidth = max(result.bandwidth_gb_s for result in results)
    ridge = peak / bandwidth
    intensities = [result.operations / result.bytes for result in results]
    left, right = 0.5 * min(ridge, *intensities), 2.0 * max(ridge, *intensities)
    lowest = []
    for result, intensity in zip(results, intensities, strict=True):
        for name, measured in result.candidates.items():
            median, low, high = speed(result, measured)
            lowest.append(low)
            colour, marker = _look(result, theme) if name == OURS else (theme.faint, "x")
            axes.errorbar(
                intensity, median, yerr=[[median - low], [high - median]], color=colour,
                marker=marker, markersize=5 if name == OURS else 3.5, elinewidth=0.8,
                zorder=3 if name == OURS else 2, alpha=0.9 if name == OURS else 0.55,
            )  # fmt: skip
    bottom = 0.6 * min(*lowest, 0.3 * peak)
    middle = math.sqrt(ridge * max(left, bottom / bandwidth))  # of the slope that is seen
    axes.plot([left, ridge, right], [bandwidth * left, peak, peak], color=theme.ink, linewidth=1.5)
    axes.annotate(
        f"arithmetic peak {peak:.4g} GFLOP/s", (right, peak), xytext=(0, 4),
        textcoords="offset points", ha="right", fontsize=8.5,
    )  # fmt: skip
    axes.annotate(
        f"bandwidth\n{bandwidth:.4g} GB/s", (middle, bandwidth * middle), xytext=(8, 0),
        textcoords="offset points", va="top", fontsize=8.5,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, 1.5 * peak)
    label_axis(axes.xaxis, ticks_within(left, right))
    label_axis(axes.yaxis, ticks_within(bottom, 1.5 * peak))
    axes.set_xlabel("operations per byte moved at least", fontsize=8.5)
    axes.set_ylabel("GFLOP/s", fontsize=8.5)
    axes.set_title(label(f"roofline, {dtype}", 50))
    legend(canvas, _handles(theme, results))


def _handles(theme: Theme, results: Sequence[Result]) -> list[Any]:
    from matplotlib.lines import Line2D

    looks = {result.case.task: _look(result, theme) for result in results}
    handles = [
        Line2D([], [], linestyle="", color=colour, marker=marker, label=f"ours, {task}")
        for task, (colour, marker) in looks.items()
    ]
    if any(len(result.candidates) > 1 for result in results):
        handles.append(Line2D([], [], linestyle="", color=theme.faint, marker="x", label="a rival"))
    return handles
