import numpy as np
import pytest
from tolerances import TORCH_FLOAT32_OUTPUT, assert_close

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx.helper")

import onnxruntime

from fastrnn import layers
from fastrnn.models import Model, Sequential
from fastrnn.onnx import export, load

IDS = np.array([[0, 0, 3, 1], [2, 5, 0, 0], [1, 2, 3, 4], [0, 4, 0, 2], [0, 0, 0, 0]])
FLOATS = np.random.default_rng(3).standard_normal((5, 4, 6)).astype(np.float32)
PADDED = FLOATS * (IDS[:, :, None] != 0)


def same_everywhere(model, path, *inputs):
    """What a model computes is what both runtimes compute of its file."""
    given = list(inputs) if len(inputs) > 1 else inputs[0]
    outputs = model(given)
    outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    export(model, path)
    loaded = load(path)
    assert loaded.output_names == list(model.output_names)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {
        value.name: array.astype({"tensor(float)": np.float32}.get(value.type, np.int64))
        for value, array in zip(session.get_inputs(), inputs, strict=True)
    }
    for actual in (session.run(None, feeds), loaded.run(feeds)):
        for a, d in zip(actual, outputs, strict=True):
            assert_close(a, np.asarray(d), TORCH_FLOAT32_OUTPUT)
    return loaded


RECURRENT = [
    layers.SimpleRNN(3, activation="relu", return_sequences=True),
    layers.GRU(3, bias_initializer="uniform"),
    layers.GRU(3, reset_after=False, bias_initializer="uniform", return_sequences=True),
    layers.LSTM(3, recurrent_activation="hard_sigmoid", bias_initializer="uniform"),
    layers.LSTM(3, go_backwards=True, return_sequences=True, use_bias=False),
    layers.LSTM(3, go_backwards=True),
    layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True),
    layers.Bidirectional(layers.GRU(3)),
    layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum"),
    layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="mul"),
    layers.Bidirectional(layers.GRU(3, go_backwards=True, return_sequences=True)),
]


@pytest.mark.parametrize("layer", RECURRENT, ids=lambda layer: layer.name)
@pytest.mark.parametrize("is_masked", [False, True])
def test_recurrent_layers(tmp_path, layer, is_masked):
    layer = type(layer).from_config(layer.get_config())
    start = [layers.Input((None, 6))] + [layers.Masking()] * is_masked
    model = Sequential([*start, layer])
    same_everywhere(model, tmp_path / "a.onnx", PADDED if is_masked else FLOATS)


def test_a_classifier_of_padded_texts(tmp_path):
    model = Sequential(
        [
            layers.Embedding(6, 4, mask_zero=True),
            layers.Bidirectional(layers.LSTM(3, return_sequences=True, dropout=0.5)),
            layers.Dropout(0.5),
            layers.GRU(4),
            layers.Dense(5, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model(IDS)
    loaded = same_everywhere(model, tmp_path / "a.onnx", IDS)
    longer = np.array([[0, 1, 2, 3, 4, 5, 1], [1, 1, 0, 0, 0, 0, 0]])
    (actual,) = loaded.run({loaded.input_names[0]: longer})
    assert_close(actual, np.asarray(model(longer)), TORCH_FLOAT32_OUTPUT)


def test_encoder_and_decoder_share_states(tmp_path):
    x, y = layers.Input((None, 6), name="x"), layers.Input((None, 6), name="y")
    _, h, c = layers.LSTM(3, return_state=True)(x)
    decoded = layers.LSTM(3, return_sequences=True)(y, initial_state=[h, c])
    scores = layers.TimeDistributed(layers.Dense(4, activation="log_softmax"))(decoded)
    model = Model([x, y], [scores, h])
    same_everywhere(model, tmp_path / "a.onnx", FLOATS, FLOATS[:, :2])


@pytest.mark.parametrize(
    "activation",
    ["elu", "exponential", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "log_softmax",
     "relu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh"],
)  # fmt: skip
def test_activations(tmp_path, activation):
    model = Sequential([layers.Input((6,)), layers.Activation(activation)])
    same_everywhere(model, tmp_path / "a.onnx", FLOATS[0])


OTHERS = [
    [layers.Flatten(), layers.Dense(3)],
    [layers.Reshape((2, -1, 3)), layers.Permute((3, 1, 2))],
    [layers.LayerNormalization(), layers.GlobalAveragePooling1D()],
    [layers.LayerNormalization(axis=[1, 2], scale=False), layers.GlobalMaxPooling1D(keepdims=True)],
    [layers.GlobalMaxPooling1D(), layers.RepeatVector(3), layers.SpatialDropout1D(0.5)],
    [layers.Masking(), layers.GlobalAveragePooling1D(data_format="channels_last")],
    [Sequential([layers.Input((4, 6)), layers.Dense(2)]), layers.Dense(3, use_bias=False)],
]


@pytest.mark.parametrize("given", OTHERS, ids=lambda given: given[0].name)
def test_other_layers(tmp_path, given):
    model = Sequential([layers.Input((4, 6)), *given])
    x = np.where(np.arange(4)[:, None] < 3, FLOATS, np.float32(0))
    same_everywhere(model, tmp_path / "a.onnx", x)


@pytest.mark.parametrize(
    "merge",
    [layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
     layers.Concatenate],
)  # fmt: skip
def test_merging_layers(tmp_path, merge):
    x, y = layers.Input((4, 6)), layers.Input((4, 6))
    model = Model([x, y], merge()([x, y]))
    same_everywhere(model, tmp_path / "a.onnx", FLOATS, FLOATS[::-1] ** 2)


@pytest.mark.parametrize("masked", [(0,), (1,), (0, 1), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("merge", [layers.Add, layers.Multiply, layers.Maximum, layers.Minimum])
def test_merging_layers_heed_masks(tmp_path, merge, masked):
    inputs = [layers.Input((4, 6)) for _ in range(3)]
    masks = [layers.Masking() if i in masked else layers.Activation("linear") for i in range(3)]
    merged = merge()([mask(x) for mask, x in zip(masks, inputs, strict=True)])
    model = Model(inputs, layers.SimpleRNN(3)(merged))
    given = [np.roll(PADDED, i, axis=0) + 0.1 * (PADDED != 0) for i in range(3)]
    same_everywhere(model, tmp_path / "a.onnx", *given)


def test_merging_layers_of_vectors_and_sequences(tmp_path):
    x, y = layers.Input((4, 6)), layers.Input((6,))
    model = Model([x, y], layers.Maximum()([layers.Add()([x, y]), y]))
    same_everywhere(model, tmp_path / "a.onnx", FLOATS, FLOATS[:, 0])


def test_what_cannot_be_written_is_listed(tmp_path):
    class Own(layers.Layer):
        def call(self, inputs):
            return inputs

    path = tmp_path / "a.onnx"
    model = Sequential([layers.Input((4, 6)), Own(name="mine"), Own(name="other")])
    with pytest.raises(ValueError, match=r"cannot be written: mine \(Own\), other \(Own\)"):
        export(model, path)
    for layer, message in (
        (layers.LSTM(3, stateful=True, name="rnn"), "rnn: stateful"),
        (layers.LSTM(3, activation="gelu", name="rnn"), "rnn: cell"),
        (layers.Dense(3, activation="gelu", name="dense"), "dense: activation 'gelu'"),
        (layers.LayerNormalization(axis=1, name="norm"), "norm: axis"),
    ):
        with pytest.raises(ValueError, match=message):
            export(Sequential([layers.Input((4, 6), batch_size=5), layer]), path)
    with pytest.raises(ValueError, match="to be built"):
        export(Sequential([layers.Dense(3)]), path)
    with pytest.raises(TypeError, match="model: expected a model, got Dense"):
        export(layers.Dense(3), path)
    assert not path.exists()
