"""Input whose rows repeat, as those of a small embedding do, or of padding."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional import steps as time_steps
from fastrnn.functional.run import Run
from fastrnn.kernels.cpu import buffers
from fastrnn.kernels.cpu import distinct as kernel

Array = NDArray[Any]


class Distinct(NamedTuple):
    """Rows x[n] = table[ids[n]].

    table  (V, I), C-contiguous: the rows that differ, and zeros up to a round number of rows
    ids    (N,) int32
    """

    table: Array
    ids: NDArray[np.int32]

    def copy(self) -> Distinct:
        """Return the same in memory of its own."""
        return Distinct(self.table.copy(), self.ids.copy())


def distinct_rows(x: Array) -> Distinct | None:
    """Return the distinct rows of an array, in the order in which they first appear.

    Parameters
    ----------
    x : (T, B, I) or (N, I) array of float32 or float64
        Rows are equal if their bits are.

    Returns
    -------
    Distinct or None
        None where fewer than half of the rows repeat others, or I numbers are not side by side.

    Examples
    --------
    >>> import numpy as np
    >>> rows = distinct_rows(np.float32([[1], [2], [1], [1]]))
    >>> rows.ids.tolist(), rows.table[:3].tolist()
    ([0, 1, 0, 0], [[1.0], [2.0], [0.0]])
    """
    if x.strides[-1] != x.itemsize:
        return None
    words: Any = x.view(np.int32)
    time, batch = (0, 0, *words.strides[:-1])[-2:]
    B = x.shape[-2]
    N = x.size // x.shape[-1]
    most = 64 + N // 2
    slots: Any = buffers.empty((1 << (2 * most).bit_length(),), np.int32)
    ids: Any = np.empty(N, np.int32)
    first = np.empty(most, np.int64)
    found = np.empty(1, np.int64)
    arguments = kernel.Search(
        N, B, words.shape[-1], words, time // 4, batch // 4, _keys(words.shape[-1]),
        len(slots) - 1, slots, buffers.empty((most,), np.int64), most, ids, first, found,
        slots.view(np.float32),
    )  # fmt: skip
    kernel.search(None, arguments, 1)
    if found[0] < 0:
        return None
    chosen = first[: found[0]]
    table = buffers.zeros((_rounded(len(chosen)), x.shape[-1]), x.dtype)
    table[: len(chosen)] = x[chosen] if x.ndim == 2 else x[chosen // B, chosen % B]
    return Distinct(table, ids)


def multiply_once(run: Run, rows: Distinct) -> None:
    """Let a run multiply the distinct rows of the x that it has read, not all of x.

    rows    kept by the run
    """
    run.ids = time_steps.by_step(rows.ids.reshape(run.leading), run.steps, run.reverse)
    run.E, run.is_repeating = rows.table, True
    run.x_rows = time_steps.all_rows(run.E, len(run.E), run.weights.I)


def replace(run: Run, rows: Distinct) -> None:
    """Write other rows, of the same shapes, where those of `multiply_once` are."""
    assert run.ids is not None, "no rows are multiplied once"
    run.ids[...] = time_steps.by_step(rows.ids.reshape(run.leading), run.steps, run.reverse)
    run.E[...] = rows.table


def _rounded(count: int) -> int:
    """Return one of few numbers, mostly at most a quarter more than `count`."""
    step = 1 << max(4, count.bit_length() - 3)
    return -(-count // step) * step


@lru_cache(maxsize=64)
def _keys(count: int) -> NDArray[np.int64]:
    """Return so many odd numbers of 64 bits, the same ones always."""
    keys = np.random.default_rng(0).integers(-(1 << 63), (1 << 63) - 1, count)
    return keys | 1
