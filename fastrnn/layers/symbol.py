"""Symbols: inputs and outputs of layers without values, of which models are built."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastrnn.layers import context
from fastrnn.layers.structure import is_shape, leaves, mapped, mapped_shapes
from fastrnn.tape import constant

Shape = tuple[int | None, ...]


class Node(NamedTuple):
    """One call of a layer on symbols.

    layer    the layer, or None for a symbol that `Input` made
    inputs   its arguments by name, the first one first, with symbols in them
    outputs  the symbols that it gave, in order, those of nested lists one after the other
    is_list  whether the call gives a tuple of outputs, and not one
    """

    layer: Any
    inputs: dict[str, Any]
    outputs: list[Symbol]
    is_list: bool

    @property
    def sources(self) -> list[Symbol]:
        """The symbols among the arguments, in order."""
        return [leaf for leaf in leaves(self.inputs) if isinstance(leaf, Symbol)]


class Symbol:
    """What stands for an array of some shape while a model is built.

    Parameters
    ----------
    shape : tuple
        None for any length.
    dtype : str
    name : str, optional

    Attributes
    ----------
    node : Node
        The call whose output it is; `index` tells which of its outputs.
    """

    # NumPy leaves operators with an array on their left to us, and so to the message below.
    __array_ufunc__ = None

    def __init__(self, shape: Shape, dtype: Any = "float32", name: str | None = None) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.name = context.automatic_name("symbol") if name is None else name
        self.node = Node(None, {}, [self], False)
        self.index = 0

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"Symbol({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def _refuse(self, *_: Any) -> Any:
        raise TypeError(
            f"{self!r} has no value: pass it to layers only, such as layers.Add(), Multiply(), "
            "Concatenate() or one of your own with this computation in its `call`"
        )

    __array__ = __float__ = __int__ = __bool__ = __len__ = __iter__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = __pow__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    *,
    batch_shape: Any = None,
    name: str | None = None,
) -> Symbol:
    """Return a symbol for an input of a model.

    Parameters
    ----------
    shape : tuple
        Without the batch; None for any length.
    batch_size : int, optional
    dtype : str
        float32 if not given.
    batch_shape : tuple, optional
        In the place of `shape` and `batch_size`.
    name : str, optional

    Examples
    --------
    >>> from fastrnn import layers
    >>> x = layers.Input((None, 3))
    >>> layers.GRU(5)(x).shape
    (None, 5)
    """
    if (shape is None) == (batch_shape is None):
        raise ValueError(f"shape: expected it or batch_shape, got {shape!r} and {batch_shape!r}")
    if batch_shape is None:
        shape = (shape,) if isinstance(shape, int) else shape
        batch_shape = (batch_size, *shape) if is_shape(shape) else shape
    if not is_shape(batch_shape):
        raise ValueError(f"shape: expected a tuple of ints and None, got {shape!r}")
    name = context.automatic_name("input") if name is None else name
    return Symbol(tuple(batch_shape), "float32" if dtype is None else dtype, name)


def call(layer: Any, given: Any) -> Any:
    """Return the symbols of a call of `layer`; `given` is its `arguments.Call`."""
    first = given.first
    try:
        shapes = layer.compute_output_shape(given.first_shape)
    except NotImplementedError:
        shapes = _tried(layer, given)
    kinds = {leaf.dtype for leaf in leaves(first) if hasattr(leaf, "dtype")}
    dtype = layer.output_dtype(kinds)
    outputs: list[Symbol] = []

    def make(shape: Shape) -> Symbol:
        number = f"_{len(outputs)}" if outputs else ""
        outputs.append(Symbol(shape, dtype, f"{layer.name}_output{number}"))
        return outputs[-1]

    made = mapped_shapes(make, shapes)
    node = Node(layer, given.inputs, outputs, isinstance(made, list))
    for index, output in enumerate(outputs):
        output.node, output.index = node, index
    if layer._first_output is None:
        layer._first_output = outputs[0]
    return tuple(made) if isinstance(made, list) else made


def _tried(layer: Any, given: Any) -> Any:
    """Return the shapes of the outputs, from calls on zeros.

    Two calls with two lengths in the place of None tell which lengths of the outputs depend on it.
    """
    first, second = (_shapes_for(layer, given, length) for length in (2, 3))
    if is_shape(first):
        return _joined(first, second)
    return [_joined(one, other) for one, other in zip(first, second, strict=True)]


def _joined(one: Any, other: Any) -> Shape:
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _shapes_for(layer: Any, given: Any, length: int) -> Any:
    try:
        return _shapes_of_zeros(layer, given, length, is_masked=False)
    except Exception as error:
        if not given.takes_mask:
            raise
        try:  # a layer may insist on a mask
            return _shapes_of_zeros(layer, given, length, is_masked=True)
        except Exception:
            raise error from None


def _shapes_of_zeros(layer: Any, given: Any, length: int, *, is_masked: bool) -> Any:
    def zeros(leaf: Any) -> Any:
        if not isinstance(leaf, Symbol):
            return leaf
        tensor = constant(np.zeros([length if n is None else n for n in leaf.shape], leaf.dtype))
        if is_masked and tensor.ndim > 1:
            tensor.mask = np.ones(tensor.shape[:2], bool)
        return tensor

    outputs = layer(**mapped(zeros, given.inputs))
    if hasattr(outputs, "shape"):
        return outputs.shape
    return [leaf.shape for leaf in leaves(outputs)]
