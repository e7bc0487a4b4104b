"""Keras on PyTorch, an outside witness."""

import os
import warnings

import numpy as np
import pytest


def keras():
    """The package, or a skipped test where it is missing."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torch")
        return pytest.importorskip("keras")


def as_numpy(tensor):
    return tensor.detach().cpu().numpy()


def as_tensor(array, mask=None):
    """A tensor of the array's dtype."""
    tensor = pytest.importorskip("torch").tensor(np.asarray(array))
    if mask is not None:
        tensor._keras_mask = as_tensor(np.asarray(mask))
    return tensor


def run(function, y_true, y_pred, **options):
    """What a function of Keras makes of two arrays; its means are never finer than float32."""
    return as_numpy(function(as_tensor(y_true), as_tensor(y_pred), **options)).astype(np.float32)
