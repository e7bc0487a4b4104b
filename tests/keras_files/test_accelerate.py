"""Models of Keras on our kernels: outputs, gradients, training and files as without."""

import copy

import numpy as np
import pytest
from processes import run_python
from tolerances import TORCH_MODULE_FLOAT32, assert_close

torch = pytest.importorskip("torch")
# Of Keras' own making.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

B, T, I = 3, 5, 4
MASKS = {
    "no mask": None,
    "padding behind": [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 1, 0, 0, 0]],
    "a row without steps": [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]],
}
LAYERS = {
    "lstm": lambda L, **o: L.LSTM(3, **o),
    "gru": lambda L, **o: L.GRU(3, **o),
    "rnn": lambda L, **o: L.SimpleRNN(3, **o),
    "relu": lambda L, **o: L.SimpleRNN(3, activation="relu", use_bias=False, **o),
    "gru without bias": lambda L, **o: L.GRU(3, use_bias=False, **o),
    "both ways": lambda L, go_backwards=False, **o: L.Bidirectional(L.LSTM(3, **o)),
}
OPTIONS = {
    "last": {},
    "all": {"return_sequences": True, "return_state": True},
    "backwards": {"return_sequences": True, "go_backwards": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True},
}


def results(layer, x, mask):
    """Outputs, and the gradients of x and of the weights."""
    x = torch.tensor(x, requires_grad=True)
    outputs = layer(x, mask=None if mask is None else torch.tensor(mask, dtype=torch.bool))
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    weights = [weight.value for weight in layer.trainable_weights]
    torch.manual_seed(1)
    objective = sum((torch.randn(y.shape) * y).sum() for y in outputs)
    gradients = torch.autograd.grad(objective, [x, *weights])
    return [each.detach().numpy() for each in (*outputs, *gradients)]


@pytest.fixture
def accelerated(keras):
    from fastrnn.keras import accelerate, restore

    made = []

    def make(layer):
        report = accelerate(layer)
        made.append(layer)
        return report

    yield make
    for layer in made:
        restore(layer)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", LAYERS)
def test_outputs_and_gradients_are_those_of_keras(keras, accelerated, kind, options, mask):
    layer = LAYERS[kind](keras.layers, **OPTIONS[options])
    rng = np.random.default_rng(3)
    x = rng.normal(size=(B, T, I)).astype(np.float32)
    layer.build(x.shape)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    theirs = results(layer, x, MASKS[mask])
    report = accelerated(layer)
    assert len(report.swapped) == (2 if kind == "both ways" else 1)
    for number, (ours, their) in enumerate(
        zip(results(layer, x, MASKS[mask]), theirs, strict=True)
    ):
        assert_close(ours, their, TORCH_MODULE_FLOAT32, f"result {number}")


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_stateful_layers_go_on_and_have_gradients(keras, accelerated, kind):
    layer = LAYERS[kind](keras.layers, stateful=True)
    x, mask = np.ones((B, T, I), np.float32), MASKS["padding behind"]
    theirs = [results(layer, x, mask) for _ in range(2)]
    layer.reset_state()
    accelerated(layer)
    for desired in theirs:
        for ours, their in zip(results(layer, x, mask), desired, strict=True):
            assert_close(ours, their, TORCH_MODULE_FLOAT32)


def test_the_kernels_run(keras, accelerated, monkeypatch):
    from fastrnn.torch import recurrence

    runs = []
    run = recurrence.run
    monkeypatch.setattr(recurrence, "run", lambda *a: runs.append(1) or run(*a))
    layer = keras.layers.LSTM(3)
    layer(np.zeros((2, 3, 4), np.float32))
    assert not runs
    accelerated(layer)
    layer(np.zeros((2, 3, 4), np.float32))
    layer(torch.zeros(2, 3, 4), mask=torch.tensor([[True, True, False]] * 2))
    assert len(runs) == 2


def model(keras):
    L = keras.layers
    return keras.Sequential([
        L.Input((None,), dtype="int32"), L.Embedding(7, 4, mask_zero=True),
        L.Bidirectional(L.GRU(3, return_sequences=True)), L.LSTM(4, dropout=0.0), L.Dense(1),
    ])  # fmt: skip


def test_training_goes_the_same_way(keras, accelerated, tmp_path):
    keras.utils.set_random_seed(1)
    plain = model(keras)
    fast = model(keras)
    fast.set_weights(plain.get_weights())
    report = accelerated(fast)
    assert sorted(kind for _, kind in report.swapped) == ["GRU", "GRU", "LSTM"]
    x = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [6, 5, 4, 3], [1, 1, 0, 0]], np.int32)
    y = np.array([[0.0], [1], [2], [0]])
    for each in (plain, fast):
        each.compile(keras.optimizers.SGD(0.1), "mse")
        each.fit(x, y, epochs=3, batch_size=4, shuffle=False, verbose=0)
    for ours, theirs in zip(fast.get_weights(), plain.get_weights(), strict=True):
        assert_close(ours, theirs, TORCH_MODULE_FLOAT32)
    fast.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    desired = fast.predict(x, verbose=0)
    assert_close(again.predict(x, verbose=0), desired, TORCH_MODULE_FLOAT32)
    copied = copy.deepcopy(fast)
    assert not any("inner_loop" in vars(layer) for layer in copied._flatten_layers())
    assert_close(copied.predict(x, verbose=0), desired, TORCH_MODULE_FLOAT32)


def test_the_report_names_what_is_left_and_restore_undoes_it(keras):
    from fastrnn.keras import accelerate, restore

    L = keras.layers
    built = keras.Sequential([
        L.Input((T, I)), L.LSTM(2, name="a", return_sequences=True),
        L.GRU(2, name="b", reset_after=False, return_sequences=True),
        L.RNN(L.LSTMCell(2), name="c"),
    ])  # fmt: skip
    report = accelerate(built)
    built_as = built.name
    assert [name for name, _ in report.swapped] == [f"{built_as}/a"]
    assert sorted(name for name, _, _ in report.left) == [f"{built_as}/b", f"{built_as}/c"]
    again = {name: why for name, _, why in accelerate(built).left}
    assert again[f"{built_as}/a"] == "fastrnn's already"
    assert [name for name, _ in restore(built).swapped] == [f"{built_as}/a"]
    assert not any("inner_loop" in vars(layer) for layer in built.layers)
    assert accelerate(L.LSTM(2)).left[0][2] == "it is not built"
    with pytest.raises(TypeError, match="model of Keras"):
        accelerate(torch.nn.LSTM(2, 2))


def test_other_dtypes_are_left_to_keras(keras, accelerated):
    layer = keras.layers.LSTM(3, dtype="bfloat16", recurrent_initializer="zeros")
    layer.build((None, T, I))
    accelerated(layer)
    assert layer(torch.ones(2, T, I)).dtype is torch.bfloat16


def test_another_backend_is_refused(keras):
    output, _ = run_python(
        "import sys\nfrom types import ModuleType, SimpleNamespace\nfake = ModuleType('keras')\n"
        "fake.backend = SimpleNamespace(backend=lambda: 'jax')\n"
        "sys.modules['keras'] = fake\n"
        "import fastrnn.keras\n"
        "try: fastrnn.keras.accelerate\n"
        "except RuntimeError as error: print(error)"
    )
    assert "KERAS_BACKEND=torch" in output
    assert "'jax'" in output
