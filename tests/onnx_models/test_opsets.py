from typing import Any, NamedTuple

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

pytest.importorskip("onnx.helper")

import onnx_recurrence
from onnx import TensorProto, defs, helper
from onnx_files import file_of

from fastrnn.onnx import graph, load
from fastrnn.onnx.operators import OPERATORS

# Of those that are read, the ones that the installed package knows.
OPSETS = range(graph.OPSETS[0], min(graph.OPSETS[-1], defs.onnx_opset_version()) + 1)

FLOATS = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
POSITIVE = np.abs(FLOATS) + np.float32(0.1)
ROW = np.array([2.0, -1.0, 0.5, 3.0], np.float32)
INTS = np.arange(-6, 6).reshape(3, 4)
BOOLS = INTS > 0
PLACES = np.array([[2, 0, 1, 1]])
SUMS = FLOATS.astype(np.float64)


def ints(*values):
    return np.array(values, np.int64)


class Case(NamedTuple):
    """A node in the form that each opset has for it.

    arguments  attributes before version `moves` of the operator, inputs from there on
    desired    an array, a tuple of several, or a function of the opset
    """

    op: str
    inputs: list[np.ndarray]
    desired: Any
    attributes: dict[str, Any] = {}  # noqa: RUF012
    moves: int = 0
    arguments: dict[str, Any] = {}  # noqa: RUF012
    since: int = OPSETS[0]


def softmax(x, opset, axis=None):
    """Softmax as it was before and as it is from 13 on, in float64."""
    axis = (-1 if opset >= 13 else 1) if axis is None else axis
    axes = (axis,) if opset >= 13 else tuple(range(axis % x.ndim, x.ndim))
    y = np.exp(x.astype(np.float64))
    return y / y.sum(axes, keepdims=True)


def dropped(opset):
    return FLOATS, np.ones(FLOATS.shape, np.bool_ if opset >= 10 else np.float32)


def normalised(x):
    centre, deviation = x.mean(-1, keepdims=True), x.std(-1, keepdims=True)
    return (x - centre) / np.sqrt(deviation**2 + 1e-5) * ROW


CASES = [
    # What only changed in the types that it takes.
    Case("Abs", [FLOATS], np.abs(FLOATS)),
    Case("Add", [FLOATS, ROW], FLOATS + ROW),
    Case("And", [BOOLS, BOOLS[:1]], BOOLS & BOOLS[:1]),
    Case("Concat", [FLOATS, FLOATS], np.concatenate([FLOATS, FLOATS], 1), {"axis": 1}),
    Case("Div", [FLOATS, ROW], FLOATS / ROW),
    Case("Elu", [FLOATS], np.where(FLOATS < 0, 0.5 * np.expm1(SUMS), SUMS), {"alpha": 0.5}),
    Case("Equal", [INTS, ints(1)], INTS == 1),
    Case("Exp", [FLOATS], np.exp(SUMS)),
    Case("Expand", [ROW, ints(2, 1, 4)], np.tile(ROW, (2, 1, 1))),
    Case("Flatten", [FLOATS], FLOATS.reshape(6, 4), {"axis": 2}),
    Case("Flatten", [FLOATS], FLOATS.reshape(6, 4), {"axis": -1}, since=11),
    Case("Gather", [FLOATS, PLACES], np.take(FLOATS, PLACES, 1), {"axis": 1}),
    Case("Gather", [FLOATS, -PLACES], np.take(FLOATS, -PLACES, 1), {"axis": 1}, since=11),
    Case("GatherElements", [INTS, PLACES], np.take_along_axis(INTS, PLACES, 0)),
    Case("GatherND", [INTS, ints([0, 1], [2, 3])], INTS[[0, 2], [1, 3]]),
    Case("Greater", [FLOATS, ROW], FLOATS > ROW),
    Case("GreaterOrEqual", [FLOATS, FLOATS], FLOATS >= FLOATS),
    Case("HardSigmoid", [FLOATS], np.clip(0.2 * SUMS + 0.5, 0, 1)),
    Case("Identity", [FLOATS], FLOATS),
    Case("LayerNormalization", [FLOATS, ROW], normalised(SUMS)),
    Case("LeakyRelu", [FLOATS], np.where(FLOATS < 0, 0.01 * SUMS, SUMS)),
    Case("Less", [FLOATS, ROW], FLOATS < ROW),
    Case("LessOrEqual", [FLOATS, FLOATS], FLOATS <= FLOATS),
    Case("Log", [POSITIVE], np.log(POSITIVE.astype(np.float64))),
    Case("MatMul", [FLOATS, FLOATS[0].T.copy()], SUMS @ SUMS[0].T),
    Case("Max", [FLOATS, FLOATS[::-1].copy()], np.maximum(FLOATS, FLOATS[::-1])),
    Case("Min", [FLOATS, FLOATS[::-1].copy()], np.minimum(FLOATS, FLOATS[::-1])),
    Case("Max", [FLOATS, ROW], np.maximum(FLOATS, ROW), since=8),
    Case("Mul", [FLOATS, ROW], FLOATS * ROW),
    Case("Neg", [FLOATS], -FLOATS),
    Case("Not", [BOOLS], ~BOOLS),
    Case("Or", [BOOLS, BOOLS[:1]], BOOLS | BOOLS[:1]),
    Case("Pow", [POSITIVE, ROW], POSITIVE.astype(np.float64) ** ROW),
    Case("Pow", [POSITIVE, ints(2)], POSITIVE.astype(np.float64) ** 2, since=12),
    Case("Range", [np.array(5), np.array(-5), np.array(-3)], ints(5, 2, -1, -4)),
    Case("Reciprocal", [POSITIVE], 1 / POSITIVE),
    Case("Relu", [FLOATS], np.maximum(FLOATS, 0)),
    Case(
        "ReverseSequence", [FLOATS, ints(2, 3)],
        np.stack([FLOATS[0, [1, 0, 2]], FLOATS[1, ::-1]]), {"batch_axis": 0, "time_axis": 1},
    ),
    Case("Sigmoid", [FLOATS], 1 / (1 + np.exp(-SUMS))),
    Case("Size", [FLOATS], np.array(24)),
    Case("Softplus", [FLOATS], np.log1p(np.exp(SUMS))),
    Case("Softsign", [FLOATS], SUMS / (1 + np.abs(SUMS))),
    Case("Sqrt", [POSITIVE], np.sqrt(POSITIVE)),
    Case("Sub", [FLOATS, ROW], FLOATS - ROW),
    Case("Sum", [FLOATS, FLOATS, FLOATS], 3 * FLOATS),
    Case("Tanh", [FLOATS], np.tanh(SUMS)),
    Case("Transpose", [FLOATS], FLOATS.transpose(1, 0, 2), {"perm": [1, 0, 2]}),
    Case("Tile", [FLOATS, ints(1, 2, 3)], np.tile(FLOATS, (1, 2, 3))),
    Case("Where", [BOOLS, ROW, -ROW], np.where(BOOLS, ROW, -ROW)),
    # What later got more attributes.
    Case("ArgMax", [FLOATS], FLOATS.argmax(1), {"axis": 1, "keepdims": 0}),
    Case("ArgMax", [-np.abs(ROW)], ints(2), {"axis": 0}),
    Case("ArgMax", [ROW * 0], ints(0), {"axis": 0}),
    Case("ArgMax", [ROW * 0], ints(3), {"axis": 0, "select_last_index": 1}, since=12),
    Case("Cast", [3 * FLOATS], (3 * FLOATS).astype(np.int32), {"to": TensorProto.INT32}),
    Case("Cast", [INTS], BOOLS | (INTS < 0), {"to": TensorProto.BOOL}),
    Case("CastLike", [INTS, ROW], INTS.astype(np.float32)),
    Case("Constant", [], ROW, {"value": helper.make_tensor("", TensorProto.FLOAT, [4], ROW)}),
    Case("Constant", [], ints(3, 4), {"value_ints": [3, 4]}, since=12),
    Case("ConstantOfShape", [ints(2, 3)], np.zeros((2, 3), np.float32)),
    Case(
        "ConstantOfShape", [ints(2)], ints(7, 7),
        {"value": helper.make_tensor("", TensorProto.INT64, [1], [7])},
    ),
    Case("CumSum", [INTS, np.array(1)], np.cumsum(INTS, 1)),
    Case("GatherND", [INTS, ints([1], [0], [2])], ints(-5, -2, 4), {"batch_dims": 1}, since=12),
    Case("Gemm", [FLOATS[0], FLOATS[1], POSITIVE[0, :, 0].copy()],
         SUMS[0] @ SUMS[1].T + POSITIVE[0, :, 0], {"transB": 1}),
    Case("Gemm", [FLOATS[0], FLOATS[1]], 2 * SUMS[0] @ SUMS[1].T, {"transB": 1, "alpha": 2.0},
         since=11),
    Case("Reshape", [FLOATS, ints(0, -1, 2)], FLOATS.reshape(2, 6, 2)),
    Case("Reshape", [FLOATS[:0], ints(5, 0)], FLOATS[:0].reshape(5, 0), {"allowzero": 1}, since=14),
    Case("ScatterElements", [INTS, PLACES, ints([1, 2, 3, 4])],
         ints([-6, 2, -4, -3], [-2, -1, 3, 4], [1, 3, 4, 5])),
    Case("ScatterElements", [INTS, PLACES * 0, ints([1, 2, 3, 4])],
         INTS + ints([1, 2, 3, 4], [0] * 4, [0] * 4), {"reduction": "add"}, since=16),
    Case("Shape", [FLOATS], ints(2, 3, 4)),
    Case("Shape", [FLOATS], ints(3), {"start": 1, "end": -1}, since=15),
    Case("TopK", [ROW], (ROW[[3, 0]], ints(3, 0)), {}, 10, {"k": [2]}),
    Case("TopK", [ROW], (ROW[[1, 2]], ints(1, 2)), {"largest": 0}, 10, {"k": [2]}, since=11),
    # What went from attributes to inputs.
    Case("Clip", [FLOATS], FLOATS.clip(-0.5, 0.25), {}, 11, {"min": -0.5, "max": 0.25}),
    Case("Clip", [FLOATS], FLOATS.clip(-0.5, None), {}, 11, {"min": -0.5}),
    Case("Dropout", [FLOATS], dropped, {}, 12, {"ratio": 0.4}),
    Case("ReduceMax", [FLOATS], FLOATS.max(1, keepdims=True), {}, 18, {"axes": [1]}),
    Case("ReduceMean", [FLOATS], SUMS.mean((0, 2), keepdims=True), {}, 18, {"axes": [0, 2]}),
    Case("ReduceMean", [FLOATS], SUMS.mean(), {"keepdims": 0}),
    Case("ReduceMin", [FLOATS], FLOATS.min(1), {"keepdims": 0}, 18, {"axes": [1]}),
    Case("ReduceMin", [FLOATS], FLOATS.min(-1), {"keepdims": 0}, 18, {"axes": [-1]}, since=11),
    Case("ReduceProd", [FLOATS], SUMS.prod(1, keepdims=True), {}, 18, {"axes": [1]}),
    Case("ReduceSum", [FLOATS], SUMS.sum(1, keepdims=True), {}, 13, {"axes": [1]}),
    Case("ReduceSum", [FLOATS], FLOATS, {"noop_with_empty_axes": 1}, since=13),
    Case("ReduceMax", [FLOATS], FLOATS, {"noop_with_empty_axes": 1}, since=18),
    Case("Slice", [FLOATS], FLOATS[1:, :, -3:-1], {}, 10,
         {"starts": [1, -3], "ends": [9, -1], "axes": [0, 2]}),
    Case("Slice", [FLOATS, ints(3), ints(-9), ints(2), ints(-2)], FLOATS[..., 3::-2], since=10),
    Case("Split", [FLOATS], tuple(np.split(FLOATS, [1], 2)), {"axis": 2}, 13, {"split": [1, 3]}),
    Case("Split", [FLOATS], tuple(np.split(FLOATS, 3, 1)),
         {"axis": 1, "num_outputs": 3}, since=18),
    Case("Split", [FLOATS], tuple(np.split(FLOATS, [2], 1)),
         {"axis": 1, "num_outputs": 2}, since=18),
    Case("Squeeze", [FLOATS[:1]], FLOATS[0], {}, 13, {"axes": [0]}),
    Case("Squeeze", [FLOATS[:1]], FLOATS[0], {}),
    Case("Pad", [FLOATS], np.pad(FLOATS, [(0, 1), (2, 0), (0, 0)])[:, :-1], {}, 11,
         {"pads": [0, 2, 0, 1, -1, 0]}),
    Case("Pad", [FLOATS], np.pad(FLOATS, [(0, 0), (0, 0), (1, 0)], constant_values=0.5), {}, 11,
         {"pads": [0, 0, 1, 0, 0, 0], "value": 0.5}),
    Case("Pad", [FLOATS], np.pad(FLOATS, [(0, 0), (0, 0), (3, 2)], "reflect"),
         {"mode": "reflect"}, 11, {"pads": [0, 0, 3, 0, 0, 2]}),
    Case("Pad", [INTS, ints(2, 1), np.array(7), ints(-1)],
         np.pad(INTS, [(0, 0), (2, 1)], constant_values=7), since=18),
    Case("Pad", [INTS, ints(0, 2, 0, 3)], np.pad(INTS, [(0, 0), (2, 3)], "wrap"),
         {"mode": "wrap"}, since=19),
    Case("Unsqueeze", [FLOATS], FLOATS[None, :, :, None], {}, 13, {"axes": [0, 3]}),
    # What means something else.
    Case("Softmax", [FLOATS], lambda opset: softmax(FLOATS, opset)),
    Case("Softmax", [FLOATS], lambda opset: softmax(FLOATS, opset, 2), {"axis": 2}),
    Case("LogSoftmax", [FLOATS], lambda opset: np.log(softmax(FLOATS, opset))),
    Case("LogSoftmax", [FLOATS], lambda opset: np.log(softmax(FLOATS, opset, 0)), {"axis": 0}),
]  # fmt: skip


def form(case, opset):
    """Inputs, constants and attributes of a case in an opset."""
    feeds = {f"x{n}": array for n, array in enumerate(case.inputs)}
    if opset < case.moves:
        arguments = {n: v[0] if n == "k" else v for n, v in case.arguments.items()}
        return feeds, {}, case.attributes | arguments
    constants = {
        name: np.array(value, np.float32 if isinstance(value, float) else np.int64)
        for name, value in case.arguments.items()
    }
    return feeds, constants, case.attributes


def versioned(nodes, feeds, outputs, constants, opset):
    """Bytes of a model as programs of the time wrote it, constants among its inputs if old."""
    opsets = [helper.make_opsetid("", opset)]
    ir_version = helper.find_min_ir_version_for(opsets)
    inputs = feeds if ir_version > 3 else feeds | constants
    return file_of(nodes, inputs, outputs, constants, opset, ir_version=ir_version)


@pytest.mark.parametrize("op", sorted(OPERATORS.keys() - {"RNN", "GRU", "LSTM"}))
def test_operators_have_the_form_of_each_opset(op):
    cases = [case for case in CASES if case.op == op]
    first = min(schema.since_version for schema in defs.get_all_schemas_with_history()
                if schema.name == op and not schema.domain)  # fmt: skip
    tried = set()
    for case in cases:
        for opset in OPSETS[max(case.since, first) - OPSETS[0] :]:
            feeds, constants, attributes = form(case, opset)
            desired = case.desired(opset) if callable(case.desired) else case.desired
            desired = desired if isinstance(desired, tuple) else (desired,)
            outputs = [f"y{n}" for n in range(len(desired))]
            node = helper.make_node(op, [*feeds, *constants], outputs, **attributes)
            results = [load(versioned([node], feeds, outputs, constants, opset)).run(feeds)]
            given = feeds | constants
            results.append(load(versioned([node], given, outputs, {}, opset)).run(given))
            for y, expected in zip(results[0] + results[1], desired * 2, strict=True):
                message = f"{op}, opset {opset}"
                assert y.shape == expected.shape, message
                assert y.dtype.kind == expected.dtype.kind, message
                np.testing.assert_allclose(y, expected, 2e-6, 1e-6, err_msg=message)
            tried.add(opset)
    assert tried == {*range(max(first, OPSETS[0]), OPSETS.stop)}


RECURRENT = {"RNN": 1, "GRU": 3, "LSTM": 4}


def normal(rng, *shape):
    return (0.5 * rng.standard_normal(shape)).astype(np.float32)


def layer(rng, op, D, I=4, H=6, B=3):
    """Arrays of a node with all its usual inputs."""
    G = RECURRENT[op]
    arrays = {
        "X": normal(rng, 5, B, I), "W": normal(rng, D, G * H, I), "R": normal(rng, D, G * H, H),
        "B": normal(rng, D, 2 * G * H), "sequence_lens": np.array([5, 2, 4], np.int32),
        "initial_h": normal(rng, D, B, H),
    }  # fmt: skip
    if op == "LSTM":
        arrays["initial_c"] = normal(rng, D, B, H)
    return arrays


@pytest.mark.parametrize("op", RECURRENT)
@pytest.mark.parametrize("opset", OPSETS)
def test_recurrent_layers_of_each_opset_equal_the_equations(rng, op, opset):
    for direction, layout in (("forward", 0), ("bidirectional", 0), ("bidirectional", 1)):
        if layout and opset < 14:
            continue
        arrays = layer(rng, op, 1 + (direction == "bidirectional"))
        attributes = {"direction": direction, "hidden_size": 6}
        if op == "GRU":
            attributes["linear_before_reset"] = 1
        if layout:
            attributes["layout"] = 1
            for name in ("X", "initial_h", "initial_c"):
                if name in arrays:
                    arrays[name] = np.ascontiguousarray(arrays[name].swapaxes(0, 1))
        constants = {name: arrays[name] for name in ("W", "R", "B")}
        feeds = {name: array for name, array in arrays.items() if name not in constants}
        names = ("Y", "Y_h", "Y_c")[: 2 + (op == "LSTM")]
        nodes = [helper.make_node(op, [*arrays], names, **attributes)]
        results = load(versioned(nodes, feeds, names, constants, opset)).run(feeds)
        desired = onnx_recurrence.run(op, **arrays, **attributes)
        for name, y, d in zip(names, results, desired, strict=True):
            assert_close(y, d, FLOAT32_OUTPUT, f"{name}, {direction}, {layout}")


@pytest.mark.parametrize("opset", OPSETS)
def test_a_classifier_of_each_opset_computes_what_its_layers_say(rng, opset):
    """Ids to classes, with what exporters put between layers."""
    B, T, I, H, classes = 2, 7, 4, 6, 3
    E, ids = normal(rng, 10, I), rng.integers(0, 10, (B, T))
    first, second = layer(rng, "LSTM", 2, I, H), layer(rng, "GRU", 1, 2 * H, H)
    W, b = normal(rng, H, classes), normal(rng, classes)
    constants = {"E": E, "W": W, "b": b, "shape": ints(0, 0, -1)}
    for n, arrays in enumerate((first, second)):
        constants |= {f"{name}{n}": arrays[name] for name in ("W", "R", "B")}

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs.split(), [output], **attributes)

    def moved(op, version, value, output, **arguments):
        if opset < version:
            return node(op, value, output, **arguments)
        names = [f"{output}_{name}" for name in arguments]
        constants.update(zip(names, map(np.int64, arguments.values()), strict=True))
        return node(op, f"{value} {' '.join(names)}", output)

    nodes = [
        node("Gather", "E ids", "embedded"),
        node("Transpose", "embedded", "x", perm=[1, 0, 2]),
        node("LSTM", "x W0 R0 B0", "both", direction="bidirectional", hidden_size=H),
        node("Transpose", "both", "sides", perm=[0, 2, 1, 3]),
        node("Reshape", "sides shape", "y0"),
        node("GRU", "y0 W1 R1 B1", "y1", hidden_size=H, linear_before_reset=1),
        moved("Squeeze", 13, "y1", "y2", axes=[1]),
        moved("Slice", 10, "y2", "last", starts=[-1], ends=[2**31 - 1], axes=[0]),
        moved("Squeeze", 13, "last", "features", axes=[0]),
        node("Gemm", "features W b", "scores"),
        node("Softmax", "scores", "p", axis=1),
    ]
    model = load(versioned(nodes, {"ids": ids}, ["p"], constants, opset))
    (y0, *_) = onnx_recurrence.run(
        "LSTM", E[ids].swapaxes(0, 1), **{n: first[n] for n in "WRB"}, direction="bidirectional"
    )
    y0 = y0.transpose(0, 2, 1, 3).reshape(T, B, 2 * H)
    (y1, *_) = onnx_recurrence.run(
        "GRU", y0, **{n: second[n] for n in "WRB"}, linear_before_reset=1
    )
    assert model.input_names == ["ids"]
    assert_close(*model.run({"ids": ids}), softmax(y1[-1, 0] @ W + b, 13), FLOAT32_OUTPUT)
