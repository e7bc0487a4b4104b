"""One call of `functional.rnn`: its arguments, and what forward keeps for backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.functional import steps as time_steps
from fastrnn.functional.embedding import embedding
from fastrnn.functional.panels import unpack_into, unpacked
from fastrnn.functional.products import input_gradient, project, weight_gradient
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers, gemm, plan, scan, schedule, table

Array = NDArray[Any]
States = tuple[Array | None, ...]


class Embedded(NamedTuple):
    """Input looked up in a table: x[t, b] = table[ids[t, b]].

    ids    (T, B) integers in 0..vocabulary-1
    table  (vocabulary, I) float32 or float64
    """

    ids: ArrayLike
    table: ArrayLike


class Gradients(NamedTuple):
    """What `backward` returns: a gradient for each argument of `rnn`.

    x is (T, B, I), or (vocabulary, I) for the table of `Embedded` input, or None where it was
    not asked for; R and b are None where there are none.  norms (T, B) are those of the gradient
    of h after each step, or None where they were not asked for.
    """

    x: Array | None
    W: Array
    R: Array | None
    b: Array | None
    state: tuple[Array, ...]
    norms: Array | None = None


class Options(NamedTuple):
    """What else `rnn` is told; see there."""

    recurrent_mask: ArrayLike | None = None
    zoneout: tuple[ArrayLike | None, ...] | None = None
    truncate: int = 0
    steps_before: NDArray[np.int64] | None = None  # of each sequence, that truncation counts too


class Run:
    """One call of `rnn`."""

    def __init__(self, weights: Weights, training: bool) -> None:
        self.weights = weights
        self.training = training
        self.cell, self.tile, self.dtype = weights.cell, weights.tile, weights.dtype
        self.S = len(self.cell.STATES)
        self.mask: time_steps.StepView | None = None
        self.zone: Array | None = None
        self.masked: Array | None = None
        self.operand: Array | None = None
        self.raw: Array | None = None
        self.gates: Any = None

    def read_input(self, x: Any, lengths: Any, resets: Any, reverse: bool) -> None:
        """Check x, lengths and resets, and put x into the order of the steps."""
        weights = self.weights
        self.reverse = reverse
        self.ids: NDArray[np.int32] | None = None
        self.embedding_backward: Callable[..., Any] | None = None
        if isinstance(x, Embedded):
            E = weights.same("x.table", x.table, ("vocabulary", weights.I))
            ids = _validate.ids_array("x.ids", x.ids, ("T", "B"), E.shape[0])
            if E.shape[0] <= ids.size:
                self.E, self.ids = np.ascontiguousarray(E), ids
            else:
                x, self.embedding_backward = embedding(ids, E)
        if self.ids is None:
            x = weights.same("x", x, ("T", "B", weights.I))
        self.T, B = x.shape[:2] if self.ids is None else self.ids.shape
        self.sequences = B
        self.steps = time_steps.even_steps(self.T, B)
        if lengths is not None:
            lengths = _validate.lengths_array(lengths, self.T, B)
            if (lengths == self.T).all():
                lengths = None
        if resets is not None:
            resets = _validate.bool_array("resets", resets, (self.T, B))
            if not resets.any():
                resets = None
        if lengths is not None or resets is not None:
            self.steps = time_steps.packed_steps(lengths, reverse, resets)
        if self.ids is None:
            self.x = time_steps.view(x, self.steps, reverse)
            self.x_rows = self.x.rows(self.steps)
        else:
            by_step = time_steps.view(self.ids[:, :, None], self.steps, reverse).array
            self.ids = np.ascontiguousarray(by_step).reshape(-1)
            self.x_rows = time_steps.all_rows(self.E, self.E.shape[0], weights.I)

    def read_state(self, state: Any) -> None:
        """Check the initial states."""
        self.state = self._states("state", state, (self.sequences, self.weights.H))

    def read_options(self, options: Options) -> None:
        """Check masks, zoneout and truncation."""
        B, H = self.sequences, self.weights.H
        if options.recurrent_mask is not None:
            if self.weights.R is None:
                got = _validate.describe(options.recurrent_mask)
                raise ValueError(f"recurrent_mask: expected None for this cell, got {got}")
            mask = np.asarray(options.recurrent_mask)
            shape = (B, H) if mask.ndim == 2 else (self.T, B, H)
            mask = self.weights.same("recurrent_mask", options.recurrent_mask, shape)
            mask = np.broadcast_to(mask, (self.T, B, H))
            self.mask = time_steps.view(mask, self.steps, self.reverse)
        if options.zoneout is not None:
            shares = self._states("zoneout", options.zoneout, (self.T, B, H))
            self.zone = self._of_all_steps(shares, 1.0)
        truncate = options.truncate
        if isinstance(truncate, bool) or not isinstance(truncate, int) or truncate < 0:
            raise ValueError(f"truncate: expected an int of at least 0, got {truncate!r}")
        self.truncate = truncate
        self.begin = self._begin(options.steps_before) if truncate else None

    def _begin(self, steps_before: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        """Return how many steps of its sequence ran before each place's first, (places,)."""
        packing = self.steps.packing
        if packing is None:
            return steps_before
        return (
            packing.begin if steps_before is None else packing.begin + steps_before[packing.order]
        )

    def read_cotangents(self, dy: Any, dstate: Any, dstates: Any) -> tuple[Any, Any, Any]:
        """Check the gradients of the outputs; those of h at all steps are part of dy."""
        shape = (self.T, self.sequences, self.weights.H)
        if dy is not None:
            dy = self.weights.same("dy", dy, shape)
        of_end = self._states("dstate", dstate, shape[1:])
        of_steps = self._states("dstates", dstates, shape)
        if of_steps[0] is not None:
            dy = of_steps[0] if dy is None else dy + of_steps[0]
        return dy, of_end, of_steps[1:]

    def _states(self, name: str, values: Any, shape: tuple[int, ...]) -> States:
        names = self.cell.STATES
        if values is None:
            return (None,) * len(names)
        if not isinstance(values, tuple | list) or len(values) != len(names):
            raise ValueError(
                f"{name}: expected {len(names)} array{'s' * (len(names) > 1)} "
                f"({', '.join(names)}), got {_validate.describe(values)}"
            )
        return tuple(
            None if value is None else self.weights.same(f"{name}[{i}]", value, shape)
            for i, value in enumerate(values)
        )

    def _of_all_steps(self, values: States, otherwise: float) -> Array:
        """Return arrays (T, B, H) or None of some states as (states, N, P * U * V)."""
        N, H = self.steps.N, self.weights.H
        rows = buffers.empty((len(values), N, self.tile.padded), self.dtype)
        rows.fill(otherwise)
        for target, value in zip(rows, values, strict=True):
            if value is not None:
                array = time_steps.view(value, self.steps, self.reverse).array
                target[:, :H] = array.reshape(N, H)
        return rows

    def forward(self) -> tuple[Array, tuple[Array, ...]]:
        """Run all steps; return y and the final states."""
        T, B, N, rows, _ = self.steps
        weights, tile, training = self.weights, self.tile, self.training
        H, panels = weights.H, tile.all
        self.h = buffers.empty((B + N, H), self.dtype)
        kept = B + N if training else B
        self.extra = buffers.empty((self.S - 1, kept, tile.padded), self.dtype)
        for target, state in zip((self.h[:B], *self.extra[:, :B]), self.state, strict=True):
            self.steps.put_initial(state, target)
        is_looked_up = self.ids is not None
        self.plan = self._plan()
        is_hoisted = not is_looked_up and self.plan.is_hoisted
        inner = weights.inner()
        looked_up = x = W = bias = None
        gates_rows = N if training or is_hoisted else B
        if training or is_hoisted or inner is not None:
            self.gates = buffers.empty((panels.number, gates_rows, panels.width), self.dtype)
        if is_looked_up or is_hoisted:
            products = self.gates
            if is_looked_up:
                shape = (panels.number, len(self.E), panels.width)
                products = looked_up = buffers.empty(shape, self.dtype)
            project(self.x_rows, weights.input(), weights.bias(), panels, tile.input, products)
        else:
            x, W, bias = self.x, weights.input(), weights.bias()
        kept_rows = (N if training else B, H)
        if self.mask is not None:
            self.masked = buffers.empty(kept_rows, self.dtype)
        if inner is not None:
            self.operand = buffers.empty(kept_rows, self.dtype)
        if self.zone is not None:
            self.raw = buffers.empty(self.zone.shape, self.dtype)
        mask = self.mask
        arguments = scan.Scan(
            T=T, B=B, I=weights.I, H=H, units=tile.units, panels=panels.number, N=N, rows=rows,
            slices=self.plan.slices, splits=time_steps.splits(self.steps, self.plan.slices),
            barrier=self._barrier(),
            x=x and x.array, x_step=x and x.step, x_row=x.row if x else 0,
            ids=self.ids, table=looked_up, table_rows=len(self.E) if is_looked_up else 0,
            W=W, R=weights.recurrent(), inner=inner, bias=bias,
            h=self.h, h_row=H, extra=self.extra, gates=self.gates, gates_rows=gates_rows,
            operand=self.operand, mask=mask and mask.array, mask_step=mask and mask.step,
            mask_row=mask.row if mask else 0, masked=self.masked, zone=self.zone, raw=self.raw,
            saving=int(training),
        )  # fmt: skip
        self._run(scan.forward, arguments)
        y = time_steps.unview(self.h[B:], self.steps, self.reverse, self.T)
        y.flags.writeable = not training
        return y, tuple(self.steps.take_final(s, H) for s in (self.h, *self.extra))

    def _plan(self) -> plan.Plan:
        """Return how the time loop is shared among workers."""
        weights, tile = self.weights, self.tile
        return plan.plan(
            plan.Loop(
                self.steps.T, self.steps.B, self.steps.N, weights.I, weights.H,
                len(self.cell.GATES), tile.all.number, self.dtype.itemsize,
            )
        )  # fmt: skip

    def _barrier(self) -> NDArray[np.int64] | None:
        """Return where the workers of each slice meet: words on cache lines of their own."""
        if self.plan.members == 1:
            return None
        return buffers.zeros((self.plan.slices, 8), np.int64)

    def _run(self, kernel: Any, arguments: Any) -> None:
        run = kernel if self.plan.members == 1 else kernel.team
        run(self.cell, arguments, self.plan.workers)

    def states(self) -> tuple[Array, ...]:
        """Return all states after every step, (T, B, H) each."""
        B, H = self.steps.B, self.weights.H
        return tuple(
            time_steps.unview(history[B:, :H], self.steps, self.reverse, self.T)
            for history in (self.h, *self.extra)
        )

    def backward(
        self, dy: Array | None, dstate: States, dextra: States, wants_dx: bool, wants_norms: bool
    ) -> Gradients:
        """Walk all steps backwards; return all gradients."""
        T, B, N, rows, _ = self.steps
        weights, tile = self.weights, self.tile
        H, panels = weights.H, tile.all
        dlast = buffers.empty((self.S, B, tile.padded), self.dtype)
        for target, d in zip(dlast, dstate, strict=True):
            self.steps.put_final(d, target)
        dy_view = None if dy is None else time_steps.view(dy, self.steps, self.reverse)
        of_steps = None
        if any(d is not None for d in dextra):
            of_steps = self._of_all_steps(dextra, 0.0)
        squares = None
        if wants_norms:
            squares = buffers.empty((-(-H // panels.lanes), N), self.dtype)
        mask = self.mask
        arguments = scan.BackwardScan(
            T=T, B=B, H=H, units=tile.units, panels=panels.number, N=N, rows=rows,
            slices=self.plan.slices, splits=time_steps.splits(self.steps, self.plan.slices),
            barrier=self._barrier(),
            R_transposed=weights.recurrent_transposed(),
            inner_transposed=weights.inner_transposed(),
            h=self.h, h_row=H, extra=self.extra, mask=mask and mask.array,
            mask_step=mask and mask.step, mask_row=mask.row if mask else 0, masked=self.masked,
            zone=self.zone, raw=self.raw,
            dy=dy_view and dy_view.array, dy_step=dy_view and dy_view.step,
            dy_row=dy_view.row if dy_view else 0, dextra_steps=of_steps,
            truncate=self.truncate, begin=self.begin,
            squares=squares, gates=self.gates, dh=dlast[0], dextra=dlast[1:],
        )  # fmt: skip
        self._run(scan.backward, arguments)

        dR = self._recurrent_gradient()
        da = self.gates if self.ids is None else self._looked_up_gradient()
        has_bias = weights.b is not None
        dW, db = weight_gradient(self.x_rows, da, panels, tile.input, has_bias)
        dW = unpacked(dW, tile.input.panels, weights.W.shape[1])
        if weights.b is not None and db is not None:
            db = unpacked(db, panels, len(weights.b))[0]
        dx = None
        if wants_dx:
            dx = input_gradient(weights.W, da, panels, tile.input)
            if self.ids is None:
                dx = time_steps.unview(dx, self.steps, self.reverse, self.T)
            if self.embedding_backward is not None:
                dx = self.embedding_backward(dx)
        norms = None
        if squares is not None:
            by_row = np.sqrt(squares.sum(axis=0, dtype=np.float64)).astype(self.dtype)
            norms = time_steps.unview(by_row[:, None], self.steps, self.reverse, self.T)[..., 0]
        state = tuple(self.steps.take_initial(d, H) for d in dlast)
        return Gradients(dx, dW, dR, db, state, norms)

    def _recurrent_gradient(self) -> Array | None:
        """Return dR, or None where there is no R."""
        weights, tile = self.weights, self.tile
        if weights.R is None:
            return None
        dR = buffers.empty(weights.R.shape, self.dtype)
        operands = [(tile.recurrent, self._multiplied_h())]
        if self.operand is not None:
            rows = time_steps.all_rows(self.operand, self.steps.N, weights.H)
            operands.append((tile.inner, rows))
        for share, rows in operands:
            if share.first < share.last:
                part, _ = weight_gradient(rows, self.gates, tile.all, share, False)
                unpack_into(dR, part, share.panels)
        return dR

    def _multiplied_h(self) -> gemm.Rows:
        """Return what R multiplied at each row's step: h before it, with its mask."""
        T, B, N, rows, packing = self.steps
        H = self.weights.H
        if self.masked is not None:
            return time_steps.all_rows(self.masked, N, H)
        if packing is None:
            return time_steps.all_rows(self.h, N, H)
        before = np.concatenate([[0], B + rows[: T - 1]]) * H
        return gemm.Rows(T, rows, self.h, before.astype(np.int64), H, H)

    def _looked_up_gradient(self) -> Array:
        """Return the gradient of the table of pre-activations (P, vocabulary, w)."""
        panels = self.tile.all
        out = buffers.empty((panels.number, len(self.E), panels.width), self.dtype)
        arguments = table.TableGradient(
            self.ids, self.steps.N, len(self.E), panels.number, panels.vectors, self.gates, out
        )
        workers = schedule.workers_for(out.size, panels.number)
        table.add_rows(None, arguments, workers)
        return out
