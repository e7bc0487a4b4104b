"""Windows that slide over a series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.data.dataset import Dataset


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> Dataset:
    """Return batches of windows of a series, with their targets.

    Parameters
    ----------
    data : (N, ...) array
        A row for each moment.
    targets : (M, ...) array or None
        The i-th belongs to the window that begins with the i-th row.
    sequence_length : int
        Steps T of a window.
    sequence_stride, sampling_rate : int
        Rows from one window to the next, and from one step to the next.
    batch_size : int or None
        Windows of a batch; None for single ones.
    shuffle : bool
        Whether each iteration has an order of its own.
    seed : int, optional
        Of the order.
    start_index, end_index : int, optional
        Rows before and from there on are not used.

    Returns
    -------
    Dataset
        Of windows (batch_size, T, ...), in a pair with their targets if there are any.

    Raises
    ------
    ValueError
        If a number does not fit, or the rows are fewer than a window has.

    Examples
    --------
    >>> batches = timeseries_dataset_from_array(np.arange(5), np.arange(2, 5), 2, batch_size=2)
    >>> [(x.tolist(), y.tolist()) for x, y in batches]
    [([[0, 1], [1, 2]], [2, 3]), ([[2, 3]], [4])]
    """
    rows = np.asarray(data)
    first, last = start_index or 0, len(rows) if end_index is None else end_index
    for name, number in (
        ("sequence_length", sequence_length), ("sequence_stride", sequence_stride),
        ("sampling_rate", sampling_rate),
    ):  # fmt: skip
        if number < 1:
            raise ValueError(f"{name}: expected an int of at least 1, got {number!r}")
    if not 0 <= first <= last <= len(rows):
        raise ValueError(
            f"start_index, end_index: expected rows in 0..{len(rows)}, got {first} and {last}"
        )
    rows = rows[first:last]
    count = len(rows) - (sequence_length - 1) * sampling_rate
    after: NDArray[Any] | None = None
    if targets is not None:
        after = np.asarray(targets)
        count = min(count, len(after) - first)
        after = after[first:]
    if count < 1:
        raise ValueError(
            f"data: expected enough rows for a window of {sequence_length} steps, got {len(rows)}"
        )
    steps = np.arange(sequence_length) * sampling_rate

    def windows(starts: Any) -> Any:
        x = rows[np.asarray(starts)[..., None] + steps]
        return x if after is None else (x, after[starts])

    starts = Dataset.from_tensor_slices(np.arange(0, count, sequence_stride))
    if shuffle:
        starts = starts.shuffle(len(starts), seed=seed)
    return (starts if batch_size is None else starts.batch(batch_size)).map(windows)
