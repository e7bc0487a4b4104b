import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

pytest.importorskip("onnx.helper")

from onnx import helper
from onnx_files import file_of

from fastrnn import layers
from fastrnn.models import Sequential
from fastrnn.onnx import export, load

FLOATS = np.random.default_rng(3).standard_normal((5, 4, 6)).astype(np.float32)
IDS = np.random.default_rng(4).integers(0, 9, (5, 4))


def normal(rng, *shape):
    return (0.5 * rng.standard_normal(shape)).astype(np.float32)


STACKS = [
    [layers.SimpleRNN(3, activation="relu"), layers.Dense(2)],
    [layers.GRU(3, return_sequences=True), layers.GRU(2, reset_after=False)],
    [layers.LSTM(3, recurrent_activation="hard_sigmoid", return_sequences=True),
     layers.Dense(4, activation="tanh"), layers.LSTM(2, use_bias=False)],
    [layers.LSTM(3, go_backwards=True), layers.Dense(2, use_bias=False, activation="softmax")],
]  # fmt: skip


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: stack[0].name)
@pytest.mark.parametrize("is_looked_up", [False, True])
def test_exported_models_come_back(tmp_path, stack, is_looked_up):
    start = [layers.Embedding(9, 6)] if is_looked_up else [layers.Input((None, 6))]
    model = Sequential([*start, *(type(x).from_config(x.get_config()) for x in stack)])
    x = IDS if is_looked_up else FLOATS
    model(x)
    for layer in model.layers:
        layer.set_weights([normal(np.random.default_rng(5), *w.shape) for w in layer.get_weights()])
    export(model, tmp_path / "a.onnx")
    again = load(tmp_path / "a.onnx").to_model()
    assert_close(np.asarray(again(x)), np.asarray(model(x)), FLOAT32_OUTPUT)
    assert sum(w.size for w in again.get_weights()) == sum(w.size for w in model.get_weights())


def recurrent(rng, op, I, H, D):
    """Weights of a node."""
    G = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    shapes = {"W": (D, G * H, I), "R": (D, G * H, H), "B": (D, 2 * G * H)}
    return {name: normal(rng, *shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("output", ["sequences", "states"])
def test_time_major_bidirectional_layers_become_batch_major(rng, op, output):
    constants = recurrent(rng, op, 6, 3, 2)
    constants |= {"K": normal(rng, 2, 6), "b": normal(rng, 2)}
    constants["shape"] = np.array([0, 0, -1] if output == "sequences" else [0, -1])
    options = {"linear_before_reset": 1} if op == "GRU" else {}
    made = ["a", ""] if output == "sequences" else ["", "a"]
    order = [0, 2, 1, 3] if output == "sequences" else [1, 0, 2]
    nodes = [
        helper.make_node(op, ["x", "W", "R", "B"], made, direction="bidirectional", hidden_size=3,
                       **options),
        helper.make_node("Transpose", ["a"], ["t"], perm=order),
        helper.make_node("Reshape", ["t", "shape"], ["s"]),
        helper.make_node("Transpose", ["K"], ["KT"], perm=[1, 0]),
        helper.make_node("MatMul", ["s", "KT"], ["m"]),
        helper.make_node("Add", ["b", "m"], ["y"]),
    ]  # fmt: skip
    x = FLOATS.swapaxes(0, 1).copy()
    loaded = load(file_of(nodes, {"x": x}, ["y"], constants))
    (desired,) = loaded.run({"x": x})
    if output == "sequences":
        desired = desired.swapaxes(0, 1)
    actual = loaded.to_model()(FLOATS)
    assert_close(np.asarray(actual), desired, FLOAT32_OUTPUT)


def test_the_last_step_and_zero_states_are_recognised(rng):
    constants = recurrent(rng, "LSTM", 6, 3, 1)
    constants |= {
        "one": np.array([1]), "K": normal(rng, 2, 3), "b": normal(rng, 2),
        "size": np.array([3]), "axes": np.array([1]), "last": np.array(-1), "at": np.array([1]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[1, 0, 2]),
        helper.make_node("Shape", ["t"], ["shape"]),
        helper.make_node("Gather", ["shape", "at"], ["batch"]),
        helper.make_node("Concat", ["one", "batch", "size"], ["wanted"], axis=0),
        helper.make_node("ConstantOfShape", ["wanted"], ["zeros"]),
        helper.make_node("LSTM", ["t", "W", "R", "B", "", "zeros", "zeros"], ["Y"], hidden_size=3),
        helper.make_node("Squeeze", ["Y", "axes"], ["s"]),
        helper.make_node("Transpose", ["s"], ["u"], perm=[1, 0, 2]),
        helper.make_node("Gather", ["u", "last"], ["l"], axis=1),
        helper.make_node("Gemm", ["l", "K", "b"], ["g"], transB=1),
        helper.make_node("Sigmoid", ["g"], ["y"]),
    ]
    loaded = load(file_of(nodes, {"x": FLOATS}, ["y"], constants))
    model = loaded.to_model()
    assert_close(np.asarray(model(FLOATS)), *loaded.run({"x": FLOATS}), FLOAT32_OUTPUT)
    assert model(FLOATS).shape == (5, 2)


def test_what_comes_back_can_be_trained(tmp_path):
    model = Sequential([layers.Input((None, 6)), layers.GRU(4), layers.Dense(1)])
    export(model, tmp_path / "a.onnx")
    again = load(tmp_path / "a.onnx").to_model()
    again.compile(optimizer="sgd", loss="mse")
    targets = FLOATS[:, :, 0].sum(axis=1, keepdims=True)
    before = again.evaluate(FLOATS, targets, verbose=0)
    again.fit(FLOATS, targets, epochs=5, verbose=0)
    assert again.evaluate(FLOATS, targets, verbose=0) < before


def test_what_is_not_recognised_is_named(rng):
    constants = {"W": normal(rng, 1, 12, 6), "R": normal(rng, 1, 12, 3)}
    x, lengths = FLOATS, np.full(4, 5, np.int32)
    for nodes, inputs, outputs, message in (
        ([helper.make_node("Sub", ["x", "x"], ["y"])], {"x": x}, ["y"], "Sub 'y': expected an emb"),
        ([helper.make_node("Add", ["x", "x"], ["y"])], {"x": x}, ["y"], "Add 'y': expected"),
        ([helper.make_node("Neg", ["x"], ["y"])], {"x": x}, ["y", "x"], "one input and one output"),
        ([helper.make_node("Relu", ["x"], ["y"])], {"x": x[0, 0]}, ["y"], "2 or 3 axes"),
        ([helper.make_node("LSTM", ["x", "W", "R"], ["Y"], hidden_size=3, clip=1.0)],
         {"x": x}, ["Y"], "no clip"),
        ([helper.make_node("LSTM", ["x", "W", "R", "", "n"], ["Y"], hidden_size=3)],
         {"x": x, "n": lengths}, ["Y"], "one input"),
        ([helper.make_node("LSTM", ["x", "W", "R"], ["Y"], hidden_size=3)],
         {"x": x}, ["Y"], "layers that end"),
        ([helper.make_node("LSTM", ["x", "W", "R"], ["Y"], hidden_size=3, direction="reverse")],
         {"x": x}, ["Y"], "reverse"),
        ([helper.make_node("Elu", ["x"], ["y"], alpha=2.0)], {"x": x}, ["y"], "alpha: expected 1"),
        ([helper.make_node("Softmax", ["x"], ["y"], axis=1)], {"x": x}, ["y"], "axis"),
        ([helper.make_node("Transpose", ["x"], ["y"], perm=[2, 0, 1])], {"x": x}, ["y"], "places"),
    ):  # fmt: skip
        model = load(file_of(nodes, inputs, outputs, constants))
        with pytest.raises(ValueError, match=f"to_model: .*{message}"):
            model.to_model()
