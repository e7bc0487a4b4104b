import numpy as np
import pytest

pytest.importorskip("onnx.helper")

from onnx import TensorProto, helper, load_model_from_string
from onnx.reference import ReferenceEvaluator
from onnx_files import file_of, node_file

from fastrnn.onnx import load

FLOATS = np.random.default_rng(1).standard_normal((2, 3, 4)).astype(np.float32)
POSITIVE = np.abs(FLOATS) + np.float32(0.1)
INTS = np.arange(-6, 6, dtype=np.int64).reshape(3, 4)
BOOLS = INTS > 0
ROW = np.array([2.0, -1.0, 0.5, 3.0], np.float32)


def ints(*values):
    return np.array(values, np.int64)


def number(value, dtype=np.float32):
    return np.array(value, dtype)


# Operator, opset, inputs, attributes, number of outputs.
CASES = [
    ("Add", 7, [FLOATS, ROW], {}),
    ("Sub", 14, [INTS, ints(1, 2, 3, 4)], {}),
    ("Mul", 13, [FLOATS, FLOATS[:1]], {}),
    ("Div", 14, [FLOATS, ROW], {}),
    ("Pow", 7, [POSITIVE, ROW], {}),
    ("Pow", 15, [POSITIVE, ints(0, 1, 2, 3)], {}),
    ("Neg", 13, [INTS], {}),
    ("Exp", 13, [FLOATS], {}),
    ("Log", 13, [POSITIVE], {}),
    ("Sqrt", 13, [POSITIVE], {}),
    ("Relu", 14, [FLOATS], {}),
    ("Sigmoid", 13, [60 * FLOATS], {}),
    ("Tanh", 13, [FLOATS], {}),
    ("Equal", 13, [INTS, ints(1)], {}),
    ("Less", 9, [FLOATS, ROW], {}),
    ("Greater", 13, [FLOATS, ROW], {}),
    ("And", 7, [BOOLS, BOOLS[:1]], {}),
    ("Or", 7, [BOOLS, BOOLS[:1]], {}),
    ("Not", 13, [BOOLS], {}),
    ("Where", 16, [BOOLS, ROW, -ROW], {}),
    ("Min", 13, [FLOATS, ROW, -ROW], {}),
    ("Max", 13, [FLOATS], {}),
    ("Cast", 13, [FLOATS], {"to": TensorProto.INT32}),
    ("Cast", 13, [INTS], {"to": TensorProto.BOOL}),
    ("Clip", 13, [FLOATS, number(-0.5), number(0.25)], {}),
    ("MatMul", 13, [FLOATS, FLOATS[0].T.copy()], {}),
    ("Gemm", 9, [FLOATS[0], FLOATS[1], FLOATS[0, :, 0].copy()], {"transB": 1, "alpha": 0.5}),
    ("Gemm", 13, [FLOATS[0], FLOATS[1]], {"transA": 1, "beta": 0.0}),
    ("Transpose", 13, [FLOATS], {"perm": [2, 0, 1]}),
    ("Transpose", 13, [FLOATS], {}),
    ("Reshape", 13, [FLOATS, ints(0, -1, 2)], {}),
    ("Flatten", 13, [FLOATS], {"axis": -1}),
    ("Squeeze", 11, [FLOATS[:1]], {"axes": [0]}),
    ("Squeeze", 13, [FLOATS[:1], ints(0)], {}),
    ("Squeeze", 13, [FLOATS[:1, :, :1]], {}),
    ("Unsqueeze", 11, [FLOATS], {"axes": [0, 3]}),
    ("Unsqueeze", 13, [FLOATS, ints(-1)], {}),
    ("Slice", 9, [FLOATS], {"starts": [1, -3], "ends": [9, -1], "axes": [0, 2]}),
    ("Slice", 13, [FLOATS, ints(-1), ints(-100), ints(1), ints(-2)], {}),
    ("Slice", 13, [FLOATS, ints(0, 1), ints(1, 2**62)], {}),
    ("Concat", 13, [FLOATS, FLOATS[:, :1]], {"axis": 1}),
    ("Split", 11, [FLOATS], {"axis": 2, "split": [1, 3]}, 2),
    ("Split", 13, [FLOATS, ints(3, 1)], {"axis": -1}, 2),
    ("Split", 13, [FLOATS], {"axis": 2}, 2),
    ("Split", 18, [FLOATS], {"axis": 1, "num_outputs": 2}, 2),
    ("Shape", 13, [FLOATS], {}),
    ("Shape", 15, [FLOATS], {"start": -2}),
    ("Size", 13, [FLOATS], {}),
    ("ConstantOfShape", 9, [ints(2, 3)], {}),
    ("Expand", 13, [ROW, ints(2, 1, 4)], {}),
    ("Range", 11, [number(1), number(7.5), number(2)], {}),
    ("Range", 11, [number(5, np.int64), number(-5, np.int64), number(-3, np.int64)], {}),
    ("Gather", 13, [FLOATS, INTS[:2] % 3], {"axis": 1}),
    ("Gather", 13, [FLOATS, np.array(-1)], {"axis": 2}),
    ("GatherElements", 13, [FLOATS, np.array([INTS, -INTS]) % 3], {"axis": 1}),
    ("ScatterElements", 11, [FLOATS, INTS[None] % 3, FLOATS[:1]], {"axis": 1}),
    ("ScatterElements", 13, [FLOATS, ints(-1, 0)[:, None, None], FLOATS[:, :1, :1]], {"axis": -1}),
    ("ScatterElements", 16, [FLOATS, 0 * INTS[None], FLOATS[:1]], {"reduction": "add"}),
    ("ScatterElements", 18, [FLOATS, 0 * INTS[None], FLOATS[:1]], {"reduction": "max"}),
    ("GatherND", 12, [FLOATS, ints(1, 2)[:, None]], {"batch_dims": 1}),
    ("GatherND", 13, [FLOATS, np.array([[0, 1], [1, 2]])], {}),
    ("Softmax", 13, [50 * FLOATS], {"axis": 1}),
    ("LogSoftmax", 13, [5 * FLOATS], {}),
    ("ReduceMean", 13, [FLOATS], {"axes": [0, -1]}),
    ("ReduceMean", 18, [FLOATS, ints(1)], {"keepdims": 0}),
    ("ReduceSum", 11, [FLOATS], {"axes": [1]}),
    ("ReduceSum", 13, [FLOATS, ints(2)], {}),
    ("ReduceSum", 13, [FLOATS], {"noop_with_empty_axes": 1}),
    ("ReduceMax", 13, [FLOATS], {"keepdims": 0}),
    ("ReduceMax", 18, [INTS, ints(-2)], {}),
    ("ArgMax", 13, [INTS % 3], {"axis": 1, "keepdims": 0}),
    ("ArgMax", 13, [INTS % 3], {"axis": -1, "select_last_index": 1}),
    ("Identity", 13, [FLOATS], {}),
    ("Dropout", 7, [FLOATS], {"ratio": 0.4}),
    ("Dropout", 13, [FLOATS, number(0.4)], {}, 2),
    ("LayerNormalization", 17, [FLOATS, ROW, ROW], {}, 3),
    ("LayerNormalization", 17, [FLOATS, FLOATS[0]], {"axis": 1, "epsilon": 0.1}),
]  # fmt: skip


def compared(op, opset, inputs, attributes, outputs=1):
    """What fastrnn makes of a node, and what it should."""
    feeds = {f"x{n}": np.ascontiguousarray(array) for n, array in enumerate(inputs)}
    content = node_file(op, feeds, outputs=outputs, opset=opset, **attributes)
    desired = ReferenceEvaluator(load_model_from_string(content)).run(None, feeds)
    return load(content).run(feeds), desired


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_operators_equal_the_reference(case):
    actual, desired = compared(*case)
    for y, expected in zip(actual, desired, strict=True):
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_old_softmax_goes_over_all_further_axes(op):
    (y,) = load(node_file(op, {"x": FLOATS}, opset=11, axis=1)).run({"x": FLOATS})
    rows = np.exp(FLOATS.reshape(2, 12).astype(np.float64))
    rows /= rows.sum(axis=1, keepdims=True)
    desired = rows if op == "Softmax" else np.log(rows)
    np.testing.assert_allclose(y, desired.reshape(FLOATS.shape), rtol=2e-6, atol=1e-7)


def test_old_clip_has_its_bounds_as_attributes():
    model = load(node_file("Clip", {"x": FLOATS}, opset=10, min=-0.5, max=0.25))
    np.testing.assert_array_equal(model.run({"x": FLOATS})[0], FLOATS.clip(-0.5, 0.25))


def test_integers_are_divided_towards_zero():
    a, b = ints(7, -7, 7, -7, 6), ints(2, 2, -2, -2, 3)
    content = node_file("Div", {"a": a, "b": b}, opset=14)
    np.testing.assert_array_equal(load(content).run({"a": a, "b": b})[0], [3, -3, -3, 3, 2])


@pytest.mark.parametrize(("batch_axis", "time_axis"), [(0, 1), (1, 0)])
def test_sequences_are_reversed_up_to_their_lengths(batch_axis, time_axis):
    x = np.arange(24.0, dtype=np.float32).reshape(3, 4, 2)
    lengths = ints(1, 3, 4) if batch_axis == 0 else ints(3, 2, 0, 1)
    content = node_file(
        "ReverseSequence", {"x": x, "n": lengths}, opset=10,
        batch_axis=batch_axis, time_axis=time_axis,
    )  # fmt: skip
    desired = x.copy()
    for b, n in enumerate(lengths):
        place = (b, slice(0, n)) if batch_axis == 0 else (slice(0, n), b)
        desired[place] = x[place][::-1]
    np.testing.assert_array_equal(load(content).run({"x": x, "n": lengths})[0], desired)


BAD = [
    ("Add", [FLOATS, INTS], {}, "same type"),
    ("Add", [FLOATS, FLOATS[:, :2]], {}, "node"),
    ("Sigmoid", [INTS], {}, "floats"),
    ("Not", [INTS], {}, "bools"),
    ("MatMul", [FLOATS, FLOATS], {}, "node"),
    ("Gemm", [FLOATS, FLOATS[0]], {}, "matrices"),
    ("Gather", [FLOATS, ints(3)], {"axis": 1}, "out of bounds"),
    ("Gather", [FLOATS, ROW], {}, "integers"),
    ("ScatterElements", [FLOATS, ints(2)[:, None, None], FLOATS[:1, :1, :1]], {}, "out of bounds"),
    ("ScatterElements", [FLOATS, ints(0)[:, None, None], FLOATS[:1]], {}, "updates"),
    ("ScatterElements", [FLOATS, ints(0), ROW[:1]], {}, "axes"),
    ("ScatterElements", [FLOATS, ints(), FLOATS[:0]], {"reduction": "mean"}, "reduction"),
    ("Reshape", [FLOATS, ints(-1, -1)], {}, "shape"),
    ("Reshape", [FLOATS, ints(-2, 4)], {}, "shape"),
    ("Expand", [ROW, ints(-4)], {}, "node"),
    ("Expand", [ROW, ints(1 << 40, 4)], {}, "limit"),
    ("Expand", [ROW.reshape((1,) * 39 + (4,)), ints(4)], {}, "dimensions"),
    ("ConstantOfShape", [ints(1 << 20, 1 << 20)], {}, "limit"),
    ("ConstantOfShape", [ints(-1)], {}, "negative"),
    ("Range", [number(0), number(1), number(0)], {}, "node"),
    ("Range", [number(0), number(1), number(1e-30)], {}, "limit"),
    ("Split", [FLOATS, ints(5, -1)], {"axis": -1}, "split"),
    ("Slice", [FLOATS, ints(0), ints(1), ints(5)], {}, "axes"),
    ("Slice", [FLOATS, ints(0), ints(1), ints(0), ints(0)], {}, "node"),
    ("Squeeze", [FLOATS, ints(1)], {}, "node"),
    ("Pad", [ROW, ints(1)], {}, "pads: expected 2 numbers"),
    ("Pad", [ROW, ints(1 << 40, 0)], {}, "limit"),
    ("Pad", [ROW, ints(1, 0), number(1, np.int64)], {}, "constant_value: expected one number"),
    ("Pad", [ROW, ints(1, 0)], {"mode": "mirror"}, "mode: expected constant"),
    ("Pad", [ROW[:0], ints(1, 0)], {"mode": "reflect"}, "node"),
    ("Tile", [ROW, ints(2, 2)], {}, "repeats: expected 1 counts"),
    ("Tile", [ROW, ints(-1)], {}, "repeats: expected 1 counts"),
    ("Tile", [ROW, ints(1 << 40)], {}, "limit"),
    ("Softmax", [FLOATS], {"axis": 3}, "axis"),
    ("ReverseSequence", [FLOATS, ints(1, 9)], {"batch_axis": 0, "time_axis": 1}, "sequence_lens"),
    ("ReverseSequence", [FLOATS, ints(1, -1)], {"batch_axis": 0, "time_axis": 1}, "sequence_lens"),
    ("Dropout", [FLOATS, number(0.5), np.array(True)], {}, "training"),
    ("Concat", [FLOATS, FLOATS[0]], {"axis": 0}, "node"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]}-{case[3]}")
def test_what_does_not_fit_is_refused(case):
    op, inputs, attributes, message = case
    feeds = {f"x{n}": np.ascontiguousarray(array) for n, array in enumerate(inputs)}
    content = node_file(op, feeds, outputs=2 if op == "Split" else 1, opset=17, **attributes)
    with pytest.raises(ValueError, match=message) as raised:
        load(content).run(feeds)
    assert f"{op} 'node'" in str(raised.value)


def test_steps_back_begin_at_the_first_element_at_the_latest():
    ends = {"starts": ints(-9), "ends": ints(-99), "axes": ints(0), "steps": ints(-1)}
    content = node_file("Slice", {"x": ROW}, ends)
    np.testing.assert_array_equal(load(content).run({"x": ROW})[0], ROW[:1])


@pytest.mark.parametrize("reverse", [0, 1])
def test_sums_that_exclude_an_element_do_not_know_it(reverse):
    x = np.array([[1, 2, np.inf], [np.inf, 2, 1]], np.float32)
    content = node_file(
        "CumSum", {"x": x}, {"axis": number(1, np.int64)}, exclusive=1, reverse=reverse
    )
    desired = [[np.inf, np.inf, 0], [3, 1, 0]] if reverse else [[0, 1, 3], [0, np.inf, np.inf]]
    np.testing.assert_array_equal(load(content).run({"x": x})[0], desired)


def test_the_mean_of_nothing_is_nan():
    nothing = np.zeros((2, 0), np.float32)
    (y,) = load(node_file("ReduceMean", {"x": nothing}, axes=[1])).run({"x": nothing})
    np.testing.assert_array_equal(y, np.full((2, 1), np.nan, np.float32), strict=True)
    content = node_file("LayerNormalization", {"x": nothing}, {"scale": nothing[0]})
    assert load(content).run({"x": nothing})[0].shape == (2, 0)


def test_sums_that_would_not_fit_into_memory_are_refused():
    x, y = np.zeros((1 << 15, 1), np.float32), np.zeros(1 << 15, np.float32)
    content = node_file("Add", {"x": x, "y": y})
    with pytest.raises(ValueError, match="limit"):
        load(content).run({"x": x, "y": y})
    with pytest.raises(ValueError, match="limit of 1000"):
        load(content, limit=1000).run({"x": x[:300], "y": y[:300]})
    assert load(content).run({"x": x[:3], "y": y[:3]})[0].shape == (3, 3)


def test_constant_is_what_its_attribute_says():
    for name, value, desired in (
        ("value_float", 1.5, np.float32(1.5)),
        ("value_floats", [1.0, 2.0], np.float32([1, 2])),
        ("value_int", 3, np.int64(3)),
        ("value_ints", [3, 4], ints(3, 4)),
    ):
        node = helper.make_node("Constant", [], ["y"], **{name: value})
        (y,) = load(file_of([node], {}, ["y"])).run({})
        np.testing.assert_array_equal(y, desired, strict=True)
