"""A bar that shows how far the model is, and its losses and metrics."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, TextIO

import numpy as np

from fastrnn.callbacks.callback import Callback, Logs

_WIDTH = 20
_INTERVAL = 0.05  # seconds between two drawings of the bar
_GREEN, _WHITE, _BOLD, _PLAIN = "\x1b[32m", "\x1b[37m", "\x1b[1m", "\x1b[0m"


class ProgressBar:
    """Draws "20/32 ━━━ 1s 9ms/step - loss: 0.6" over itself, or once where nothing can move.

    Parameters
    ----------
    target : int, optional
        Steps in all, where known.
    verbose : int
        1 for a bar, 2 for one line in the end.
    stream : file, optional
        stdout if not given; in a file that is no terminal, only the final line is written.
    """

    def __init__(self, target: int | None, verbose: int = 1, stream: TextIO | None = None) -> None:
        self.target = target
        self.verbose = verbose
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = bool(getattr(self._stream, "isatty", lambda: False)())
        self._start = time.perf_counter()
        self._drawn = 0.0
        self._length = 0

    def is_due(self) -> bool:
        """Return whether `update` would draw, so that nobody needs to gather what for."""
        if self.verbose != 1 or not self._is_terminal:
            return False
        return time.perf_counter() - self._drawn >= _INTERVAL

    def update(self, step: int, logs: dict[str, Any] | None) -> None:
        """Draw the bar after `step` steps, unless it was just drawn."""
        if self.is_due():
            self._drawn = time.perf_counter()
            self._overwrite(f"{self._bar(step)} {self._remaining(step)}{_values(logs)}")

    def finish(self, step: int, logs: dict[str, Any] | None) -> None:
        """Draw the bar, or the line, for the last time."""
        seconds = time.perf_counter() - self._start
        timing = f"{_clock(seconds)} {_per_step(seconds, step)}"
        if self.verbose == 2:
            self._stream.write(f"{step}/{step} - {timing.replace(' ', ' - ')}{_values(logs)}\n")
        elif self._is_terminal:
            self._overwrite(f"{self._bar(step, step)} {timing}{_values(logs)}")
            self._stream.write("\n")
        else:
            self._stream.write(f"{step}/{step} {'━' * _WIDTH} {timing}{_values(logs)}\n")
        self._stream.flush()

    def _bar(self, step: int, target: int | None = None) -> str:
        target = target or self.target
        if not target:
            return f"{_BOLD}{step}/Unknown{_PLAIN}"
        full = min(_WIDTH, _WIDTH * step // target)
        count = f"{step}/{target}".rjust(2 * len(str(target)) + 1)
        bar = f"{_GREEN}{'━' * full}{_PLAIN}{_WHITE}{'━' * (_WIDTH - full)}{_PLAIN}"
        return f"{_BOLD}{count}{_PLAIN} {bar}"

    def _remaining(self, step: int) -> str:
        seconds = time.perf_counter() - self._start
        left = seconds if not self.target or not step else seconds / step * (self.target - step)
        return f"{_BOLD}{_clock(left)}{_PLAIN} {_per_step(seconds, step)}"

    def _overwrite(self, text: str) -> None:
        visible = len(text)
        for code in (_GREEN, _WHITE, _BOLD, _PLAIN):
            visible -= text.count(code) * len(code)
        columns = shutil.get_terminal_size().columns
        if visible >= columns:  # a line that wraps cannot be drawn over
            text = text[: len(text) - (visible - columns) - 1]
            visible = columns - 1
        self._stream.write(f"\r{text}{' ' * max(0, self._length - visible)}")
        self._stream.flush()
        self._length = visible


class ProgbarLogger(Callback):
    """Draws a `ProgressBar` for every epoch, evaluation and prediction; `fit` adds one."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: ProgressBar | None = None
        self._step = 0
        self._is_training = False

    def on_train_begin(self, logs: Logs = None) -> None:
        """Keep in mind that evaluations are validations from now on."""
        self._is_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Forget it."""
        self._is_training = False

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Write the number of the epoch and begin a bar."""
        if self.params.get("verbose"):
            print(f"Epoch {epoch + 1}/{self.params.get('epochs', 1)}")
        self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Finish the epoch's bar, validation included."""
        self._finish(logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar."""
        self._move(batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Begin a bar, unless this is validation."""
        if not self._is_training:
            self._begin()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar."""
        if not self._is_training:
            self._move(batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Finish the bar."""
        if not self._is_training:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Begin a bar."""
        self._begin()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Move the bar; outputs are not shown."""
        self._move(batch, None)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Finish the bar."""
        self._finish(None)

    def _begin(self) -> None:
        self._step = 0
        verbose = int(self.params.get("verbose") or 0)
        self._bar = ProgressBar(self.params.get("steps"), verbose) if verbose else None

    def _move(self, batch: int, logs: Logs) -> None:
        self._step = batch + 1
        if self._bar is not None:
            self._bar.update(self._step, logs)

    def _finish(self, logs: Logs) -> None:
        if self._bar is not None:
            self._bar.finish(self._step, logs)
            self._bar = None


def _values(logs: dict[str, Any] | None) -> str:
    shown = []
    for name, value in (logs or {}).items():
        number = float(np.mean(value))
        style = ".4f" if abs(number) > 1e-3 or number == 0 else ".4e"
        shown.append(f" - {name}: {number:{style}}")
    return "".join(shown)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    if whole >= 3600:
        return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{whole}s"


def _per_step(seconds: float, steps: int) -> str:
    each = seconds / max(steps, 1)
    if each >= 1:
        return f"{each:.0f}s/step"
    return f"{each * 1e3:.0f}ms/step" if each >= 1e-3 else f"{each * 1e6:.0f}us/step"
