"""One step of each optimizer, in float64 NumPy, as Keras 3 defines and defaults it.

`p` is a parameter, `g` its gradient, `m` and `v` the optimizer's running averages, all of one
shape and zero before the first step; `step` counts from 1. Results are new arrays.

Two formulas differ from PyTorch's: `rmsprop` adds epsilon under the root, and `adam` adds it
to the root of the uncorrected `v` ("epsilon hat" of Kingma & Ba, 2015).
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
