"""The steps of unequal sequences: longest first, without what fills them up.

Where states are reset within a sequence it falls into segments that do not depend on each other.
Each of them is a sequence of its own to the kernels, a *place* of their batch: more of them side
by side, and fewer steps.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.functional.steps import Packing, Steps
from fastrnn.kernels.cpu import rows as kernel

Indices = NDArray[np.int64]

# What tells a kernel without floats a number format.
_FLOATS = np.zeros(1, np.float32)


class _Segments(NamedTuple):
    """Parts of sequences that run without a reset, each sequence's in the order they run.

    sequence  (S,) the user's sequence
    begin     (S,) steps of the sequence before it
    size      (S,) its steps
    first     (sequences,) segment that a sequence begins with
    last      (sequences,) segment that it ends with
    is_cut    (sequences,) whether the sequence begins with a reset
    """

    sequence: Indices
    begin: Indices
    size: Indices
    first: Indices
    last: Indices
    is_cut: NDArray[np.bool_]


def packed_steps(
    lengths: Indices | None, reverse: bool, resets: NDArray[np.bool_] | None = None
) -> Steps:
    """Return the steps of unequal sequences.

    lengths  (sequences,) steps of each; None where `resets` is given: all of them
    reverse  run from each sequence's last step to its first
    resets   (T, sequences) where true, the states are cleared before that step is worked on.
             What is beyond a sequence's length does not count, and a sequence of no steps passes
             its state on.

    Nothing is computed for each row, except from `resets`.
    """
    if resets is None:
        assert lengths is not None, "neither lengths nor resets"
        return _steps_of(lengths.tobytes())[reverse]
    if lengths is None:
        lengths = np.full(resets.shape[1], len(resets), np.int64)
    return _in_order(_cut(lengths, reverse, resets), lengths, reverse)


@lru_cache(maxsize=8)
def _steps_of(given: bytes) -> tuple[Steps, Steps]:
    """Return the steps of sequences forwards and backwards, given the bytes of their lengths.

    All layers ask for those of a batch one after the other, and in both directions.
    """
    lengths = np.frombuffer(given, np.int64)
    there = _in_order(_whole(lengths), lengths, False)
    packing = there.packing
    assert packing is not None
    back = packing._replace(start=packing.falling - 1, turn=-1)
    return there, there._replace(packing=back)


def _in_order(segments: _Segments, lengths: Indices, reverse: bool) -> Steps:
    """Return the steps of segments of sequences of these lengths."""
    B = len(segments.size)
    order = _longest_first(segments.size)
    falling = segments.size[order]
    T = int(falling[0])
    rows = np.zeros(T + 1, np.int64)
    ended = np.cumsum(np.bincount(falling)[:T])  # before the step after each
    np.cumsum(B - ended, out=rows[1:])
    places = np.arange(B, dtype=np.int64)
    place = np.empty_like(order)
    place[order] = places
    sequence, begin = segments.sequence[order], segments.begin[order]
    start = lengths[sequence] - 1 - begin if reverse else begin
    final = np.where(falling > 0, B + rows[np.maximum(falling - 1, 0)] + places, places)
    packing = Packing(
        sequence, begin, start, falling, final,
        lengths, place[segments.first], place[segments.last], segments.is_cut,
        -1 if reverse else 1,
    )  # fmt: skip
    return Steps(T, B, int(rows[-1]), rows, packing)


def flat_steps(given: Any, N: int, reverse: bool) -> Steps:
    """Return the steps of sequences whose N rows are packed already; see `options.Packed`.

    given    the lengths of `options.Packed`, checked here
    """
    lengths = _validate.as_array("lengths", given, f"integers in 1..{N}")
    if lengths.dtype != np.int64:
        lengths = _validate.lengths_array(lengths, N, max(1, lengths.size))
    return _flat_steps(lengths.tobytes(), lengths.shape, N)[reverse]


@lru_cache(maxsize=8)
def _flat_steps(given: bytes, shape: tuple[int, ...], N: int) -> tuple[Steps, Steps]:
    """Return the steps of packed sequences forwards and backwards, given the bytes of lengths.

    All layers ask for those of a batch one after the other, and in both directions.
    """
    B = len(given) // 8
    lengths = _validate.lengths_array(np.frombuffer(given, np.int64).reshape(shape), N, max(1, B))
    if lengths.min() < 1 or (np.diff(lengths) > 0).any():
        raise ValueError("x.lengths: expected numbers of at least 1, the highest first")
    if lengths.sum() != N:
        total = lengths.sum()
        raise ValueError(
            f"x.rows: expected {total} rows, as many as the lengths add up to, got {N}"
        )
    T = int(lengths[0])
    rows, final, taken = (np.empty(count, np.int64) for count in (T + 1, B, N))
    kernel.lay_out(None, kernel.Layout(T, B, lengths, rows, final, taken, _FLOATS), 1)
    places, nothing = np.arange(B), np.zeros_like(lengths)
    there = Packing(
        places, nothing, nothing, lengths, final, lengths, places, places, nothing > 0, 1, True
    )
    back = there._replace(start=lengths - 1, turn=-1, taken=taken)
    return Steps(T, B, N, rows, there), Steps(T, B, N, rows, back)


def _longest_first(sizes: Indices) -> Indices:
    """Return the stable order of falling sizes (S,)."""
    keys = sizes.max() - sizes
    # Numbers of 16 bits are sorted by radix, in linear time.
    return np.argsort(keys.astype(np.uint16) if keys.max() < 1 << 16 else keys, kind="stable")


def _whole(lengths: Indices) -> _Segments:
    """Return the segments of sequences without resets."""
    sequence = np.arange(len(lengths), dtype=np.int64)
    nothing = np.zeros_like(lengths)
    return _Segments(sequence, nothing, lengths, sequence, sequence, nothing > 0)


def _cut(lengths: Indices, reverse: bool, resets: NDArray[np.bool_]) -> _Segments:
    """Return the segments of sequences with resets (T, sequences)."""
    T, count = resets.shape
    sequences = np.arange(count)
    # A sequence in each row, in the order that time runs; it takes up head .. tail.
    head, tail = (T - lengths, T) if reverse else (np.zeros_like(lengths), lengths[:, None])
    begins = np.zeros((count, T + 1), bool)  # even a sequence of no steps finds its head here
    begins[:, :T] = (resets[::-1] if reverse else resets).T
    columns = np.arange(T + 1)
    begins &= (columns >= head[:, None]) & (columns < tail)
    is_cut = begins[sequences, head]
    begins[sequences, head] = True
    sequence, begin = np.divmod(np.flatnonzero(begins), T + 1)
    begin -= head[sequence]
    last = np.cumsum(np.bincount(sequence)) - 1
    first = np.concatenate([[0], last[:-1] + 1])
    size = np.empty_like(begin)
    size[:-1] = np.diff(begin)
    size[last] = lengths - begin[last]
    return _Segments(sequence, begin, size, first, last, is_cut)
