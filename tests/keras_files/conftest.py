"""Keras on PyTorch, where both are installed."""

import os

import pytest


@pytest.fixture(scope="session")
def keras():
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("another backend of Keras is in use")
    return keras
