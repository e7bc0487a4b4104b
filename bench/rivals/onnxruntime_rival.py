"""ONNX Runtime's LSTM, GRU and RNN; it only runs forward."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..candidate import Candidate, UnableError, Variants
from ..cases import Case
from ..data import Sequences, Weights, sequences
from .layouts import reordered, two_biases

# Where ONNX's gates (i o f g; z r n) stand in PyTorch's order.
_ORDERS = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}

_OPSET = 14
_IR_VERSION = 8

_threads = 1


def use_threads(number: int) -> None:
    """Use `number` threads."""
    global _threads
    _threads = number


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell not in _ORDERS:
        raise UnableError(f"ONNX has no {case.cell}")
    if case.pass_ != "forward":
        raise UnableError("ONNX Runtime's package does not train")
    if case.dtype != "float32":
        raise UnableError(f"ONNX Runtime has no recurrent layers in {case.dtype}")
    build = _stream if case.kind == "stream" else _layer
    return {
        "spinning": lambda: build(case, spins=True),
        "not spinning": lambda: build(case, spins=False),
    }


def _session(model: bytes, *, spins: bool) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    options.add_session_config_entry("session.set_denormal_as_zero", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _layer(case: Case, *, spins: bool) -> Candidate:
    data = sequences(case)
    session = _session(_model(case, data, case.T, has_states=False), spins=spins)
    feeds: dict[str, Any] = {"x": data.x}
    if data.lengths is not None:
        feeds["lengths"] = data.lengths.astype(np.int32)
    shape = (case.T, case.B, case.outputs)

    def forward() -> Any:
        return session.run(["y"], feeds)[0]

    return Candidate(forward, lambda y: {"y": y.reshape(shape)})


def _stream(case: Case, *, spins: bool) -> Candidate:
    """Run a model of a single step, whose states go in and out."""
    data = sequences(case)
    session = _session(_model(case, data, 1, has_states=True), spins=spins)
    states = [value.name for value in session.get_inputs() if value.name != "x"]
    outputs = ["y", *(f"{name}_after" for name in states)]
    zeros = dict.fromkeys(states, np.zeros((1, case.B, case.H), np.float32))
    steps = [data.x[t : t + 1] for t in range(case.T)]

    def run() -> Any:
        y = np.empty((case.T, case.B, case.H), np.float32)
        feeds = zeros
        for t, x in enumerate(steps):
            h, *after = session.run(outputs, {"x": x, **feeds})
            y[t] = h.reshape(case.B, case.H)
            feeds = dict(zip(states, after, strict=True))
        return y

    return Candidate(run, lambda y: {"y": y})


def _model(case: Case, data: Sequences, T: int, *, has_states: bool) -> bytes:
    """Return the model; its y is (T, 1, B, H) for a single layer, else (T, B, directions * H)."""
    B, H = case.B, case.H
    nodes, constants = [], {}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, B, case.I])]
    outputs = []
    lengths = "lengths" if data.lengths is not None else ""
    if lengths:
        inputs.append(helper.make_tensor_value_info(lengths, TensorProto.INT32, [B]))
    before = "x"
    for k, directions in enumerate(data.weights):
        arrays = zip(*(_translated(case.cell, weights) for weights in directions), strict=True)
        names = [f"W{k}", f"R{k}", f"B{k}"]
        constants |= dict(zip(names, map(np.stack, arrays), strict=True))
        attributes: dict[str, Any] = {"hidden_size": H}
        if case.directions == 2:
            attributes["direction"] = "bidirectional"
        if case.cell == "gru":
            attributes["linear_before_reset"] = 1
        states = [f"{s}{k}" for s in ("hc" if case.cell == "lstm" else "h")] if has_states else []
        for name in states:
            shape = [1, B, H]
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
            outputs.append(helper.make_tensor_value_info(f"{name}_after", TensorProto.FLOAT, shape))
        after = [f"{name}_after" for name in states]
        nodes.append(
            helper.make_node(
                case.cell.upper(), [before, *names, lengths, *states], [f"y{k}", *after],
                **attributes,
            )
        )  # fmt: skip
        before = f"y{k}"
        if case.layers > 1 or case.directions > 1:
            constants["shape"] = np.array([0, 0, case.outputs])
            nodes.append(helper.make_node("Transpose", [before], [f"t{k}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"t{k}", "shape"], [f"s{k}"]))
            before = f"s{k}"
    nodes[-1].output[0] = "y"
    shape = [T, 1, B, H] if len(nodes) == 1 else [T, B, case.outputs]
    graph = helper.make_graph(
        nodes,
        "layers",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape), *outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", _OPSET)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return model.SerializeToString()  # type: ignore[no-any-return]


def _translated(cell: str, weights: Weights) -> tuple[Any, Any, Any]:
    """Return one direction's W (gates * H, I), R (gates * H, H) and B (2 * gates * H,)."""
    order = _ORDERS[cell]
    biases = [reordered(b, order) for b in two_biases(cell, weights.b)]
    W, R = (np.ascontiguousarray(reordered(w, order).T) for w in (weights.W, weights.R))
    return W, R, np.concatenate(biases)
