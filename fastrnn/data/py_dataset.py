"""Batches of a class of one's own."""

from __future__ import annotations

from typing import Any


class PyDataset:
    """Batches by their numbers: a class of one's own defines `__len__` and `__getitem__`.

    Each batch is (x,), (x, y) or (x, y, sample_weight).  `Model.fit` takes them in another order
    in every epoch, unless it is told not to shuffle.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Keras' options; nothing depends on them here.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __len__(self) -> int:
        """Return the number of batches."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method `__len__`")

    def __getitem__(self, index: int) -> Any:
        """Return a batch."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method `__getitem__`")

    @property
    def num_batches(self) -> int:
        """The number of batches."""
        return len(self)

    def on_epoch_end(self) -> None:
        """Do what is to be done after every pass."""
