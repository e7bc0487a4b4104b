"""Small runs over again: the kernel calls of an earlier run, on other arrays of the same kind."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional import steps as time_steps
from fastrnn.functional.gradients import Gradients
from fastrnn.functional.options import Embedded
from fastrnn.functional.panels import empty_like
from fastrnn.functional.run import Run, States
from fastrnn.kernels.cpu import buffers, plan
from fastrnn.kernels.cpu.recording import Recording
from fastrnn.kernels.cpu.task import formula, recorded
from fastrnn.kernels.cpu.threads import get_num_threads

Array = NDArray[Any]

# What a run may need, in numbers, for its working memory to be kept, and what all may together:
# some 256 MB of float32, as a run keeps up to twice what is counted here.
_MOST_NUMBERS = 1 << 22
_MOST_IN_ALL = 1 << 25

# Kinds of runs that are remembered.
_MOST_KINDS = 1024


class Walk(NamedTuple):
    """A recorded walk backwards, and where it looks for the gradients of the last states."""

    calls: Recording
    dh: Array
    dextra: Array


class Begun(NamedTuple):
    """A walk backwards on the arrays of the present run, and what it is to write."""

    calls: Recording
    walk: Walk
    gradients: Gradients


class Replay:
    """A run whose kernel calls can be made again: forward, then backward at most once.

    It stands for the `Run` that it is made of, which has read its arguments.
    """

    def __init__(self, run: Run, x: Any, mask: Any, unused: list[Replay]) -> None:
        self.training = run.training
        self._run = run
        self._x: Any = x.table if isinstance(x, Embedded) else x
        self._mask = mask
        self._unused = unused
        self._forward: Recording | None = None
        self._initial: Any = None  # where the first states but h are
        self._walks: dict[Any, Walk] = {}

    def record(self) -> tuple[Array, tuple[Array, ...]]:
        """Run all steps as `Run.forward` does, and write the calls down."""
        with recorded() as calls:
            result = self._run.forward()
        recording = Recording(calls, self._given() | {"h": self._run.h})
        self._forward = recording if recording.is_complete else None
        self._initial = self._run.extra[:, : self._run.sequences]
        self._end(not self.training)
        return result

    @property
    def is_recorded(self) -> bool:
        """Whether `forward` can be called."""
        return self._forward is not None

    def forward(
        self, x: Any, weights: tuple[Any, ...], mask: Any, state: Any
    ) -> tuple[Array, tuple[Array, ...]]:
        """Run all steps on arrays of the same kind; weights (W, R, b), mask of h before R."""
        calls = self.begin(x, weights, mask, state)
        calls.run()
        return self.end()

    def begin(self, x: Any, weights: tuple[Any, ...], mask: Any, state: Any) -> Recording:
        """Return the calls of `forward`, ready to be made; then comes `end`."""
        run = self._run
        assert self._forward is not None, "not recorded"
        if state is not None:
            state = run.checked_states("state", state, (run.sequences,))
        if isinstance(x, Embedded):
            run.place_ids(x)
            x = x.table
        self._x, self._mask = x, mask
        run.weights.W, run.weights.R, run.weights.b = weights
        h = run.h = buffers.empty(run.h.shape, run.dtype)
        if state is None:
            h[: run.sequences] = 0
            self._initial.fill(0)
        else:
            run.put_initial(state)
        self._forward.point(self._given() | {"h": run.h})
        return self._forward

    def end(self) -> tuple[Array, tuple[Array, ...]]:
        """Return the results of `forward` when its calls have been made."""
        # What `Run.results` does, for steps that are not packed.
        run = self._run
        B = run.sequences
        y: Array = run.h[B:].reshape((run.T, B, -1))
        if run.reverse:
            y = y[::-1]
        if self.training:
            y.flags.writeable = False
        final = [run.h[-B:].copy()]
        for states, width in zip(run.extra, run.weights.widths[1:], strict=True):
            final.append(states[-B:, :width].copy())
        self._end(not self.training)
        return y, tuple(final)

    def put_back(self) -> None:
        """Let others use it."""
        self._unused.append(self)

    @property
    def is_narrow(self) -> bool:
        """Whether another one is better run beside it than after it; see `kernels.cpu.plan`."""
        R = self._run.weights.R
        return plan.is_narrow(self._run.plan, 0 if R is None else R.nbytes)

    def read_cotangents(self, dy: Any, dstate: Any, dstates: Any) -> tuple[Any, Any, Any]:
        """Check the gradients of the outputs; as of a `Run`."""
        return self._run.read_cotangents(dy, dstate, dstates)

    def states(self) -> tuple[Array, ...]:
        """Return all states after every step; as of a `Run`."""
        self._forward = None  # another run would write what they are views of
        return self._run.states()

    def backward(
        self, dy: Array | None, dstate: States, dextra: States, wants_dx: bool, wants_norms: bool,
        wants_dstate: bool = True,
    ) -> Gradients:  # fmt: skip
        """Walk all steps backwards; as of a `Run`."""
        begun = self.begin_backward(dy, dstate, dextra, wants_dx, wants_norms)
        if begun is None:
            gradients = self._record_walk(dy, dstate, dextra, wants_dx, wants_norms)
            self._end(True)
            return gradients if wants_dstate else gradients._replace(state=())
        begun.calls.run()
        return self.end_backward(begun, wants_dstate)

    def has_walk(self, dy: Array | None, dstate: States, dextra: States, wants_dx: bool) -> bool:
        """Return whether a walk backwards of this kind is written down."""
        return all(d is None for d in dextra) and _walk_kind(dy, wants_dx) in self._walks

    def begin_backward(
        self, dy: Array | None, dstate: States, dextra: States, wants_dx: bool, wants_norms: bool
    ) -> Begun | None:
        """Return the calls of `backward`, ready to be made, or None where there are none yet."""
        if wants_norms or not self.has_walk(dy, dstate, dextra, wants_dx):
            return None
        walk = self._walks[_walk_kind(dy, wants_dx)]
        self._run.put_final(dstate, walk.dh, walk.dextra)
        gradients = self._room(wants_dx)
        walk.calls.point(self._exchanged(gradients, dy))
        return Begun(walk.calls, walk, gradients)

    def end_backward(self, begun: Begun, wants_dstate: bool = True) -> Gradients:
        """Return the gradients when the calls have been made."""
        _, walk, gradients = begun
        if wants_dstate:
            state = self._run.take_initial(walk.dh, walk.dextra)
            gradients = gradients._replace(state=state)
        self._end(True)
        return gradients

    def _record_walk(
        self, dy: Array | None, dstate: States, dextra: States, wants_dx: bool, wants_norms: bool
    ) -> Gradients:
        """Walk backwards as `Run.backward` does, and write the calls down if they have a kind."""
        if self._run.ids is None:
            self._run.place_input(self._x)
        with recorded() as calls:
            gradients = self._run.backward(dy, dstate, dextra, wants_dx, wants_norms)
        if not wants_norms and all(d is None for d in dextra):
            recording = Recording(calls, self._exchanged(gradients, dy))
            if recording.is_complete:
                loop = next(call.args for call in calls if hasattr(call.args, "dextra"))
                self._walks[_walk_kind(dy, wants_dx)] = Walk(recording, loop.dh, loop.dextra)
        return gradients

    def _given(self) -> dict[str, Array]:
        """Return the arrays that the user gave for the present run."""
        weights = self._run.weights
        named = {
            "x": self._x, "W": weights.W, "R": weights.R, "b": weights.b, "mask": self._mask,
        }  # fmt: skip
        return {name: array for name, array in named.items() if array is not None}

    def _exchanged(self, gradients: Gradients, dy: Array | None) -> dict[str, Array]:
        """Return the arrays that a walk backwards shares with the user, and h."""
        given = self._given()
        given.pop("b", None)  # no gradient depends on it
        if gradients.x is None:
            given.pop("W")
        named = {
            "h": self._run.h, "dy": dy, "dx": gradients.x, "dW": gradients.W, "dR": gradients.R,
            "db": gradients.b,
        }  # fmt: skip
        return given | {name: array for name, array in named.items() if array is not None}

    def _room(self, wants_dx: bool) -> Gradients:
        """Return arrays for all gradients but those of the initial states."""
        run = self._run
        weights, dtype = run.weights, run.dtype

        dx = None
        if wants_dx:
            dx = buffers.empty((run.steps.N if run.ids is None else len(run.E), weights.I), dtype)
            if run.ids is None:
                dx = time_steps.unview(dx, run.steps, run.reverse, run.T)
        dR = None if weights.R is None else empty_like(weights.R)
        db = None if weights.b is None else buffers.empty(weights.b.shape, dtype)
        return Gradients(dx, empty_like(weights.W), dR, db, ())

    def _end(self, is_over: bool) -> None:
        """Let others use it if the run is over."""
        if is_over:
            self._x = self._mask = None
            if self._forward is not None:
                self.put_back()


class Replays:
    """Replays that wait to be used, by the kind of their arguments."""

    def __init__(self) -> None:
        self._unused: dict[Hashable, list[Replay]] = {}
        self._numbers = 0  # that the replays need which were made since the last clearing

    def find(
        self, cell: Any, x: Any, weights: tuple[Any, ...], mask: Any, reverse: bool, training: bool
    ) -> tuple[Hashable, Replay | None]:
        """Return the kind of these arguments, None where there is none, and a replay of it."""
        is_named = isinstance(cell, str)
        if not is_named and not hasattr(type(cell), "GATES"):
            return None, None
        name = cell if is_named else formula(cell)
        kind: list[Any] = [name, bool(reverse), bool(training), get_num_threads()]
        if isinstance(x, Embedded):
            ids, x = _ids_and_table(x)
            if ids is None:
                return None, None
            kind.append(ids.shape)
        for array in (x, *weights, mask):
            if type(array) is np.ndarray and array.flags.aligned:
                kind += array.dtype, array.shape, array.strides
            elif array is None:
                kind.append(None)
            else:
                return None, None
        key = tuple(kind)
        try:
            return key, self._unused[key].pop()
        except LookupError:  # no run of this kind came yet, or all replays are in use
            return key, None

    def forward(
        self, kind: Hashable, run: Run, x: Any, mask: Any
    ) -> tuple[Array, tuple[Array, ...], Run | Replay]:
        """Run a run that has read its arguments; return its results and what stands for it.

        That is a replay, from the second time on that small runs of a kind come.
        """
        unused = None if kind is None else self._unused.get(kind)
        if unused is None:
            if kind is not None and _is_worthwhile(run):
                self._make_room(0)
                self._unused[kind] = []
            return *run.forward(), run
        self._make_room(_numbers(run))
        replay = Replay(run, x, mask, unused)
        result = replay.record()
        if not replay.is_recorded:  # and so it will be the next time
            self._unused.pop(kind, None)
        return *result, replay

    def _make_room(self, numbers: int) -> None:
        """Forget all replays if this one, or another kind, would be too much."""
        self._numbers += numbers
        if self._numbers > _MOST_IN_ALL or len(self._unused) >= _MOST_KINDS:
            self._unused.clear()
            self._numbers = numbers


def _walk_kind(dy: Array | None, wants_dx: bool) -> Hashable:
    """Return what walks backwards have in common that can stand for each other."""
    return None if dy is None else dy.strides, wants_dx


def _is_worthwhile(run: Run) -> bool:
    """Return whether a run is small, with no weights besides W, R and b."""
    return run.steps.N > 0 and not run.weights.extra and _numbers(run) <= _MOST_NUMBERS


def _numbers(run: Run) -> int:
    """Return how many numbers the gates and the packed weights of a run are."""
    weights, tile = run.weights, run.weights.tile.all
    rows: int = run.steps.N + weights.I + weights.features
    if run.ids is not None:
        rows += len(run.E)
    return rows * tile.number * tile.width


def _ids_and_table(x: Embedded) -> tuple[Array | None, Any]:
    """Return both where a run multiplies the rows of the table, from where they are."""
    ids: Any = x.ids
    table: Any = x.table
    is_plain = type(ids) is np.ndarray and ids.dtype.kind in "iu" and ids.ndim == 2
    if is_plain and type(table) is np.ndarray and table.flags.c_contiguous:
        return (ids if 0 < len(table) <= ids.size else None), table
    return None, table
