"""Ctrl-C and its like while something is learning."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signals(stop: Callable[[], None], tell: Callable[[], None]) -> Iterator[list[int]]:
    """Stop gracefully at the first Ctrl-C or SIGTERM; the second one has its usual effect."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for each in handled:
            signal.signal(each, signal.SIG_DFL)
        stop()
        tell()

    handled = []
    if threading.current_thread() is threading.main_thread():
        candidates = (signal.SIGINT, signal.SIGTERM)
        # A job in the background of a script ignores Ctrl-C, and must go on doing so.
        handled = [each for each in candidates if signal.getsignal(each) != signal.SIG_IGN]
    before = {each: signal.signal(each, handle) for each in handled}
    try:
        yield received
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
