"""The arguments of one call of a layer."""

from __future__ import annotations

import functools
import inspect
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers.structure import leaves, mapped
from fastrnn.layers.symbol import Symbol
from fastrnn.tape import Tensor, constant

Array = NDArray[Any]


def as_tensor(x: Any, dtype: np.dtype[Any]) -> Tensor:
    """Return `x` as a Tensor, its floats of this dtype.

    Nobody can ask for the gradient of what was an array before.
    """
    if not isinstance(x, Tensor):
        array = np.asarray(x)
        return constant(array.astype(dtype, copy=False) if array.dtype.kind == "f" else array)
    return x if x.dtype.kind != "f" or x.dtype == dtype else _cast(x, dtype)


def as_floats(x: Any, dtype: np.dtype[Any]) -> Tensor:
    """Return `x` as a Tensor of floats of this dtype, whatever numbers it has."""
    tensor = as_tensor(x, dtype)
    if tensor.dtype == dtype:
        return tensor
    if tensor.dtype.kind not in "biu":
        raise TypeError(f"inputs: expected numbers, got {tensor.dtype}")
    return _cast(tensor, dtype)


def _cast(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    floats = ops.cast(x, dtype)
    floats.mask = x.mask
    return floats


def mask_of(x: Any) -> Array | None:
    """Return the mask that travels with `x`, (B, T) bools or None."""
    mask: Array | None = getattr(x, "mask", None)
    return mask


class Call:
    """The arguments of one call of a layer, arrays among them made Tensors.

    Parameters
    ----------
    layer : Layer
    args, kwargs
        As `layer` is given them.

    Attributes
    ----------
    first : structure of Tensors
        The first argument; `first_shape` has its shapes, `shapes` the same in a list.
    training : bool or None
        What was given.
    is_symbolic : bool
        Whether a `Symbol` is among them.
    """

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        kind: Any = type(layer)
        self._takes = takes = _taken(kind.call)
        self._dtype = layer.dtype
        names = takes.names
        bound = dict(zip(names, args, strict=False))
        self._more = args[len(names) :]
        if self._more or not bound.keys().isdisjoint(kwargs):
            twice = sorted(bound.keys() & kwargs.keys())
            if twice or not takes.is_open:
                got = f"{twice[0]} twice" if twice else f"{len(args)} positional ones"
                raise TypeError(
                    f"{layer.name}: expected the arguments {', '.join(names)}, got {got}"
                )
        bound |= kwargs
        self.training: bool | None = bound.pop("training", None)
        unknown = [name for name in kwargs if name not in names and name != "training"]
        if unknown and not takes.is_open and unknown != ["mask"]:
            raise TypeError(f"{layer.name}: unexpected {', '.join(unknown)}")
        self._mask = bound.pop("mask", None)
        if not bound and not self._more:
            raise TypeError(f"{layer.name}: expected inputs, got none")
        self._symbols = 0
        self._bound = {
            name: value if name.endswith("_mask") else self._converted(value, not index)
            for index, (name, value) in enumerate(bound.items())
        }
        if self._more:
            self._more = tuple(self._converted(value, False) for value in self._more)
        self.first = next(iter(self._bound.values())) if bound else self._more[0]
        self.is_symbolic = self._symbols > 0

    def _converted(self, value: Any, is_first: bool) -> Any:
        if isinstance(value, Tensor):
            return as_tensor(value, self._dtype)
        if is_first and isinstance(value, list | tuple) and value and _is_numbers(value):
            value = np.asarray(value)
        return mapped(self._leaf, value)

    def _leaf(self, value: Any) -> Any:
        if isinstance(value, Symbol):
            self._symbols += 1
        elif isinstance(value, Tensor) or (
            hasattr(value, "__array__") and not isinstance(value, np.generic)
        ):
            return as_tensor(value, self._dtype)
        return value

    @property
    def first_shape(self) -> Any:
        """Shapes of the first argument, in its structure."""
        return mapped(_shape, self.first)

    @property
    def shapes(self) -> list[tuple[int | None, ...]]:
        """Shapes of what is in the first argument."""
        if isinstance(self.first, Tensor):
            return [self.first.shape]
        return [leaf.shape for leaf in leaves(self.first) if hasattr(leaf, "shape")]

    def shape_of(self, name: str) -> Any:
        """Return the shapes of the argument `name`; of the first if there is none."""
        return mapped(_shape, self._bound.get(name, self.first))

    @property
    def takes_mask(self) -> bool:
        """Whether `call` takes the mask of the inputs."""
        return self._takes.mask

    def masks(self) -> Any:
        """Return the mask of each input, as given or as it came with it; None if there is none."""
        if self._mask is not None:
            return mapped(_as_mask, self._mask)
        if isinstance(self.first, Tensor):
            return self.first.mask
        masks = mapped(mask_of, self.first)
        return masks if any(mask is not None for mask in leaves(masks)) else None

    def arguments(self, training: bool, masks: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return what `call` is given, by place and by name."""
        named, takes = dict(self._bound), self._takes
        names = takes.names
        if takes.training:
            named["training"] = training
        if takes.mask:
            named["mask"] = masks
        for name, source in takes.masks:
            if source in named and name not in named:
                named[name] = mapped(mask_of, named[source])
        placed = []
        if self._more:
            placed = [named.pop(name) for name in names if name in named] + list(self._more)
        return placed, named

    @property
    def inputs(self) -> dict[str, Any]:
        """What was given by name, but for `training`; for the history of symbols."""
        named = dict(self._bound)
        if self._mask is not None:
            named["mask"] = self._mask
        if self.training is not None:
            named["training"] = self.training
        return named


def _is_numbers(values: Any) -> bool:
    return all(isinstance(leaf, bool | int | float | np.generic) for leaf in leaves(values))


def _shape(leaf: Any) -> Any:
    return tuple(leaf.shape) if hasattr(leaf, "shape") else None


def _as_mask(mask: Any) -> Array | None:
    return None if mask is None else np.asarray(mask).astype(bool)


class _Taken(NamedTuple):
    """What the method `call` of a class takes.

    names           of its parameters
    is_open         whether it takes arguments that it does not name
    training, mask  whether these are among the names
    masks           the names of masks of other parameters, and whose
    """

    names: tuple[str, ...]
    is_open: bool
    training: bool
    mask: bool
    masks: tuple[tuple[str, str], ...]


@functools.cache
def _taken(call: Any) -> _Taken:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = list(inspect.signature(call).parameters.values())
    names = tuple(each.name for each in parameters[1:] if each.kind in kinds)
    open_kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    masks = tuple((name, name.removesuffix("_mask")) for name in names if name.endswith("_mask"))
    is_open = any(each.kind in open_kinds for each in parameters)
    return _Taken(names, is_open, "training" in names, "mask" in names, masks)
