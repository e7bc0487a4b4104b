"""JAX: recurrent layers as `lax.scan`, compiled by XLA."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..candidate import Candidate, UnableError, Variants, changes, named_gradients, named_weights
from ..cases import Case
from ..data import BETA_1, BETA_2, EPSILON, LEARNING_RATE, WINDOWS, sequences, text

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)  # arrays in float32 stay so

_UNROLLED = 8


def use_threads(number: int) -> None:
    """Do nothing: XLA has as many threads as processors that its process may use."""


def prepare(case: Case) -> Variants:
    """Return the ways to solve a case."""
    if case.cell not in _STEPS:
        raise UnableError(f"{case.cell} is not written in JAX here")
    build = {"layer": _layer, "stream": _stream, "step": _step}[case.kind]
    if case.kind == "stream":
        return {"": lambda: build(case, 1)}
    return {
        "scan": lambda: build(case, 1),
        f"scan, {_UNROLLED} steps unrolled": lambda: build(case, _UNROLLED),
    }


def _lstm(H: int, R: Any, b_h: Any, a: Any, states: Any) -> Any:
    h, c = states
    i, f, g, o = jnp.split(a + h @ R, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(H: int, R: Any, b_h: Any, a: Any, states: Any) -> Any:
    (h,) = states
    product = h @ R
    gates = jax.nn.sigmoid(a[..., : 2 * H] + product[..., : 2 * H])
    r, z = jnp.split(gates, 2, axis=-1)
    n = jnp.tanh(a[..., 2 * H :] + r * (product[..., 2 * H :] + b_h))
    return (n + z * (h - n),)


def _rnn(H: int, R: Any, b_h: Any, a: Any, states: Any) -> Any:
    (h,) = states
    return (jnp.tanh(a + h @ R),)


# The formula of a step, and the number of states.
_STEPS = {"lstm": (_lstm, 2), "gru": (_gru, 1), "rnn": (_rnn, 1)}


def _zeros(case: Case) -> Any:
    zeros = np.zeros((case.B, case.H), case.dtype)
    return (zeros,) * _STEPS[case.cell][1]


def _loop(case: Case, weights: Any, x: Any, unroll: int, *, reverse: bool) -> Any:
    """Return y (T, B, H) of one layer in one direction."""
    W, R, b = weights
    columns = W.shape[1]
    step = partial(_STEPS[case.cell][0], case.H, R, b[columns:])
    a = x @ W + b[:columns]
    steps = case.steps()
    if steps is None:
        _, y = lax.scan(
            lambda states, a: ((after := step(a, states)), after[0]), _zeros(case), a,
            reverse=reverse, unroll=unroll,
        )  # fmt: skip
        return y
    is_step = (np.arange(case.T)[:, None] < steps)[:, :, None]

    def advance(states: Any, inputs: Any) -> Any:
        a, runs = inputs
        after = tuple(
            jnp.where(runs, new, old) for new, old in zip(step(a, states), states, strict=True)
        )
        return after, after[0]

    _, y = lax.scan(advance, _zeros(case), (a, is_step), reverse=reverse, unroll=unroll)
    return jnp.where(is_step, y, 0)


def _run(case: Case, layers: Any, x: Any, unroll: int) -> Any:
    for layer in layers:
        outputs = [_loop(case, w, x, unroll, reverse=k == 1) for k, w in enumerate(layer)]
        x = outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs, axis=2)
    return x


def _on_device(layers: Any) -> Any:
    return [[tuple(map(jnp.asarray, group)) for group in layer] for layer in layers]


def _layer(case: Case, unroll: int) -> Candidate:
    data = sequences(case)
    layers, x, dy = _on_device(data.weights), jnp.asarray(data.x), jnp.asarray(data.dy)
    run = jax.jit(lambda layers, x: _run(case, layers, x, unroll))

    @jax.jit
    def train(layers: Any, x: Any, dy: Any) -> Any:
        y, backward = jax.vjp(run, layers, x)
        return y, *backward(dy)

    def outputs(result: Any) -> dict[str, Any]:
        y, d_layers, dx = result
        return {"y": y, **named_gradients(dx, (g for layer in d_layers for g in layer))}

    if case.pass_ == "forward":
        return Candidate(lambda: run(layers, x).block_until_ready(), lambda y: {"y": y})
    return Candidate(lambda: jax.block_until_ready(train(layers, x, dy)), outputs)


def _stream(case: Case, unroll: int) -> Candidate:
    data = sequences(case)
    layers = _on_device(data.weights)
    formula = _STEPS[case.cell][0]

    @jax.jit
    def advance(layers: Any, h: Any, states: Any) -> Any:
        after = []
        for ((W, R, b),), state in zip(layers, states, strict=True):
            columns = W.shape[1]
            new = formula(case.H, R, b[columns:], h @ W + b[:columns], state)
            h = new[0]
            after.append(new)
        return h, after

    zeros = [tuple(map(jnp.asarray, _zeros(case)))] * case.layers
    steps = [jnp.asarray(x) for x in data.x]

    def run() -> Any:
        outputs, states = [], zeros
        for x in steps:
            h, states = advance(layers, x, states)
            outputs.append(h)
        return np.stack([np.asarray(h) for h in outputs])

    return Candidate(run, lambda y: {"y": y})


def _step(case: Case, unroll: int) -> Candidate:
    data = text(case)
    model = {
        "E": jnp.asarray(data.E),
        "layers": _on_device(data.weights),
        "K": jnp.asarray(data.K),
        "k": jnp.asarray(data.k),
    }

    def loss_of(model: Any, tokens: Any, targets: Any) -> Any:
        logits = _run(case, model["layers"], model["E"][tokens], unroll) @ model["K"] + model["k"]
        right = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - right)

    @partial(jax.jit, donate_argnums=(0, 1, 2))
    def learn(model: Any, m: Any, v: Any, step: Any, tokens: Any, targets: Any) -> Any:
        loss, g = jax.value_and_grad(loss_of)(model, tokens, targets)
        rate = LEARNING_RATE * jnp.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
        rate = rate.astype(case.dtype)
        model = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), model, m, v)
        return loss, model, m, v

    first = _named(model)
    windows = [
        (jnp.asarray(tokens), jnp.asarray(targets))
        for tokens, targets in zip(data.tokens, data.targets, strict=True)
    ]
    state = (model, *(jax.tree.map(jnp.zeros_like, model) for _ in range(2)))
    steps = 0

    def run() -> float:
        nonlocal state, steps
        window = windows[steps % WINDOWS]
        steps += 1
        loss, *state = learn(*state, float(steps), *window)
        jax.block_until_ready(state)
        return float(loss)

    return Candidate(run, lambda loss: {"loss": loss, **changes(_named(state[0]), first)})


def _named(model: Any) -> dict[str, Any]:
    groups = (group for layer in model["layers"] for group in layer)
    every = {"E": model["E"], **named_weights(groups), "K": model["K"], "k": model["k"]}
    return {name: np.array(array) for name, array in every.items()}
