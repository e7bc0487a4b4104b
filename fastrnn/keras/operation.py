"""Functions in a graph, where Keras puts them for masks and operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastrnn import ops
from fastrnn.layers import Layer, register
from fastrnn.layers.structure import leaves

_COMPARISONS = (
    "all", "any", "equal", "greater", "greater_equal", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "not_equal",
)  # fmt: skip
_ARITHMETIC = (
    "abs", "absolute", "add", "concatenate", "convert_to_tensor", "divide", "exp", "expand_dims",
    "log", "max", "maximum", "mean", "min", "minimum", "multiply", "negative", "ones_like",
    "relu", "sigmoid", "sqrt", "square", "squeeze", "subtract", "sum", "tanh", "true_divide",
    "where", "zeros_like",
)  # fmt: skip

#: Functions of `fastrnn.ops` by the names of Keras' classes for them.
FUNCTIONS = {
    "".join(word.capitalize() for word in name.split("_")): name
    for name in (*_COMPARISONS, *_ARITHMETIC)
}


@register(package="fastrnn.keras")
class Operation(Layer):
    """A function of `fastrnn.ops` as a layer; its result has no mask.

    Parameters
    ----------
    function : str
        One of `FUNCTIONS`.
    arguments : dict, optional
        Its arguments that are no arrays.
    """

    # It takes arrays with masks, and masks as arrays, and nothing is to be told about that.
    supports_masking = True

    def __init__(
        self, function: str, arguments: dict[str, Any] | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if function not in FUNCTIONS.values():
            raise ValueError(f"function: {function!r} is not known")
        self.function = function
        self.arguments = dict(arguments or {})
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return the function of a list of arrays (...)."""
        return getattr(ops, self.function)(*inputs, **self.arguments)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None."""

    def output_dtype(self, dtypes: set[np.dtype[Any]]) -> np.dtype[Any]:
        """Return the dtype of the result."""
        if self.function in _COMPARISONS or self.arguments.get("dtype") == "bool":
            return np.dtype(bool)
        return np.result_type(*dtypes) if dtypes else self.dtype


@register(package="fastrnn.keras")
class Part(Layer):
    """A part of an array, as x[:, -1] is; it has no mask.

    Parameters
    ----------
    key : list or one of its entries, optional
        The index as Keras' files have it: numbers, None, and dicts for slices and the ellipsis.

    Raises
    ------
    ValueError
        If it holds anything else.
    """

    supports_masking = True

    def __init__(self, key: Any = (), **options: Any) -> None:
        super().__init__(**options)
        self.key = key
        self.index = tuple(map(_index, key)) if isinstance(key, list | tuple) else _index(key)
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Return a part of an array (...)."""
        return ops.get_item(inputs, self.index)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None."""

    def output_dtype(self, dtypes: set[np.dtype[Any]]) -> np.dtype[Any]:
        """Return the dtype of the array."""
        return np.result_type(*dtypes) if dtypes else self.dtype


class PartOf:
    """Makes the layer of a part of an array, whose index is known when it is called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: Part | None = None

    def made(self, key: Any) -> Part:
        """Return the layer."""
        if self._made is None:
            self._made = Part(key, name=self.name)
        if self._made.key != key:
            raise ValueError(f"damaged, {self.name} has several indices")
        return self._made


def _index(entry: Any) -> Any:
    """Return one entry of an index of NumPy."""
    if entry is None or (isinstance(entry, int) and not isinstance(entry, bool)):
        return entry
    kind = entry.get("class_name") if isinstance(entry, dict) else None
    if kind == "__ellipsis__":
        return ...
    if kind == "__slice__":
        ends = [entry["config"][name] for name in ("start", "stop", "step")]
        if all(end is None or isinstance(end, int) for end in ends):
            return slice(*ends)
    raise ValueError(f"key: expected numbers, None, slices and ellipses, got {entry!r}"[:200])


@register(package="fastrnn.keras")
class Remasked(Layer):
    """The first of two arrays with the mask of the second."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Return the first of two arrays (...)."""
        return inputs[0].value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the second array's mask."""
        return None if previous_mask is None else previous_mask[1]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the first."""
        return tuple(input_shape[0])


@register(package="fastrnn.keras")
class Unmasked(Layer):
    """The same array without its mask, and so its steps all count."""

    supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Return `inputs` (...)."""
        return leaves(inputs)[0].value

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """Return None."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape as it is."""
        return tuple(input_shape)
