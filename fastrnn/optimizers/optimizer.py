"""What all optimizers have in common: one step over named weights, limits, and their state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.kernels.cpu import update as kernel
from fastrnn.optimizers.slots import Slots, compare, read

Array = NDArray[Any]


class Optimizer(ABC):
    """What all optimizers have in common.

    At most one of the three limits may be given.

    Parameters
    ----------
    learning_rate : float
        At least 0; may be changed at any time.
    weight_decay : float, optional
        Before each step a weight loses this share of itself, times the learning rate.
    clipnorm : float, optional
        Scale each gradient so that its own norm is at most this.
    clipvalue : float, optional
        Cut gradients off at this, both ways.
    global_clipnorm : float, optional
        Scale all gradients alike so that their common norm is at most this.

    Notes
    -----
    A norm that is not finite turns the gradients that it would scale into NaN, so that a broken
    step cannot pass for a small one.
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        weight_decay: float | None,
        clipnorm: float | None,
        clipvalue: float | None,
        global_clipnorm: float | None,
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = number("weight_decay", weight_decay or 0.0)
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = [name for name, limit in limits.items() if limit is not None]
        if len(given) > 1:
            raise ValueError(f"{given[1]}: expected None beside {given[0]}")
        for name in given:
            if number(name, limits[name]) == 0.0:
                raise ValueError(f"{name}: expected a number above 0, got {limits[name]!r}")
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self._iterations = 0
        self._slots: dict[str, Slots] = {}
        self._names: tuple[str, ...] = ()
        self._tensors: kernel.Tensors | None = None

    @property
    def learning_rate(self) -> float:
        """Size of the steps."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float) -> None:
        """Set the size of the steps."""
        self._learning_rate = number("learning_rate", learning_rate)

    @property
    def iterations(self) -> int:
        """Steps taken so far."""
        return self._iterations

    @property
    def state(self) -> dict[str, Array]:
        """What the next step depends on, beside the constructor's arguments.

        "iterations" () int64, and for each weight its running averages, "<weight>/m" for a
        momentum and "<weight>/v" for a mean square, of the weight's shape and dtype.  The latter
        are the live arrays: later steps change them.
        """
        slots = {
            f"{name}/{letter}": array
            for name, slots in self._slots.items()
            for letter, array in zip(self._letters, slots.arrays(), strict=True)
        }
        return {"iterations": np.array(self._iterations, np.int64), **slots}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on from `state`, a copy of what the property of that name returned.

        Parameters
        ----------
        state : mapping of arrays
            Is copied.

        Raises
        ------
        ValueError
            If an entry is missing, unknown, or of a wrong shape or dtype; nothing is changed.
        """
        iterations = np.asarray(state.get("iterations"))
        if iterations.shape != () or iterations.dtype.kind not in "iu" or iterations < 0:
            raise ValueError(
                f"state: expected 'iterations' to be an integer of at least 0, got {iterations!r}"
            )
        loaded = read(state, self._letters)
        if self._slots and self._letters:
            compare(loaded, self._slots)
            unknown = loaded.keys() - self._slots.keys()
            if unknown:
                raise ValueError(f"state: there is no weight {min(unknown)!r}")
        self._iterations = int(iterations)
        self._slots = loaded
        self._tensors = None

    def update(
        self,
        weights: Mapping[str, Array],
        gradients: Mapping[str, Array],
        *,
        rows: Mapping[str, NDArray[np.integer[Any]]] | None = None,
    ) -> float:
        """Take one step: change `weights` in place.

        Parameters
        ----------
        weights : mapping of C-contiguous arrays of float32 or float64, all of one dtype
            Written.  Steps cost less when they are the same arrays each time.
        gradients : mapping of C-contiguous arrays
            For the same names, of the same shapes and dtype.
        rows : mapping of sorted integer arrays, each id once, optional
            For weights with few non-zero rows of the gradient: all those rows.  Others are left
            out where that does not change the result (gradient descent without momentum and
            decay); elsewhere it has no effect.

        Returns
        -------
        float
            The norm of all gradients together before any limit, summed in float64.

        Raises
        ------
        ValueError
            If an argument is not as described; nothing is changed.
        """
        if weights.keys() != gradients.keys():
            missing = min(weights.keys() ^ gradients.keys())
            raise ValueError(f"gradients: expected the names of the weights; see {missing!r}")
        tensors = self._tensors
        if (
            tensors is None
            or self._names != tuple(weights)
            or any(a is not b for a, b in zip(tensors.parameters, weights.values(), strict=True))
        ):
            tensors = self._adopt(weights)
        ordered = [gradients[name] for name in weights]
        for name, parameter, gradient in zip(weights, tensors.parameters, ordered, strict=True):
            if (
                not _is_plain(gradient)
                or gradient.shape != parameter.shape
                or gradient.dtype != parameter.dtype
            ):
                expected = f"{parameter.shape} {parameter.dtype}, C-contiguous"
                raise ValueError(
                    f"gradients[{name!r}]: expected {expected}, got {_describe(gradient)}"
                )
        tensors.set_gradients(ordered, self._rows(weights, rows))
        squares = tensors.square_sums()
        norm = math.sqrt(sum(squares.tolist()))
        scales = np.ones(len(ordered))
        if self.clipnorm is not None:
            scales = _scales(np.sqrt(squares), self.clipnorm)
        elif self.global_clipnorm is not None:
            scales *= _scales(norm, self.global_clipnorm)
        self._iterations += 1
        tensors.step(self._rule(), scales, math.inf if self.clipvalue is None else self.clipvalue)
        return norm

    @property
    def _letters(self) -> tuple[str, ...]:
        return kernel.SLOTS[type(self._rule())]

    @property
    def _decay(self) -> float:
        return self.learning_rate * self.weight_decay

    @abstractmethod
    def _rule(self) -> Any:
        """Return the kernel's rule for the step of number `iterations`, counted from 1."""

    def _adopt(self, weights: Mapping[str, Array]) -> kernel.Tensors:
        """Check new weights and make slots for them."""
        _check_weights(weights)
        if self._letters:
            known = {n: w for n, w in weights.items() if self._iterations or n in self._slots}
            compare(self._slots, known)
        for name, weight in weights.items():
            if name not in self._slots:
                memory = kernel.allocate_slots(weight.size, len(self._letters), weight.dtype)
                self._slots[name] = Slots(memory, weight.shape)
        self._tensors = kernel.Tensors(
            list(weights.values()), [self._slots[name].memory for name in weights]
        )
        self._names = tuple(weights)
        return self._tensors

    def _rows(
        self, weights: Mapping[str, Array], rows: Mapping[str, Array] | None
    ) -> Sequence[Array | None] | None:
        """Return what may be left out, in the order of the weights; None for nothing."""
        for name, used in (rows or {}).items():
            if name not in weights:
                raise ValueError(f"rows: expected names of weights, got {name!r}")
            _check_rows(f"rows[{name!r}]", used, weights[name])
        if not rows or self._letters or self.weight_decay:
            return None
        return [rows.get(name) for name in weights]


def _check_weights(weights: Mapping[str, Array]) -> None:
    """Raise ValueError unless kernels may write all weights side by side."""
    if not weights:
        raise ValueError("weights: expected at least one array")
    dtype = getattr(next(iter(weights.values())), "dtype", None)
    spans = []
    for name, weight in weights.items():
        if (
            not _is_plain(weight)
            or not weight.flags.writeable
            or weight.dtype not in _validate.FLOATS
            or weight.dtype != dtype
        ):
            raise ValueError(
                f"weights[{name!r}]: expected a writable C-contiguous array of float32 or "
                f"float64, the same for all, got {_describe(weight)}"
            )
        start = weight.__array_interface__["data"][0]
        spans.append((start, start + weight.nbytes, name))
    spans = sorted(span for span in spans if span[0] < span[1])
    for (_, end, name), (start, _, other) in pairwise(spans):
        if start < end:
            raise ValueError(f"weights: {name!r} and {other!r} share memory")


def _check_rows(name: str, used: Any, weight: Array) -> None:
    """Raise ValueError unless `used` are rows of `weight`, each once."""
    limit = len(weight) if weight.ndim else 0
    if (
        not isinstance(used, np.ndarray)
        or used.ndim != 1
        or used.dtype.kind not in "iu"
        or (used.size and not 0 <= int(used[0]) <= int(used[-1]) < limit)
        or not (used[1:] > used[:-1]).all()
    ):
        raise ValueError(
            f"{name}: expected sorted integers in 0..{limit - 1}, each once, got {_describe(used)}"
        )


def _is_plain(array: Any) -> bool:
    """Whether kernels may read `array` as numbers in a row."""
    return isinstance(array, np.ndarray) and array.flags.c_contiguous and array.flags.aligned


def _describe(value: Any) -> str:
    plain = not isinstance(value, np.ndarray) or _is_plain(value)
    return _validate.describe(value) + ("" if plain else ", not C-contiguous")


def _scales(norms: Any, limit: float) -> Any:
    """Return the factors that bring `norms` down to at most `limit`."""
    return np.where(np.isfinite(norms), limit / np.maximum(norms, limit), math.nan)


def number(name: str, value: Any) -> float:
    """Return the argument `name` if it is a number of at least 0."""
    if not isinstance(value, int | float | np.number) or not 0.0 <= value < math.inf:
        raise ValueError(f"{name}: expected a number of at least 0, got {value!r}")
    return float(value)


def share(name: str, value: Any) -> float:
    """Return the argument `name` if it is a number in [0, 1)."""
    if number(name, value) >= 1.0:
        raise ValueError(f"{name}: expected a number in [0, 1), got {value!r}")
    return float(value)
