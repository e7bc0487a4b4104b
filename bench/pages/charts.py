"""All pictures of a report."""

from __future__ import annotations

from collections.abc import Mapping

from . import overview, roofline, scaling, speedup
from .drawing import Chart
from .results import Report


def charts(report: Report) -> Mapping[str, list[Chart]]:
    """Return what there is to be drawn, by section of the page."""
    return {
        "overview": overview.by_task(report),
        "speed-up": speedup.charts(report),
        "roofline": roofline.charts(report),
        "sizes": scaling.by_size(report),
        "threads": scaling.by_threads(report),
    }
