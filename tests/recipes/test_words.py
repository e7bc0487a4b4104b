"""Words: the schedule of the paper, streams that go on, perplexities."""

import itertools

import numpy as np
import pytest
from tolerances import TORCH_FLOAT32_OUTPUT, TORCH_MODULE_FLOAT32, assert_close

from fastrnn import layers, random
from fastrnn.recipes import RecipeError, Words, words

NOUNS, VERBS = ("dog", "cat", "bird", "fish"), ("sees", "hears")
#: Nats a word of the sentences below: noun, verb, noun are drawn, "the", "the", "<eos>" follow.
ENTROPY = (2 * np.log(4) + np.log(2)) / 6


def sentences(count, rng):
    return "".join(
        f" the {rng.choice(NOUNS)} {rng.choice(VERBS)} the {rng.choice(NOUNS)} \n"
        for _ in range(count)
    )


@pytest.fixture
def folder(tmp_path, rng):
    for name, count in zip(words.NAMES, (700, 150, 150), strict=True):
        (tmp_path / name).write_text(sentences(count, rng))
    return tmp_path


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(words.SIZES, "small", words.Size(16, 10, 0.0, 0.3, 14, 8, 0.5, 5.0))


def test_the_schedules_of_the_paper():
    # Epochs from 1, and the learning rate of a loss that is summed over a window.
    expected = {
        "small": {1: 1, 4: 1, 5: 1 / 2, 6: 1 / 4, 13: 2.0**-9},
        "medium": {6: 1, 7: 1 / 1.2, 39: 1.2**-33},
        "large": {14: 1, 15: 1 / 1.15, 55: 1.15**-41},
    }
    for size, rates in expected.items():
        setting = words.SIZES[size]
        recipe = Words.__new__(Words)
        recipe.setting = setting
        for epoch, rate in rates.items():
            assert recipe.rate(epoch - 1) / setting.window == pytest.approx(rate)
        assert max(rates) == setting.epochs


def test_the_models_of_the_paper(tmp_path):
    path = tmp_path / "text"
    path.write_text("\n".join(str(i % 37) for i in range(500)))
    # Units, layers, window, share dropped, spread of the first weights, limit of the norm.
    expected = {
        "small": (200, 20, 0.0, 0.1, 5),
        "medium": (650, 35, 0.5, 0.05, 5),
        "large": (1500, 35, 0.65, 0.04, 10),
    }
    for size, (H, window, dropout, spread, clip) in expected.items():
        recipe = Words([path] * 3, size=size)
        V = len(recipe.vocabulary)
        model = recipe.model
        assert recipe.epochs == recipe.patience == {"small": 13, "medium": 39, "large": 55}[size]
        drop = [layers.Dropout] if dropout else []
        kinds = [layers.Embedding, *drop, layers.LSTM, *drop, layers.LSTM, *drop, layers.Dense]
        assert [type(layer) for layer in model.layers] == kinds
        assert all(layer.rate == dropout for layer in model.layers if hasattr(layer, "rate"))
        assert model.count_params() == 2 * V * H + V + 2 * (8 * H * H + 4 * H)
        for weight in model.get_weights():
            assert np.abs(weight).max() <= spread
            if weight.size > 5000:
                assert weight.std() == pytest.approx(spread / np.sqrt(3), rel=0.05)
        assert model.optimizer.global_clipnorm == pytest.approx(clip / window)
        x, y = next(iter(recipe.batches()[0]))
        assert x.shape == y.shape == (20, window)


def test_steps_are_those_of_the_paper(folder, monkeypatch):
    """Against PyTorch: the sum over a window, the mean over its 20 rows, states that go on."""
    torch = pytest.importorskip("torch")
    H, window, clip = 8, 6, 0.7
    monkeypatch.setitem(words.SIZES, "small", words.Size(H, window, 0.0, 0.4, 4, 2, 0.5, clip))
    random.set_seed(0)
    recipe = Words(folder)
    table, *stack, kernel, bias = (torch.tensor(w) for w in recipe.model.get_weights())
    theirs = torch.nn.LSTM(H, H, 2, batch_first=True)
    named = {}
    for layer, (W, R, b) in enumerate((stack[:3], stack[3:])):
        named |= {f"weight_ih_l{layer}": W.T, f"weight_hh_l{layer}": R.T,
                  f"bias_ih_l{layer}": b, f"bias_hh_l{layer}": torch.zeros(4 * H)}  # fmt: skip
    theirs.load_state_dict(named)
    theirs.bias_hh_l0.requires_grad_(False)
    theirs.bias_hh_l1.requires_grad_(False)
    own = [table.requires_grad_(), kernel.requires_grad_(), bias.requires_grad_()]
    parameters = own + [p for p in theirs.parameters() if p.requires_grad]
    norms = []
    for epoch in range(4):
        state, losses = None, []
        rate = 0.5 ** max(0, epoch - 1)
        for x, y in list(recipe.batches()[0])[:5]:
            outputs, state = theirs(table[torch.tensor(x)], state)
            state = tuple(each.detach() for each in state)
            logits = (outputs @ kernel + bias).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(
                logits, torch.tensor(y, dtype=torch.long).flatten(), reduction="sum"
            ) / len(x)  # fmt: skip
            for parameter in parameters:
                parameter.grad = None
            loss.backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, clip)))
            with torch.no_grad():
                for parameter in parameters:
                    parameter -= rate * parameter.grad
            losses.append(loss.item() / window)
    assert min(norms) < clip < max(norms)

    monkeypatch.setattr(words.Streams, "__len__", lambda self: 5)
    monkeypatch.setattr(words.Streams, "__iter__", _five(words.Streams.__iter__))
    recipe.fit()
    assert_close(np.float32(recipe.history["loss"][-1]), np.mean(losses), TORCH_FLOAT32_OUTPUT)
    wanted = [table, *(p for layer in (0, 1) for p in (
        getattr(theirs, f"weight_ih_l{layer}").T, getattr(theirs, f"weight_hh_l{layer}").T,
        getattr(theirs, f"bias_ih_l{layer}"))), kernel, bias]  # fmt: skip
    for ours, their in zip(recipe.model.get_weights(), wanted, strict=True):
        assert_close(ours, their.detach().numpy(), TORCH_MODULE_FLOAT32)


def _five(iterate):
    return lambda self: itertools.islice(iterate(self), 5)


def test_streams_go_on_from_window_to_window():
    ids = np.arange(20 * 33 + 5)
    streams = words.Streams(ids, 8)
    batches = list(streams)
    assert len(streams) == len(batches) == 4
    x, y = (np.concatenate(part, axis=1) for part in zip(*batches, strict=True))
    assert (y == x + 1).all()
    assert (np.diff(x, axis=1) == 1).all()
    assert (x[:, 0] == np.arange(20) * 33).all()


def test_it_comes_near_the_entropy_of_the_source(folder, tiny):
    random.set_seed(0)
    recipe = Words(folder)
    recipe.fit()
    found = {(s.who, s.what.split(",")[0]): s.value for s in recipe.evaluate().scores}
    assert np.exp(ENTROPY) * 0.97 < found["this model", "test"] < np.exp(ENTROPY) * 1.15
    ids = recipe.parts[2]
    p = (np.bincount(recipe.parts[0], minlength=len(recipe.vocabulary)) + 1) / (
        len(recipe.parts[0]) + len(recipe.vocabulary)
    )
    expected = np.exp(-np.mean(np.log(p[ids[1:]])))
    assert found["frequencies of words", "test"] == pytest.approx(expected)


def test_perplexity_is_that_of_one_run_over_the_text(folder, tiny):
    random.set_seed(0)
    recipe = Words(folder)
    ids = recipe.parts[1][:451]  # more than two pieces of the evaluation
    found = recipe._perplexity(ids)
    recipe.model.reset_states()
    logits = recipe.model.predict(ids[None, :-1], verbose=0)[0].astype(np.float64)
    recipe.model.reset_states()
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = np.exp(-log_p[np.arange(450), ids[1:]].mean())
    assert found == pytest.approx(expected, rel=1e-5)


def test_rare_words_are_one(tmp_path, tiny):
    path = tmp_path / "text"
    path.write_text("a a b\n" * 100 + "c\n")
    vocabulary = words.vocabulary(words.words_of(path), 3)
    assert vocabulary == {"a": 0, "<eos>": 1, "<unk>": 2}
    recipe = Words([path] * 3, limit=3)
    assert recipe.parts[0][:5].tolist() == [0, 0, 2, 1, 0]


def test_other_files_are_refused(tmp_path, folder):
    short = tmp_path / "short"
    short.write_text("too short")
    with pytest.raises(RecipeError, match="at least 401 words, got 3"):
        Words([short] * 3)
    with pytest.raises(RecipeError, match="or three text files"):
        Words([short])
    with pytest.raises(RecipeError, match="No such file"):
        Words([folder / "absent"] * 3)
    with pytest.raises(RecipeError, match="size: expected small, medium, large"):
        Words(folder, size="huge")
