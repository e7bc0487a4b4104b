"""Packed sequences: where their rows belong, and how torch's operations see them padded."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Layout(NamedTuple):
    """Where the rows of packed sequences belong.

    T, B     steps of the longest sequence, and sequences
    lengths  (B,) steps of each, falling
    """

    T: int
    B: int
    lengths: NDArray[np.int64]

    @property
    def is_even(self) -> bool:
        """Whether all sequences have T steps: the rows are (T, B) as they are."""
        return bool(self.lengths[-1] == self.T)


def layout_of(batch_sizes: Tensor, N: int) -> Layout | None:
    """Return the layout of N packed rows; None where `batch_sizes` is not what torch makes.

    batch_sizes  (T,) int64, how many sequences have the step: falling, at least 1
    """
    if batch_sizes.dtype is not torch.int64 or batch_sizes.dim() != 1 or not batch_sizes.is_cpu:
        return None
    sizes = batch_sizes.numpy()
    if not len(sizes) or sizes[-1] < 1 or (sizes[1:] > sizes[:-1]).any() or sizes.sum() != N:
        return None
    B = int(sizes[0])
    return Layout(len(sizes), B, np.searchsorted(-sizes, -np.arange(B)))


def pad(rows: Tensor, layout: Layout) -> Tensor:
    """Return packed rows (N, M) as (T, B, M), 0 where there is padding."""
    is_there = _is_there(layout)
    sources = torch.where(is_there, is_there.flatten().cumsum(0).view_as(is_there) - 1, len(rows))
    with_zeros = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
    return with_zeros.index_select(0, sources.flatten()).view(layout.T, layout.B, -1)


def pack(padded: Tensor, layout: Layout) -> Tensor:
    """Return the rows (N, M) of (T, B, M) that are no padding."""
    return padded.flatten(0, 1).index_select(0, _is_there(layout).flatten().nonzero()[:, 0])


def _is_there(layout: Layout) -> Tensor:
    """Return which of (T, B) are no padding."""
    return torch.arange(layout.T)[:, None] < torch.from_numpy(layout.lengths)
