import re
import warnings

import numpy as np
import pytest

pytest.importorskip("onnx.helper")

from onnx import TensorProto, helper, load_model_from_string
from onnx.reference import ReferenceEvaluator
from onnx_files import recurrent_file

from fastrnn.onnx import backend
from fastrnn.onnx.graph import OPSETS
from fastrnn.onnx.operators import OPERATORS
from fastrnn.onnx.tensors import DTYPES

RECURRENT = re.compile(r"test_(simple_)?(lstm|gru|rnn)")

# Beyond what is run here: dropout while training, and text.
EXCLUDED = re.compile(r"test_training_dropout")


@pytest.fixture(scope="module")
def runner():
    """The onnx package's tests, and the operators that each of them is about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # others' code computes there what should come out
        from onnx.backend.test import BackendTest
        from onnx.backend.test.loader import load_model_tests

        cases = load_model_tests(kind="node")
        found = BackendTest(backend.Backend, __name__).test_cases
        tests = next(kind for name, kind in found.items() if "Node" in name)
    return tests, [case for case in cases if is_within(case)]


def is_within(case):
    """Whether a test needs nothing but what fastrnn.onnx says that it has."""
    graph = case.model.graph
    values = [*graph.input, *graph.output]
    kinds = [v.type.tensor_type.elem_type for v in values]
    kinds += [a.i for n in graph.node for a in n.attribute if a.name == "to"]
    kinds += [a.t.data_type for n in graph.node for a in n.attribute if a.name == "value"]
    return (
        all(node.op_type in OPERATORS and not node.domain for node in graph.node)
        and all(entry.version in OPSETS for entry in case.model.opset_import)
        and all(kind in DTYPES for kind in kinds)
        and not EXCLUDED.match(case.name)
    )


def passes(tests, case):
    """Run one of the onnx package's tests; raise what it raises."""
    name = f"{case.name}_cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tests(name).debug()
    return True


def test_all_recurrent_tests_of_onnx_pass(runner):
    tests, cases = runner
    chosen = [case for case in cases if RECURRENT.match(case.name)]
    assert len(chosen) >= 18
    assert all(passes(tests, case) for case in chosen)


@pytest.mark.parametrize("op", sorted(OPERATORS.keys() - {"RNN", "GRU", "LSTM"}))
def test_all_tests_of_onnx_about_an_operator_pass(runner, op):
    tests, cases = runner
    chosen = [case for case in cases if case.model.graph.node[-1].op_type == op]
    if not chosen:
        pytest.skip("the installed onnx has none of an opset that is read")
    assert all(passes(tests, case) for case in chosen)


def test_models_and_nodes_run_by_order_and_by_name(rng):
    x = rng.standard_normal((2, 3)).astype(np.float32)
    y = rng.standard_normal(3).astype(np.float32)
    node = helper.make_node("Sub", ["x", "y"], ["z"])
    np.testing.assert_array_equal(*backend.run_node(node, [x, y]), x - y)
    np.testing.assert_array_equal(*backend.run_node(node, {"y": y, "x": x}), x - y)
    old = helper.make_node("Unsqueeze", ["x"], ["z"], axes=[0])
    assert backend.run_node(old, [x], opset_version=11)[0].shape == (1, 2, 3)


def test_what_is_prepared_runs_again(rng):
    X = rng.standard_normal((3, 2, 4)).astype(np.float32)
    W, R = np.ones((1, 20, 4), np.float32), np.ones((1, 20, 5), np.float32)
    content = recurrent_file("LSTM", {"X": X}, {"W": W, "R": R}, 3, hidden_size=5)
    model = load_model_from_string(content)
    prepared = backend.prepare(model)
    desired = ReferenceEvaluator(model).run(None, {"X": X})
    for inputs in (X, [X], {"X": X}):
        for actual, expected in zip(prepared.run(inputs), desired, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="inputs: expected 1 arrays, got 2"):
        prepared.run([X, X])
    with pytest.raises(ValueError, match="options"):
        prepared.run([X], fast=True)


def test_what_does_not_run_here_is_not_compatible():
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    node = helper.make_node("Conv", ["x", "x"], ["y"])
    graph = helper.make_graph([node], "graph", [value], [value])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert not backend.is_compatible(model)
    graph.node[0].op_type = "Add"
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA:0")
    with pytest.raises(ValueError, match="device: expected 'CPU'"):
        backend.prepare(model, "CUDA")
