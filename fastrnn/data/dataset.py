"""A lazy sequence of elements, with the few methods of tf.data.Dataset that training needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import random
from fastrnn.data import structure

Array = NDArray[Any]

#: Accepted where tf.data lets its runtime choose; nothing here runs at the side.
AUTOTUNE = -1


class Dataset:
    """Elements made anew at each iteration; every method returns another Dataset.

    An element is an array, or a tuple or dict of them, nested as one likes.

    Examples
    --------
    >>> data = Dataset.from_tensor_slices((np.arange(5), np.arange(5) % 2)).batch(2)
    >>> [(x.tolist(), y.tolist()) for x, y in data]
    [([0, 1], [0, 1]), ([2, 3], [0, 1]), ([4], [0])]
    """

    def __init__(self, make: Callable[[], Iterator[Any]], size: int | None) -> None:
        self._make = make
        self._size = size

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """Return a data set of the rows of arrays.

        Parameters
        ----------
        tensors : array, or a structure of arrays, (N, ...) each

        Raises
        ------
        ValueError
            If they have no rows, or unequal numbers of them.
        """
        arrays = structure.transform(np.asarray, _as_structure(tensors))
        counts = {len(array) if array.ndim else -1 for array in structure.leaves(arrays)}
        if len(counts) != 1 or -1 in counts:
            raise ValueError(
                "tensors: expected arrays with equal numbers of rows, got "
                f"{[array.shape for array in structure.leaves(arrays)]}"
            )
        count = counts.pop()
        return _Rows(arrays, lambda: iter(range(count)), count)

    @staticmethod
    def from_generator(generator: Callable[[], Iterable[Any]]) -> Dataset:
        """Return a data set of what a function's iterable yields, called at each iteration.

        Raises
        ------
        TypeError
            If `generator` cannot be called.
        """
        if not callable(generator):
            raise TypeError(f"generator: expected a function, got {type(generator).__name__}")
        return Dataset(lambda: iter(generator()), None)

    @staticmethod
    def range(*arguments: int) -> Dataset:
        """Return a data set of the integers of Python's `range`."""
        return Dataset.from_tensor_slices(np.arange(*arguments))

    def __iter__(self) -> Iterator[Any]:
        return self._make()

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Return an iterator over the elements."""
        return iter(self)

    def __len__(self) -> int:
        if self._size is None:
            raise TypeError("the Dataset is infinite, or nobody knows how many elements it has")
        return self._size

    def cardinality(self) -> int:
        """Return the number of elements, -1 for infinite, -2 for unknown."""
        return -2 if self._size is None else self._size

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
    ) -> Dataset:
        """Return the elements in random order.

        Parameters
        ----------
        buffer_size : int
            Among so many elements the next one is drawn.
        seed : int, optional
            The next one of `fastrnn.random` if not given.
        reshuffle_each_iteration : bool
            Whether each iteration has an order of its own.

        Raises
        ------
        ValueError
            If `buffer_size` is below 1.
        """
        _positive("buffer_size", buffer_size)
        first = random.next_seed() if seed is None else seed
        count = itertools.count()

        def make() -> Iterator[Any]:
            iteration = next(count) if reshuffle_each_iteration else 0
            return _shuffled(self._stream(), buffer_size, random.generator((first, iteration)))

        return self._derived(make, self._size)

    def batch(self, batch_size: int, drop_remainder: bool = False) -> Dataset:
        """Return batches of elements, with one more axis.

        Parameters
        ----------
        batch_size : int
            Elements of a batch.
        drop_remainder : bool
            Leave out the last batch if it is smaller.

        Raises
        ------
        ValueError
            If `batch_size` is below 1, or, while iterating, if shapes differ.
        """
        _positive("batch_size", batch_size)
        size = self._size
        if size is not None:
            size = size // batch_size if drop_remainder else -(-size // batch_size)

        def make() -> Iterator[Any]:
            stream = self._stream()
            while chunk := list(itertools.islice(stream, batch_size)):
                if len(chunk) == batch_size or not drop_remainder:
                    yield self._together(chunk)

        return Dataset(make, size)

    def unbatch(self) -> Dataset:
        """Return the rows of the elements."""

        def make() -> Iterator[Any]:
            for batch in self:
                yield from Dataset.from_tensor_slices(batch)

        return Dataset(make, None)

    def map(
        self,
        function: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
    ) -> Dataset:
        """Return what `function` makes of each element; it takes a tuple's parts one by one.

        The other arguments are tf.data's, and have no effect.
        """

        def make() -> Iterator[Any]:
            for element in self:
                yield function(*element) if isinstance(element, tuple) else function(element)

        return Dataset(make, self._size)

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """Return the elements for which `predicate` is true."""

        def make() -> Iterator[Any]:
            for element in self:
                parts = element if isinstance(element, tuple) else (element,)
                if bool(np.asarray(predicate(*parts))):
                    yield element

        return Dataset(make, None)

    def repeat(self, count: int | None = None) -> Dataset:
        """Return the elements again and again, `count` times or for ever."""
        is_endless = count is None or count < 0

        def make() -> Iterator[Any]:
            for _ in itertools.count() if is_endless else range(count or 0):
                is_empty = True
                for element in self._stream():
                    is_empty = False
                    yield element
                if is_empty:
                    return

        size = None if is_endless or self._size is None else self._size * (count or 0)
        return self._derived(make, size)

    def take(self, count: int) -> Dataset:
        """Return the first `count` elements; all of them if it is -1."""
        if count < 0:
            return self
        size = None if self._size is None else min(count, self._size)
        return self._derived(lambda: itertools.islice(self._stream(), count), size)

    def skip(self, count: int) -> Dataset:
        """Return all but the first `count` elements."""
        size = None if self._size is None else max(0, self._size - count)
        return self._derived(lambda: itertools.islice(self._stream(), count, None), size)

    def prefetch(self, buffer_size: int = AUTOTUNE) -> Dataset:
        """Return this data set: elements are made when they are asked for."""
        return self

    def cache(self) -> Dataset:
        """Return the elements, made once and then kept in memory."""
        kept: list[Any] = []
        is_complete = False

        def make() -> Iterator[Any]:
            nonlocal is_complete
            if is_complete:
                yield from kept
                return
            seen = []
            for element in self:
                seen.append(element)
                yield element
            kept[:], is_complete = seen, True

        return Dataset(make, self._size)

    def _stream(self) -> Iterator[Any]:
        """Return what `shuffle`, `take` and the like move: here, the elements."""
        return self._make()

    def _derived(self, make: Callable[[], Iterator[Any]], size: int | None) -> Dataset:
        return Dataset(make, size)

    def _together(self, chunk: list[Any]) -> Any:
        return structure.stack(chunk)


class _Rows(Dataset):
    """Rows of arrays: until they are batched, only their numbers move."""

    def __init__(self, arrays: Any, order: Callable[[], Iterator[int]], size: int | None) -> None:
        super().__init__(lambda: map(self._row, order()), size)
        self._arrays = arrays
        self._order = order

    def _row(self, i: int) -> Any:
        return structure.transform(lambda array: array[i], self._arrays)

    def _stream(self) -> Iterator[Any]:
        return self._order()

    def _derived(self, make: Callable[[], Iterator[Any]], size: int | None) -> Dataset:
        return _Rows(self._arrays, make, size)

    def _together(self, chunk: list[Any]) -> Any:
        rows = np.array(chunk)
        return structure.transform(lambda array: array[rows], self._arrays)


def _shuffled(stream: Iterator[Any], size: int, rng: np.random.Generator) -> Iterator[Any]:
    """Draw from a buffer that is filled up from the stream after each draw."""
    buffer = list(itertools.islice(stream, size))
    # One call of the generator for many draws: uniform numbers, scaled to the buffer's length.
    draws: Iterator[float] = itertools.chain.from_iterable(
        rng.random(1024).tolist() for _ in itertools.count()
    )
    for element in stream:
        i = int(next(draws) * size)
        yield buffer[i]
        buffer[i] = element
    rng.shuffle(buffer)
    yield from buffer


def _as_structure(tensors: Any) -> Any:
    """Return a list of numbers as an array: only tuples and dicts hold several arrays."""
    return np.asarray(tensors) if isinstance(tensors, list) else tensors


def _positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: expected an int of at least 1, got {value!r}")
