"""A process for each library, so that none of them meets another's threads or settings.

A worker builds a library's candidates, checks them against what another worker computed, and
times calls when it is asked to: the asking takes no part in the times.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import timing
from problems import Candidate, Problem, check, outputs_of

# A call of this length says enough.
_LONG_SECONDS = 0.1

Outputs = Mapping[str, Any]


class Worker:
    """The process of one library, as the others see it.

    Parameters
    ----------
    module : str
        What has the library's `use_threads` and `candidates`.
    threads : int
        Threads to use.
    environment : mapping
        Variables of its environment, over those of this process.
    """

    def __init__(self, module: str, threads: int, environment: Mapping[str, str]) -> None:
        self._module = module
        self._connection, its_end = Pipe()
        descriptor = its_end.fileno()
        self._process = subprocess.Popen(
            [sys.executable, __file__, module, str(threads), str(descriptor)],
            env={**os.environ, **environment},
            pass_fds=[descriptor],
        )
        its_end.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()  # its loop ends
        self._process.wait()

    def start_building(self, problem: Problem, pass_: str, expected: Outputs | None) -> None:
        """Have candidates built and, if it is known what is expected, compared with that.

        Several workers may do so at once; `finish_building` must be next.
        """
        self._send("build", problem, pass_, expected)

    def finish_building(self) -> None:
        """Wait; raise RuntimeError if a candidate does not compute what is expected."""
        self._receive()

    def choose(self) -> dict[str, str]:
        """Return the fastest variant of each candidate; it is the one that is used from then on."""
        return dict(self._ask("choose"))

    def outputs(self, name: str) -> dict[str, Any]:
        """Return what a candidate computes."""
        return dict(self._ask("outputs", name))

    def seconds_of(self, name: str, calls: int) -> float:
        """Return the mean seconds of `calls` calls of a candidate, after one that is not timed."""
        return float(self._ask("seconds_of", name, calls))

    def _ask(self, verb: str, *arguments: Any) -> Any:
        self._send(verb, *arguments)
        return self._receive()

    def _send(self, verb: str, *arguments: Any) -> None:
        with self._naming_its_end():
            self._connection.send((verb, arguments))

    def _receive(self) -> Any:
        with self._naming_its_end():
            is_done, answer = self._connection.recv()
        if not is_done:
            raise RuntimeError(f"{self._module}: {answer}")
        return answer

    @contextmanager
    def _naming_its_end(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            raise RuntimeError(f"{self._module}: its process has ended") from None


class _Bench:
    """What a worker's process does when asked."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._variants: dict[str, dict[str, Candidate]] = {}
        self._chosen: dict[str, Candidate] = {}

    def build(self, problem: Problem, pass_: str, expected: Outputs | None) -> None:
        self._problem = problem
        self._variants.clear()
        self._chosen.clear()
        gc.collect()
        self._variants = self._library.candidates(problem, pass_)
        if expected is None:
            return
        for name, variants in self._variants.items():
            for variant, candidate in variants.items():
                check(f"{name} {variant}".rstrip(), outputs_of(problem, candidate), expected)

    def choose(self) -> dict[str, str]:
        names = {}
        for name, variants in self._variants.items():
            clocks = {v: partial(timing.seconds_of, c.run) for v, c in variants.items()}
            names[name] = fastest(clocks)
            self._chosen[name] = variants[names[name]]
        self._variants.clear()
        return names

    def outputs(self, name: str) -> Outputs:
        return outputs_of(self._problem, self._chosen[name])

    def seconds_of(self, name: str, calls: int) -> float:
        return timing.seconds_of(self._chosen[name].run, calls)


def fastest(clocks: Mapping[str, Callable[[int], float]]) -> str:
    """Return the name of the fastest: by one call where that is clear, else by a few turns."""
    if len(clocks) == 1:
        return next(iter(clocks))
    seconds = {}
    for name, clock in clocks.items():
        time.sleep(timing.GAP_SECONDS)
        seconds[name] = clock(1)
    best = min(seconds, key=seconds.__getitem__)
    close = {name: clocks[name] for name in clocks if seconds[name] < 3 * seconds[best]}
    if len(close) == 1 or seconds[best] > _LONG_SECONDS:
        return best
    times = timing.take_turns(close, rounds=3, seconds=0.02)
    return min(close, key=times.median)


def _serve(bench: _Bench, connection: Connection) -> None:
    """Answer until the other end is closed."""
    with suppress(EOFError, BrokenPipeError):
        while True:
            verb, arguments = connection.recv()
            try:
                answer = True, getattr(bench, verb)(*arguments)
            except Exception:
                answer = False, traceback.format_exc()
            connection.send(answer)


def _main() -> None:
    module, threads, descriptor = sys.argv[1:]
    library = import_module(module)
    library.use_threads(int(threads))
    with timing.garbage_collection_off():
        _serve(_Bench(library), Connection(int(descriptor)))


if __name__ == "__main__":
    _main()
