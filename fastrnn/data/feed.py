"""Whatever users give to `fit`, as batches (x, y, sample_weight), epoch after epoch."""

from __future__ import annotations

import itertools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import random
from fastrnn.data import structure
from fastrnn.tape import Tensor

Array = NDArray[Any]
Batch = tuple[Any, Any, Any]


class Feed(ABC):
    """Batches of one source.

    Attributes
    ----------
    size : int or None
        Batches of an epoch, where known.
    """

    size: int | None = None
    _is_repeatable = True

    def __init__(self) -> None:
        self._running: Iterator[Batch] | None = None

    def epoch(self, number: int, steps: int | None = None) -> Iterator[Batch]:
        """Yield the batches of an epoch.

        Parameters
        ----------
        number : int
            Which order shuffled batches have.
        steps : int, optional
            Yield so many, going on where the epoch before stopped, and starting anew as often as
            needed.
        """
        if steps is None:
            yield from self._all(number)
            return
        for done in range(steps):
            batch = self._next(number)
            if batch is None:
                warnings.warn(
                    f"x: ran out of batches after {done} of {steps} steps; a generator has to "
                    "yield enough for all epochs",
                    stacklevel=3,
                )
                return
            yield batch

    def first(self, steps: int | None = None) -> Iterator[Batch]:
        """Yield batches from the first one on, of a generator from the next one on."""
        if self._is_repeatable:
            self._running = None
        return self.epoch(0, steps)

    def _next(self, number: int) -> Batch | None:
        """Return one more batch, of another pass over the source if need be."""
        if self._running is None:
            self._running = self._all(number)
        batch = next(self._running, None)
        if batch is None and self._is_repeatable:
            self._running = self._all(number)
            batch = next(self._running, None)
        return batch

    @abstractmethod
    def _all(self, number: int) -> Iterator[Batch]:
        """Yield the batches of one pass over the source."""


class _Arrays(Feed):
    """Rows of arrays."""

    def __init__(self, data: Batch, batch_size: int, shuffle: bool | str, seed: int) -> None:
        super().__init__()
        self._data = data
        self.rows = row_count(data)
        self._batch_size = batch_size
        self._shuffle = shuffle
        self._seed = seed
        self.size = -(-self.rows // batch_size)

    def _all(self, number: int) -> Iterator[Batch]:
        step = self._batch_size
        if not self._shuffle:
            for i in range(0, self.rows, step):
                yield _take(self._data, slice(i, i + step))
            return
        rng = random.generator((self._seed, number))
        if self._shuffle == "batch":
            for i in rng.permutation(self.size or 0).tolist():
                yield _take(self._data, slice(i * step, (i + 1) * step))
            return
        order = rng.permutation(self.rows)
        for i in range(0, self.rows, step):
            yield _take(self._data, order[i : i + step])


class _Batches(Feed):
    """An iterable of batches, or an object with as many of them as its `len` says."""

    def __init__(self, source: Any, shuffle: bool | str, seed: int) -> None:
        super().__init__()
        self._source = source
        self._shuffle = shuffle
        self._seed = seed
        self._is_repeatable = not isinstance(source, Iterator)
        self._is_indexed = hasattr(source, "__getitem__") and not hasattr(source, "__iter__")
        try:
            self.size = len(source)
        except TypeError:
            self.size = None

    def _all(self, number: int) -> Iterator[Batch]:
        if not self._is_indexed:
            for data in self._source:
                yield one_batch(*unpack(data))
            return
        order = range(self.size or 0)
        if self._shuffle:
            order = random.generator((self._seed, number)).permutation(self.size or 0).tolist()
        for i in order:
            yield one_batch(*unpack(self._source[i]))
        getattr(self._source, "on_epoch_end", lambda: None)()


class _Weighted(Feed):
    """Another feed's batches, weighted by the classes of their targets."""

    def __init__(self, feed: Feed, class_weight: Mapping[int, float]) -> None:
        super().__init__()
        self._feed = feed
        self._class_weight = class_weight
        self._is_repeatable = feed._is_repeatable
        self.size = feed.size

    def _all(self, number: int) -> Iterator[Batch]:
        for x, y, sample_weight in self._feed._all(number):
            if sample_weight is not None:
                raise ValueError("class_weight: expected None where there is a sample_weight")
            yield x, y, class_weights(y, self._class_weight)


def feed(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    class_weight: Mapping[int, float] | None = None,
    shuffle: bool | str = False,
    seed: int = 0,
) -> Feed:
    """Return the batches of whatever x is.

    Parameters
    ----------
    x : array, structure of arrays, or iterable of batches
    y, sample_weight : array or structure of arrays, optional
    batch_size : int, optional
        Rows of a batch of arrays.
    steps : int, optional
        Batches that arrays are divided into where `batch_size` is not given; batches of 32 rows
        if neither is.
    class_weight : mapping of int to float, optional
        Weights of samples by the class of their target, 1 for classes that are not in it.
    shuffle : bool or "batch"
        Whether each epoch has an order of its own; "batch" keeps batches together.
    seed : int
        Of these orders.

    Raises
    ------
    ValueError
        If arrays have unequal numbers of rows, or an argument does not go with another.
    """
    if class_weight is not None and sample_weight is not None:
        raise ValueError("class_weight: expected None where there is a sample_weight")
    made: Feed
    if is_arrays(x):
        data = tuple(as_arrays(n, v) for n, v in zip(_NAMES, (x, y, sample_weight), strict=True))
        size: Any = batch_size
        if size is None:
            size = -(-row_count(data) // steps) if steps else 32
        if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
            raise ValueError(f"batch_size: expected an int of at least 1, got {batch_size!r}")
        made = _Arrays((data[0], data[1], data[2]), int(size), shuffle, seed)
    else:
        for name, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                raise ValueError(f"{name}: expected None, as x yields whole batches")
        if not (hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))):
            raise TypeError(f"x: expected arrays or batches, got {type(x).__name__}")
        made = _Batches(x, shuffle, seed)
    return made if class_weight is None else _Weighted(made, class_weight)


_NAMES = ("x", "y", "sample_weight")


def is_arrays(x: Any) -> bool:
    """Return whether x holds all rows, and is no source of batches."""
    return x is None or isinstance(x, dict | tuple | list) or hasattr(x, "__array__")


def as_arrays(name: str, value: Any) -> Any:
    """Return an argument as arrays: a list of numbers is one array, a list of arrays several.

    Raises
    ------
    ValueError
        If it holds sequences of unequal lengths.
    """
    if _is_list_of_numbers(value):
        return _as_array(name, value)
    return structure.transform(lambda part: _as_array(name, part), value)


def _is_list_of_numbers(value: Any) -> bool:
    """Return whether a list is one array, and not several."""
    if not isinstance(value, list):
        return False
    return not any(hasattr(part, "shape") or isinstance(part, dict) for part in value)


def _as_array(name: str, value: Any) -> Any:
    if isinstance(value, Tensor) and getattr(value, "mask", None) is not None:
        raise ValueError(f"{name}: expected arrays, or whole batches of Tensors with masks")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; sequences of unequal lengths need padding") from error
    if array.dtype == object:
        raise ValueError(
            f"{name}: expected numbers, got objects; sequences of unequal lengths need "
            "preprocessing.sequence.pad_sequences or data.LengthBatches"
        )
    return array


def one_batch(x: Any, y: Any = None, sample_weight: Any = None) -> Batch:
    """Return a batch whose parts are arrays, or Tensors, which may have masks.

    Raises
    ------
    ValueError
        If a part is neither.
    """
    return _batched("x", x), _batched("y", y), _batched("sample_weight", sample_weight)


def _batched(name: str, value: Any) -> Any:
    if _is_list_of_numbers(value):
        return _as_array(name, value)
    return structure.transform(
        lambda part: part if isinstance(part, Tensor) else _as_array(name, part), value
    )


def row_count(data: Any) -> int:
    """Return the rows that all arrays of a structure have.

    Raises
    ------
    ValueError
        If they have unequal numbers of them, or none.
    """
    shapes = [array.shape for array in structure.leaves(data)]
    counts = {shape[0] if shape else 0 for shape in shapes}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"x, y: expected equal numbers of rows, at least 1, got {shapes}")
    return int(counts.pop())


def split(data: Any, share: float) -> tuple[Any, Any]:
    """Return the first rows of all arrays, and the last `share` of them.

    Raises
    ------
    ValueError
        If one part is empty.
    """
    if not 0 < share < 1:
        raise ValueError(f"validation_split: expected a number between 0 and 1, got {share!r}")
    if not is_arrays(data[0]):
        raise ValueError("validation_split: expected 0, as x yields whole batches")
    arrays = tuple(as_arrays(name, part) for name, part in zip(_NAMES, data, strict=True))
    rows = row_count(arrays)
    first = int(np.floor(rows * (1.0 - share)))
    if not 0 < first < rows:
        raise ValueError(
            f"validation_split: {share} of {rows} rows leaves nothing to learn from or to test"
        )
    return _take(arrays, slice(0, first)), _take(arrays, slice(first, None))


def unpack(data: Any) -> Batch:
    """Return (x, y, sample_weight), None where absent, of what an iterable yields.

    Raises
    ------
    ValueError
        If a tuple has another number of parts.
    """
    parts = tuple(data) if isinstance(data, list) else data
    if not isinstance(parts, tuple):
        return parts, None, None
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"x: expected batches (x,), (x, y) or (x, y, sample_weight), got {len(parts)} parts"
        )
    x, y, sample_weight = itertools.islice(itertools.chain(parts, (None, None)), 3)
    return x, y, sample_weight


def pack(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return a batch as steps of users' own take it: x, (x, y) or (x, y, sample_weight)."""
    if sample_weight is not None:
        return x, y, sample_weight
    if y is not None:
        return x, y
    return (x,) if isinstance(x, list | tuple) else x


def class_weights(y: Any, weights: Mapping[int, float]) -> Array:
    """Return the weight of each sample by its class.

    Parameters
    ----------
    y : (B,) or (B, 1) array of classes, or (B, V) of which the largest is the class
    weights : mapping of int to float

    Returns
    -------
    (B,) float32

    Raises
    ------
    ValueError
        If y has another shape, or `weights` is no mapping.
    """
    if not isinstance(weights, Mapping):
        raise ValueError(f"class_weight: expected a dict of weights by class, got {weights!r}")
    classes = np.asarray(y)
    if not 1 <= classes.ndim <= 2 or isinstance(y, dict | tuple):
        raise ValueError("class_weight: expected targets (B,), (B, 1) or (B, V) of one output")
    if classes.ndim == 2:
        classes = classes.argmax(axis=1) if classes.shape[1] > 1 else classes[:, 0]
    result = np.ones(len(classes), np.float32)
    for label, weight in weights.items():
        result[np.round(classes) == label] = weight
    return result


def _take(data: Any, rows: Any) -> Any:
    return structure.transform(lambda array: array[rows], data)
