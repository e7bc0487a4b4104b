"""Language models: the whole model's gradient, the same bits on any number of threads."""

import gc
import sys
from pathlib import Path

import numpy as np
import pytest
from tolerances import FLOAT32_GRADIENT, FLOAT32_OUTPUT, assert_close

from fastrnn import get_num_threads, optimizers, reference, set_num_threads
from fastrnn.cells import CELLS
from fastrnn.kernels.cpu import schedule, threads
from fastrnn.models.language import LanguageModel

T, B, V = 7, 5, 23


@pytest.fixture(params=["lstm", "gru"])
def cell(request):
    return request.param


def make_model(cell, **options):
    return LanguageModel(
        **{"vocabulary_size": V, "cell": cell, "units": 19, "layers": 2, "embedding": 9, **options}
    )


def random_window(rng, size=V):
    return rng.integers(0, size, (2, T, B))


def random_state(rng, model):
    return [
        tuple(rng.standard_normal(s.shape).astype(np.float32) for s in states)
        for states in model.zero_state(B)
    ]


class Recorder:
    """An optimizer that keeps the gradients and changes nothing."""

    def update(self, weights, gradients, *, rows=None):
        self.gradients = gradients
        return 0.0


def reference_run(cell, model, tokens, targets, state):
    """Loss, gradients by name and final states of the model, composed of references."""
    weights = {name: value.astype(np.float64) for name, value in model.weights.items()}
    module = reference.CELLS[cell]
    E = weights["embedding/embeddings"]
    x = reference.embedding.forward(tokens, E)
    saved, finals = [], []
    for n, states in enumerate(state):
        W, R, b = (weights[f"rnn_{n}/{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        x, final, kept = module.forward(x, W, R, b, states)
        saved.append(kept)
        finals.append(final)
    kernel = weights["head/kernel"]
    logits = reference.linear.forward(x, kernel, weights["head/bias"]).reshape(-1, len(kernel.T))
    loss = reference.softmax.forward(logits, targets.ravel())

    dlogits = reference.softmax.backward(logits, targets.ravel()).reshape(*tokens.shape, -1)
    dx, dW, db = reference.linear.backward(x, kernel, dlogits)
    gradients = {"head/kernel": dW, "head/bias": db}
    for n in reversed(range(len(state))):
        zeros = tuple(np.zeros(s.shape) for s in state[n])
        dx, dW, dR, db, *_ = module.backward(saved[n], dx, zeros)
        gradients |= {f"rnn_{n}/kernel": dW, f"rnn_{n}/recurrent_kernel": dR, f"rnn_{n}/bias": db}
    gradients["embedding/embeddings"] = reference.embedding.backward(tokens, len(E), dx)
    return loss, gradients, finals


@pytest.mark.parametrize("size", [V, 200], ids=["small vocabulary", "large vocabulary"])
def test_loss_states_and_gradient_match_reference(rng, cell, size):
    model = make_model(cell, vocabulary_size=size)
    tokens, targets = random_window(rng, size)
    state, recorder = random_state(rng, model), Recorder()
    loss, _, after = model.train_step(tokens, targets, state, recorder, 0)
    desired_loss, desired, desired_after = reference_run(cell, model, tokens, targets, state)
    assert_close(np.float32(loss), np.float64(desired_loss), FLOAT32_OUTPUT, "loss")
    assert recorder.gradients.keys() == desired.keys()
    for name, gradient in desired.items():
        assert_close(recorder.gradients[name], gradient, FLOAT32_GRADIENT, name)
    for ours, wanted in zip(after, desired_after, strict=True):
        for s, s_wanted in zip(ours, wanted, strict=True):
            assert_close(s, s_wanted, FLOAT32_OUTPUT, "state")


@pytest.fixture
def many_workers(monkeypatch):
    """Call it with a number of workers: even the smallest kernel then uses them all."""
    before = get_num_threads()
    monkeypatch.setattr(schedule, "MULTIPLY_ADDS_PER_WORKER", 1)
    monkeypatch.setattr(threads, "GRAIN", 1)
    yield set_num_threads
    set_num_threads(before)


def train(cell, steps, seed=3):
    """Losses and weights of a short training with dropout."""
    rng = np.random.default_rng(11)
    model = make_model(cell, dropout=0.3, seed=seed)
    optimizer = optimizers.Adam(learning_rate=0.01)
    state, losses = model.zero_state(B), []
    for step in range(steps):
        loss, norm, state = model.train_step(*random_window(rng), state, optimizer, step)
        losses += [loss, norm]
    return losses, {name: value.copy() for name, value in model.weights.items()}


def test_training_gives_the_same_bits_for_any_number_of_threads(cell, many_workers):
    many_workers(1)
    losses, weights = train(cell, 4)
    for workers in (1, 2, 3, 8):
        many_workers(workers)
        losses_again, weights_again = train(cell, 4)
        assert losses_again == losses
        for name, value in weights.items():
            np.testing.assert_array_equal(weights_again[name], value, err_msg=name)
    assert train(cell, 1, seed=4)[0] != losses[:2]


def test_step_and_seed_alone_choose_what_is_dropped(rng, cell):
    model = make_model(cell, dropout=0.5)
    tokens, targets = random_window(rng)
    state, recorder = model.zero_state(B), Recorder()

    def loss(step):
        return model.train_step(tokens, targets, state, recorder, step)[0]

    first = loss(0)
    assert loss(1) != first
    assert loss(0) == first
    assert model.evaluate(tokens, targets, state)[0] != first


def test_a_text_can_be_learnt(cell):
    model = make_model(cell)
    text = np.arange(T * B + 1).reshape(-1) % V
    tokens, targets = text[:-1].reshape(B, T).T, text[1:].reshape(B, T).T
    optimizer = optimizers.Adam(learning_rate=0.02)
    before, _ = model.evaluate(tokens, targets, model.zero_state(B))
    for step in range(60):
        model.train_step(tokens, targets, model.zero_state(B), optimizer, step)
    after, _ = model.evaluate(tokens, targets, model.zero_state(B))
    assert before == pytest.approx(np.log(V), rel=0.1)
    assert after < 0.2 * before


def test_next_logits_step_by_step_agree_with_evaluate(rng, cell):
    model = make_model(cell)
    tokens, targets = random_window(rng)
    loss, state_whole = model.evaluate(tokens, targets, model.zero_state(B))
    state, logits = model.zero_state(B), []
    for row in tokens:
        step, state = model.next_logits(row, state)
        assert step.shape == (B, V)
        logits.append(step)
    desired = reference.softmax.forward(np.concatenate(logits), targets.ravel())
    assert_close(np.float32(loss), np.float64(desired), FLOAT32_OUTPUT, "loss")
    for ours, wanted in zip(state, state_whole, strict=True):
        for s, s_wanted in zip(ours, wanted, strict=True):
            assert_close(s, s_wanted, FLOAT32_OUTPUT, "state")


def test_windows_joined_by_their_states_are_one(rng, cell):
    model = make_model(cell)
    tokens, targets = random_window(rng)
    whole, _ = model.evaluate(tokens, targets, model.zero_state(B))
    early, state = model.evaluate(tokens[:3], targets[:3], model.zero_state(B))
    late, _ = model.evaluate(tokens[3:], targets[3:], state)
    assert (3 * early + 4 * late) / 7 == pytest.approx(whole, rel=1e-5)


def test_model_is_rebuilt_from_its_configuration(cell):
    model = make_model(cell, dropout=0.25, seed=9)
    again = LanguageModel.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert again.weights.keys() == model.weights.keys()
    for name, value in model.weights.items():
        np.testing.assert_array_equal(again.weights[name], value)
    model.get_config()["units"] = 1
    assert model.get_config()["units"] == 19


def test_weights_are_loaded_by_name_and_refused_if_they_do_not_fit(cell):
    model, other = make_model(cell, seed=1), make_model(cell, seed=2)
    model.load_weights(other.weights)
    for name, value in other.weights.items():
        np.testing.assert_array_equal(model.weights[name], value)
        assert not np.shares_memory(model.weights[name], value)
    missing = dict(other.weights)
    del missing["head/bias"]
    with pytest.raises(ValueError, match="weights: missing or unknown: head/bias"):
        model.load_weights(missing)
    with pytest.raises(ValueError, match="weights: missing or unknown: more"):
        model.load_weights(other.weights | {"more": np.zeros(1)})
    with pytest.raises(ValueError, match=r"head/bias: expected shape \(23,\), got \(1,\)"):
        model.load_weights(other.weights | {"head/bias": np.zeros(1)})


def test_names_of_weights_are_different_and_no_layer_starts_like_another(cell):
    model = make_model(cell, layers=3, embedding=19)
    assert len(model.weights) == len(model.variables) == 3 + 3 * 3
    first, second = (model.weights[f"rnn_{n}/kernel"] for n in (0, 1))
    assert first.shape == second.shape
    assert (first != second).any()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_from_step_to_step(rng, cell):
    def resident():
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * 4096

    model = make_model(cell, dropout=0.1, units=64, vocabulary_size=300)
    optimizer, state = optimizers.Adam(), model.zero_state(B)
    tokens, targets = random_window(rng, 300)
    for step in range(400):
        if step == 100:
            before = resident()
        _, _, state = model.train_step(tokens, targets, state, optimizer, step)
    # One step works on about a megabyte.
    assert resident() - before < 32e6


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_learns(name):
    model = make_model(name)
    text = np.arange(T * B + 1).reshape(-1) % V
    tokens, targets = text[:-1].reshape(B, T).T, text[1:].reshape(B, T).T
    optimizer = optimizers.Adam(learning_rate=0.02)
    before, _ = model.evaluate(tokens, targets, model.zero_state(B))
    for step in range(20):
        model.train_step(tokens, targets, model.zero_state(B), optimizer, step)
    after, _ = model.evaluate(tokens, targets, model.zero_state(B))
    assert after < 0.75 * before


def test_projected_outputs_have_a_size_of_their_own():
    model = make_model("lstmp", projection=7)
    assert model.get_config()["projection"] == 7
    assert LanguageModel.from_config(model.get_config()).weights.keys() == model.weights.keys()
    assert model.weights["rnn_0/projection"].shape == (19, 7)
    assert model.weights["rnn_1/kernel"].shape == (7, 4 * 19)
    h, c = model.zero_state(B)[0]
    assert (h.shape, c.shape) == ((B, 7), (B, 19))
    with pytest.raises(ValueError, match="^projection_size: expected None for LSTM"):
        make_model("lstm", projection=7)
