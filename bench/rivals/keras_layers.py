"""Keras' LSTM, GRU and SimpleRNN on TensorFlow, as candidates."""

from __future__ import annotations

import os
from typing import Any

# Both must be set before the imports: no words about the processor's instructions, no other engine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from problems import Candidate, Data, Problem, Weights, named_gradients

from rivals.layouts import one_bias, reordered, restored, two_biases

tf.get_logger().setLevel("ERROR")  # no words about tracing, which is done once for each shape

_CLASSES = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "rnn": keras.layers.SimpleRNN}

# Where Keras' gates (i f c o; z r h) stand in PyTorch's order.
_ORDERS = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "rnn": (0,)}


def use_threads(number: int) -> None:
    """Use `number` threads in an operation; TF_NUM_INTEROP_THREADS operations run at once."""
    tf.config.threading.set_intra_op_parallelism_threads(number)
    at_once = int(os.environ.get("TF_NUM_INTEROP_THREADS", "1"))
    tf.config.threading.set_inter_op_parallelism_threads(at_once)


def candidates(problem: Problem, pass_: str) -> dict[str, dict[str, Candidate]]:
    """Return the variants of each candidate for one pass."""
    keras.backend.clear_session()
    data = problem.data()
    layers = _layers(problem, data)
    create = _inference if pass_ == "forward" else _training
    return {
        "keras": {
            "graph": create(problem, data, layers, jit_compile=False),
            "XLA": create(problem, data, layers, jit_compile=True),
        }
    }


def _layers(problem: Problem, data: Data) -> list[Any]:
    """Return the layers with the weights of `data`."""
    layers = []
    width = problem.shape.I
    for directions in data.weights:
        layer = _CLASSES[problem.cell](problem.shape.H, return_sequences=True)
        if problem.directions == 2:
            layer = keras.layers.Bidirectional(layer)
        layer.build((None, None, width))
        layer.set_weights([w for weights in directions for w in _to_keras(problem.cell, weights)])
        layers.append(layer)
        width = problem.directions * problem.shape.H
    return layers


def _to_keras(cell: str, weights: Weights) -> list[Any]:
    order = _ORDERS[cell]
    W, R = (reordered(w, order) for w in (weights.W, weights.R))
    biases = [reordered(b, order) for b in two_biases(cell, weights.b)]
    return [W, R, np.stack(biases) if cell == "gru" else biases[0]]


def _from_keras(cell: str, dW: Any, dR: Any, db: Any) -> tuple[Any, Any, Any]:
    order = _ORDERS[cell]
    dW, dR, db = (restored(d, order) for d in (dW, dR, db))
    return dW, dR, one_bias(cell, *db) if cell == "gru" else db


def _run(problem: Problem, layers: list[Any], x: Any) -> Any:
    lengths = problem.lengths()
    mask = None if lengths is None else tf.sequence_mask(lengths, problem.shape.T)
    for layer in layers:
        x = layer(x, mask=mask)
    return x


def _batch_major(array: Any) -> Any:
    return tf.constant(np.ascontiguousarray(np.swapaxes(array, 0, 1)))


def _inference(problem: Problem, data: Data, layers: list[Any], *, jit_compile: bool) -> Candidate:
    x = _batch_major(data.x)

    @tf.function(jit_compile=jit_compile)
    def forward(x: Any) -> Any:
        return _run(problem, layers, x)

    return Candidate(lambda: forward(x), lambda y: {"y": np.swapaxes(y, 0, 1)})


def _training(problem: Problem, data: Data, layers: list[Any], *, jit_compile: bool) -> Candidate:
    x, dy = _batch_major(data.x), _batch_major(data.dy)
    variables = [variable.value for layer in layers for variable in layer.trainable_variables]

    @tf.function(jit_compile=jit_compile)
    def train(x: Any, dy: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _run(problem, layers, x)
        return y, tape.gradient(y, [x, *variables], output_gradients=dy)

    def outputs(result: Any) -> dict[str, Any]:
        y, (dx, *rest) = result
        y, dx = (np.swapaxes(array, 0, 1) for array in (y, dx))
        weights = zip(*[iter(np.asarray(d) for d in rest)] * 3, strict=True)
        return {
            "y": y,
            **named_gradients(dx, (_from_keras(problem.cell, *group) for group in weights)),
        }

    return Candidate(lambda: train(x, dy), outputs)
