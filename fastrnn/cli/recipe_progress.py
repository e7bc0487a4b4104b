"""Showing how a recipe learns: a line that changes on a terminal, and a line for each epoch."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fastrnn.callbacks import Callback
from fastrnn.callbacks.monitor import Monitor
from fastrnn.cli.progress import PLAIN_SECONDS, STOPPING, clock

Logs = dict[str, Any] | None

_COMPILING = "Loading the kernels; the first run on a machine compiles them."


class RecipeDisplay(Callback):
    """Prints a line for each epoch, and between them where nothing moves, every few seconds.

    Parameters
    ----------
    console
        Where to print.
    epochs
        The most epochs.
    minutes
        The most time, if there is such a limit.
    monitor, mode
        Which figure tells the best epoch, and whether less ("min") or more of it is better.
    """

    kept = ("seconds", "_best")

    def __init__(
        self,
        console: Console,
        *,
        epochs: int,
        minutes: float | None,
        monitor: str = "val_loss",
        mode: str = "min",
    ) -> None:
        super().__init__()
        self._console = console
        self._epochs = epochs
        self._minutes = minutes
        self.first_batch = 0
        self.seconds = 0.0
        self._epoch = 0
        self._mark: float | None = None
        self._printed = time.monotonic()
        self._line = _COMPILING
        self._fraction = 0.0
        self._best = Monitor(monitor, mode)
        self._is_stopping = False
        self._live: Live | None = None
        if console.file.isatty() and not console.is_dumb_terminal:
            self._live = Live(
                console=console, get_renderable=self._render, refresh_per_second=5, transient=True
            )

    def __enter__(self) -> RecipeDisplay:
        if self._live is not None:
            self._live.start()
        else:
            self._print(_COMPILING)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Show the figures of the epoch so far."""
        self._tick()
        step = self.first_batch + batch + 1
        steps = self.params.get("steps")
        done = self._epoch + (min(1.0, step / steps) if steps else 0.0)
        self._fraction = done / self._epochs
        if self._minutes is not None:
            self._fraction = max(self._fraction, self.seconds / (60.0 * self._minutes))
        of = f"/{steps}" if steps else ""
        self._line = f"epoch {self._epoch + 1}/{self._epochs}  step {step}{of}{_figures(logs)}"
        if self._live is None and time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._print(self._line)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Print the line of the epoch."""
        value = (logs or {}).get(self._best.name)
        is_best = value is not None and self._best.is_better(value)
        if value is not None and is_best:
            self._best.best = value
        self._tick()
        best = "  best" if is_best else ""
        self._print(f"epoch {epoch + 1:<4}{_figures(logs)}  {clock(self.seconds)}{best}")

    def stopping(self) -> None:
        """Tell that the user asked to stop; called in a signal handler."""
        self._is_stopping = True
        if self._live is not None:
            # A second signal ends the process at once: it must not leave the cursor hidden.
            os.write(self._console.file.fileno(), b"\x1b[?25h")
        else:
            # A print here could meet a half-done one: the signal may come inside it.
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{STOPPING}\n".encode())

    def _tick(self) -> None:
        """Add the time since the last tick; the first one ends the compilation."""
        now = time.monotonic()
        if self._mark is not None:
            self.seconds += now - self._mark
        self._mark = now

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        self._console.print(Text(line), soft_wrap=True)
        self._console.file.flush()

    def _render(self) -> RenderableType:
        # A bar alone does not end its line.
        bar = Table.grid(expand=True)
        bar.add_row(ProgressBar(total=1.0, completed=min(1.0, self._fraction)))
        line = STOPPING if self._is_stopping else self._line
        return Group(bar, Text(line, no_wrap=True, overflow="ellipsis"))


def _figures(logs: Logs) -> str:
    names = {"loss": "train", "val_loss": "validation", "val_accuracy": "validation accuracy"}
    return "".join(
        f"  {label} {float(logs[name]):.4f}"
        for name, label in names.items()
        if logs and name in logs
    )
