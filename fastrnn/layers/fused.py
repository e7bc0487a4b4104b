"""Cells on the engine: all time steps of a layer, or one, in one call of `functional.rnn`.

Masks.  A masked step leaves the states as they are and does not look at its input, so a layer
with a mask does what it would do with the remaining steps alone.  Where these come first in a row
(padding on the right) they are its `lengths`; in all other cases, padding on the left included,
they are moved together, which is one copy of the input, and costs nothing for indices of an
`Embedding`.  Either way the work follows the number of steps that are not masked.  The outputs of
masked steps, which repeat the one before, cost one copy of all outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional, ops
from fastrnn.layers.embedding import LookedUp
from fastrnn.tape import Tensor, constant, is_recording, is_watched, record

Array = NDArray[Any]


class Arrays(NamedTuple):
    """The weights of a cell as `functional.rnn` takes them."""

    W: Array
    R: Array | None
    b: Array | None
    extra: dict[str, Array] | None = None


class Dropped(NamedTuple):
    """Factors of dropout, the same in all steps; None without.

    inputs     (B, I)
    recurrent  (B, H)
    """

    inputs: Array | None = None
    recurrent: Array | None = None

    @classmethod
    def of(cls, cell: Any, shape: tuple[int, ...], training: bool) -> Dropped:
        """Return the factors that a cell applies to inputs (B, I) until they are reset."""
        if not training:
            return NOT_DROPPED
        return cls(cell.input_mask(*shape), cell.recurrent_mask(shape[0]))


NOT_DROPPED = Dropped()


class Mask(NamedTuple):
    """Which steps of a batch there are, in the order in which they are run.

    steps    (B, T) bools
    lengths  (B,) how many of each row; None for all
    """

    steps: Array
    lengths: NDArray[np.int64]

    @property
    def is_prefix(self) -> bool:
        """Whether the steps come before what is masked, in every row."""
        return bool((self.steps[:, 1:] <= self.steps[:, :-1]).all())

    @property
    def order(self) -> NDArray[np.int64]:
        """The number (B, T) of the first, second, ... step; then those of masked steps."""
        return np.argsort(~self.steps, axis=1, kind="stable")

    @property
    def latest(self) -> NDArray[np.int64]:
        """How many steps there were up to each one, (B, T), less 1."""
        return np.cumsum(self.steps, axis=1) - 1


class Course(NamedTuple):
    """How a cell passes over the steps of a batch that there are.

    kept         which these are; None for all
    turn         -1: from the last column of the inputs to the first
    is_reversed  whether each row runs from the last of its steps to the first
    order        (B, T) where its inputs are to be taken from; None for where they are
    """

    kept: Mask | None
    turn: int
    is_reversed: bool = False
    order: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, mask: Array | None, go_backwards: bool) -> Course:
        """Return the course of a batch with a mask (B, T)."""
        turn = -1 if go_backwards else 1
        if mask is None or mask.all():
            return cls(None, turn)
        kept = Mask(mask[:, ::turn], mask.sum(axis=1))
        if kept.is_prefix:
            return cls(kept, turn)
        if go_backwards and Mask(mask, kept.lengths).is_prefix:
            return cls(kept, 1, is_reversed=True)
        order = kept.order
        return cls(kept, 1, order=order if turn == 1 else mask.shape[1] - 1 - order)

    @property
    def lengths(self) -> NDArray[np.int64] | None:
        """Steps of each row; None for all."""
        return None if self.kept is None else self.kept.lengths

    def ends(self, zero_output: bool) -> NDArray[np.bool_] | None:
        """Return (B,) where the last output is one, and not 0; None for everywhere."""
        if self.kept is None:
            return None
        return self.kept.steps[:, -1] if zero_output else self.kept.lengths > 0

    def outputs(self, zero_output: bool) -> tuple[NDArray[np.int64] | None, Any]:
        """Return (B, T) where the outputs of steps are to be taken from, and which are not 0.

        None for where they are: run to the front and seen from the end, what is masked comes first,
        and is 0 anyway.
        """
        kept = self.kept
        if kept is None or self.is_reversed or (zero_output and kept.is_prefix):
            return None, None
        latest = kept.latest
        return np.maximum(latest, 0), kept.steps if zero_output else latest >= 0


def run(
    cell: Any,
    inputs: Tensor,
    states: list[Tensor],
    mask: Array | None,
    *,
    go_backwards: bool,
    zero_output: bool,
    training: bool,
    wants_sequences: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Run a cell over batch-major sequences.

    Parameters
    ----------
    cell : Cell
        One that has an `engine`.
    inputs : (B, T, I) Tensor
        In any memory order: time-major memory seen batch-major is not copied.
    states : list of (B, H) Tensors
        Empty for zeros.
    mask : (B, T) bools, optional
        Which steps there are.
    go_backwards : bool
        From the last step to the first; outputs come in the order of the run.
    zero_output : bool
        Outputs of masked steps are 0, instead of that of the step before.
    training : bool
        Apply the cell's dropout.
    wants_sequences : bool
        Return the outputs (B, T, H) of all steps, not only that of the last.

    Returns
    -------
    output : Tensor
    states : list of (B, H) Tensors
        After the last step.
    """
    course = Course.of(mask, go_backwards)
    if course.order is not None:
        inputs = _at(inputs, course.order)
    dropped = Dropped.of(cell, inputs.shape[::2], training)
    y, finals = sequence(
        cell, inputs, states, dropped, turn=course.turn, reverse=course.is_reversed,
        lengths=course.lengths,
    )  # fmt: skip
    if not wants_sequences:
        return _zeroed(finals[0], course.ends(zero_output)), finals
    latest, is_output = course.outputs(zero_output)
    if latest is not None:
        y = _zeroed(_at(y, latest), is_output)
    return y, finals


def run_on_arrays(
    cell: Any,
    inputs: LookedUp | Array,
    mask: Array | None,
    dropped: Dropped,
    *,
    go_backwards: bool,
    zero_output: bool,
    wants_sequences: bool,
    wants_dx: bool,
) -> tuple[Array, Callable[[Array], list[Any]]]:
    """Do what `run` does in training from states of zeros, on arrays.

    Returns the output alone and `backward(doutput)`: gradients of the inputs (the table of those
    looked up) and of the cell's `engine_weights`, in one list.
    """
    course = Course.of(mask, go_backwards)
    to_inputs: Any = None
    if course.order is not None:
        if isinstance(inputs, LookedUp):
            inputs = _at(inputs, course.order)
        else:
            inputs, to_inputs = _moved(inputs, course.order)
    y, finals, pull = on_arrays(
        cell, inputs, (), dropped, turn=course.turn, reverse=course.is_reversed,
        lengths=course.lengths, wants_dx=wants_dx,
    )  # fmt: skip
    to_y: Any = None
    if wants_sequences:
        output = y
        latest, is_output = course.outputs(zero_output)
        if latest is not None:
            output, to_y = _moved(y, latest)
    else:
        output, is_output = finals[0], course.ends(zero_output)
    lost = _lost(is_output)
    if lost is not None:
        output = _without(output, lost)
    others = [None] * len(finals[1:])

    def backward(d: Array) -> list[Any]:
        if lost is not None:
            d = _without(d, lost)
        if to_y is not None:
            d = to_y(d)
        dx, *gradients = pull(d) if wants_sequences else pull(None, d, *others)
        if to_inputs is not None and dx is not None:
            dx = to_inputs(dx)
        return [dx, *gradients]

    return output, backward


def step(cell: Any, x: Tensor, states: list[Tensor], dropped: Dropped) -> list[Tensor]:
    """Run a cell that has an `engine` one step: x (B, I) and states (B, H); return the states."""
    if dropped.inputs is not None:
        x = ops.multiply(x, dropped.inputs)
    engine, arrays = cell.engine, cell.arrays()
    _, final, backward = functional.rnn(
        engine, x.value[None], arrays.W, arrays.R, arrays.b, tuple(s.value for s in states),
        extra=arrays.extra, recurrent_mask=dropped.recurrent, training=is_recording(),
        wants_dx=is_watched(x),
    )  # fmt: skip
    finals = [Tensor(s) for s in final]

    def to_inputs(*dstate: Array | None) -> list[Array | None]:
        d = backward(None, dstate)
        return [None if d.x is None else d.x[0], *cell.gradients(d), *d.state]

    record([x, *cell.engine_weights, *states], finals, to_inputs)
    return finals


def sequence(
    cell: Any,
    inputs: Tensor,
    states: list[Tensor],
    dropped: Dropped,
    *,
    turn: int = 1,
    reverse: bool = False,
    lengths: Array | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """Return the outputs (B, T, H) of every step in the order of the run, and the states.

    turn     -1: from the last column of `inputs` to the first
    reverse  from the last of `lengths` steps to the first
    """
    source: Tensor
    given: LookedUp | Array
    if isinstance(inputs, LookedUp):
        source, given = inputs.table, inputs
    else:
        source, given = inputs, inputs.value
    y, final, backward = on_arrays(
        cell, given, tuple(s.value for s in states), dropped, turn=turn, reverse=reverse,
        lengths=lengths, training=is_recording(), wants_dx=is_watched(source),
    )  # fmt: skip
    outputs, finals = Tensor(y), [Tensor(s) for s in final]
    record([source, *cell.engine_weights, *states], [outputs, *finals], backward)
    return outputs, finals


def on_arrays(
    cell: Any,
    inputs: LookedUp | Array,
    states: tuple[Array, ...],
    dropped: Dropped,
    *,
    turn: int = 1,
    reverse: bool = False,
    lengths: Array | None = None,
    training: bool = True,
    wants_dx: bool = True,
) -> tuple[Array, tuple[Array, ...], Callable[..., list[Any]]]:
    """Do what `sequence` does, on arrays.

    Also returns `backward(dy, *dstate)`: gradients of the inputs (the table of those looked up),
    of the cell's `engine_weights` and of the states, in one list.
    """
    rows, to_source = _by_step(inputs, turn, dropped.inputs)
    arrays = cell.arrays()
    y, final, pull = functional.rnn(
        cell.engine, rows, arrays.W, arrays.R, arrays.b, states or None,
        extra=arrays.extra, lengths=lengths, reverse=reverse, recurrent_mask=dropped.recurrent,
        training=training, wants_dx=wants_dx,
    )  # fmt: skip
    seen = -1 if reverse else 1

    def backward(dy: Array | None, *dstate: Array | None) -> list[Any]:
        if dy is not None:
            dy = dy.swapaxes(0, 1)[::seen]
        norms = cell.record_gradient_norms
        d = pull(dy, dstate or None, wants_norms=norms, wants_dstate=bool(states))
        cell.gradient_norms = None if d.norms is None else d.norms[::turn]
        dx = None if d.x is None else to_source(d.x)
        return [dx, *cell.gradients(d), *d.state]

    return y[::seen].swapaxes(0, 1), final, backward


def _by_step(
    inputs: LookedUp | Array, turn: int, factors: Array | None
) -> tuple[Any, Callable[[Array], Any]]:
    """Return inputs (B, T, I) step by step, times factors (B, I), as `functional.rnn` takes them.

    And what makes the gradient of the inputs, or the table, of that of the steps.
    """
    if isinstance(inputs, LookedUp):
        return inputs.by_step(turn, factors)
    rows = inputs.swapaxes(0, 1)[::turn]
    if factors is None:
        return rows, lambda dx: dx[::turn].swapaxes(0, 1)

    return (
        functional.apply_mask(rows, factors),
        lambda dx: functional.apply_mask(dx, factors)[::turn].swapaxes(0, 1),
    )


def _at(x: Any, order: NDArray[np.int64]) -> Any:
    """Return x (B, T, M) with x[b, order[b, t]] in the place of x[b, t], in time-major memory."""
    if isinstance(x, LookedUp):
        return LookedUp(np.take_along_axis(x.ids, order, axis=1), x.table)
    y, pull = _moved(x.value, order)
    output = constant(y)
    record([x], [output], lambda dy: [pull(dy)])
    return output


def _moved(x: Array, order: NDArray[np.int64]) -> tuple[Array, Callable[[Array], Array]]:
    """Do what `_at` does to an array; also return what makes its gradient of that of the result."""
    B, T, M = x.shape
    by_time = x.swapaxes(0, 1)
    is_time_major = by_time.flags.c_contiguous
    table = (by_time if is_time_major else np.ascontiguousarray(x)).reshape(-1, M)
    rows = order.T * B + np.arange(B) if is_time_major else order.T + np.arange(B) * T
    y, backward = functional.embedding(rows, table)

    def pull(dy: Array) -> Array:
        dtable = backward(dy.swapaxes(0, 1))
        return dtable.reshape(T, B, M).swapaxes(0, 1) if is_time_major else dtable.reshape(x.shape)

    return y.swapaxes(0, 1), pull


def _zeroed(x: Tensor, is_kept: Array | None) -> Tensor:
    """Return x (..., M) with 0 where is_kept (...) is false."""
    lost = _lost(is_kept)
    if lost is None:
        return x
    output = constant(_without(x.value, lost))
    record([x], [output], lambda dy: [_without(dy, lost)])
    return output


def _lost(is_kept: Array | None) -> Array | None:
    """Return what is not kept, None where all is."""
    return None if is_kept is None or is_kept.all() else ~is_kept


def _without(x: Array, lost: Array) -> Array:
    """Return a copy of x (..., M), in its memory order, with 0 where lost (...) is true."""
    y = np.array(x)
    y[lost] = 0
    return y
