"""Showing how training goes: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import deque
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fastrnn.cli.position import Epoch
from fastrnn.cli.training import Reporter, Trainer

PLAIN_SECONDS = 5.0
SPEED_SECONDS = 10.0

_COMPILING = "Loading the kernels; the first run on a machine compiles them."
STOPPING = "Stopping: the current step ends and is saved. Once more leaves at once."


class Display(Reporter, Protocol):
    """A reporter that is open while training runs."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def stopping(self) -> None:
        """Tell that the user asked to stop; called in a signal handler."""


def open_display(console: Console, *, epochs: int | None) -> Display:
    """Return the display that suits the console; `epochs` is None where a clock ends the run."""
    if console.file.isatty() and not console.is_dumb_terminal:
        return LiveDisplay(console, epochs=epochs)
    return PlainDisplay(console, epochs=epochs)


class Speed:
    """Characters per second, and time left, from the last few seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int, float]] = deque()
        self._characters = 0

    def add(self, *, characters: int, fraction: float) -> None:
        """Note that `characters` more are done, and `fraction` of the run."""
        now = time.monotonic()
        self._characters += characters
        self._marks.append((now, self._characters, fraction))
        while now - self._marks[0][0] > SPEED_SECONDS and len(self._marks) > 2:
            self._marks.popleft()

    @property
    def rate(self) -> str:
        """Characters per second; empty before there are two steps."""
        if len(self._marks) < 2:
            return ""
        (start, first, _), (end, last, _) = self._marks[0], self._marks[-1]
        rate = (last - first) / max(end - start, 1e-9)
        return f"{rate / 1000:,.0f}k chars/s" if rate >= 10_000 else f"{rate:,.0f} chars/s"

    @property
    def left(self) -> str:
        """The time to the end of the run; empty before there are two steps."""
        if len(self._marks) < 2:
            return ""
        (start, _, begun), (end, _, done) = self._marks[0], self._marks[-1]
        if done <= begun:
            return ""
        return f"{clock((1.0 - done) * (end - start) / (done - begun))} left"


class PlainDisplay:
    """Lines of text, at most one every few seconds."""

    def __init__(self, console: Console, *, epochs: int | None) -> None:
        self._console = console
        self._epochs = epochs
        self._speed = Speed()
        self._started = self._printed = time.monotonic()
        self._ready = False

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def compiling(self) -> None:
        """Show that kernels are loaded."""
        self._started = self._printed = time.monotonic()
        self._print(_COMPILING)

    def stepped(self, trainer: Trainer, *, characters: int) -> None:
        """Print the figures, if the last line is long enough ago."""
        self._speed.add(characters=characters, fraction=trainer.fraction)
        now = time.monotonic()
        if not self._ready:
            self._ready = True
            self._print(f"Ready after {now - self._started:.1f} s.")
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            self._print(f"{_figures(trainer, self._epochs, self._speed)}  {self._speed.left}")

    def validating(self) -> None:
        """Print nothing: it takes no longer than a few steps."""

    def validated(self, trainer: Trainer, epoch: Epoch, *, best: bool) -> None:
        """Print the line of the epoch."""
        self._print(_epoch_line(epoch, best=best))

    def stopping(self) -> None:
        """Say on standard error that the run stops."""
        # A print here could meet a half-done one: the signal may come inside it.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{STOPPING}\n".encode())

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
        self._console.file.flush()


class LiveDisplay:
    """A bar and a line of figures that change in place, below a line for each epoch done."""

    def __init__(self, console: Console, *, epochs: int | None) -> None:
        self._console = console
        self._epochs = epochs
        self._speed = Speed()
        self._fraction = 0.0
        self._left = ""
        self._line = ""
        self._stopping = False
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=5, transient=True
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def compiling(self) -> None:
        """Show that kernels are loaded."""
        self._line = _COMPILING

    def stepped(self, trainer: Trainer, *, characters: int) -> None:
        """Change the bar and the figures."""
        self._speed.add(characters=characters, fraction=trainer.fraction)
        self._fraction = trainer.fraction
        self._left = self._speed.left
        self._line = _figures(trainer, self._epochs, self._speed)

    def validating(self) -> None:
        """Say so beside the bar."""
        self._left = "validating"

    def validated(self, trainer: Trainer, epoch: Epoch, *, best: bool) -> None:
        """Print the line of the epoch above the bar."""
        self._console.print(Text(_epoch_line(epoch, best=best)))

    def stopping(self) -> None:
        """Say below the bar that the run stops."""
        self._stopping = True
        # A second signal ends the process at once: it must not leave the cursor hidden.
        os.write(self._console.file.fileno(), b"\x1b[?25h")

    def _render(self) -> RenderableType:
        bar = Table.grid(padding=(0, 2), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", min_width=10)
        bar.add_row(ProgressBar(total=1.0, completed=self._fraction), self._left)
        line = STOPPING if self._stopping else self._line
        return Group(bar, Text(line, no_wrap=True, overflow="ellipsis"))


def clock(seconds: float) -> str:
    """Return a duration as m:ss or h:mm:ss."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _figures(trainer: Trainer, epochs: int | None, speed: Speed) -> str:
    position = trainer.position
    parts = [
        f"epoch {position.epoch + 1}" + (f"/{epochs}" if epochs else ""),
        f"step {position.step}" + (f"/{trainer.steps}" if trainer.steps else ""),
        f"train {trainer.training_bits:.3f}",
    ]
    if position.history:
        parts.append(f"validation {position.history[-1].validation:.3f}")
    return "  ".join([*parts, speed.rate])


def _epoch_line(epoch: Epoch, *, best: bool) -> str:
    return (
        f"epoch {epoch.epochs:<4.4g}  step {epoch.step:<7}  train {epoch.training:.3f}  "
        f"validation {epoch.validation:.3f} bits/char  {clock(epoch.seconds)}"
        f"{'  best' if best else ''}"
    )
