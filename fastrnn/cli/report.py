"""What a run says before and after the training: headline, sample, figures, picture."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fastrnn.cli.position import Position
from fastrnn.models.checkpoint import replace

SAMPLE_LENGTH = 500
SAMPLE_TEMPERATURE = 0.8

_TRAINING_COLOUR = "#9aa5b1"
_VALIDATION_COLOUR = "#1f6feb"


def print_headline(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Print names and texts in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        console.print(Text.assemble((f"{name:{width}}", "bold"), "  ", text), soft_wrap=True)
    console.print()


def compressed_bits(text: str) -> dict[str, float]:
    """Return the bits per character of compressed UTF-8 `text`, by compressor.

    One that this Python was built without is left out.
    """
    encoded = text.encode()
    bits = {}
    for name, compress in {"bz2": _bz2, "xz": _xz}.items():
        with suppress(ImportError):
            bits[name] = 8.0 * len(compress(encoded)) / len(text)
    return bits


def _bz2(encoded: bytes) -> bytes:
    import bz2

    return bz2.compress(encoded, compresslevel=9)


def _xz(encoded: bytes) -> bytes:
    import lzma

    return lzma.compress(encoded, preset=9 | lzma.PRESET_EXTREME)


def print_sample(console: Console, sample: str) -> None:
    """Print generated text below a rule."""
    console.rule(Text("sample"), align="left", style="dim")
    console.print(Text(_printable(sample)), soft_wrap=True)


def print_figures(console: Console, position: Position, compressed: dict[str, float]) -> None:
    """Print the best validation loss beside the compressors' figures."""
    rows = [(bits, name, "the whole text") for name, bits in compressed.items()]
    if (best := position.best) is not None:
        what = f"text it was not trained on (best, after {best.epochs:.4g} epochs)"
        rows.append((best.validation, "this model", what))
    console.print(Text("bits per character", style="bold"))
    for bits, name, what in sorted(rows):
        console.print(Text(f"  {bits:6.3f}  {name:10}  {what}"), soft_wrap=True)


def draw_curves(path: Path, position: Position, compressed: dict[str, float]) -> None:
    """Write a PNG picture of the losses to `path`.

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

    figure = Figure(figsize=(8, 4.5), dpi=144, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    curve = position.curve
    # A point is the mean of `stride` steps: it stands in their middle.
    middles = [(index + 0.5) * curve.stride for index in range(len(curve.points))]
    axes.plot(middles, curve.points, color=_TRAINING_COLOUR, linewidth=1.2, label="training")
    axes.plot(
        [epoch.step for epoch in position.history],
        [epoch.validation for epoch in position.history],
        color=_VALIDATION_COLOUR,
        marker="o",
        markersize=4,
        label="validation",
    )
    highest = max(compressed.values(), default=0.0)
    for name, bits in compressed.items():
        above = bits == highest  # the two are often close: a label on either side
        axes.axhline(bits, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(
            name,
            (1.0, bits),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 2 if above else -2),
            textcoords="offset points",
            ha="right",
            va="bottom" if above else "top",
            fontsize="small",
        )
    axes.set_xlabel("step")
    axes.set_ylabel("bits per character")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(left=0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    picture = io.BytesIO()
    canvas.print_png(picture)  # type: ignore[no-untyped-call]
    replace(path, picture.getvalue())


def command(*words: str | Path) -> str:
    """Return a command line that a shell takes as it is."""
    return shlex.join(["fastrnn", *map(str, words)])


def _printable(text: str) -> str:
    """Replace control characters, which could change the terminal, by their pictures."""
    return "".join(
        chr(0x2400 + ord(character))
        if ord(character) < 32 and character not in "\n\t"
        else "\N{REPLACEMENT CHARACTER}"
        if 127 <= ord(character) < 160
        else character
        for character in text
    )
