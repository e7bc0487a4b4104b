"""Layer normalisation (Ba, Kiros & Hinton 2016), differentiable, in float64 NumPy."""

from __future__ import annotations

from fastrnn.reference.autodiff import Node, mean, sqrt

EPSILON = 1e-5


def layer_norm(a: Node, gain: Node) -> Node:
    """Normalise the last axis of a (..., N) and scale it by gain (N,).

    (a - mean) / sqrt(variance + EPSILON) * gain
    """
    centred = a - mean(a)
    return centred / sqrt(mean(centred * centred) + EPSILON) * gain
