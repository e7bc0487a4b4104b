"""A home folder that has data sets of Keras' format in it, small ones that can be learned."""

import numpy as np
import pytest

from fastrnn import random


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of the test's own, and the same random numbers for each test."""
    monkeypatch.delenv("KERAS_HOME", raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    random.set_seed(22)
    return tmp_path


@pytest.fixture
def imdb_file(home):
    """Reviews of unequal lengths, in which the second-last word tells whether they praise."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 512), ("test", 128)):
        y = rng.integers(0, 2, count)
        x = np.empty(count, object)
        x[:] = [
            [*rng.integers(10, 400, rng.integers(3, 30)).tolist(), 4 + int(good), 7] for good in y
        ]
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(home / ".keras" / "datasets" / "imdb.npz", **arrays)


@pytest.fixture
def mnist_file(home):
    """Noise with a bright bar, whose place and direction tell which digit it stands for."""
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in (("train", 640), ("test", 200)):
        y = rng.integers(0, 10, count).astype(np.uint8)
        x = rng.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, digit in zip(x, y.tolist(), strict=True):
            at = 2 + 5 * (digit % 5)
            (image if digit < 5 else image.T)[at : at + 4] += 190
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    np.savez(home / ".keras" / "datasets" / "mnist.npz", **arrays)
