"""What a call of `functional.rnn` may be given besides arrays of input, weights and states."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Embedded(NamedTuple):
    """Input looked up in a table: x[t, b] = table[ids[t, b]].

    ids    (T, B) integers in 0..vocabulary-1
    table  (vocabulary, I) float32 or float64
    """

    ids: ArrayLike
    table: ArrayLike


class Packed(NamedTuple):
    """Unequal sequences without their padding, the longest first, step after step.

    Step t has a row for each sequence that is so long, in the order of the sequences.  What has
    (T, B) in its shape otherwise, has (N,) here: y and the gradients of x and y.

    rows     (N, I) float32 or float64
    lengths  (B,) integers of at least 1, none higher than the one before

    Raises
    ------
    ValueError
        By `rnn`, if they are not as described.
    """

    rows: ArrayLike
    lengths: ArrayLike


class Options(NamedTuple):
    """What else `rnn` is told; see there."""

    recurrent_mask: ArrayLike | None = None
    zoneout: tuple[ArrayLike | None, ...] | None = None
    truncate: int = 0
    steps_before: NDArray[np.int64] | None = None  # of each sequence, that truncation counts too
