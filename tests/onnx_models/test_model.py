import threading
import tracemalloc

import numpy as np
import pytest
from processes import run_python

pytest.importorskip("onnx.helper")

from onnx import helper, load_model_from_string
from onnx_files import file_of, node_file, recurrent_file

from fastrnn.onnx import load

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def lstm_file(rng, T=3, B=2):
    """A layer with its initial states, and arrays for it."""

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    weights = {"W": normal(1, 20, 4), "R": normal(1, 20, 5), "B": normal(1, 40)}
    feeds = {"X": normal(T, B, 4), "initial_h": normal(1, B, 5), "initial_c": normal(1, B, 5)}
    return recurrent_file("LSTM", feeds, weights, 3, hidden_size=5), feeds


def test_a_model_comes_as_a_path_bytes_or_message(tmp_path):
    content = node_file("Neg", {"x": X})
    path = tmp_path / "a.onnx"
    path.write_bytes(content)
    message = load_model_from_string(content)
    for model in (path, str(path), content, bytearray(content), memoryview(content), message):
        loaded = load(model)
        assert loaded.input_names == ["x"]
        assert loaded.output_names == ["y0"]
        np.testing.assert_array_equal(*loaded.run({"x": X}), -X)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("Identity", {}), ("Transpose", {}), ("Flatten", {}), ("Clip", {}), ("Max", {}),
     ("Squeeze", {}), ("Dropout", {})],
)  # fmt: skip
def test_outputs_share_no_memory_with_inputs_or_constants(op, attributes):
    nodes = [
        helper.make_node(op, ["x"], ["y"], **attributes),
        helper.make_node(op, ["k"], ["z"], **attributes),
        helper.make_node("Identity", ["y"], ["u"]),
    ]
    model = load(file_of(nodes, {"x": X}, ["y", "z", "u"], {"k": X}))
    x = X.copy()
    first = model.run({"x": x})
    copies = [array.copy() for array in first]
    for array in first:
        assert not np.shares_memory(array, x)
        array[...] = 7
    for actual, desired in zip(model.run({"x": x}), copies, strict=True):
        np.testing.assert_array_equal(actual, desired)


@pytest.mark.parametrize("op", ["Neg", "Exp", "Identity", "ReduceSum"])
def test_a_result_without_axes_is_an_array(op):
    x = np.array(1.5, np.float32)
    (y,) = load(node_file(op, {"x": x})).run({"x": x})
    assert isinstance(y, np.ndarray)
    assert y.shape == ()
    y[...] = 7


def test_what_depends_on_constants_only_is_computed_once():
    nodes = [
        helper.make_node("Transpose", ["K"], ["KT"]),
        helper.make_node("Exp", ["KT"], ["E"]),
        helper.make_node("MatMul", ["x", "E"], ["y"]),
        helper.make_node("Neg", ["x"], ["unused"]),
    ]
    model = load(file_of(nodes, {"x": X}, ["y"], {"K": X}))
    assert [step.label for step in model._steps] == ["MatMul 'y'"]
    np.testing.assert_allclose(*model.run({"x": X}), X @ np.exp(X.T), rtol=1e-6)


def test_intermediate_arrays_are_freed_after_their_last_use():
    x = np.zeros(1 << 18, np.float32)
    nodes = [helper.make_node("Sigmoid", [f"x{n}"], [f"x{n + 1}"]) for n in range(30)]
    model = load(file_of(nodes, {"x0": x}, ["x30"]))
    tracemalloc.start()
    try:
        model.run({"x0": x})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * x.nbytes


def test_values_used_several_times_are_kept_as_long():
    nodes = [
        helper.make_node("Exp", ["x"], ["e"]),
        helper.make_node("Add", ["e", "e"], ["a"]),
        helper.make_node("Sub", ["a", "e"], ["s"]),
        helper.make_node("Mul", ["s", "e"], ["y"]),
    ]
    model = load(file_of(nodes, {"x": X}, ["y", "a"]))
    y, a = model.run({"x": X})
    np.testing.assert_allclose(y, np.exp(X) ** 2, rtol=1e-5)
    np.testing.assert_allclose(a, 2 * np.exp(X), rtol=1e-6)


def test_constants_that_are_inputs_too_are_constants():
    nodes = [helper.make_node("Add", ["x", "k"], ["y"])]
    model = load(file_of(nodes, {"x": X, "k": X}, ["y"], {"k": X}))
    assert model.input_names == ["x"]
    np.testing.assert_array_equal(*model.run({"x": X}), 2 * X)


def test_one_layer_goes_on_step_by_step(rng):
    content, feeds = lstm_file(rng, T=6)
    model = load(content)
    whole, h, c = model.run(feeds)
    state = {name: feeds[name] for name in ("initial_h", "initial_c")}
    for t in range(6):
        y, *states = model.run({"X": feeds["X"][t : t + 1], **state})
        np.testing.assert_array_equal(y[0], whole[t])
        state = dict(zip(state, states, strict=True))
    np.testing.assert_array_equal(state["initial_h"], h)
    np.testing.assert_array_equal(state["initial_c"], c)


def test_threads_run_one_model_at_the_same_time(rng):
    content, feeds = lstm_file(rng, T=20)
    model = load(content)
    inputs = [{**feeds, "X": feeds["X"] * scale} for scale in np.float32([1, 2, 3, 4])]
    desired = [model.run(each)[0] for each in inputs]
    wrong = []

    def work(n):
        for _ in range(50):
            if not np.array_equal(model.run(inputs[n])[0], desired[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_the_onnx_package_the_error_names_the_extra():
    output, _ = run_python(
        "import sys\n"
        "sys.modules['onnx'] = None\n"
        "import fastrnn\n"
        "try:\n"
        "    import fastrnn.onnx\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "pip install fastrnn[onnx]" in output
