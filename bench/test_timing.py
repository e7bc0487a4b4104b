"""Whoever is timed next has the processors for itself; options are counts."""

import argparse
import threading
import time

import pytest

from bench import timing


def test_rest_lasts_until_the_threads_of_this_process_have_ended():
    stop = time.monotonic() + 0.3
    ended = []

    def spin():
        while time.monotonic() < stop:
            pass
        ended.append(True)

    thread = threading.Thread(target=spin)
    thread.start()
    timing.rest(0.0)
    assert ended
    thread.join()


def test_rest_gives_up_on_threads_that_never_do(monkeypatch):
    monkeypatch.setattr(timing, "_RESTLESS_SECONDS", 0.1)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: [None for _ in iter(stop.is_set, True)])
    thread.start()
    timing.rest(0.0)
    assert thread.is_alive()
    stop.set()
    thread.join()


def test_counts_are_at_least_1():
    assert timing.count("12") == 12
    for wrong in ("0", "-3", "2.5", "many", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="expected an int of at least 1"):
            timing.count(wrong)
