"""How many workers a kernel is given."""

from __future__ import annotations

import math
import os
from functools import cache
from pathlib import Path, PurePosixPath

#: Numbers that keep one worker busy for longer than it takes to wake another.
GRAIN = 32768

_OVERRIDE = "FASTRNN_NUM_THREADS"
_number: int | None = None


def get_num_threads() -> int:
    """Return how many workers share a kernel's work.

    Returns
    -------
    int
        What `set_num_threads` was given; else the environment variable `FASTRNN_NUM_THREADS`;
        else the processors that this process may use, by its affinity, its cgroup's CPU quota
        and, where it is set, `NUMBA_NUM_THREADS`.

    Raises
    ------
    ValueError
        If an environment variable is not a whole number of at least 1.
    """
    global _number
    if _number is None:
        _number = _from_environment(_OVERRIDE) or usable_processors()
    return _number


def set_num_threads(number: int) -> None:
    """Share the work of kernels among `number` workers from now on.

    Results do not depend on it.  Workers beyond the processors of the machine take turns.

    Parameters
    ----------
    number : int
        At least 1.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    global _number
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"number: expected an int of at least 1, got {number!r}")
    _number = number


def workers_over(numbers: int) -> int:
    """Return how many workers are worth waking to go once over so many numbers."""
    return max(1, min(get_num_threads(), numbers // GRAIN))


def _from_environment(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise ValueError(f"{name}: expected a whole number of at least 1, got {text!r}")
    return int(text)


@cache
def usable_processors() -> int:
    """Return how many processors this process may use, for as long as it runs."""
    limits = [_affinity(), _quota(), _from_environment("NUMBA_NUM_THREADS")]
    return min(limit for limit in limits if limit is not None)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(root: Path = Path("/")) -> int | None:
    """Return the processors' worth of time that the process' cgroups grant, or None."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    shares = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / controllers
        # Inside a container the group's path may be the host's, of which only the root is here.
        inside = PurePosixPath(group.lstrip("/"))
        for folder in (inside, *inside.parents):
            share = _share_of_time(mount / folder)
            if share is not None:
                shares.append(share)
    return max(1, math.ceil(min(shares))) if shares else None


def _share_of_time(folder: Path) -> float | None:
    """Return the quota of one cgroup, of version 2 or 1, in processors; None for no limit."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            words = " ".join((folder / name).read_text() for name in names).split()
            quota, period = (int(word) for word in words)
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return None
