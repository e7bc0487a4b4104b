"""Recurrent layers of a model of Keras made to compute on our kernels, and back."""

from __future__ import annotations

from typing import Any

try:
    import keras
except ImportError as error:
    raise ImportError("fastrnn.keras.accelerate needs Keras 3: pip install keras") from error
if keras.backend.backend() != "torch":
    raise RuntimeError(
        "fastrnn.keras.accelerate needs Keras on PyTorch: expected KERAS_BACKEND=torch in the "
        f"environment before keras is imported, got {keras.backend.backend()!r}"
    )

from fastrnn.keras.loop import Loop, why_not
from fastrnn.torch.swap import Report

_STOCK = (keras.layers.GRU, keras.layers.LSTM, keras.layers.SimpleRNN)


def accelerate(model: Any) -> Report:
    """Let the recurrent layers of a model of Keras run on our kernels, in place.

    Layers, weights and files stay Keras' own: only the loop over the steps is another.  Weights are
    shared, and gradients reach them through PyTorch.  Copies of the model are plain ones.

    Left to Keras at a call are tensors that are not float32 or float64 on the CPU, masks with
    holes, recurrent dropout while training, and whatever is traced, exported or compiled.

    Parameters
    ----------
    model : keras.Model or keras.layers.Layer
        Built.

    Returns
    -------
    fastrnn.torch.Report
        What was swapped, and which recurrent layers were not and why.

    Raises
    ------
    TypeError
        If it is no layer of Keras.
    RuntimeError
        On another backend than PyTorch; raised when this function is looked up.
    """
    swapped, left = [], []
    for name, layer in _recurrent(model):
        kind = type(layer).__name__
        if isinstance(layer.__dict__.get("inner_loop"), Loop):
            why: str | None = "fastrnn's already"
        elif type(layer) not in _STOCK:
            why = "of a class of its own, or a layer over cells"
        else:
            why = why_not(layer)
        if why is None:
            # Besides Keras' own bookkeeping of attributes: nothing is to be saved of it.
            layer.__dict__["inner_loop"] = Loop(layer)
            swapped.append((name, kind))
        else:
            left.append((name, kind, why))
    return Report(tuple(swapped), tuple(left))


def restore(model: Any) -> Report:
    """Undo `accelerate`.

    Parameters
    ----------
    model : keras.Model or keras.layers.Layer

    Returns
    -------
    fastrnn.torch.Report
        What was swapped back.

    Raises
    ------
    TypeError
        If it is no layer of Keras.
    """
    swapped = []
    for name, layer in _recurrent(model):
        if isinstance(layer.__dict__.get("inner_loop"), Loop):
            del layer.__dict__["inner_loop"]
            swapped.append((name, type(layer).__name__))
    return Report(tuple(swapped), ())


def _recurrent(model: Any) -> list[tuple[str, Any]]:
    """Return the recurrent layers of a model with their paths, each once."""
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"model: expected a model of Keras, got {type(model).__name__}")
    layers = {id(layer): layer for layer in model._flatten_layers()}
    return [
        (layer.path or layer.name, layer)
        for layer in layers.values()
        if isinstance(layer, keras.layers.RNN)
    ]
