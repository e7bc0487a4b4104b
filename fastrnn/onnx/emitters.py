"""How each layer is written as ONNX nodes.

An emitter takes the file, the layer and its inputs, and returns its outputs: `Value`s, sequences
batch-major as layers have them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from fastrnn import activations, layers
from fastrnn.functional import Direction
from fastrnn.models.graph import InputLayer
from fastrnn.onnx.writer import OPERATORS, File

Array = NDArray[Any]


class Value(NamedTuple):
    """What a layer takes or gives: names of the array and of its mask (B, T), or None."""

    name: str
    dtype: np.dtype[Any]
    mask: str | None = None


Emit = Callable[[File, Any, list[Value]], list[Value]]

# Activations that are one node, with Keras' constants.
_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "elu": ("Elu", {"alpha": 1.0}),
    "exponential": ("Exp", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "log_softmax": ("LogSoftmax", {"axis": -1}),
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "softmax": ("Softmax", {"axis": -1}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "tanh": ("Tanh", {}),
}
# Those that are x times another one.
_PRODUCTS = {"silu": "sigmoid", "hard_silu": "hard_sigmoid"}


def activated(file: File, function: Any, x: Value) -> Value:
    """Add an activation of `fastrnn.activations`."""
    name = activations.serialize(function)
    if name == "linear":
        return x
    if name in _PRODUCTS:
        factor = activated(file, activations.get(_PRODUCTS[name]), x)
        return x._replace(name=file.node("Mul", [x.name, factor.name])[0])
    if name not in _NODES:
        raise ValueError(f"activation {name!r}: expected {', '.join([*_NODES, *_PRODUCTS])}")
    op, attributes = _NODES[name]
    return x._replace(name=file.node(op, [x.name], **attributes)[0])


def cast(file: File, x: Value, dtype: Any) -> Value:
    """Add a conversion, where one is needed."""
    dtype = np.dtype(dtype)
    if x.dtype == dtype:
        return x
    element = helper.np_dtype_to_tensor_dtype(dtype)
    return x._replace(name=file.node("Cast", [x.name], to=element)[0], dtype=dtype)


def _passed(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    return inputs


def _activation(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    return [activated(file, layer.activation, cast(file, inputs[0], layer.dtype))]


def _dense(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    x = cast(file, inputs[0], layer.dtype)
    (y,) = file.node("MatMul", [x.name, file.constant(layer.kernel.value, "kernel")])
    if layer.bias is not None:
        (y,) = file.node("Add", [y, file.constant(layer.bias.value, "bias")])
    return [activated(file, layer.activation, x._replace(name=y))]


def _embedding(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    ids = cast(file, inputs[0], np.int64)
    table = layer.embeddings.value
    (y,) = file.node("Gather", [file.constant(table, "embeddings"), ids.name], axis=0)
    mask = None
    if layer.mask_zero:
        (padding,) = file.node("Equal", [ids.name, file.constant(np.int64(0), "zero")])
        (mask,) = file.node("Not", [padding])
    return [Value(y, table.dtype, mask)]


def _masking(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    x = cast(file, inputs[0], layer.dtype)
    value = file.constant(x.dtype.type(layer.mask_value), "mask_value")
    (equal,) = file.node("Equal", [x.name, value])
    (differs,) = file.node("Not", [equal])
    (number,) = file.node("Cast", [differs], to=TensorProto.INT32)
    (any_,) = file.node("ReduceMax", [number], axes=[-1], keepdims=1)
    factor = cast(file, Value(any_, np.dtype(np.int32)), x.dtype)
    (y,) = file.node("Mul", [x.name, factor.name])
    (flat,) = file.node("Squeeze", [any_, file.constant(np.array([-1]), "axes")])
    (mask,) = file.node("Cast", [flat], to=TensorProto.BOOL)
    return [Value(y, x.dtype, mask)]


def _layer_normalization(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    x = cast(file, inputs[0], layer.dtype)
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    ndim = layer.input_spec.ndim
    axes = sorted(axis % ndim for axis in axes)
    if axes != list(range(ndim - len(axes), ndim)):
        raise ValueError(f"axis: ONNX normalises the last axes, got {layer.axis}")
    shape = [layer.input_spec.axes[axis] for axis in axes]
    gamma = np.ones(shape, x.dtype) if layer.gamma is None else layer.gamma.value
    beta = np.zeros(shape, x.dtype) if layer.beta is None else layer.beta.value
    names = [x.name, file.constant(gamma, "gamma"), file.constant(beta, "beta")]
    options = {"axis": -len(axes), "epsilon": layer.epsilon}
    return [x._replace(name=file.node("LayerNormalization", names, **options)[0])]


def _flatten(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    (y,) = file.node("Flatten", [inputs[0].name], axis=1)
    return [Value(y, inputs[0].dtype)]


def _reshape(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    shape = file.constant(np.array([0, *layer.target_shape], np.int64), "shape")
    return [Value(file.node("Reshape", [inputs[0].name, shape])[0], inputs[0].dtype)]


def _permute(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    (y,) = file.node("Transpose", [inputs[0].name], perm=[0, *layer.dims])
    return [Value(y, inputs[0].dtype)]


def _repeat_vector(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    (y,) = file.node("Unsqueeze", [inputs[0].name, file.constant(np.array([1]), "axes")])
    (y,) = file.node("Expand", [y, file.constant(np.array([1, layer.n, 1]), "shape")])
    return [Value(y, inputs[0].dtype)]


def _pooling(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    x = cast(file, inputs[0], layer.dtype)
    axis = 1 if layer.data_format == "channels_last" else 2
    options: dict[str, Any] = {"axes": [axis], "keepdims": int(layer.keepdims)}
    if isinstance(layer, layers.GlobalMaxPooling1D):
        return [Value(file.node("ReduceMax", [x.name], **options)[0], x.dtype)]
    if x.mask is None:
        return [Value(file.node("ReduceMean", [x.name], **options)[0], x.dtype)]
    steps = cast(file, Value(x.mask, np.dtype(np.bool_)), x.dtype)
    place = file.constant(np.array([3 - axis]), "axes")
    (weights,) = file.node("Unsqueeze", [steps.name, place])
    (weighted,) = file.node("Mul", [x.name, weights])
    along = file.constant(np.array([axis]), "axes")
    sums = [
        file.node("ReduceSum", [name, along], keepdims=options["keepdims"])[0]
        for name in (weighted, weights)
    ]
    return [Value(file.node("Div", sums)[0], x.dtype)]


def _merged(op: str) -> Emit:
    """Return the emitter of a layer that folds its inputs by a binary operator."""

    def emit(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
        ndim = max(layer.ndims)
        arrays, masks = [], []
        for x, n in zip(inputs, layer.ndims, strict=True):
            x = cast(file, x, layer.dtype)
            arrays.append(_unsqueezed(file, x.name, range(1, 1 + ndim - n)))
            mask = x.mask if n == ndim and op in ("Mul", "Max", "Min") else None
            masks.append(mask and _unsqueezed(file, mask, range(2, ndim)))
        fold = _product if op == "Mul" else _folded
        y = fold(file, op, layer.dtype, arrays, masks)
        if isinstance(layer, layers.Average):
            share = file.constant(layer.dtype.type(1 / len(inputs)), "share")
            (y,) = file.node("Mul", [y, share])
        return [Value(y, layer.dtype, _any_mask(file, inputs))]

    return emit


def _folded(file: File, op: str, dtype: Any, arrays: list[str], masks: list[Any]) -> str:
    """Add what `layers.merging` does with masks of a largest or smallest; there may be none."""
    y, there = arrays[0], masks[0]
    for x, mask in zip(arrays[1:], masks[1:], strict=True):
        if mask is not None:
            (x,) = file.node("Where", [mask, x, y])
        if there is not None:
            (y,) = file.node("Where", [there, y, x])
        there = file.node("Or", [there, mask])[0] if there and mask else None
        (y,) = file.node(op, [y, x])
    return y


def _product(file: File, op: str, dtype: Any, arrays: list[str], masks: list[Any]) -> str:
    """Add a product in which masked steps count as 1, and are 0 where all are masked."""
    one, zero = (file.constant(dtype.type(n), name) for n, name in ((1, "one"), (0, "zero")))
    factors = [
        x if mask is None else file.node("Where", [mask, x, one])[0]
        for x, mask in zip(arrays, masks, strict=True)
    ]
    y, there = factors[0], masks[0]
    for x, mask in zip(factors[1:], masks[1:], strict=True):
        (y,) = file.node(op, [y, x])
        there = file.node("Or", [there, mask])[0] if there and mask else None
    return y if there is None else file.node("Where", [there, y, zero])[0]


def _unsqueezed(file: File, x: str, axes: range) -> str:
    """Add axes of length 1."""
    return file.node("Unsqueeze", [x, file.constant(np.array(axes), "axes")])[0] if axes else x


def _any_mask(file: File, inputs: list[Value]) -> str | None:
    masks = [x.mask for x in inputs]
    joined = masks[0]
    for mask in masks[1:]:
        if mask is None or joined is None:
            return None
        if mask != joined:
            (joined,) = file.node("Or", [joined, mask])
    return joined


def _concatenate(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    if any(x.mask is not None for x in inputs):
        masks = {x.mask for x in inputs}
        if len(masks) > 1:
            raise ValueError("masks: expected one mask for all inputs")
    arrays = [cast(file, x, layer.dtype) for x in inputs]
    (y,) = file.node("Concat", [x.name for x in arrays], axis=layer.axis)
    return [arrays[0]._replace(name=y)]


def _time_distributed(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    inner = layer.layer
    if type(inner) not in (layers.Dense, layers.Activation, layers.Dropout):
        raise ValueError(f"layer: expected Dense, Activation or Dropout, got {inner!r}")
    return EMITTERS[type(inner)](file, inner, inputs)


def _recurrent(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    x, *initial = inputs
    y, finals = _run(file, layer, x, [state.name for state in initial])
    if layer.return_sequences and layer.go_backwards:
        y = _flipped(file, y, 0)
    values = [_output(file, layer, x, y, finals)]
    if layer.return_state:
        values += [Value(name, values[0].dtype) for name in finals]
    return values


def _output(file: File, layer: Any, x: Value, y: str, finals: list[str]) -> Value:
    """Return what a layer gives, of its outputs (T, B, H) and final states."""
    dtype = np.dtype(layer.dtype)
    if not layer.return_sequences:
        states = _state_counts(layer)
        return Value(finals[sum(states[:-1])], dtype)
    return Value(file.node("Transpose", [y], perm=[1, 0, 2])[0], dtype, x.mask)


def _bidirectional(file: File, layer: Any, inputs: list[Value]) -> list[Value]:
    x, *initial = inputs
    names = [state.name for state in initial]
    half = len(names) // 2
    pairs = zip(
        (layer.forward_layer, layer.backward_layer), (names[:half], names[half:]), strict=True
    )
    outputs, finals = [], []
    for n, (each, states) in enumerate(pairs):
        y, ends = _run(file, each, x, states)
        if each.go_backwards != bool(n):  # outputs go side by side in the order of time
            y = _flipped(file, y, 0)
        outputs.append(_output(file, each, x, y, ends))
        finals += ends
    if layer.merge_mode is not None:
        outputs = [_joined(file, layer.merge_mode, *outputs)]
    if layer.return_state:
        outputs += [Value(name, outputs[0].dtype) for name in finals]
    return outputs


def _joined(file: File, merge_mode: str, there: Value, back: Value) -> Value:
    """Return the outputs of both directions as one."""
    if merge_mode == "concat":
        (y,) = file.node("Concat", [there.name, back.name], axis=-1)
        return there._replace(name=y)
    (y,) = file.node("Mul" if merge_mode == "mul" else "Add", [there.name, back.name])
    if merge_mode == "ave":
        (y,) = file.node("Mul", [y, file.constant(there.dtype.type(0.5), "half")])
    return there._replace(name=y)


def _state_counts(layer: Any) -> list[int]:
    """Return how many states each cell of a layer has."""
    cells = layer.cell.cells if isinstance(layer.cell, layers.StackedRNNCells) else [layer.cell]
    return [len(cell.sizes) for cell in cells]


def _run(file: File, layer: Any, x: Value, initial: list[str]) -> tuple[str, list[str]]:
    """Add a layer that runs one way; return its outputs (T, B, H) in time's order and states."""
    if layer.stateful:
        raise ValueError("stateful: expected a layer that is not; a file keeps no states")
    if x.mask is not None and initial:
        raise ValueError("initial_state: expected none where there is a mask")
    cells = layer.cell.cells if isinstance(layer.cell, layers.StackedRNNCells) else [layer.cell]
    for cell in cells:
        if getattr(cell, "engine", None) is None or type(cell.engine) not in OPERATORS:
            raise ValueError(f"cell: ONNX has no {type(cell).__name__} with these activations")
    x = cast(file, x, layer.dtype)
    (y,) = file.node("Transpose", [x.name], perm=[1, 0, 2])
    packing = None
    reverse = layer.go_backwards
    if x.mask is not None:
        packing = _Packing(file, x.mask, reverse)
        y, reverse = packing.packed(y), False
    finals: list[str] = []
    first = file.constant(np.array([0]), "axes")
    for n, cell in enumerate(cells):
        states = initial[len(finals) :][: len(cell.sizes)]
        states = [file.node("Unsqueeze", [name, first])[0] for name in states]
        lengths = "" if packing is None else packing.lengths
        direction = Direction(*cell.arrays())
        outputs = file.recurrent(
            cell.engine, [direction], y, lengths, states, turns=[reverse],
            name=f"{layer.name}_{n}" if len(cells) > 1 else "",
        )  # fmt: skip
        y = file.merged(outputs[0], 1, "concat")
        finals += [file.node("Squeeze", [name, first])[0] for name in outputs[1:]]
    if packing is not None and layer.return_sequences:
        y = packing.unpacked(y, layer.zero_output_for_mask)
    return y, finals


def _flipped(file: File, x: str, axis: int) -> str:
    """Add the reversal of an axis."""
    last = np.iinfo(np.int64).max
    bounds = [[-1], [-last], [axis], [-1]]
    names = [file.constant(np.array(bound, np.int64), "slice") for bound in bounds]
    return file.node("Slice", [x, *names])[0]


class _Packing:
    """Masked steps put behind the others, as ONNX knows lengths only.

    lengths  (B,) int32, of the steps that there are
    """

    def __init__(self, file: File, mask: str, reverse: bool) -> None:
        self._file, self._reverse = file, reverse
        (by_time,) = file.node("Transpose", [mask], perm=[1, 0])
        if reverse:
            by_time = _flipped(file, by_time, 0)
        (self._is_step,) = file.node("Cast", [by_time], to=TensorProto.INT64)
        axes = file.constant(np.array([0]), "axes")
        (count,) = file.node("ReduceSum", [self._is_step, axes], keepdims=0)
        (self.lengths,) = file.node("Cast", [count], to=TensorProto.INT32)
        # Of T steps, number t has rank T - t, and T more if it is there: the largest come first.
        (shape,) = file.node("Shape", [self._is_step])
        (steps,) = file.node("Slice", [shape, axes, file.constant(np.array([1]), "one")])
        (T,) = file.node("Squeeze", [steps])
        numbers = [file.constant(np.int64(n), "number") for n in (0, 1)]
        (t,) = file.node("Range", [numbers[0], T, numbers[1]])
        (left,) = file.node("Sub", [T, t])
        (left,) = file.node("Unsqueeze", [left, file.constant(np.array([1]), "axes")])
        (bonus,) = file.node("Mul", [self._is_step, T])
        (rank,) = file.node("Add", [left, bonus])
        _, self._order = file.node("TopK", [rank, steps], *file.new("values", "order"), axis=0)

    def packed(self, x: str) -> str:
        """Add x (T, B, I) with the steps that there are first."""
        if self._reverse:
            x = _flipped(self._file, x, 0)
        return self._picked(x, self._order)

    def unpacked(self, y: str, are_zero: bool) -> str:
        """Add outputs (T, B, H) in their places; masked steps repeat the one before, or are 0."""
        file = self._file
        (count,) = file.node("CumSum", [self._is_step, file.constant(np.int64(0), "axis")])
        (place,) = file.node("Sub", [count, file.constant(np.int64(1), "one")])
        (place,) = file.node("Max", [place, file.constant(np.int64(0), "zero")])
        y = self._picked(y, place)
        kept = self._is_step if are_zero else count
        (kept,) = file.node("Cast", [kept], to=TensorProto.BOOL)
        (kept,) = file.node("Unsqueeze", [kept, file.constant(np.array([2]), "axes")])
        (zero,) = file.node("Sub", [y, y])
        (y,) = file.node("Where", [kept, y, zero])
        return _flipped(file, y, 0) if self._reverse else y

    def _picked(self, x: str, order: str) -> str:
        """Add x (T, B, M) with step order[t, b] in the place of step t."""
        file = self._file
        (indices,) = file.node("Unsqueeze", [order, file.constant(np.array([2]), "axes")])
        (shape,) = file.node("Shape", [x])
        (indices,) = file.node("Expand", [indices, shape])
        return file.node("GatherElements", [x, indices], axis=0)[0]


#: How each class of layers is written.
EMITTERS: dict[Any, Emit] = {
    InputLayer: _passed,
    layers.Activation: _activation,
    layers.Add: _merged("Add"),
    layers.Average: _merged("Add"),
    layers.Bidirectional: _bidirectional,
    layers.Concatenate: _concatenate,
    layers.Dense: _dense,
    layers.Dropout: _passed,
    layers.Embedding: _embedding,
    layers.Flatten: _flatten,
    layers.GRU: _recurrent,
    layers.GlobalAveragePooling1D: _pooling,
    layers.GlobalMaxPooling1D: _pooling,
    layers.LSTM: _recurrent,
    layers.LayerNormalization: _layer_normalization,
    layers.Masking: _masking,
    layers.Maximum: _merged("Max"),
    layers.Minimum: _merged("Min"),
    layers.Multiply: _merged("Mul"),
    layers.Permute: _permute,
    layers.RNN: _recurrent,
    layers.RepeatVector: _repeat_vector,
    layers.Reshape: _reshape,
    layers.SimpleRNN: _recurrent,
    layers.SpatialDropout1D: _passed,
    layers.Subtract: _merged("Sub"),
    layers.TimeDistributed: _time_distributed,
}
