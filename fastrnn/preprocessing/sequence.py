"""Sequences of unequal lengths as arrays: padded, or gathered by length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

_SIDES = ("pre", "post")


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: DTypeLike = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> Array:
    """Put sequences of unequal lengths into one array.

    Parameters
    ----------
    sequences : sequence of N sequences
        The i-th of T_i numbers, or of T_i arrays of a common shape.
    maxlen : int, optional
        Steps of the array; those of the longest sequence if not given.
    dtype : dtype
        Of the array; numbers are cast to it.
    padding : "pre" or "post"
        On which side `value` fills up shorter sequences.
    truncating : "pre" or "post"
        On which side longer sequences lose their steps.
    value : number or str
        What stands in steps that a sequence does not have.

    Returns
    -------
    (N, maxlen, ...) array

    Raises
    ------
    ValueError
        If `sequences` is not made of sequences of one shape, or an option is none of its values.

    Examples
    --------
    >>> pad_sequences([[1], [2, 3, 4]], maxlen=2)
    array([[0, 1],
           [3, 4]], dtype=int32)
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in _SIDES:
            raise ValueError(f"{name}: expected 'pre' or 'post', got {side!r}")
    lengths, shape = _measured(sequences)
    steps = max(lengths, default=0) if maxlen is None else _steps("maxlen", maxlen)
    kind = np.dtype(dtype).kind
    if isinstance(value, str) and kind not in "OSU":
        raise ValueError(f"value: expected a number to fit dtype {dtype}, got {value!r}")
    padded = np.full((len(lengths), steps, *shape), value, dtype)
    for i, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        kept = min(length, steps)
        if kept == 0:
            continue
        begin = length - kept if truncating == "pre" else 0
        target = padded[i, steps - kept :] if padding == "pre" else padded[i, :kept]
        array = np.asarray(sequence[begin : begin + kept], dtype)
        if array.shape[1:] != shape:
            raise ValueError(
                f"sequences[{i}]: expected elements of shape {shape} as before, "
                f"got {array.shape[1:]}"
            )
        target[...] = array
    return padded


def bucket_by_length(
    sequences: Any, batch_size: int, *, seed: int | None = None, window: int = 100
) -> list[NDArray[np.intp]]:
    """Group sequences into batches of nearly equal lengths, so that little of them is padding.

    With a seed, sequences are first shuffled, then sorted within windows of `window` batches,
    and the batches are shuffled: which sequences meet differs from seed to seed.

    Parameters
    ----------
    sequences : sequence of N sequences, or (N,) integers
        Sequences, or their lengths.
    batch_size : int
        Sequences of a batch; one batch holds what is left over.
    seed : int, optional
        Of the shuffling; without one, batches go from the shortest sequences to the longest.
    window : int
        Batches among whose sequences neighbours are chosen.

    Returns
    -------
    list of integer arrays (b,)
        Positions in `sequences`, each in one batch.

    Raises
    ------
    ValueError
        If `sequences` is neither, or a size is below 1.

    Examples
    --------
    >>> [batch.tolist() for batch in bucket_by_length([[7], [1, 2, 3], [8], [4, 5, 6]], 2)]
    [[0, 2], [1, 3]]
    """
    is_measured = isinstance(sequences, np.ndarray) and sequences.dtype.kind in "iu"
    if is_measured and sequences.ndim == 1:
        lengths = sequences.astype(np.intp)
        if (lengths < 0).any():
            raise ValueError(f"sequences: expected lengths of at least 0, got {lengths.min()}")
    else:
        lengths = np.array(_measured(sequences)[0], np.intp)
    size, span = _steps("batch_size", batch_size), _steps("window", window)
    if size == 0 or span == 0:
        raise ValueError("batch_size, window: expected at least 1, got 0")
    if seed is None:
        return _cut(np.argsort(lengths, kind="stable"), size)
    random = np.random.default_rng(seed)
    order = random.permutation(len(lengths))
    batches = []
    for chunk in _cut(order, size * span):
        batches += _cut(chunk[np.argsort(lengths[chunk], kind="stable")], size)
    return [batches[i] for i in random.permutation(len(batches))]


def _cut(order: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    return [order[i : i + size] for i in range(0, len(order), size)]


def _measured(sequences: Any) -> tuple[list[int], tuple[int, ...]]:
    """Return the lengths of sequences, and the shape of an element."""
    if not hasattr(sequences, "__len__"):
        raise ValueError(f"sequences: expected a list of sequences, got {type(sequences).__name__}")
    lengths = []
    for i, sequence in enumerate(sequences):
        if not hasattr(sequence, "__len__"):
            raise ValueError(f"sequences[{i}]: expected a sequence, got {sequence!r}"[:200])
        lengths.append(len(sequence))
    first: Sequence[Any] = next((s for s in sequences if len(s)), ())
    return lengths, np.shape(first)[1:]


def _steps(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise ValueError(f"{name}: expected an int of at least 0, got {value!r}")
    return int(value)
