import os
import struct

import numpy as np
import pytest

pytest.importorskip("onnx.helper")

from onnx import TensorProto, helper, load_model_from_string
from onnx_files import file_of, node_file, recurrent_file

from fastrnn.onnx import load

X = np.ones((3, 2, 4), np.float32)
W, R = np.ones((1, 20, 4), np.float32), np.ones((1, 20, 5), np.float32)
LSTM = recurrent_file("LSTM", {"X": X}, {"W": W, "R": R}, hidden_size=5)


def edited(content=LSTM):
    """A model to spoil."""
    return load_model_from_string(content)


def test_all_operators_that_are_not_supported_are_listed():
    nodes = [
        helper.make_node("Conv", ["x", "x"], ["a"], name="first"),
        helper.make_node("Conv", ["a", "x"], ["b"], name="second"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Attention", ["c"], ["y"], domain="com.example"),
    ]
    message = r"not supported: Conv \(first, second\); com.example.Attention \(y\)$"
    with pytest.raises(ValueError, match=message):
        load(file_of(nodes, {"x": X}, ["y"]))


def test_a_cycle_is_named():
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="there"),
        helper.make_node("Neg", ["a"], ["b"], name="back"),
    ]
    with pytest.raises(ValueError, match="cycle.*Add 'there', Neg 'back'"):
        load(file_of(nodes, {"x": X}, ["a"]))


def test_nodes_may_come_in_any_order():
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Exp", ["x"], ["a"])]
    (y,) = load(file_of(nodes, {"x": X}, ["y"])).run({"x": X})
    np.testing.assert_array_equal(y, -np.exp(X))


def drop_weights(model):
    del model.graph.initializer[0]


def two_outputs_of_one_name(model):
    model.graph.node.append(helper.make_node("Identity", ["X"], ["Y"]))


def missing_output(model):
    model.graph.output[0].name = "Z"


def no_outputs(model):
    del model.graph.output[:]


def old_opset(model):
    model.opset_import[0].version = 6


def new_opset(model):
    model.opset_import[0].version = 999


def no_opset(model):
    del model.opset_import[:]


def huge_weights(model):
    model.graph.initializer[0].dims[:] = [1, 1 << 40, 1 << 20]


def negative_length(model):
    model.graph.initializer[0].dims[:] = [1, -20, -4]


def wrong_shape(model):
    model.graph.initializer[0].dims[:] = [1, 4, 20]


def wrong_type(model):
    model.graph.initializer[0].data_type = TensorProto.INT32


def strings(model):
    model.graph.initializer[0].data_type = TensorProto.STRING


def unknown_type(model):
    model.graph.initializer[0].data_type = 12345


def wrong_hidden_size(model):
    model.graph.node[0].attribute[0].i = 7


def attribute_of_another_type(model):
    attribute = model.graph.node[0].attribute[0]
    attribute.CopyFrom(helper.make_attribute("hidden_size", "five"))


def unknown_attribute(model):
    model.graph.node[0].attribute.append(helper.make_attribute("output_sequence", 1))


def negative_clip(model):
    model.graph.node[0].attribute.append(helper.make_attribute("clip", -1.0))


def unknown_activation(model):
    names = helper.make_attribute("activations", ["Sigmoid", "Tanh", "Gelu"])
    model.graph.node[0].attribute.append(names)


def too_few_activations(model):
    model.graph.node[0].attribute.append(helper.make_attribute("activations", ["Sigmoid"]))


def unknown_direction(model):
    model.graph.node[0].attribute.append(helper.make_attribute("direction", "sideways"))


def too_few_directions(model):
    model.graph.node[0].attribute.append(helper.make_attribute("direction", "bidirectional"))


def input_that_is_no_tensor(model):
    model.graph.input[0].type.Clear()


def too_many_inputs(model):
    model.graph.node[0].input.extend([""] * 9)


def missing_required_input(model):
    model.graph.node[0].input[1] = ""


def sparse(model):
    model.graph.sparse_initializer.add()


SPOILERS = [
    (drop_weights, "'W'"),
    (two_outputs_of_one_name, "'Y'"),
    (missing_output, "'Z'"),
    (no_outputs, "no outputs"),
    (old_opset, "opset: expected one in 7"),
    (new_opset, "opset"),
    (no_opset, "opset"),
    (huge_weights, "'W': expected"),
    (negative_length, "negative"),
    (wrong_shape, "LSTM 'layer': .*expected"),
    (wrong_type, "LSTM 'layer'"),
    (strings, "STRING"),
    (unknown_type, "12345"),
    (wrong_hidden_size, "hidden_size 7"),
    (attribute_of_another_type, "'hidden_size': expected INT"),
    (unknown_attribute, "'output_sequence'"),
    (negative_clip, "clip: expected a positive number"),
    (unknown_activation, "Gelu"),
    (too_few_activations, "activations: expected 3"),
    (unknown_direction, "sideways"),
    (too_few_directions, "W: expected"),
    (input_that_is_no_tensor, "'X': expected a tensor"),
    (too_many_inputs, "inputs, got"),
    (missing_required_input, "input 1 is missing"),
    (sparse, "sparse"),
]


@pytest.mark.parametrize(
    ("spoil", "message"), SPOILERS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_spoiled_files_are_refused(spoil, message):
    model = edited()
    spoil(model)
    with pytest.raises(ValueError, match=message):
        load(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("sequence_lens", np.array([1, 4], np.int32), r"lengths: expected \(2,\) integers in 0..3"),
        ("sequence_lens", np.array([-1, 2], np.int32), "lengths"),
        ("sequence_lens", np.array([1], np.int32), "lengths"),
        ("initial_h", np.ones((1, 2, 4), np.float32), "layer"),
        ("initial_h", np.ones((2, 2, 5), np.float32), "initial_h"),
        ("X", np.ones((3, 2, 5), np.float32), "x: expected"),
        ("P", np.ones((1, 14), np.float32), "P: expected"),
    ],
)
def test_arrays_that_do_not_fit_a_layer_are_refused(name, array, message):
    feeds = {"X": X, name: array}
    content = recurrent_file("LSTM", feeds, {"W": W, "R": R}, hidden_size=5)
    with pytest.raises(ValueError, match=f"LSTM 'layer': .*{message}|{message}.*"):
        load(content).run(feeds)


def test_inputs_are_checked():
    model = load(LSTM)
    for inputs, message in (
        ({}, "inputs: expected X, got none"),
        ({"X": X, "Z": X}, "inputs: expected X, got X, Z"),
        ({"Z": X}, "inputs: expected X, got Z"),
        ({"X": X, "W": W}, "W: constants"),
        ({"X": X.astype(np.float64)}, r"X: expected \(3, 2, 4\) float32, got \(3, 2, 4\) float64"),
        ({"X": X[0]}, "X: expected"),
        ({"X": "text"}, "X: expected"),
        ({"X": [[1.0], [2.0, 3.0]]}, "X: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            model.run(inputs)
    np.testing.assert_array_equal(*model.run({"X": X}), *model.run({"X": X.tolist()}))
    for inputs in (X[:1], [X], (X, X)):
        with pytest.raises(TypeError, match="inputs: expected a mapping"):
            model.run(inputs)


def with_external(tmp_path, **entries):
    """A file whose W is in another one."""
    model = edited()
    W = model.graph.initializer[0]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights").write_bytes(W.raw_data)
    (tmp_path / "secret").write_bytes(W.raw_data)
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "secret")
    W.ClearField("raw_data")
    W.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        entry = W.external_data.add()
        entry.key, entry.value = key, value
    path = tmp_path / "folder" / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_another_file(tmp_path):
    path = with_external(tmp_path, location="weights", length=str(W.nbytes), checksum="0")
    np.testing.assert_array_equal(*load(path).run({"X": X}), *load(LSTM).run({"X": X}))
    with pytest.raises(ValueError, match="by its path"):
        load(path.read_bytes())


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../secret"},
        {"location": "link"},
        {"location": "/etc/passwd"},
        {"location": "."},
        {"location": ""},
        {"location": "nothing"},
        {"location": "weights", "offset": "-4"},
        {"location": "weights", "offset": "4"},
        {"location": "weights", "offset": "four"},
        {"location": "weights", "length": "4"},
        {"location": "weights\0"},
        {},
    ],
    ids=str,
)
def test_external_data_stays_within_the_folder(tmp_path, entries):
    path = with_external(tmp_path, **entries)
    with pytest.raises(ValueError, match="'W'"):
        load(path)


def test_external_data_is_no_pipe(tmp_path):
    path = with_external(tmp_path, location="pipe")
    os.mkfifo(path.with_name("pipe"))
    with pytest.raises(ValueError, match="no file 'pipe'"):
        load(path)


def test_what_a_small_file_unfolds_to_is_not_kept():
    shape = np.array([1 << 13, 1 << 13], np.int64)
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("Add", ["large", "x"], ["y"]),
    ]
    x = np.ones(1, np.float32)
    content = file_of(nodes, {"x": x}, ["y"], {"shape": shape})
    model = load(content)
    kept = [array for array in model._start if array is not None]
    assert sum(array.size for array in kept) < 100
    with pytest.raises(ValueError, match="ConstantOfShape.*limit of 1000;"):
        load(content, limit=1000).run({"x": x})


def test_doubling_forever_is_refused():
    nodes = [helper.make_node("Concat", [f"x{n}"] * 2, [f"x{n + 1}"], axis=0) for n in range(60)]
    with pytest.raises(ValueError, match="limit"):
        load(file_of(nodes, {"x0": X}, ["x60"]), limit=1 << 16).run({"x0": X})


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1"])
def test_limit_is_checked(limit):
    with pytest.raises(ValueError, match="limit: expected an int"):
        load(LSTM, limit=limit)


@pytest.mark.parametrize("model", [3, None, [LSTM]])
def test_what_is_no_file_is_refused(model):
    with pytest.raises(TypeError, match="model: expected a path, bytes or ModelProto"):
        load(model)


def whole_model(rng):
    """A model of many operators, and its inputs."""

    def floats(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    constants = {
        "table": floats(9, 4), "W": floats(1, 9, 4), "R": floats(1, 9, 3), "B": floats(1, 18),
        "shape": np.array([0, 0, -1]), "K": floats(3, 2), "b": floats(2), "axes": np.array([0]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["x"]),
        helper.make_node("GRU", ["x", "W", "R", "B", "lengths"], ["Y", "Y_h"], hidden_size=3),
        helper.make_node("Transpose", ["Y"], ["t"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["t", "shape"], ["s"]),
        helper.make_node("MatMul", ["s", "K"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Softmax", ["a"], ["p"], axis=-1),
        helper.make_node("Squeeze", ["Y_h", "axes"], ["h"]),
    ]
    feeds = {"ids": rng.integers(0, 9, (4, 2)), "lengths": np.array([4, 2], np.int32)}
    return file_of(nodes, feeds, ["p", "h"], constants), feeds


def survives(content, feeds):
    """Whether a file runs; it must do so or raise a ValueError."""
    try:
        load(content, limit=1 << 20).run(feeds)
    except ValueError:
        return False
    return True


def test_truncated_files_are_refused(rng):
    content, feeds = whole_model(rng)
    assert survives(content, feeds)
    for end in range(0, len(content) - 1, 7):
        survives(content[:end], feeds)
    assert not any(survives(content[:end], feeds) for end in range(60))


def test_flipped_bytes_do_no_harm(rng):
    content, feeds = whole_model(rng)
    survivors = 0
    for _ in range(400):
        spoiled = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            spoiled[rng.integers(len(content))] = rng.integers(256)
        survivors += survives(bytes(spoiled), feeds)
    assert 0 < survivors < 400


def test_flipped_attributes_do_no_harm(rng):
    content, feeds = whole_model(rng)
    large = [struct.pack("<q", 2**62), struct.pack("<q", -1), struct.pack("<q", 2**31)]
    place = content.index(struct.pack("<q", -1))
    for number in large:
        survives(content[:place] + number + content[place + 8 :], feeds)
    assert not survives(content[:place] + large[0] + content[place + 8 :], feeds)


def test_no_protobuf_is_no_model():
    for content in (b"", b"\xff" * 50, b"\x08\x08", os.urandom(200)):
        with pytest.raises(ValueError, match="opset|ONNX"):
            load(content)


def test_other_kinds_of_tensor_data():
    for kind, array in (
        (TensorProto.FLOAT, np.float32([1.5, -2])),
        (TensorProto.DOUBLE, np.float64([1.5, -2])),
        (TensorProto.FLOAT16, np.float16([1.5, -2])),
        (TensorProto.INT8, np.int8([3, -4])),
        (TensorProto.UINT64, np.uint64([3, 2**64 - 1])),
        (TensorProto.BOOL, np.array([True, False])),
    ):
        for raw in (False, True):
            values = array.tobytes() if raw else array.tolist()
            tensor = helper.make_tensor("value", kind, [2], values, raw)
            node = helper.make_node("Constant", [], ["y"], value=tensor)
            (y,) = load(file_of([node], {}, ["y"])).run({})
            np.testing.assert_array_equal(y, array, strict=True)


def test_numbers_that_do_not_fit_their_type_are_refused():
    tensor = helper.make_tensor("value", TensorProto.INT32, [1], [300])
    tensor.data_type = TensorProto.UINT8
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    with pytest.raises(ValueError, match="does not fit into uint8"):
        load(file_of([node], {}, ["y"]))


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.onnx")
    assert node_file("Identity", {"x": X})
