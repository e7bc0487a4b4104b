"""Every loss function with arguments that suit it; all in float64."""

import numpy as np

from fastrnn import losses


def _probabilities(rng, shape):
    p = rng.random(shape) + 0.1
    return p / p.sum(axis=-1, keepdims=True)


def _one_hot(rng, shape):
    return np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]


def problems(rng, shape=(4, 3, 5)):
    """name, function's name, options, y_true, y_pred (B, T, D)."""
    x, y = rng.standard_normal((2, *shape))
    positive = rng.random((2, *shape)) + 0.2
    inside = rng.uniform(0.05, 0.95, shape)
    binary = rng.integers(0, 2, shape).astype(float)
    classes = rng.integers(0, shape[-1], shape[:-1])
    one_hot, p = _one_hot(rng, shape), rng.random(shape) + 0.1
    smooth = {"label_smoothing": 0.2}
    logits = {"from_logits": True}
    return [
        ("mse", "mean_squared_error", {}, x, y),
        ("mae", "mean_absolute_error", {}, x, y),
        ("mape", "mean_absolute_percentage_error", {}, x, y),
        ("msle", "mean_squared_logarithmic_error", {}, *positive),
        ("huber", "huber", {}, x, 2 * y),
        ("huber_delta", "huber", {"delta": 0.4}, x, y),
        ("log_cosh", "log_cosh", {}, x, y),
        ("poisson", "poisson", {}, *positive),
        ("cosine", "cosine_similarity", {}, x, y),
        ("cosine_axis", "cosine_similarity", {"axis": 1}, x, y),
        ("hinge", "hinge", {}, binary, y),
        ("hinge_signs", "hinge", {}, 2 * binary - 1, y),
        ("squared_hinge", "squared_hinge", {}, binary, y),
        ("categorical_hinge", "categorical_hinge", {}, one_hot, y),
        ("kl", "kl_divergence", {}, _probabilities(rng, shape), _probabilities(rng, shape)),
        ("bce", "binary_crossentropy", {}, binary, inside),
        ("bce_soft", "binary_crossentropy", {}, inside[::-1].copy(), inside),
        ("bce_smooth", "binary_crossentropy", smooth, binary, inside),
        ("bce_logits", "binary_crossentropy", logits, binary, 3 * y),
        ("bce_logits_smooth", "binary_crossentropy", logits | smooth, binary, y),
        ("cce", "categorical_crossentropy", {}, one_hot, p),
        ("cce_soft", "categorical_crossentropy", {}, _probabilities(rng, shape), p),
        ("cce_smooth", "categorical_crossentropy", smooth, one_hot, p),
        ("cce_logits", "categorical_crossentropy", logits, one_hot, y),
        ("cce_logits_smooth", "categorical_crossentropy", logits | smooth, one_hot, y),
        ("cce_axis", "categorical_crossentropy", logits | {"axis": 1}, positive[0], y),
        ("scce", "sparse_categorical_crossentropy", {}, classes, p),
        ("scce_logits", "sparse_categorical_crossentropy", logits, classes, y),
        ("scce_column", "sparse_categorical_crossentropy", logits, classes[..., None], y),
        ("scce_ignore", "sparse_categorical_crossentropy", {"ignore_class": 2}, classes, p),
        (
            "scce_ignore_logits",
            "sparse_categorical_crossentropy",
            logits | {"ignore_class": 2},
            classes,
            y,
        ),
        (
            "scce_axis",
            "sparse_categorical_crossentropy",
            logits | {"axis": 1},
            classes[:, 0, None].repeat(shape[-1], 1) % shape[1],
            y,
        ),
    ]


NAMES = [problem[0] for problem in problems(np.random.default_rng(0))]


def problem(name, rng, **options):
    """function, options, y_true, y_pred of the problem with this name."""
    for found, function, arguments, y_true, y_pred in problems(rng, **options):
        if found == name:
            return getattr(losses, function), arguments, y_true, y_pred
    raise KeyError(name)
