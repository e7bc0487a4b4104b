"""What else is measured or held still: processors, memory, bandwidth, energy."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_POWERCAP = Path("/sys/class/powercap")

# Larger than any cache that a few threads share.
_BANDWIDTH_BYTES = 1 << 28


def processors() -> list[int]:
    """Return the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def pinned(threads: int) -> Iterator[str | None]:
    """Keep this process, and those that it starts, on as many processors as threads.

    Whatever a library thinks of its number of threads, it has no more processors than the others.
    Yields how it is done, or None where the system cannot do so.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = processors()
    chosen = before[:threads]
    os.sched_setaffinity(0, chosen)
    try:
        yield f"every process on processors {', '.join(map(str, chosen))} (sched_setaffinity)"
    finally:
        os.sched_setaffinity(0, before)


def peak_resident_megabytes(call: Callable[[], Any]) -> float | None:
    """Return the peak of this process's resident memory during a call.

    Where the system cannot forget an earlier peak, it is that of the process until now.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")
        call()
        status = Path("/proc/self/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    except OSError:
        call()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure_bandwidth(threads: int, *, attempts: int = 5) -> float:
    """Return the GB/s that threads read and write together, copying memory."""
    source = np.ones(_BANDWIDTH_BYTES // 8)
    target = np.empty_like(source)
    target[:] = 0  # its pages are there before the clock runs
    parts = list(zip(*(np.array_split(a, threads) for a in (target, source)), strict=True))
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(attempts):
            start = time.perf_counter()
            list(pool.map(lambda part: np.copyto(*part), parts))
            seconds.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(seconds) / 1e9


class EnergyMeter:
    """The energy counters of all processor packages (Linux powercap), where they can be read.

    They count the whole machine: what else runs and what idles is in them.
    """

    def __init__(self, folder: Path = _POWERCAP) -> None:
        self._counters: list[tuple[Path, int]] = []
        for zone in sorted(folder.glob("intel-rapl:*")):
            try:
                if (zone / "name").read_text().startswith("package"):
                    largest = int((zone / "max_energy_range_uj").read_text())
                    int((zone / "energy_uj").read_text())
                    self._counters.append((zone / "energy_uj", largest))
            except (OSError, ValueError):
                continue

    def read(self) -> list[int]:
        """Return the counters now."""
        return [int(path.read_text()) for path, _ in self._counters]

    def joules(self, before: Sequence[int], after: Sequence[int]) -> float | None:
        """Return the energy between two readings, or None where there are no counters."""
        if not self._counters:
            return None
        largest = [size for _, size in self._counters]
        differences = (
            end - start if end >= start else end - start + size
            for start, end, size in zip(before, after, largest, strict=True)
        )
        return sum(differences) / 1e6
