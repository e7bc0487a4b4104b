"""The look of all pictures, and the one place that meets matplotlib."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

DPI = 192

# Narrow enough to be read on a telephone.
WIDTH = 4.5

# Colours after Okabe and Ito, which people with any kind of colour blindness tell apart; their
# blue is ours, their vermilion says that a rival is faster.
ORANGE, GREEN, PINK = "#e69f00", "#009e73", "#cc79a7"
_RIVAL_COLOURS = (ORANGE, GREEN, PINK, "#b8a800", "#8c8c8c", "#9c6b3f", "#7b6fd0", "#a9c4d6")
_MARKERS = ("s", "^", "D", "v", "P", "X", "*", "h")


class Theme(NamedTuple):
    """Colours that differ between a light and a dark page."""

    name: str
    paper: str
    ink: str
    faint: str
    grid: str
    ours: str
    slower: str


LIGHT = Theme("light", "#ffffff", "#1f2328", "#59636e", "#e4e8ec", "#0072b2", "#c04d00")
DARK = Theme("dark", "#161b22", "#e6edf3", "#9aa5b1", "#2c333c", "#56b4e9", "#ff8c42")


class Style(NamedTuple):
    """How a candidate looks in every picture."""

    colour: str
    marker: str


def styles(rivals: Sequence[str]) -> dict[str, Style]:
    """Return the style of each rival."""
    return {
        name: Style(_RIVAL_COLOURS[k % len(_RIVAL_COLOURS)], _MARKERS[k % len(_MARKERS)])
        for k, name in enumerate(rivals)
    }


def require() -> None:
    """Check that pictures can be drawn.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "the pictures of the report need matplotlib: "
            'install it with pip install "fastrnn[plot]"'
        ) from error


class Chart(NamedTuple):
    """A picture to be drawn; sizes are in inches.

    `name` is that of its file, `text` says what it shows to who cannot see it, and
    `draw(canvas, theme)` fills a Figure of matplotlib.
    """

    name: str
    text: str
    width: float
    height: float
    draw: Callable[[Any, Theme], None]


def render(chart: Chart, theme: Theme) -> bytes:
    """Return a chart as PNG.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    require()
    # The object interface: pyplot would look for a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with _settings(theme):
        figure = Figure(figsize=(chart.width, chart.height), dpi=DPI, layout="constrained")
        canvas: Any = FigureCanvasAgg(figure)
        chart.draw(figure, theme)
        png = io.BytesIO()
        canvas.print_png(png)
    return png.getvalue()


@contextmanager
def _settings(theme: Theme) -> Iterator[None]:
    from matplotlib import rc_context

    settings: dict[Any, Any] = {
        "font.family": ["DejaVu Sans"],
        "font.size": 9.5,
        "text.parse_math": False,  # a name may hold dollars
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": theme.paper,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "figure.facecolor": theme.paper,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "hatch.linewidth": 0.8,
    }
    with rc_context(settings):
        yield


def label(text: str, longest: int = 26) -> str:
    """Return `text` as the font can show it, short: what is too much in the middle is left out."""
    if len(text) > longest:
        head = (longest - 1) // 2
        text = f"{text[: longest - 1 - head]}…{text[-head:]}"
    if text.startswith("_"):  # older ones of matplotlib keep it out of a legend
        text = f" {text}"
    glyphs = _glyphs()
    return "".join(letter if ord(letter) in glyphs else "\N{WHITE SQUARE}" for letter in text)


def title(text: str) -> str:
    """Return a heading in one line or two."""
    return textwrap.fill(label(text, 80), 44)


def legend(canvas: Any, handles: Sequence[Any]) -> None:
    """Put a legend below the axes, in as many columns as the width has room for."""
    longest = max(len(handle.get_label()) for handle in handles)
    columns = int(canvas.get_figwidth() / (0.5 + 0.066 * longest))
    canvas.legend(
        handles=[*handles],
        loc="outside lower left",
        ncols=min(max(1, columns), len(handles)),
        columnspacing=1.2,
        handlelength=1.8,
        handletextpad=0.6,
    )


def _glyphs() -> Mapping[int, int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return get_font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()


def label_axis(axis: Any, ticks: Sequence[float]) -> None:
    """Put plain numbers at `ticks` of a logarithmic axis, and nothing elsewhere."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator([*ticks]))
    axis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    axis.set_minor_locator(NullLocator())


# Leading digits of the ticks of a logarithmic axis, from the closest to the widest.
_DIGITS = ((1, 1.1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9), (1, 1.5, 2, 3, 4, 6, 8),
           (1, 2, 5), (1, 3), (1,))  # fmt: skip


def ticks_within(low: float, high: float) -> list[float]:
    """Return at most eight round numbers within low..high, for a logarithmic axis; 0 < low."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in _DIGITS:
        ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        found = [tick for tick in ticks if low <= tick <= high]
        if len(found) <= 8:
            return found
    return found[:: -(-len(found) // 8)]
