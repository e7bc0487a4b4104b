"""A process for each library, so that none of them meets another's threads or settings.

Libraries in one process share more than they should: whichever brings its OpenMP runtime first
decides for all, threads of one spin on the processors of the next, an allocator or a flag for
denormal numbers that one has set serves all.  So each has its own, and they are timed in turns,
while the others sleep: rounds are interleaved as within one process.

A worker builds a library's ways to solve a case, checks what they compute, and times calls when it
is asked to: the asking takes no part in the times.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from . import timing
from .candidate import Candidate, UnableError, check, first_call
from .cases import Case
from .meters import EnergyMeter, peak_resident_megabytes

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

# Makes this folder the package `bench`, whatever it is called in the process that asks: a rival's
# process need not import fastrnn.
_PROGRAM = """
import importlib.util, sys
folder, *arguments = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "bench", folder + "/__init__.py", submodule_search_locations=[folder]
)
sys.modules["bench"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["bench"])
from bench import worker
worker.serve(*arguments)
"""


class WorkerError(RuntimeError):
    """A library's process has failed or ended."""


class Built(NamedTuple):
    """What became of a library's ways to solve a case, by their names.

    first_call_s    seconds to build one and call it for the first time
    errors          largest error over an array's largest number
    unable          why a way is none
    wrong           what is wrong with what a way computes
    """

    first_call_s: dict[str, float]
    errors: dict[str, float]
    unable: dict[str, str]
    wrong: dict[str, str]


class Worker:
    """The process of one library, as the others see it.

    Parameters
    ----------
    module : str
        What has the library's `use_threads` and `prepare`.
    threads : int
        Threads to use.
    environment : mapping
        Variables of its environment, over those of this process.
    """

    def __init__(self, module: str, threads: int, environment: Mapping[str, str]) -> None:
        self._module = module
        self._connection, its_end = Pipe()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115
        descriptor = its_end.fileno()
        arguments = [str(Path(__file__).parent), module, str(threads), str(descriptor)]
        path = os.pathsep.join(filter(None, sys.path))
        counts = dict.fromkeys(_THREAD_VARIABLES, str(threads))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *arguments],
            env={**os.environ, **counts, "PYTHONPATH": path, **environment},
            pass_fds=[descriptor],
            stdout=self._words,
            stderr=self._words,
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
        if error is not None:
            self._process.kill()  # in the midst of something
        self._process.wait()
        self._words.close()

    def load(self) -> None:
        """Wait for the library to be imported."""
        self._ask("load")

    def outputs(self, case: Case) -> dict[str, Any]:
        """Return what the oracle says about a case."""
        return dict(self._ask("outputs", case._asdict()))

    def build(self, case: Case, expected: Mapping[str, Any]) -> Built:
        """Have all ways to solve a case built, called, and checked."""
        return Built(*self._ask("build", case._asdict(), dict(expected)))

    def choose(self) -> dict[str, float]:
        """Return seconds of a call of each way; the first is the fastest, and is used from now."""
        return dict(self._ask("choose"))

    def peak_resident_megabytes(self) -> float | None:
        """Return the peak of the process's memory during a call."""
        peak: float | None = self._ask("peak_resident")
        return peak

    def measure(self, calls: int) -> tuple[float, float | None]:
        """Return mean seconds, and joules where known, of calls after one that is not timed."""
        seconds, joules = self._ask("measure", calls)
        return seconds, joules

    def explain(self, case: Case) -> dict[str, Any]:
        """Return what fastrnn's plan says about a case."""
        return dict(self._ask("explain", case._asdict()))

    def _ask(self, verb: str, *arguments: Any) -> Any:
        with self._naming_its_end():
            self._connection.send((verb, arguments))
            is_done, answer = self._connection.recv()
        if not is_done:
            raise WorkerError(f"{self._module}: {answer}")
        return answer

    @contextmanager
    def _naming_its_end(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            self._words.seek(0)
            last = self._words.read().decode(errors="replace").strip().splitlines()[-1:]
            said = "".join(f": {line}" for line in last)
            raise WorkerError(f"{self._module}: its process has ended{said}") from None


class _Server:
    """What a worker's process does when asked.  Answers are of Python's own types and arrays."""

    def __init__(self, module: str, threads: int) -> None:
        self._module, self._threads = module, threads
        self._candidates: dict[str, Candidate] = {}
        self._meter = EnergyMeter()

    def load(self) -> None:
        self._library: Any = import_module(self._module)
        self._library.use_threads(self._threads)

    def outputs(self, fields: dict[str, Any]) -> dict[str, Any]:
        return dict(self._library.outputs(Case(**fields)))

    def build(self, fields: dict[str, Any], expected: Mapping[str, Any]) -> tuple[Any, ...]:
        case, built = Case(**fields), Built({}, {}, {}, {})
        self._candidates.clear()
        gc.collect()
        try:
            variants = self._library.prepare(case)
        except UnableError as error:
            built.unable[""] = str(error)
            return tuple(built)
        for name, make in variants.items():
            start = time.perf_counter()
            try:
                candidate = make()
                made = time.perf_counter() - start
                seconds, outputs = first_call(case, candidate)
                built.errors[name] = check(case, outputs, expected)
            except timing.WrongAnswerError as error:
                built.wrong[name] = str(error)
            except Exception as error:
                words = str(error).strip().splitlines() or [""]
                built.unable[name] = f"{type(error).__name__}: {words[0]}"
            else:
                built.first_call_s[name] = made + seconds
                self._candidates[name] = candidate
        return tuple(built)

    def choose(self) -> dict[str, float]:
        clocks = {n: partial(timing.seconds_of, c.run) for n, c in self._candidates.items()}
        seconds = timing.fastest(clocks)
        timing.rest()
        self._run = self._candidates[next(iter(seconds))].run
        self._candidates.clear()
        gc.collect()
        return seconds

    def peak_resident(self) -> float | None:
        return peak_resident_megabytes(self._run)

    def measure(self, calls: int) -> tuple[float, float | None]:
        before = self._meter.read()
        start = time.perf_counter()
        seconds = timing.seconds_of(self._run, calls)
        elapsed = time.perf_counter() - start
        joules = self._meter.joules(before, self._meter.read())
        timing.rest()  # the next one is timed in another process
        return seconds, None if joules is None else joules * seconds / elapsed

    def explain(self, fields: dict[str, Any]) -> dict[str, Any]:
        return dict(self._library.explain(Case(**fields)))


def serve(module: str, threads: str, descriptor: str) -> None:
    """Answer until the other end is closed: the main program of a worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    server, connection = _Server(module, int(threads)), Connection(int(descriptor))
    with timing.garbage_collection_off(), suppress(EOFError, BrokenPipeError, ConnectionError):
        while True:
            verb, arguments = connection.recv()
            try:
                answer = True, getattr(server, verb)(*arguments)
            except Exception:
                answer = False, traceback.format_exc()
            connection.send(answer)
