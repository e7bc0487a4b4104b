"""Puts this folder on the import path, and gives every test its own seeded generator."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

# What Keras is compared on, before anything imports it.
os.environ.setdefault("KERAS_BACKEND", "torch")


@pytest.fixture
def rng():
    """A fresh generator for every test, always with the same seed."""
    return np.random.default_rng(20240229)
