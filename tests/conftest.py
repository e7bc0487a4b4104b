"""Puts this folder on the import path, and gives every test its own seeded generator."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

# What Keras is compared on, before anything imports it.
os.environ.setdefault("KERAS_BACKEND", "torch")

# Shells start what is to run in the background so that it does not hear Ctrl-C; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng():
    """A fresh generator for every test, always with the same seed."""
    return np.random.default_rng(20240229)
