"""Keras' LSTM, GRU and SimpleRNN on TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import cycle
from typing import Any

# Both must be set before the imports: no words about the processor's instructions, no other engine.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

from ..candidate import Candidate, UnableError, Variants, changes, named_gradients, named_weights
from ..cases import Case
from ..data import BETA_1, BETA_2, EPSILON, LEARNING_RATE, Weights, sequences, text
from .layouts import one_bias, reordered, restored, two_biases

tf.get_logger().setLevel("ERROR")  # no words about tracing, which is done once for each shape

_CLASSES = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "gru_reset_before": keras.layers.GRU,
    "rnn": keras.layers.SimpleRNN,
}

# Where Keras' gates (i f c o; z r h) stand in PyTorch's order.
_ORDERS = {
    "lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "gru_reset_before": (1, 0, 2), "rnn": (0,),
}  # fmt: skip


def use_threads(number: int) -> None:
    """Use `number` threads in an operation; TF_NUM_INTEROP_THREADS operations run at once."""
    tf.config.threading.set_intra_op_parallelism_threads(number)
    at_once = int(os.environ.get("TF_NUM_INTEROP_THREADS", "1"))
    tf.config.threading.set_inter_op_parallelism_threads(at_once)


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell not in _CLASSES:
        raise UnableError(f"Keras has no {case.cell}")
    keras.backend.clear_session()
    build: Callable[..., Candidate] = _training if case.pass_ == "training" else _inference
    build = {"stream": _stream, "step": _step}.get(case.kind, build)
    return {
        "graph": lambda: build(case, jit_compile=False),
        "XLA": lambda: build(case, jit_compile=True),
    }


def _make_layers(case: Case, weights: list[list[Weights]]) -> list[Any]:
    """Return the layers with given weights."""
    layers = []
    for inputs, directions in zip(case.inputs, weights, strict=True):
        options = {"reset_after": case.cell == "gru"} if "gru" in case.cell else {}
        layer = _CLASSES[case.cell](case.H, return_sequences=True, dtype=case.dtype, **options)
        if case.directions == 2:
            layer = keras.layers.Bidirectional(layer)
        layer.build((None, None, inputs))
        layer.set_weights([w for group in directions for w in _to_keras(case.cell, group)])
        layers.append(layer)
    return layers


def _to_keras(cell: str, weights: Weights) -> list[Any]:
    order = _ORDERS[cell]
    W, R = (reordered(w, order) for w in (weights.W, weights.R))
    biases = [reordered(b, order) for b in two_biases(cell, weights.b)]
    return [W, R, np.stack(biases) if cell == "gru" else biases[0]]


def _from_keras(cell: str, W: Any, R: Any, b: Any) -> tuple[Any, Any, Any]:
    order = _ORDERS[cell]
    W, R, b = (restored(array, order) for array in (W, R, b))
    return W, R, one_bias(cell, *b) if cell == "gru" else b


def _translated(case: Case, arrays: Any) -> list[tuple[Any, Any, Any]]:
    """Return W, R and b of all layers, from Keras' weights or their gradients in order."""
    groups = zip(*[iter(np.asarray(array) for array in arrays)] * 3, strict=True)
    return [_from_keras(case.cell, *group) for group in groups]


def _run(case: Case, layers: list[Any], x: Any) -> Any:
    lengths = case.steps()
    mask = None if lengths is None else tf.sequence_mask(lengths, case.T)
    for layer in layers:
        x = layer(x, mask=mask)
    return x


def _batch_major(array: Any) -> Any:
    return tf.constant(np.ascontiguousarray(np.swapaxes(array, 0, 1)))


def _inference(case: Case, *, jit_compile: bool) -> Candidate:
    data = sequences(case)
    layers, x = _make_layers(case, data.weights), _batch_major(data.x)

    @tf.function(jit_compile=jit_compile)
    def forward(x: Any) -> Any:
        return _run(case, layers, x)

    return Candidate(lambda: forward(x), lambda y: {"y": np.swapaxes(y, 0, 1)})


def _training(case: Case, *, jit_compile: bool) -> Candidate:
    data = sequences(case)
    layers = _make_layers(case, data.weights)
    x, dy = _batch_major(data.x), _batch_major(data.dy)
    variables = [variable.value for layer in layers for variable in layer.trainable_variables]

    @tf.function(jit_compile=jit_compile)
    def train(x: Any, dy: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _run(case, layers, x)
        return y, tape.gradient(y, [x, *variables], output_gradients=dy)

    def outputs(result: Any) -> dict[str, Any]:
        y, (dx, *rest) = result
        y, dx = (np.swapaxes(array, 0, 1) for array in (y, dx))
        return {"y": y, **named_gradients(dx, _translated(case, rest))}

    return Candidate(lambda: train(x, dy), outputs)


def _stream(case: Case, *, jit_compile: bool) -> Candidate:
    data = sequences(case)
    cells = [layer.cell for layer in _make_layers(case, data.weights)]

    @tf.function(jit_compile=jit_compile)
    def advance(h: Any, states: Any) -> Any:
        after = []
        for cell, state in zip(cells, states, strict=True):
            h, new = cell(h, state)
            after.append(new)
        return h, after

    zeros = [cell.get_initial_state(case.B) for cell in cells]
    steps = [tf.constant(x) for x in data.x]

    def run() -> Any:
        outputs, states = [], zeros
        for x in steps:
            h, states = advance(x, states)
            outputs.append(h)
        return tf.stack(outputs)

    return Candidate(run, lambda y: {"y": y})


def _step(case: Case, *, jit_compile: bool) -> Candidate:
    data = text(case)
    layers = _make_layers(case, data.weights)
    embedding = keras.layers.Embedding(*data.E.shape, dtype=case.dtype)
    embedding.build()
    embedding.set_weights([data.E])
    head = keras.layers.Dense(len(data.k), dtype=case.dtype)
    head.build((None, None, case.outputs))
    head.set_weights([data.K, data.k])
    parts = [embedding, *layers, head]
    variables = [variable for part in parts for variable in part.trainable_variables]
    optimizer = keras.optimizers.Adam(LEARNING_RATE, BETA_1, BETA_2, EPSILON)
    optimizer.build(variables)
    frozen = _second_biases(case, layers)

    @tf.function(jit_compile=jit_compile)
    def learn(tokens: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = head(_run(case, layers, embedding(tokens)))
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits)
            )
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        # That of the embedding lists rows, which Keras' Adam takes for all there is.
        gradients = [
            tf.convert_to_tensor(gradient) * (frozen if gradient.shape == frozen.shape else 1)
            for gradient in gradients
        ]
        optimizer.apply(gradients, variables)
        return loss

    windows = cycle(
        (_batch_major(tokens), _batch_major(targets))
        for tokens, targets in zip(data.tokens, data.targets, strict=True)
    )

    def weights() -> dict[str, Any]:
        of_layers = [array for layer in layers for array in layer.get_weights()]
        (E,), (K, k) = embedding.get_weights(), head.get_weights()
        return {"E": E, **named_weights(_translated(case, of_layers)), "K": K, "k": k}

    first = weights()
    return Candidate(
        lambda: float(learn(*next(windows))),
        lambda loss: {"loss": loss, **changes(weights(), first)},
    )


def _second_biases(case: Case, layers: list[Any]) -> Any:
    """Return what keeps the parts of a GRU's second bias at 0 that double the first."""
    if case.cell != "gru":
        return tf.constant(1.0)
    is_trained = np.ones((2, 3 * case.H), case.dtype)
    is_trained[1, : 2 * case.H] = 0
    return tf.constant(is_trained)
