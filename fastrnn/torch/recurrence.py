"""One recurrent layer on torch's tensors, in one or both directions, with its gradients.

Tensors and arrays share their memory.  Nothing is copied between torch and the kernels, but the
outputs of two directions into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fastrnn.functional.distinct import Distinct, distinct_rows, multiply_once
from fastrnn.functional.options import Options, Packed
from fastrnn.functional.run import Run
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers
from fastrnn.torch import bias, formula
from fastrnn.torch.kind import CELLS, Kind
from fastrnn.torch.ready import Held, Shelf
from fastrnn.torch.threads import on_threads_of_torch

Array = NDArray[Any]

_requires_grad = attrgetter("requires_grad")

# Multiply-adds of x @ W from which on to do it once for equal rows makes up for the search.
_WORTH_A_SEARCH = 1 << 24


def run(kind: Kind, *tensors: Tensor, shelf: Shelf | None = None) -> tuple[Tensor, ...]:
    """Run a layer.

    Parameters
    ----------
    kind : Kind
        What it computes.
    shelf : Shelf, optional
        Runs of this kind on tensors of this geometry.
    *tensors : tensors
        x, the weights and, unless they are zeros, the initial states, as `Kind` says;
        float32 or float64 on the CPU, of any strides.

    Returns
    -------
    tuple of tensors
        y, D * S features in the form of x, and the final states.

    Raises
    ------
    ValueError, TypeError
        Where shapes or dtypes do not fit each other.
    """
    # What a transform of `torch.func` has left behind stands for a tensor; parameters never do.
    given = [t if type(t) is nn.Parameter else _unwrapped(t) for t in tensors]
    if torch.is_grad_enabled() and True in map(_requires_grad, given):
        outputs: tuple[Tensor, ...] = _apply(kind, shelf, *given)
        return outputs
    rows = _repeating_rows(shelf, given)
    ready = None if shelf is None else shelf.take(rows, training=False, wants_dx=False)
    if ready is None:
        return _outputs(_Course(kind, given, rows, training=False, wants_dx=False))
    outputs = ready.forward(given, rows)
    ready.put_back()
    return outputs


def _begin(
    kind: Kind, shelf: Shelf | None, tensors: Sequence[Tensor], *, training: bool, wants_dx: bool
) -> tuple[tuple[Tensor, ...], Held | _Course]:
    """Run a layer forward; return the results, and what has the gradients."""
    rows = _repeating_rows(shelf, tensors)
    ready = None if shelf is None else shelf.take(rows, training=training, wants_dx=wants_dx)
    if ready is not None:
        held = Held(ready)
        return ready.forward(tensors, rows), held
    course = _Course(kind, tensors, rows, training=training, wants_dx=wants_dx)
    return _outputs(course), course


def _repeating_rows(shelf: Shelf | None, tensors: Sequence[Tensor]) -> Distinct | None:
    """Return the distinct rows of x if x is large and many of its rows repeat."""
    x, W = tensors[:2]
    if shelf is None or not shelf.may_repeat or x.numel() * W.shape[0] < _WORTH_A_SEARCH:
        return None
    return distinct_rows(_array(x))


def _outputs(course: _Course) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in course.outputs)


class _Course:
    """A run of a layer, and what the gradients need of it.

    outputs   y, D * S features in the form of x, and the final states; they may be written to
    """

    def __init__(
        self, kind: Kind, tensors: Sequence[Tensor], rows: Distinct | None, *,
        training: bool, wants_dx: bool,
    ) -> None:  # fmt: skip
        self.kind = kind
        self._wants_dx = wants_dx
        with on_threads_of_torch():
            self.outputs = self._run(tensors, rows, training)

    def _run(
        self, tensors: Sequence[Tensor], rows: Distinct | None, training: bool
    ) -> tuple[Array, ...]:
        """Run all directions; return y and the final states.

        rows    distinct rows of x, if they are to be multiplied once
        """
        kind = self.kind
        x, weights, states = kind.parts([_array(tensor) for tensor in tensors])
        self._has_states = bool(states)
        cell = CELLS[kind.mode]
        given = x if kind.layout is None else Packed(x, kind.layout.lengths)
        self._runs = []
        for n, (w_ih, w_hh, *rest) in enumerate(weights):
            b = bias.joined(kind, rest[0], rest[1]) if kind.has_bias else None
            extra = {"P": rest[-1].T} if kind.mode == "LSTMP" else None
            run = Run(Weights(cell, w_ih.T, w_hh.T, b, extra), training)
            run.read_input(given, kind.lengths, None, reverse=n == 1)
            if rows is not None:
                multiply_once(run, rows)
            run.read_state(tuple(s[n] for s in states) if states else None)
            run.read_options(Options())
            run.walk()
            self._runs.append(run)
        if kind.directions == 1:
            y, *finals = run.results()
            # Whoever writes there raises the tensor's version, which `_Recurrence` looks at.
            y.flags.writeable = True
        else:
            S = run.weights.features
            y = buffers.empty((*x.shape[:-1], 2 * S), x.dtype)
            for n, run in enumerate(self._runs):
                run.write_y(y[..., n * S : (n + 1) * S])
            finals = [run.finals() for run in self._runs]
        return (y, *_stacked(finals))

    def backward(
        self,
        tensors: Sequence[Tensor],
        dy: Tensor | None,
        dstates: Sequence[Tensor | None],
        needed: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return the gradients of the tensors, None for some that are not needed; it runs once.

        dy may be None, and so may any of the gradients of the final states.
        """
        given = (None if d is None else _array(d) for d in (dy, *dstates))
        with on_threads_of_torch():
            results = self._gradients(*given)
        pairs = zip(results, needed, strict=True)
        return [torch.from_numpy(d) if is_needed else None for d, is_needed in pairs]

    def _gradients(self, dy: Array | None, *dstates: Array | None) -> list[Array | None]:
        """Return the gradients of x, of the weights and of the initial states."""
        kind = self.kind
        halves: Sequence[Array | None] = [dy] * kind.directions
        if dy is not None and kind.directions == 2:
            S = dy.shape[-1] // 2
            halves = dy[..., :S], dy[..., S:]
        dx = None
        gradients: list[Any] = []
        for n, (run, half) in enumerate(zip(self._runs, halves, strict=True)):
            given = run.read_cotangents(
                half, tuple(None if d is None else d[n] for d in dstates), None
            )
            found = run.backward(*given, self._wants_dx, False, dx)
            dx = found.x
            gradients.append(found)
        dweights: list[Any] = []
        for g in gradients:
            biases = bias.split(kind, g.b) if kind.has_bias else ()
            projection = () if g.extra is None else (g.extra["P"].T,)
            dweights += [g.W.T, g.R.T, *biases, *projection]
        return [dx, *dweights, *_stacked([g.state for g in gradients] * self._has_states)]


def _array(tensor: Tensor) -> Array:
    return tensor.numpy(force=True)


def _stacked(states: Sequence[Sequence[Array]]) -> list[Array]:
    """Return the states (B, S) of one or two directions as (D, B, S) each; none of none."""
    if len(states) == 1:
        return [state[None] for state in states[0]]
    return [np.stack(pair) for pair in zip(*states, strict=True)]


# Whether a gradient is a batch of them, as `torch.autograd.grad(..., is_grads_batched=True)` gives.
_is_batched = getattr(torch._C._functorch, "is_legacy_batchedtensor", lambda _: False)

# The tensor itself, unless it is such a remainder.
_unwrapped = getattr(torch._C._functorch, "unwrap_if_dead", lambda tensor: tensor)

# Who is asked before torch saves a tensor, or None.
_saving_hooks = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", lambda _: None)


class _Recurrence(torch.autograd.Function):
    """`run` with gradients, as often and of whatever order they are asked for."""

    @staticmethod
    def forward(ctx: Any, kind: Kind, shelf: Shelf | None, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the layer; keep what was saved for the first backward, the arguments for others."""
        # Under hooks, as of a checkpoint, memory is scarce: all runs again for backward.
        is_kept = _saving_hooks(False) is None
        outputs, course = _begin(
            kind, shelf, tensors, training=is_kept, wants_dx=tensors[0].requires_grad
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.kind, ctx.course = kind, course if is_kept else None
        ctx.y = None
        if kind.directions == 1:
            # Has the version of the output, but holds no reference to the graph.
            ctx.y = outputs[0].detach()
            ctx.version = ctx.y._version
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of kind and shelf, which have none, and of the tensors."""
        tensors: tuple[Tensor, ...] = ctx.saved_tensors
        needed: tuple[bool, ...] = ctx.needs_input_grad[2:]
        is_batched = True in [g is not None and _is_batched(g) for g in gradients]
        if is_batched or torch.is_grad_enabled():
            return (None, None, *_differentiable(ctx.kind, tensors, gradients, needed))
        course: Held | _Course | None = ctx.course
        is_y_written = course and ctx.y is not None and ctx.y._version != ctx.version
        ctx.course = ctx.y = None
        if course is None or is_y_written:
            _, course = _begin(ctx.kind, None, tensors, training=True, wants_dx=needed[0])
        return (None, None, *course.backward(tensors, gradients[0], gradients[1:], needed))


# `_Recurrence.apply` less what it does, in 3 us, for transforms of `torch.func`: while there are
# any, nothing runs here; see `fallback`.
_apply: Any = super(torch.autograd.Function, _Recurrence).apply


def _differentiable(
    kind: Kind,
    tensors: Sequence[Tensor],
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of the tensors by torch's own operations.

    They can be differentiated themselves where gradients are enabled, and the gradients given may
    be batches of them.
    """
    is_differentiated = torch.is_grad_enabled()
    with torch.enable_grad():
        # Of the tensors alone: one may have been computed from another, as a state from weights.
        aliases = [tensor.view_as(tensor) for tensor in tensors]
        outputs = formula.run(kind, *aliases)
    given = [(o, g) for o, g in zip(outputs, gradients, strict=True) if g is not None]
    wanted = [alias for alias, is_needed in zip(aliases, needed, strict=True) if is_needed]
    found = iter(
        torch.autograd.grad(
            [output for output, _ in given], wanted, [gradient for _, gradient in given],
            create_graph=is_differentiated, allow_unused=True,
        )
    )  # fmt: skip
    return [next(found) if is_needed else None for is_needed in needed]
