"""Long sequences in bounded memory: only every k-th state is kept, the rest is computed again.

Forward runs chunks of k steps and keeps nothing of them but y and the states between them;
backward runs each chunk once more, the last one first, and this time keeps what its own backward
needs (T. Chen et al., Training deep nets with sublinear memory cost, 2016).  One more forward
pass is the price.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.functional.gradients import Gradients
from fastrnn.functional.normalised import run_of
from fastrnn.functional.options import Embedded, Options
from fastrnn.functional.run import Run
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers

Array = NDArray[Any]
States = tuple[Array | None, ...]


class Sequences(NamedTuple):
    """The arguments of a run that have an axis of time, and the way it goes; see `rnn`."""

    x: Any
    lengths: Any
    resets: Any
    reverse: bool


class ChunkedRun:
    """One call of `rnn` that keeps the states of every `every`-th step only.

    It has the methods of `Run` that `rnn` uses.
    """

    def __init__(self, weights: Weights, every: int) -> None:
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ValueError(f"recompute: expected an int of at least 1, got {every!r}")
        self.weights, self.every = weights, every
        self.training = True
        # Whatever is wrong is found before the first chunk runs.
        self._whole = run_of(weights, False)

    def read(self, sequences: Sequences, state: Any, options: Options) -> None:
        """Check all arguments."""
        whole = self._whole
        whole.read_input(*sequences)
        whole.read_state(state)
        whole.read_options(options)
        self.T, self.B = whole.T, whole.sequences
        self._sequences, self._options = sequences, options
        self._lengths = None
        if sequences.lengths is not None:
            self._lengths = _validate.lengths_array(sequences.lengths, self.T, self.B)
        starts = range(0, self.T, self.every)
        self._starts = list(reversed(starts) if sequences.reverse else starts)
        self._states: list[States] = [whole.state]

    def forward(self) -> tuple[Array, tuple[Array, ...]]:
        """Run all chunks; return y and the final states."""
        y = buffers.empty((self.T, self.B, self.weights.features), self.weights.dtype)
        final: Any = None
        for index, start in enumerate(self._starts):
            part, final = self._chunk(index, training=False).forward()
            y[start : start + self.every] = part
            self._states.append(final)
        return y[:], final

    def states(self) -> tuple[Array, ...]:
        """Return all states after every step, (T, B, H) each; they are computed again."""
        states = tuple(
            buffers.empty((self.T, self.B, width), self.weights.dtype)
            for width in self.weights.widths
        )
        for index, start in enumerate(self._starts):
            chunk = self._chunk(index, training=True)
            chunk.forward()
            for whole, part in zip(states, chunk.states(), strict=True):
                whole[start : start + self.every] = part
        return tuple(s[:] for s in states)

    def read_cotangents(self, dy: Any, dstate: Any, dstates: Any) -> tuple[Any, Any, Any]:
        """Check the gradients of the outputs."""
        return self._whole.read_cotangents(dy, dstate, dstates)

    def backward(
        self, dy: Array | None, dstate: States, dextra: States, wants_dx: bool, wants_norms: bool,
        wants_dstate: bool = True,
    ) -> Gradients:  # fmt: skip
        """Run all chunks again, each followed by its backward; return all gradients."""
        dtype = self.weights.dtype
        is_embedded = isinstance(self._sequences.x, Embedded)
        dx = None
        if wants_dx and not is_embedded:
            dx = buffers.empty((self.T, self.B, self.weights.I), dtype)
        norms = buffers.empty((self.T, self.B), dtype) if wants_norms else None
        total: Gradients | None = None
        for index, start in reversed(list(enumerate(self._starts))):
            time = slice(start, start + self.every)
            chunk = self._chunk(index, training=True)
            chunk.forward()
            gradients = chunk.backward(
                None if dy is None else dy[time], self._through(index, dstate),
                tuple(None if d is None else d[time] for d in dextra), wants_dx, wants_norms,
            )  # fmt: skip
            dstate = gradients.state
            if dx is not None:
                dx[time] = gradients.x
            if norms is not None:
                norms[time] = gradients.norms
            total = _sum(total, gradients._replace(x=gradients.x if is_embedded else None))
        assert total is not None
        state = gradients.state if wants_dstate else ()
        return total._replace(x=total.x if is_embedded else dx, state=state, norms=norms)

    def _chunk(self, index: int, *, training: bool) -> Run:
        """Return the run of one chunk, ready to go forward."""
        start = self._starts[index]
        time = slice(start, start + self.every)
        x, _, resets, reverse = self._sequences
        T = min(self.every, self.T - start)
        run = run_of(self.weights, training)
        lengths = None
        if self._lengths is not None:
            lengths = np.clip(self._lengths - start, 0, T)
        if isinstance(x, Embedded):
            part: Any = Embedded(np.asarray(x.ids)[time], x.table)
        else:
            part = np.asarray(x)[time]
        run.read_input(part, lengths, None if resets is None else np.asarray(resets)[time], reverse)
        run.read_state(self._states[index])
        mask, zoneout, truncate, _ = self._options
        if mask is not None:
            mask = np.asarray(mask)
            mask = mask[time] if mask.ndim == 3 else mask
        if zoneout is not None:
            zoneout = tuple(None if z is None else np.asarray(z)[time] for z in zoneout)
        run.read_options(Options(mask, zoneout, truncate, self._steps_before(index)))
        return run

    def _steps_before(self, index: int) -> NDArray[np.int64]:
        """Return how many steps of each sequence earlier chunks have run, (B,)."""
        start = self._starts[index]
        lengths = np.full(self.B, self.T) if self._lengths is None else self._lengths
        if self._sequences.reverse:
            return np.maximum(lengths - start - self.every, 0).astype(np.int64)
        return np.minimum(lengths, start).astype(np.int64)

    def _through(self, index: int, dstate: States) -> States:
        """Return what of a gradient of the states after a chunk flows into it."""
        truncate = self._options.truncate
        if not truncate or index + 1 == len(self._starts):
            return dstate
        done = self._steps_before(index + 1)
        lengths = np.full(self.B, self.T) if self._lengths is None else self._lengths
        is_cut = (done % truncate == 0) & (done > 0) & (done < lengths)
        return tuple(
            None if d is None else np.where(is_cut[:, None], d.dtype.type(0), d) for d in dstate
        )


def _sum(total: Gradients | None, part: Gradients) -> Gradients:
    """Add the gradients of the weights, and of a table that is looked up."""
    if total is None:
        return part

    def added(a: Array | None, b: Array | None) -> Any:
        return None if a is None or b is None else np.add(a, b, out=a)

    extra = None
    if total.extra is not None and part.extra is not None:
        extra = {name: added(d, part.extra[name]) for name, d in total.extra.items()}
    return total._replace(
        x=added(total.x, part.x), W=added(total.W, part.W), R=added(total.R, part.R),
        b=added(total.b, part.b), extra=extra,
    )  # fmt: skip
