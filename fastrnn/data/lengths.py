"""Batches of sequences of unequal lengths, whose padding costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import random
from fastrnn.preprocessing.sequence import bucket_by_length, pad_sequences
from fastrnn.tape import constant

Array = NDArray[Any]


class LengthBatches:
    """Batches of sequences of nearly equal lengths, padded at their ends, with their masks.

    Recurrent layers skip masked steps, so that the cost of a batch follows the sum of its lengths;
    similar lengths keep the rest of the model from computing with padding.  Give it to
    `Model.fit` in the place of x and y.

    Parameters
    ----------
    x : sequence of N sequences
        The i-th (T_i,) of ids, or (T_i, ...) of vectors.
    y : array (N, ...), or sequence of sequences, optional
        Targets of a sequence, or of its steps; the latter are padded too.
    sample_weight : array (N,), optional
    batch_size : int
        Sequences of a batch.
    shuffle : bool
        Whether each iteration makes other batches, in another order.
    seed : int, optional
        Of the shuffling; the next one of `fastrnn.random` if not given.
    dtype : dtype, optional
        Of padded x; int32 for integers and float32 for others if not given.

    Attributes
    ----------
    order : (N,) integers
        Positions in x of the rows of the last iteration: what `predict` returns for the i-th
        sequence is `results[numpy.argsort(batches.order)][i]`.

    Raises
    ------
    ValueError
        If x, y and `sample_weight` have unequal lengths, or the sequences unequal vectors.

    Examples
    --------
    >>> batches = LengthBatches([[1, 2, 3], [4], [5, 6]], [0, 1, 1], batch_size=2, shuffle=False)
    >>> [(np.asarray(x).tolist(), y.tolist()) for x, y in batches]
    [([[4, 0], [5, 6]], [1, 1]), ([[1, 2, 3]], [0])]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        dtype: Any = None,
    ) -> None:
        self._x = x
        self._y = y
        self._weight = None if sample_weight is None else np.asarray(sample_weight)
        for name, other in (("y", y), ("sample_weight", self._weight)):
            if other is not None and len(other) != len(x):
                raise ValueError(f"{name}: expected {len(x)} rows as x, got {len(other)}")
        self._steps = _are_sequences(y, x)
        if y is not None and not self._steps:
            self._y = np.asarray(y)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self._lengths = np.array([len(sequence) for sequence in x], np.intp)
        first = next((np.asarray(sequence) for sequence in x if len(sequence)), np.zeros(0, int))
        self._dtype = dtype or (np.int32 if first.dtype.kind in "iub" else np.float32)
        self._seed = random.next_seed() if seed is None and shuffle else seed
        self._iteration = 0
        self._count = len(bucket_by_length(self._lengths, batch_size))
        self.order = np.arange(len(self._lengths))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield (x, y, sample_weight) of each batch, without those that were not given.

        x (b, T, ...) is a Tensor with a mask (b, T), T the longest length of the batch.
        """
        seed = None
        if self.shuffle:
            seed = int(random.generator((self._seed, self._iteration)).integers(1 << 63))
        self._iteration += 1
        batches = bucket_by_length(self._lengths, self.batch_size, seed=seed)
        self.order = np.concatenate([self.order[:0], *batches])
        for rows in batches:
            yield self._batch(rows)

    def _batch(self, rows: NDArray[np.intp]) -> tuple[Any, ...]:
        lengths = self._lengths[rows]
        x = constant(_padded([self._x[i] for i in rows], self._dtype))
        if lengths.min() < lengths.max():
            x.mask = np.arange(lengths.max()) < lengths[:, None]
        parts: list[Any] = [x]
        if self._y is not None:
            y = self._y
            parts.append(_padded([y[i] for i in rows], None) if self._steps else y[rows])
        if self._weight is not None:
            parts.append(self._weight[rows])
        return tuple(parts)


def _padded(sequences: list[Any], dtype: Any) -> Array:
    if dtype is None:
        dtype = np.result_type(*(np.asarray(s).dtype for s in sequences if len(s)))
    return pad_sequences(sequences, dtype=dtype, padding="post")


def _are_sequences(y: Any, x: Any) -> bool:
    """Return whether y has a target for each step: its lengths are those of x, and not all one."""
    if y is None or not all(hasattr(target, "__len__") for target in y):
        return False
    lengths = [len(target) for target in y]
    return lengths == [len(sequence) for sequence in x]
