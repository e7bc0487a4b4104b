import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, FLOAT64_OUTPUT, TORCH_FLOAT32_OUTPUT, assert_close

pytest.importorskip("onnx.helper")

import onnx_recurrence
from onnx_files import recurrent_file

from fastrnn.onnx import load

G = {"RNN": 1, "GRU": 3, "LSTM": 4}
T, B, I, H = 5, 3, 4, 6
NAMES = ("Y", "Y_h", "Y_c")

DEFAULT, SECOND, THIRD = {}, {}, {}
SECOND["RNN"] = {"activations": ["LeakyRelu"], "activation_alpha": [0.2]}
SECOND["GRU"] = {"activations": ["HARDSIGMOID", "softsign"], "activation_alpha": [0.3]}
SECOND["LSTM"] = {
    "activations": ["HardSigmoid", "ScaledTanh", "Affine"],
    "activation_alpha": [0.3, 1.5, 0.7],
    "activation_beta": [0.4, 0.8, 0.1],
}
THIRD["RNN"] = {"activations": ["Elu"]}
THIRD["GRU"] = {"activations": ["Sigmoid", "ThresholdedRelu"], "activation_alpha": [0.1]}
THIRD["LSTM"] = {"activations": ["Sigmoid", "Relu", "Softplus"]}

# op, variant, direction, activations, clip, lengths, initial states, bias, weights are constants
CASES = [
    ("RNN", 0, "forward", DEFAULT, None, False, False, True, True),
    ("RNN", 0, "reverse", SECOND, 0.4, True, True, False, False),
    ("RNN", 0, "bidirectional", THIRD, None, True, False, True, False),
    ("GRU", 0, "forward", SECOND, None, True, True, True, False),
    ("GRU", 1, "reverse", DEFAULT, None, False, True, True, True),
    ("GRU", 0, "bidirectional", DEFAULT, 0.4, True, False, False, True),
    ("GRU", 1, "forward", THIRD, 0.4, False, False, False, True),
    ("GRU", 1, "bidirectional", SECOND, None, False, True, True, False),
    ("LSTM", 0, "forward", DEFAULT, None, False, False, True, True),
    ("LSTM", 0, "reverse", SECOND, 0.4, True, True, True, False),
    ("LSTM", 0, "bidirectional", THIRD, None, False, True, False, True),
    ("LSTM", 1, "forward", THIRD, None, True, True, True, True),
    ("LSTM", 1, "bidirectional", DEFAULT, 0.4, False, False, True, False),
    ("LSTM", 2, "reverse", DEFAULT, None, False, True, False, True),
    ("LSTM", 2, "bidirectional", SECOND, None, True, False, True, True),
    ("LSTM", 3, "forward", SECOND, None, False, True, True, False),
    ("LSTM", 3, "reverse", DEFAULT, 0.4, True, True, False, True),
]


def problem(rng, case, dtype):
    """Inputs by name, and attributes."""
    op, variant, direction, activations, clip, lengths, initial, bias, _ = case
    D = 2 if direction == "bidirectional" else 1
    attributes = {"hidden_size": H, "direction": direction}
    for name, value in activations.get(op, {}).items():
        attributes[name] = value * D
    if clip is not None:
        attributes["clip"] = clip
    if op == "GRU":
        attributes["linear_before_reset"] = variant
    if op == "LSTM":
        attributes["input_forget"] = int(variant in (2, 3))

    def normal(*shape):
        return (0.5 * rng.standard_normal(shape)).astype(dtype)

    arrays = {"X": 2 * normal(T, B, I), "W": normal(D, G[op] * H, I), "R": normal(D, G[op] * H, H)}
    if bias:
        arrays["B"] = normal(D, 2 * G[op] * H)
    if lengths:
        arrays["sequence_lens"] = np.array([3, T, 1], np.int32)
    if initial:
        arrays["initial_h"] = normal(D, B, H)
        if op == "LSTM":
            arrays["initial_c"] = 4 * normal(D, B, H)
    if op == "LSTM" and variant in (1, 3):
        arrays["P"] = normal(D, 3 * H)
    return arrays, attributes


def split(arrays, are_constants):
    """What is fed and what is a constant of the file."""
    constants = {n: a for n, a in arrays.items() if are_constants and n in ("W", "R", "B", "P")}
    return {n: a for n, a in arrays.items() if n not in constants}, constants


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_layers_equal_onnx_runtime(rng, case):
    onnxruntime = pytest.importorskip("onnxruntime")
    arrays, attributes = problem(rng, case, np.float32)
    feeds, constants = split(arrays, case[-1])
    outputs = 3 if case[0] == "LSTM" else 2
    content = recurrent_file(case[0], feeds, constants, outputs, **attributes)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    desired = session.run(None, feeds)
    for name, y, d in zip(NAMES[:outputs], load(content).run(feeds), desired, strict=True):
        assert_close(y, d, TORCH_FLOAT32_OUTPUT, name)


@pytest.mark.parametrize("case", CASES[::3], ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_a_model_computes_each_time_what_it_computes_first(rng, case):
    arrays, attributes = problem(rng, case, np.float32)
    feeds, constants = split(arrays, case[-1])
    content = recurrent_file(case[0], feeds, constants, 2, **attributes)
    others = [feeds | {"X": feeds["X"] * factor} for factor in (0.5, -1, 2, 0)]
    model = load(content)
    results = [model.run(other) for other in others * 2]
    assert all(len(ours) == 2 for ours in results)
    for other, ours in zip(others * 2, results, strict=True):
        for y, expected in zip(ours, load(content).run(other), strict=True):
            np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("sizes", [(0, 2), (3, 0), (0, 0)], ids=str)
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("has_lengths", [False, True])
def test_nothing_to_run_on_gives_nothing_and_zeros(rng, op, sizes, direction, layout, has_lengths):
    case = (op, 0, direction, DEFAULT, None, False, False, True, True)
    arrays, attributes = problem(rng, case, np.float32)
    T, B = sizes
    D, _, I = arrays["W"].shape
    H = arrays["R"].shape[2]
    shape = (B, T, I) if layout else (T, B, I)
    arrays |= {"X": np.zeros(shape, np.float32), "sequence_lens": np.zeros(B, np.int32)}
    if not has_lengths:
        arrays.pop("sequence_lens")
    feeds, constants = split(arrays, True)
    outputs = 3 if op == "LSTM" else 2
    model = load(recurrent_file(op, feeds, constants, outputs, layout=layout, **attributes))
    for _ in range(3):
        y, *finals = model.run(feeds)
        assert y.shape == ((B, T, D, H) if layout else (T, D, B, H))
        for final in finals:
            np.testing.assert_array_equal(final, np.zeros((B, D, H) if layout else (D, B, H)))
    with pytest.raises(ValueError, match="features"):
        model.run(feeds | {"X": np.zeros((*shape[:2], I + 1), np.float32)})


@pytest.mark.parametrize("case", CASES[::2], ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_layers_equal_the_equations_in_double_precision(rng, case):
    arrays, attributes = problem(rng, case, np.float64)
    feeds, constants = split(arrays, case[-1])
    outputs = 3 if case[0] == "LSTM" else 2
    content = recurrent_file(case[0], feeds, constants, outputs, opset=22, **attributes)
    desired = onnx_recurrence.run(case[0], **arrays, **attributes)
    for name, y, d in zip(NAMES[:outputs], load(content).run(feeds), desired, strict=True):
        assert_close(y, d, FLOAT64_OUTPUT, name)


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_batch_major_layout(rng, op):
    case = (op, 0, "bidirectional", DEFAULT, None, True, True, True, True)
    arrays, attributes = problem(rng, case, np.float32)
    for name in ("X", "initial_h", "initial_c"):
        if name in arrays:
            arrays[name] = np.ascontiguousarray(arrays[name].swapaxes(0, 1))
    attributes["layout"] = 1
    feeds, constants = split(arrays, True)
    outputs = 3 if op == "LSTM" else 2
    content = recurrent_file(op, feeds, constants, outputs, **attributes)
    desired = onnx_recurrence.run(op, **arrays, **attributes)
    for name, y, d in zip(NAMES[:outputs], load(content).run(feeds), desired, strict=True):
        assert_close(y, d, FLOAT32_OUTPUT, name)
