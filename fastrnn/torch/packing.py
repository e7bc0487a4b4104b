"""Packed sequences as padded ones, which the kernels walk without their padding, and back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Layout(NamedTuple):
    """Where the N rows of packed sequences lie among the T * B of padded ones.

    lengths  (B,) steps of each sequence, falling; None where all have T
    places   (N,) padded row of each packed row; None likewise
    """

    T: int
    B: int
    lengths: NDArray[np.int64] | None
    places: Tensor | None


def layout_of(batch_sizes: Tensor, N: int) -> Layout | None:
    """Return the layout of N packed rows; None where `batch_sizes` is not what torch makes.

    batch_sizes  (T,) int64, how many sequences have the step: falling, at least 1
    """
    if batch_sizes.dtype is not torch.int64 or batch_sizes.dim() != 1 or not batch_sizes.is_cpu:
        return None
    sizes = batch_sizes.numpy()
    if not len(sizes) or sizes[-1] < 1 or (sizes[1:] > sizes[:-1]).any() or sizes.sum() != N:
        return None
    T, B = len(sizes), int(sizes[0])
    if sizes[-1] == B:
        return Layout(T, B, None, None)
    lengths = np.searchsorted(-sizes, -np.arange(B))
    before = np.arange(T) * B - (np.cumsum(sizes) - sizes)
    index = np.arange(N) + np.repeat(before, sizes)
    return Layout(T, B, lengths, torch.from_numpy(index))


def pad(rows: Tensor, layout: Layout) -> Tensor:
    """Return packed rows (N, M) as (T, B, M), 0 where there is padding."""
    if layout.places is None:
        return rows.view(layout.T, layout.B, -1)
    padded: Tensor = _Pad.apply(rows, layout.places, layout.T * layout.B)  # type: ignore[no-untyped-call]
    return padded.view(layout.T, layout.B, -1)


def pack(padded: Tensor, layout: Layout) -> Tensor:
    """Return the rows (N, M) of (T, B, M) that are no padding."""
    rows = padded.flatten(0, 1)
    if layout.places is None:
        return rows
    packed: Tensor = _Pack.apply(rows, layout.places)  # type: ignore[no-untyped-call]
    return packed


class _Pad(torch.autograd.Function):
    """The mirror of `_Pack`.  Each row has one place, so nothing is to be added up."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, total: int) -> Tensor:
        ctx.index = index
        return rows.new_zeros(total, rows.shape[1]).index_copy_(0, index, rows)

    @staticmethod
    def backward(ctx: Any, dpadded: Tensor) -> tuple[Tensor | None, ...]:
        return _Pack.apply(dpadded, ctx.index), None, None  # type: ignore[no-untyped-call]


class _Pack(torch.autograd.Function):
    """The mirror of `_Pad`."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, index: Tensor) -> Tensor:
        ctx.index, ctx.total = index, len(padded)
        return padded.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, drows: Tensor) -> tuple[Tensor | None, ...]:
        return _Pad.apply(drows, ctx.index, ctx.total), None  # type: ignore[no-untyped-call]
