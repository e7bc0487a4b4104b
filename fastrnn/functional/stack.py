"""Stacks of recurrent layers, each running one way or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.functional.dropout import dropout
from fastrnn.functional.options import Embedded
from fastrnn.functional.rnn import Backward, rnn, rnn_both_ways

Array = NDArray[Any]


class Direction(NamedTuple):
    """Weights of one layer in one direction, as `rnn` takes them."""

    W: ArrayLike
    R: ArrayLike | None
    b: ArrayLike | None = None
    extra: Mapping[str, ArrayLike] | None = None


class DirectionGradients(NamedTuple):
    """Gradients of a `Direction`, and of its initial states (B, H)."""

    W: Array
    R: Array | None
    b: Array | None
    state: tuple[Array, ...]
    extra: dict[str, Array] | None = None


class StackGradients(NamedTuple):
    """Gradients of the arguments of `stack`: of x, and layer by layer of each direction."""

    x: Array | None
    layers: list[list[DirectionGradients]]


#: How the outputs of both directions become one; "none" keeps them as a tuple.
MERGES = ("concat", "sum", "mul", "average", "none")


def stack(
    cell: Any,
    x: ArrayLike | Embedded,
    layers: Sequence[Direction | tuple[Direction, Direction]],
    state: Sequence[Any] | None = None,
    *,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    merge: str = "concat",
    rate: float = 0.0,
    key: int | tuple[int, ...] = 0,
    training: bool = True,
    wants_dx: bool = True,
) -> tuple[Any, list[list[tuple[Array, ...]]], Callable[..., StackGradients]]:
    """Run recurrent layers one on top of the other.

    Parameters
    ----------
    cell : str or cell
        As `rnn` takes it; the same for all layers.
    x : (T, B, I) array or Embedded
        Input.
    layers : sequence
        For each layer, from the input up, a `Direction` (W, R, b, extra), or a pair of them for
        one that runs both ways.  Widths may differ from layer to layer.
    state : sequence, optional
        For each layer the initial states of each of its directions, as `rnn` takes them:
        `state[layer][direction]`.  Any of them, or all, may be None for zeros.
    lengths, resets, training, wants_dx
        As `rnn` takes them.
    merge : str
        How the outputs of both directions become one: "concat" (forwards first), "sum", "mul",
        "average"; "none" returns both, and needs a single layer.
    rate : float
        Share of the numbers that are dropped between layers, in [0, 1); nothing is dropped
        unless `training`.
    key : int or tuple of ints
        Chooses what is dropped; see `dropout`.

    Returns
    -------
    y : (T, B, F) array, or a tuple of two (T, B, H) arrays for "none"
        Output of the last layer.
    state : list
        `state[layer][direction]`, the states after each sequence's last step.
    backward : callable
        `backward(dy=None, dstate=None) -> StackGradients`, with dy like y and dstate like state;
        it runs once.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Source
    ------
    M. Schuster and K. Paliwal, Bidirectional recurrent neural networks, IEEE Transactions on
    Signal Processing 1997.

    Examples
    --------
    >>> import numpy as np
    >>> ones = lambda *shape: np.ones(shape, np.float32)
    >>> both = [Direction(ones(4, 20), ones(5, 20))] * 2
    >>> top = Direction(ones(10, 8), ones(2, 8))
    >>> y, state, backward = stack("lstm", ones(3, 2, 4), [both, top])
    >>> y.shape, len(state[0]), backward(np.ones_like(y)).x.shape
    ((3, 2, 2), 2, (3, 2, 4))
    """
    if merge not in MERGES:
        raise ValueError(f"merge: expected one of {', '.join(MERGES)}, got {merge!r}")
    directions = [_directions(index, layer) for index, layer in enumerate(layers)]
    if not directions or (merge == "none" and len(directions) > 1):
        wanted = "one layer" if merge == "none" else "at least one layer"
        raise ValueError(f"layers: expected {wanted}, got {len(directions)}")
    initial = _of_layers("state", state, directions)
    keys = key if isinstance(key, tuple) else (key,)
    drops = rate if training else 0.0

    finals: list[list[tuple[Array, ...]]] = []
    undo: list[Any] = []
    inputs: Any = x
    for index, layer in enumerate(directions):
        dropped = None
        if index and drops:
            inputs, dropped = dropout(inputs, drops, (*keys, index))
        wants_input = wants_dx or index > 0
        if len(layer) == 2:
            runs = rnn_both_ways(
                cell, inputs, layer, initial[index], lengths=lengths, resets=resets,
                training=training, wants_dx=wants_input,
            )  # fmt: skip
        else:
            W, R, b, extra = layer[0]
            runs = [
                rnn(
                    cell, inputs, W, R, b, initial[index][0], extra=extra, lengths=lengths,
                    resets=resets, training=training, wants_dx=wants_input,
                )
            ]  # fmt: skip
        outputs = [y for y, _, _ in runs]
        finals.append([final for _, final, _ in runs])
        undo.append((outputs, [backward for _, _, backward in runs], dropped))
        inputs = _merged(merge, outputs)

    def backward(dy: Any = None, dstate: Any = None) -> StackGradients:
        of_ends = _of_layers("dstate", dstate, directions)
        gradients: list[list[DirectionGradients]] = []
        dx: Any = dy
        for index in reversed(range(len(directions))):
            outputs, backwards, dropped = undo[index]
            parts = _split(merge, outputs, dx)
            results = Backward.both(backwards, parts, of_ends[index])
            parts = [DirectionGradients(d.W, d.R, d.b, d.state, d.extra) for d in results]
            gradients.insert(0, parts)
            dx = results[0].x
            if len(results) == 2 and dx is not None:
                dx = dx + results[1].x
            if dropped is not None:
                dx = dropped(dx)
        return StackGradients(dx, gradients)

    return inputs, finals, backward


def _directions(index: int, layer: Any) -> list[Direction]:
    """Return the one or two directions of a layer."""
    if isinstance(layer, Direction):
        return [layer]
    is_sequence = isinstance(layer, tuple | list)
    if is_sequence and len(layer) in (1, 2) and all(isinstance(d, tuple | list) for d in layer):
        return [Direction(*d) for d in layer]
    if is_sequence and len(layer) in (2, 3, 4):
        return [Direction(*layer)]
    raise ValueError(
        f"layers[{index}]: expected Direction(W, R, b) or a pair of them, "
        f"got {_validate.describe(layer)}"
    )


def _of_layers(name: str, values: Any, directions: list[list[Direction]]) -> list[list[Any]]:
    """Return values[layer][direction], None where there is none."""
    if values is None:
        return [[None] * len(layer) for layer in directions]
    if not isinstance(values, tuple | list) or len(values) != len(directions):
        raise ValueError(
            f"{name}: expected states of {len(directions)} layers, got {_validate.describe(values)}"
        )
    found = []
    for index, (value, layer) in enumerate(zip(values, directions, strict=True)):
        if value is None:
            found.append([None] * len(layer))
        elif isinstance(value, tuple | list) and len(value) == len(layer):
            found.append(list(value))
        else:
            raise ValueError(
                f"{name}[{index}]: expected states of {len(layer)} directions, "
                f"got {_validate.describe(value)}"
            )
    return found


def _merged(merge: str, outputs: list[Array]) -> Any:
    """Return the outputs of one or two directions as one."""
    if len(outputs) == 1:
        return outputs[0]
    there, back = outputs
    match merge:
        case "concat":
            return np.concatenate([there, back], axis=-1)
        case "sum":
            return there + back
        case "mul":
            return there * back
        case "average":
            return (there + back) * there.dtype.type(0.5)
        case _:
            return (there, back)


def _split(merge: str, outputs: list[Array], dy: Any) -> list[Any]:
    """Return the gradients of the outputs from that of what they were merged to."""
    if dy is None:
        return [None] * len(outputs)
    if len(outputs) == 1:
        return [dy]
    there, back = outputs
    if merge == "none":
        if not isinstance(dy, tuple | list) or len(dy) != 2:
            raise ValueError(f"dy: expected two arrays, got {_validate.describe(dy)}")
        return list(dy)
    shape = (*there.shape[:2], there.shape[2] + (back.shape[2] if merge == "concat" else 0))
    dy = _validate.same_dtype("dy", _validate.float_array("dy", dy, shape), "y", there.dtype)
    match merge:
        case "concat":
            return [dy[..., : there.shape[2]], dy[..., there.shape[2] :]]
        case "mul":
            return [dy * back, dy * there]
        case "average":
            return [dy * dy.dtype.type(0.5)] * 2
        case _:
            return [dy, dy]
