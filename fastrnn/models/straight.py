"""Training steps of models whose layers follow one another: on arrays, without a tape.

A tape finds out what depends on what.  In a line of layers that is known beforehand: each takes
what the one before made, so the gradient goes back the same way, layer by layer.  Numbers are those
of a tape to the last bit; what falls away is Python, of which a small model's step has much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import RNN, Bidirectional, Layer
from fastrnn.layers.embedding import Embedding, LookedUp
from fastrnn.layers.input_spec import check_inputs
from fastrnn.tape import Variable

Array = NDArray[Any]

# Layers that look up products instead of rows.
_TAKES_LOOKED_UP = (RNN, Bidirectional)


def is_line(layers: Sequence[Layer]) -> bool:
    """Return whether layers, one after the other, can train by a `Pass`."""
    dtype = layers[0].dtype
    is_masked = False
    for layer in layers:
        if not layer.works_on_arrays or layer.dtype != dtype:
            return False
        if is_masked and not layer.supports_masking:
            return False
        is_masked = layer.makes_mask or (is_masked and layer.keeps_mask)
    return True


class Pass:
    """One pass through layers in training, and back.

    Parameters
    ----------
    layers : sequence of Layer
        Those of `is_line`.
    x : array
        Numbers of any dtype.

    Attributes
    ----------
    y : array
        What the last layer makes of x.
    mask : array of bools or None
        That of y.

    Raises
    ------
    ValueError, TypeError
        If the input does not fit a layer.
    """

    def __init__(self, layers: Sequence[Layer], x: Array) -> None:
        self._steps: list[tuple[list[Variable], Callable[[Any], Sequence[Any]], bool]] = []
        given: Any = x if isinstance(layers[0], Embedding) else _floats(layers[0], x)
        is_reached = False  # whether a weight that changes lies below
        mask: Any = None
        with np.errstate(all="ignore"):  # as in `fastrnn.ops`
            for layer in layers:
                if isinstance(given, LookedUp) and not isinstance(layer, _TAKES_LOOKED_UP):
                    given = self._copied(given, is_reached)
                check_inputs(layer.name, layer.input_spec, [given.shape])
                masks = (mask,) if mask is not None and layer.takes_mask else ()
                y, weights, backward = layer.on_arrays(given, is_reached, *masks)
                if layer.makes_mask or mask is not None:
                    mask = layer.compute_mask(given, mask)
                given = y
                self._steps.append((weights, backward, is_reached))
                is_reached = is_reached or any(weight.trainable for weight in weights)
            if isinstance(given, LookedUp):
                given = self._copied(given, is_reached)
        self.y: Array = given
        self.mask: Array | None = mask

    def _copied(self, given: LookedUp, wants_dx: bool) -> Array:
        """Return rows that were looked up, for a layer that asks for the array."""
        rows, pull = given.copied()
        self._steps.append(([], lambda d: [pull(d)], wants_dx))
        return rows

    def gradients(self, dy: Array) -> dict[int, Any]:
        """Return the gradients of weights by their `id`, from that of y; called once.

        What a layer has saved is freed as soon as its gradients are known.
        """
        found: dict[int, Any] = {}
        d: Any = dy
        with np.errstate(all="ignore"):
            while self._steps:
                weights, backward, wants_dx = self._steps.pop()
                d, *own = backward(d)
                for weight, gradient in zip(weights, own, strict=True):
                    known = found.get(id(weight))
                    found[id(weight)] = gradient if known is None else known + gradient
                if not wants_dx or d is None:
                    break
        return found


def _floats(layer: Layer, x: Array) -> Array:
    if x.dtype.kind not in "biuf":
        raise TypeError(f"inputs: expected numbers, got {x.dtype}")
    return x.astype(layer.dtype, copy=False)
