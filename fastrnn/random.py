"""Where random numbers come from: one sequence of seeds for the whole process.

Whatever is random and was given no seed of its own takes the next one of this sequence, in the
order in which the objects are made: after `set_seed` the same program makes the same numbers,
whatever the number of threads of its kernels.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

_WORD = 0xFFFFFFFF


class _Seeds:
    """A sequence of seeds that starts anew from a given one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.restart(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))

    def restart(self, seed: int) -> None:
        with self._lock:
            self._seed = seed
            self._taken = 0

    def take(self) -> int:
        with self._lock:
            self._taken += 1
            words = [self._seed & _WORD, self._seed >> 32, self._taken & _WORD, self._taken >> 32]
        # 63 bits: what both dropout and files of configuration take as an integer.
        return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> np.uint64(1))


_seeds = _Seeds()


def set_seed(seed: int) -> None:
    """Start the process-wide sequence of seeds anew.

    Parameters
    ----------
    seed : int
        In 0..2**64-1.

    Raises
    ------
    ValueError
        If `seed` is no such int.

    Examples
    --------
    >>> set_seed(3)
    >>> first = next_seed()
    >>> set_seed(3)
    >>> next_seed() == first
    True
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 64:
        raise ValueError(f"seed: expected an int in 0..2**64-1, got {seed!r}")
    _seeds.restart(int(seed))


def next_seed() -> int:
    """Return the next seed of the process-wide sequence, an int in 0..2**63-1."""
    return _seeds.take()


def generator(seed: Any = None) -> np.random.Generator:
    """Return a new generator of random numbers.

    Parameters
    ----------
    seed : int or sequence of ints, optional
        Of at least 0; the next one of the process-wide sequence if not given.

    Raises
    ------
    ValueError, TypeError
        If `seed` is not as described.
    """
    if seed is None:
        return np.random.default_rng(next_seed())
    try:
        return np.random.default_rng(np.random.SeedSequence(seed))
    except (ValueError, TypeError) as error:
        wanted = "an int of at least 0 or a sequence of them"
        raise type(error)(f"seed: expected {wanted}, got {seed!r}") from error
