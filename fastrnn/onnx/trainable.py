"""Models that can be trained, of the operators of an ONNX graph.

What is recognised is a chain from one input to one output: an embedding, recurrent layers, dense
layers and activations, and between them what exporters put there to turn and squeeze arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import activations, layers
from fastrnn.models import Sequential
from fastrnn.onnx.activations import activations_of
from fastrnn.onnx.graph import Input, Node

Array = NDArray[Any]

# Operators that are one activation of Keras, if their constants are Keras' too.
_ACTIVATIONS = {
    "Elu": "elu", "Exp": "exponential", "HardSigmoid": "hard_sigmoid", "LeakyRelu": "leaky_relu",
    "LogSoftmax": "log_softmax", "Relu": "relu", "Sigmoid": "sigmoid", "Softmax": "softmax",
    "Softplus": "softplus", "Softsign": "softsign", "Tanh": "tanh",
}  # fmt: skip
_CONSTANTS = {
    "Elu": {"alpha": 1.0},
    "HardSigmoid": {"alpha": 1 / 6, "beta": 0.5},
    "LeakyRelu": {"alpha": 0.2},
}
_KERAS = ("elu", "hard_sigmoid", "leaky_relu", "linear", "relu", "sigmoid", "softplus", "softsign",
          "tanh")  # fmt: skip

# Arrays between the layers, by their axes: T time, B batch, F features, D directions, S either of
# T and B: which is which is known as soon as a recurrent layer takes them.
_TRANSPOSED = {
    ("TBF", (1, 0, 2)): "BTF", ("BTF", (1, 0, 2)): "TBF", ("SSF", (1, 0, 2)): "SSF",
    ("SS", (1, 0)): "SS", ("TDBF", (0, 2, 1, 3)): "TBDF", ("DBF", (1, 0, 2)): "BDF",
}  # fmt: skip
_JOINED = {"TBDF": "TBF", "BTDF": "BTF", "BDF": "BF"}


class _Part(NamedTuple):
    """A layer and the weights that it is given once it is built."""

    layer: Any
    weights: list[Array]


def to_model(
    nodes: Sequence[Node], inputs: Mapping[str, Input], outputs: Sequence[str]
) -> Sequential:
    """Return a trainable model of a graph; see `fastrnn.onnx.model.Model.to_model`."""
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"to_model: expected one input and one output, got {len(inputs)} and {len(outputs)}"
        )
    ((name, start),) = inputs.items()
    rank = None if start.shape is None else len(start.shape)
    axes = {2: "SS" if start.dtype.kind in "iu" else "BF", 3: "SSF"}.get(rank or 0)
    if axes is None:
        raise ValueError(f"to_model: expected an input of 2 or 3 axes, got {start.shape}")
    chain = _Chain(name, axes, [*(n for node in nodes for n in node.inputs), *outputs])
    for node in nodes:
        try:
            chain.follow(node)
        except ValueError as error:
            raise ValueError(f"to_model: {node.label}: {error}") from error
    return chain.finish(start, outputs[0])


class _Chain:
    """The graph up to some node: layers, and the value that goes on, with its axes."""

    def __init__(self, value: str, axes: str, used: Sequence[str]) -> None:
        self.value, self.axes, self._used = value, axes, used
        self.parts: list[_Part] = []
        self._directions = 0
        # Shapes and what is computed of them, and whether it is all zeros.
        self._aside: dict[str, bool] = {}

    def follow(self, node: Node) -> None:
        """Go on over a node."""
        given = zip(node.inputs, node.constants, strict=True)
        sources = {name for name, array in given if name and array is None}
        if node.op == "Shape" or (sources and sources <= self._aside.keys()):
            self._aside[node.outputs[0]] = self._makes_zeros(node)
            return
        if sources - self._aside.keys() != {self.value}:
            raise ValueError("expected a chain of layers, each taking the output of the one before")
        output = node.outputs[0]
        if node.op in ("LSTM", "GRU", "RNN"):
            output = self._recurrent(node)
        elif node.op in _ACTIVATIONS:
            self._activation(node)
        elif node.op in ("Identity", "Dropout") or (node.op == "Cast" and self.axes == "SS"):
            pass
        elif node.op == "Gather":
            self._gather(node)
        elif node.op in ("MatMul", "Gemm", "Add"):
            self._dense(node)
        elif node.op in ("Transpose", "Squeeze", "Reshape"):
            self._reshape(node)
        else:
            raise ValueError("expected an embedding, a recurrent or dense layer, or an activation")
        self.value = output

    def finish(self, start: Input, output: str) -> Sequential:
        """Return the model."""
        if self.value != output or "D" in self.axes or not self.parts:
            raise ValueError(f"to_model: expected layers that end in {output!r}")
        first = self.parts[0]
        is_looked_up = isinstance(first.layer, layers.Embedding)
        features = None if start.shape is None else start.shape[-1]
        if not is_looked_up and features is None:
            features = _features(first)
        if is_looked_up:
            shape: tuple[int | None, ...] = (None,)
        else:
            shape = (features,) if len(start.shape or ()) == 2 else (None, features)
        dtype = "int64" if is_looked_up else str(start.dtype)
        model = Sequential([layers.Input(shape, dtype=dtype), *(p.layer for p in self.parts)])
        for layer, weights in self.parts:
            if weights:
                layer.set_weights(weights)
        return model

    def _makes_zeros(self, node: Node) -> bool:
        if node.op == "ConstantOfShape":
            value = node["value"]
            return value is None or not value.any()
        if node.op not in ("Concat", "Expand", "Identity", "Slice", "Squeeze", "Unsqueeze"):
            return False
        moved = range(len(node.inputs) if node.op == "Concat" else 1)
        return all(self._is_zero(node, index) for index in moved)

    def _gather(self, node: Node) -> None:
        table, indices = node.constants
        if table is not None and self.axes == "SS" and table.ndim == 2 and node["axis"] == 0:
            layer = layers.Embedding(*table.shape, dtype=str(table.dtype))
            self.parts.append(_Part(layer, [table]))
            self.axes = "SSF"
        elif indices is not None and indices.ndim == 0:
            self._pick(node["axis"] % len(self.axes), int(indices))
        else:
            raise ValueError("expected an embedding, or the last step")

    def _pick(self, axis: int, index: int) -> None:
        """Take the last step, or the only direction."""
        letter = self.axes[axis]
        if letter == "D" and self._directions == 1 and index in (0, -1):
            self.axes = self.axes.replace("D", "")
            return
        last = self.parts[-1].layer if self.parts else None
        if letter != "T" or index != -1 or not isinstance(last, layers.RNN):
            raise ValueError("expected the last step of a recurrent layer that runs forwards")
        last.return_sequences = False
        last._arguments["return_sequences"] = False
        self.axes = "BF"

    def _reshape(self, node: Node) -> None:
        """Follow what turns, squeezes and joins axes."""
        if node.op == "Transpose":
            order = tuple(node["perm"] or range(len(self.axes))[::-1])
            if (self.axes, order) not in _TRANSPOSED:
                raise ValueError(f"expected batch and time to change places, got {order}")
            self.axes = _TRANSPOSED[self.axes, order]
        elif node.op == "Squeeze":
            axes = node.attributes.get("axes")
            if len(node.constants) > 1 and node.constants[1] is not None:
                axes = tuple(node.constants[1].reshape(-1))
            if not axes or len(axes) != 1:
                raise ValueError("expected one axis to be squeezed")
            axis = int(axes[0]) % len(self.axes)
            if self.axes[axis] != "D" or self._directions != 1:
                raise ValueError("expected the only direction to be squeezed")
            self.axes = self.axes.replace("D", "")
        elif self.axes in _JOINED:
            shape = node.constants[1]
            if shape is not None and shape.size != len(self.axes) - 1:
                raise ValueError(f"expected directions to be joined, got shape {shape}")
            self.axes = _JOINED[self.axes]
        else:
            raise ValueError("expected directions to be joined")

    def _activation(self, node: Node) -> None:
        for name, value in _CONSTANTS.get(node.op, {}).items():
            if not np.isclose(node[name], value, rtol=1e-6):
                raise ValueError(f"{name}: expected {value:.6g}, got {node[name]:.6g}")
        if "D" in self.axes:
            raise ValueError("expected directions to be joined before")
        if "axis" in node.attributes and node["axis"] not in (-1, len(self.axes) - 1):
            raise ValueError(f"axis: expected the last one, got {node['axis']}")
        self.parts.append(_Part(layers.Activation(_ACTIVATIONS[node.op]), []))

    def _dense(self, node: Node) -> None:
        if node.op == "Add":
            self._bias(node)
            return
        kernel: Any = node.constants[1]
        bias: Any = None
        if kernel is None or kernel.ndim != 2 or "D" in self.axes:
            raise ValueError("expected a constant matrix on the right")
        if node.op == "Gemm":
            if node["transA"] or node["alpha"] != 1 or node["beta"] != 1:
                raise ValueError("expected alpha and beta 1 and no transposition of A")
            kernel = kernel.T if node["transB"] else kernel
            bias = node.constants[2] if len(node.constants) > 2 else None
            bias = None if bias is None else np.broadcast_to(bias.reshape(-1), kernel.shape[1:])
        self._add_dense(kernel, bias)

    def _bias(self, node: Node) -> None:
        """Give a dense layer its bias."""
        bias = next((array for array in node.constants if array is not None), None)
        last = self.parts[-1] if self.parts else None
        is_dense = last is not None and isinstance(last.layer, layers.Dense)
        if bias is None or last is None or not is_dense or len(last.weights) != 1:
            raise ValueError("expected it to be the bias of a dense layer")
        if bias.shape != (last.layer.units,):
            raise ValueError(f"expected a bias {(last.layer.units,)}, got {bias.shape}")
        self.parts.pop()
        self._add_dense(last.weights[0], bias)

    def _add_dense(self, kernel: Array, bias: Array | None) -> None:
        layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, dtype=str(kernel.dtype))
        self.parts.append(_Part(layer, [kernel] if bias is None else [kernel, bias]))

    def _recurrent(self, node: Node) -> str:
        """Add a recurrent layer; return the name of the output that goes on."""
        inputs = [*node.inputs, *[""] * 8]
        if inputs[4] or any(name and not self._is_zero(node, n) for n, name in enumerate(inputs)
                            if n in (5, 6)):  # fmt: skip
            raise ValueError("expected no lengths, and zeros as initial states")
        if inputs[7] or node.attributes.get("input_forget") or node["clip"] is not None:
            raise ValueError("expected no peepholes, no input_forget and no clip")
        W, R = node.constants[1:3]
        B = node.constants[3] if len(node.constants) > 3 else None
        if W is None or R is None or (inputs[3] and B is None):
            raise ValueError("expected weights that are constants")
        is_batch_major = bool(node.attributes.get("layout"))
        wanted = "BTF" if is_batch_major else "TBF"
        if self.axes not in (wanted, "SSF"):
            raise ValueError(f"expected axes {wanted}, got {self.axes}")
        used = [n for n, name in enumerate(node.outputs) if name and name in self._used]
        if used not in ([0], [1]):
            raise ValueError("expected one output to be used, Y or Y_h")
        is_sequence = used == [0]
        self._directions = len(W)
        direction = node["direction"].lower()
        if direction == "reverse" and is_sequence:
            raise ValueError("expected a reverse layer of which the last state is used")
        layer = _keras_layer(node, W, R, B, is_sequence, direction == "reverse")
        if direction == "bidirectional":
            layer = layers.Bidirectional(layer)
        weights: list[Array] = []
        for d in range(len(W)):
            weights += _keras_weights(node, W[d], R[d], None if B is None else B[d])
        self.parts.append(_Part(layer, weights))
        if is_sequence:
            self.axes = "BTDF" if is_batch_major else "TDBF"
        else:
            self.axes = "BDF" if is_batch_major else "DBF"
        return node.outputs[used[0]]

    def _is_zero(self, node: Node, index: int) -> bool:
        array = node.constants[index]
        return self._aside.get(node.inputs[index], False) if array is None else not array.any()


def _features(part: _Part) -> int:
    """Return the features that a layer takes, of its weights."""
    if not part.weights:
        raise ValueError("to_model: expected an input whose number of features is known")
    return int(part.weights[0].shape[0])


def _keras_layer(
    node: Node, W: Array, R: Array, B: Array | None, is_sequence: bool, reverse: bool
) -> Any:
    """Return the layer of one direction."""
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[node.op]
    defaults = ("Sigmoid", "Tanh", "Tanh") if count > 1 else ("Tanh",)
    given = node["activations"] or defaults[:count] * len(W)
    found = activations_of(given, node["activation_alpha"], node["activation_beta"], None)
    names = [_keras_activation(activation) for activation in found[: count * len(W)]]
    if len(W) == 2 and names[:count] != names[count:]:
        raise ValueError("activations: expected the same in both directions")
    options: dict[str, Any] = {
        "use_bias": B is not None, "return_sequences": is_sequence, "go_backwards": reverse,
        "dtype": str(W.dtype),
    }  # fmt: skip
    H = R.shape[2]
    if node.op == "RNN":
        return layers.SimpleRNN(H, names[0], **options)
    if node.op == "GRU":
        is_after = bool(node["linear_before_reset"])
        return layers.GRU(H, names[1], names[0], reset_after=is_after, **options)
    if names[1] != names[2]:
        raise ValueError("activations: expected the same for candidate and output")
    return layers.LSTM(H, names[1], names[0], **options)


def _keras_activation(activation: Any) -> str:
    """Return the name of a function of `fastrnn.activations`."""
    if type(activation).__name__ == "Affine" and activation == (1.0, 0.0):
        return "linear"
    for name in _KERAS:
        known = activations.of_engine(activations.get(name))
        if type(known) is type(activation) and np.allclose(known, activation, rtol=1e-6, atol=0):
            return name
    raise ValueError(f"activations: Keras has no {activation!r}")


def _keras_weights(node: Node, W: Array, R: Array, B: Array | None) -> list[Array]:
    """Return kernel, recurrent kernel and bias: gates z r h as they are, i o f c as i f c o."""
    H = R.shape[1]

    def turned(rows: Array) -> Array:
        if node.op != "LSTM":
            return rows
        i, o, f, c = rows.reshape(4, H, -1)
        return np.stack([i, f, c, o]).reshape(rows.shape)

    weights = [turned(W).T, turned(R).T]
    if B is not None:
        halves = B.reshape(2, -1)
        if node.op == "GRU" and node["linear_before_reset"]:
            weights.append(halves)
        else:
            weights.append(turned(halves.sum(axis=0)))
    return weights
