"""The picture of a recipe's report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastrnn.models.checkpoint import replace

if TYPE_CHECKING:
    from fastrnn.recipes import Panel

_COLOURS = ("#9aa5b1", "#1f6feb", "#d1242f", "#1a7f37")


def draw(path: Path, panels: Sequence[Panel]) -> None:
    """Write a PNG picture of panels side by side to `path`.

    Raises
    ------
    ImportError
        Without matplotlib.
    OSError
        If the file cannot be written.
    """
    # The object interface: pyplot would look for a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7 * len(panels), 4.5), dpi=144, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for place, panel in enumerate(panels, 1):
        _draw_panel(figure.add_subplot(1, len(panels), place), panel)
    picture = io.BytesIO()
    canvas.print_png(picture)  # type: ignore[no-untyped-call]
    replace(path, picture.getvalue())


def _draw_panel(axes: Any, panel: Panel) -> None:
    for index, (label, (x, y)) in enumerate(panel.lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        marker = "o" if len(x) <= 40 else ""
        axes.plot(x, y, color=colour, linewidth=1.2, marker=marker, markersize=3, label=label)
    axes.set_xlabel(panel.xlabel)
    axes.set_ylabel(panel.ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
