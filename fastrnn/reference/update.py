"""One step of each optimizer, in float64 NumPy, as Keras 3 defines and defaults it.

`p` is a parameter, `g` its gradient, what follows the optimizer's running averages, all of one
shape and zero before the first step (`adagrad`: 0.1); `step` counts from 1. Results are new
arrays.

Some formulas differ from PyTorch's: `rmsprop` and `adagrad` add epsilon under the root, `adam`,
`amsgrad` and `adamax` add it to the root of the uncorrected `v` ("epsilon hat" of Kingma & Ba,
2015) or to the uncorrected `u`, and `nadam` corrects with another product of momenta.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastrnn.reference.float64 import Array, as_float64


def sgd(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    *,
    learning_rate: float = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> tuple[Array, Array]:
    """Gradient descent with momentum: (p, m) after the step, of the shape of `p`."""
    p, g, m = as_float64(p), as_float64(g), as_float64(m)
    m = momentum * m - learning_rate * g
    if nesterov:
        return p + momentum * m - learning_rate * g, m
    return p + m, m


def rmsprop(
    p: ArrayLike,
    g: ArrayLike,
    v: ArrayLike,
    *,
    learning_rate: float = 0.001,
    rho: float = 0.9,
    epsilon: float = 1e-7,
) -> tuple[Array, Array]:
    """RMSprop (Hinton, 2012): (p, v) after the step, of the shape of `p`."""
    p, g, v = as_float64(p), as_float64(g), as_float64(v)
    v = rho * v + (1 - rho) * g**2
    return p - learning_rate * g / np.sqrt(v + epsilon), v


def rmsprop_with_momentum(
    p: ArrayLike,
    g: ArrayLike,
    v: ArrayLike,
    m: ArrayLike,
    *,
    learning_rate: float = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array]:
    """RMSprop whose steps `m` have momentum: (p, v, m) after the step, of the shape of `p`."""
    p, g, v, m = as_float64(p), as_float64(g), as_float64(v), as_float64(m)
    v = rho * v + (1 - rho) * g**2
    m = momentum * m + learning_rate * g / np.sqrt(v + epsilon)
    return p - m, v, m


def centered_rmsprop(
    p: ArrayLike,
    g: ArrayLike,
    v: ArrayLike,
    m: ArrayLike,
    a: ArrayLike,
    *,
    learning_rate: float = 0.001,
    rho: float = 0.9,
    momentum: float = 0.0,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array, Array]:
    """RMSprop by the variance (Graves, 2013): (p, v, m, a) after the step, of the shape of `p`.

    `m` is the last step, `a` the average gradient.
    """
    p, g, v = as_float64(p), as_float64(g), as_float64(v)
    m, a = as_float64(m), as_float64(a)
    v = rho * v + (1 - rho) * g**2
    a = rho * a + (1 - rho) * g
    m = momentum * m + learning_rate * g / np.sqrt(v - a**2 + epsilon)
    return p - m, v, m, a


def adagrad(
    p: ArrayLike,
    g: ArrayLike,
    v: ArrayLike,
    *,
    learning_rate: float = 0.001,
    epsilon: float = 1e-7,
) -> tuple[Array, Array]:
    """Adagrad (Duchi et al., 2011): (p, v) after the step, of the shape of `p`."""
    p, g, v = as_float64(p), as_float64(g), as_float64(v)
    v = v + g**2
    return p - learning_rate * g / np.sqrt(v + epsilon), v


def adadelta(
    p: ArrayLike,
    g: ArrayLike,
    v: ArrayLike,
    d: ArrayLike,
    *,
    learning_rate: float = 0.001,
    rho: float = 0.95,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array]:
    """Adadelta (Zeiler, 2012): (p, v, d) after the step, of the shape of `p`.

    `d` is the average square of the steps, before the learning rate.
    """
    p, g, v, d = as_float64(p), as_float64(g), as_float64(v), as_float64(d)
    v = rho * v + (1 - rho) * g**2
    step = np.sqrt((d + epsilon) / (v + epsilon)) * g
    return p - learning_rate * step, v, rho * d + (1 - rho) * step**2


def adam(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    step: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array]:
    """Adam (Kingma & Ba, 2015): (p, m, v) after the step, of the shape of `p`."""
    p, g, m, v = as_float64(p), as_float64(g), as_float64(m), as_float64(v)
    m = m + (g - m) * (1 - beta_1)
    v = v + (g**2 - v) * (1 - beta_2)
    alpha = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return p - m * alpha / (np.sqrt(v) + epsilon), m, v


def adamw(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    step: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    weight_decay: float = 0.004,
) -> tuple[Array, Array, Array]:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019): (p, m, v), shapes of `p`."""
    p = as_float64(p)
    return adam(
        p - learning_rate * weight_decay * p,
        g,
        m,
        v,
        step,
        learning_rate=learning_rate,
        beta_1=beta_1,
        beta_2=beta_2,
        epsilon=epsilon,
    )


def amsgrad(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    v_max: ArrayLike,
    step: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array, Array]:
    """Adam with the highest `v` so far (Reddi et al., 2018): (p, m, v, v_max), shapes of `p`."""
    p, g, m, v = as_float64(p), as_float64(g), as_float64(m), as_float64(v)
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    v_max = np.maximum(as_float64(v_max), v)
    alpha = learning_rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return p - alpha * m / (np.sqrt(v_max) + epsilon), m, v, v_max


def adamax(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    u: ArrayLike,
    step: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array]:
    """Adamax (Kingma & Ba, 2015): (p, m, u) after the step, of the shape of `p`."""
    p, g, m, u = as_float64(p), as_float64(g), as_float64(m), as_float64(u)
    m = beta_1 * m + (1 - beta_1) * g
    u = np.maximum(beta_2 * u, np.abs(g))
    return p - learning_rate / (1 - beta_1**step) * m / (u + epsilon), m, u


def nadam(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    v: ArrayLike,
    step: int,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
) -> tuple[Array, Array, Array]:
    """Adam with Nesterov's momentum (Dozat, 2016): (p, m, v) after the step, of the shape of `p`.

    The momentum of step t counts beta_1 * (1 - 0.96**t / 2); `m` itself decays with beta_1.
    """
    p, g, m, v = as_float64(p), as_float64(g), as_float64(m), as_float64(v)
    momenta = beta_1 * (1 - 0.5 * 0.96 ** np.arange(1, step + 2))
    m = beta_1 * m + (1 - beta_1) * g
    v = beta_2 * v + (1 - beta_2) * g**2
    mean = momenta[step] * m / (1 - np.prod(momenta))
    mean = mean + (1 - momenta[step - 1]) * g / (1 - np.prod(momenta[:step]))
    return p - learning_rate * mean / (np.sqrt(v / (1 - beta_2**step)) + epsilon), m, v


def lion(
    p: ArrayLike,
    g: ArrayLike,
    m: ArrayLike,
    *,
    learning_rate: float = 0.001,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
) -> tuple[Array, Array]:
    """Lion (Chen et al., 2023): (p, m) after the step, of the shape of `p`."""
    p, g, m = as_float64(p), as_float64(g), as_float64(m)
    p = p - learning_rate * np.sign(beta_1 * m + (1 - beta_1) * g)
    return p, beta_2 * m + (1 - beta_2) * g


def global_norm(gradients: Sequence[ArrayLike]) -> float:
    """Euclidean norm of all arrays, of any shapes, taken as one long vector."""
    return float(np.sqrt(sum(np.sum(as_float64(g) ** 2) for g in gradients)))


def clip_by_global_norm(gradients: Sequence[ArrayLike], limit: float) -> tuple[list[Array], float]:
    """Scale arrays of any shapes so that their global norm is at most `limit`.

    Returns the scaled arrays and the norm before scaling. As in Keras, an infinite or NaN norm
    makes every gradient NaN, so that a broken step cannot pass for a small one.
    """
    norm = global_norm(gradients)
    scale = limit / max(norm, limit) if np.isfinite(norm) else np.nan
    return [as_float64(g) * scale for g in gradients], norm
