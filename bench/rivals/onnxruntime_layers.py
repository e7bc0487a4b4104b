"""ONNX Runtime's LSTM, GRU and RNN, as candidates; it only runs forward."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from problems import Candidate, Data, Problem, Weights

from rivals.layouts import reordered, two_biases

# Where ONNX's gates (i o f g; z r n) stand in PyTorch's order.
_ORDERS = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}

_OPSET = 14
_IR_VERSION = 8

_threads = 1


def use_threads(number: int) -> None:
    """Use `number` threads."""
    global _threads
    _threads = number


def candidates(problem: Problem, pass_: str) -> dict[str, dict[str, Candidate]]:
    """Return the variants of each candidate for one pass."""
    if pass_ != "forward":
        return {}
    data = problem.data()
    model = _model(problem, data)
    return {
        "onnxruntime": {
            "spinning": _candidate(problem, data, model, spins=True),
            "not spinning": _candidate(problem, data, model, spins=False),
        }
    }


def _candidate(problem: Problem, data: Data, model: bytes, *, spins: bool) -> Candidate:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds: dict[str, Any] = {"x": data.x}
    if data.lengths is not None:
        feeds["lengths"] = data.lengths.astype(np.int32)
    T, B, _, H = problem.shape
    shape = (T, B, problem.directions * H)

    def forward() -> Any:
        return session.run(["y"], feeds)[0]

    return Candidate(forward, lambda y: {"y": y.reshape(shape)})


def _model(problem: Problem, data: Data) -> bytes:
    """Return the model; its y is (T, 1, B, H) for a single layer, else (T, B, directions * H)."""
    T, B, I, H = problem.shape
    nodes, constants = [], {}
    lengths = "lengths" if problem.has_lengths else ""
    before = "x"
    for k, directions in enumerate(data.weights):
        arrays = zip(*(_translated(problem.cell, weights) for weights in directions), strict=True)
        names = [f"W{k}", f"R{k}", f"B{k}"]
        constants |= dict(zip(names, map(np.stack, arrays), strict=True))
        attributes: dict[str, Any] = {"hidden_size": H}
        if problem.directions == 2:
            attributes["direction"] = "bidirectional"
        if problem.cell == "gru":
            attributes["linear_before_reset"] = 1
        inputs = [before, *names, lengths]
        nodes.append(helper.make_node(problem.cell.upper(), inputs, [f"y{k}"], **attributes))
        before = f"y{k}"
        if problem.layers > 1 or problem.directions > 1:
            constants["shape"] = np.array([0, 0, problem.directions * H])
            nodes.append(helper.make_node("Transpose", [before], [f"t{k}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"t{k}", "shape"], [f"s{k}"]))
            before = f"s{k}"
    nodes[-1].output[0] = "y"
    shape = [T, 1, B, H] if len(nodes) == 1 else [T, B, problem.directions * H]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [T, B, I])]
    if lengths:
        inputs.append(helper.make_tensor_value_info(lengths, TensorProto.INT32, [B]))
    graph = helper.make_graph(
        nodes,
        "layers",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
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
