"""One call of `functional.rnn`: its arguments, and what forward keeps for backward."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.cells.protocol import projects
from fastrnn.functional import steps as time_steps
from fastrnn.functional.embedding import embedding
from fastrnn.functional.gradients import Cotangents, Gradients
from fastrnn.functional.options import Embedded, Options, Packed
from fastrnn.functional.panels import Share, empty_like, unpack_into, unpacked, unpacked_like
from fastrnn.functional.products import input_gradient, project, table_gradient, weight_gradient
from fastrnn.functional.sequences import flat_steps, packed_steps
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers, gemm, plan, scan

Array = NDArray[Any]
States = tuple[Array | None, ...]


class Run:
    """One call of `rnn`."""

    def __init__(self, weights: Weights, training: bool) -> None:
        self.weights = weights
        self.training = training
        self.cell, self.tile, self.dtype = weights.cell, weights.tile, weights.dtype
        self.S = len(self.cell.STATES)
        self.mask: time_steps.StepView | None = None
        self.zone: Array | None = None
        self.zone_h: Array | None = None
        self.masked: Array | None = None
        self.operand: Any = None
        self.raw: Array | None = None
        self.dprojected: Any = None
        self.gates: Any = None
        self.dx_before: Array | None = None
        self.is_repeating = False  # see `distinct.multiply_once`

    def read_input(self, x: Any, lengths: Any, resets: Any, reverse: bool) -> None:
        """Check x, lengths and resets, and put x into the order of the steps."""
        weights = self.weights
        self.reverse = reverse
        self.ids: NDArray[np.int32] | None = None
        self.embedding_backward: Callable[..., Any] | None = None
        if weights.table is not None:
            self.E = weights.table
            self.ids = _validate.ids_array("x", x, ("T", "B"), len(self.E))
        elif isinstance(x, Embedded):
            E = weights.same("x.table", x.table, ("vocabulary", weights.I))
            ids = _validate.ids_array("x.ids", x.ids, ("T", "B"), E.shape[0])
            if E.shape[0] <= ids.size:
                self.E, self.ids = np.ascontiguousarray(E), ids
            else:
                x, self.embedding_backward = embedding(ids, E)
        if isinstance(x, Packed):
            self._read_packed(x, reverse)
            return
        if self.ids is None:
            x = weights.same("x", x, ("T", "B", weights.I))
        self.T, B = self.leading = x.shape[:2] if self.ids is None else self.ids.shape
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
            self.steps = packed_steps(lengths, reverse, resets)
        if self.ids is None:
            self.place_input(x)
        else:
            self.ids = time_steps.by_step(self.ids, self.steps, reverse)
            self.x_rows = time_steps.all_rows(self.E, self.E.shape[0], weights.I)

    def place_ids(self, x: Embedded) -> None:
        """Check other ids, of a table of the same shape, and take them where those before are."""
        assert self.ids is not None, "there were no ids"
        table: Any = x.table
        ids = _validate.ids_array("x.ids", x.ids, self.leading, len(table))
        self.ids[...] = time_steps.by_step(ids, self.steps, self.reverse)
        self.E = table
        self.x_rows = time_steps.all_rows(self.E, len(self.E), self.weights.I)

    def _read_packed(self, x: Packed, reverse: bool) -> None:
        """Check x, and put it into the order of the steps."""
        rows = self.weights.same("x.rows", x.rows, ("N", self.weights.I))
        self.steps = flat_steps(x.lengths, len(rows), reverse)
        self.T, self.sequences, self.leading = self.steps.T, self.steps.B, rows.shape[:1]
        self.place_input(rows)

    def place_input(self, x: Array) -> None:
        """Put x (T, B, I), or flat (N, I), into the order of the steps."""
        self.x = time_steps.view(x, self.steps, self.reverse)
        self.x_rows = self.x.rows(self.steps)

    def read_state(self, state: Any) -> None:
        """Check the initial states."""
        self.state = self.checked_states("state", state, (self.sequences,))
        # One step from zeros need not read R: h @ R is zeros, where R is finite.
        is_alone = self.T == 1 and not self.training
        self.is_fresh = state is None and is_alone and self.weights.vanishes_at_zero

    def read_options(self, options: Options) -> None:
        """Check masks, zoneout and truncation."""
        B, features = self.sequences, self.weights.features
        if options.recurrent_mask is not None:
            if self.weights.R is None:
                got = _validate.describe(options.recurrent_mask)
                raise ValueError(f"recurrent_mask: expected None for this cell, got {got}")
            mask = np.asarray(options.recurrent_mask)
            shape = (B, features) if mask.ndim == 2 else (self.T, B, features)
            mask = self.weights.same("recurrent_mask", options.recurrent_mask, shape)
            mask = np.broadcast_to(mask, (self.T, B, features))
            self.mask = time_steps.view(mask, self.steps, self.reverse)
        if options.zoneout is not None:
            shares = self.checked_states("zoneout", options.zoneout, (self.T, B))
            if projects(type(self.cell)):
                if shares[0] is not None:
                    self.zone_h = self._of_steps(shares[0])
                shares = (None, *shares[1:])
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
        if dy is not None:
            dy = self.weights.same("dy", dy, (*self.leading, self.weights.features))
        of_end = self.checked_states("dstate", dstate, (self.sequences,))
        of_steps = self.checked_states("dstates", dstates, self.leading)
        if of_steps[0] is not None:
            dy = of_steps[0] if dy is None else dy + of_steps[0]
        return dy, of_end, of_steps[1:]

    def checked_states(self, name: str, values: Any, rows: tuple[int, ...]) -> States:
        """Check one array (*rows, width) for each state; None for what is not given."""
        names = self.cell.STATES
        if values is None:
            return (None,) * len(names)
        if not isinstance(values, tuple | list) or len(values) != len(names):
            raise ValueError(
                f"{name}: expected {len(names)} array{'s' * (len(names) > 1)} "
                f"({', '.join(names)}), got {_validate.describe(values)}"
            )
        return tuple(
            None if value is None else self.weights.same(f"{name}[{i}]", value, (*rows, width))
            for i, (value, width) in enumerate(zip(values, self.weights.widths, strict=True))
        )

    def _of_all_steps(self, values: States, otherwise: float) -> Array:
        """Return arrays (T, B, H) or None of some states as (states, N, P * U * V)."""
        rows = buffers.empty((len(values), self.steps.N, self.tile.padded), self.dtype)
        rows.fill(otherwise)
        for target, value in zip(rows, values, strict=True):
            if value is not None:
                target[:, : self.weights.H] = self._of_steps(value)
        return rows

    def _of_steps(self, value: Array) -> Array:
        """Return an array (T, B, M) as (N, M); may be a view."""
        array = time_steps.view(value, self.steps, self.reverse).array
        return array.reshape(self.steps.N, value.shape[-1])

    def forward(self) -> tuple[Array, tuple[Array, ...]]:
        """Run all steps; return y and the final states."""
        self.walk()
        return self.results()

    def walk(self) -> None:
        """Run all steps."""
        B, N, weights = self.steps.B, self.steps.N, self.weights
        self.h = buffers.empty((B + N, weights.features), self.dtype)
        kept = B + N if self.training else B
        self.extra = buffers.empty((self.S - 1, kept, self.tile.padded), self.dtype)
        self.put_initial(self.state)
        if self.mask is not None:
            shape = (N if self.training else B, weights.features)
            self.masked = buffers.empty(shape, self.dtype)
        if self.zone is not None:
            self.raw = buffers.empty(self.zone.shape, self.dtype)
        self.plan = self._plan()
        self._walk()

    def put_initial(self, state: States) -> None:
        """Write the initial states where the time loop looks for them."""
        B = self.steps.B
        for target, value in zip((self.h[:B], *self.extra[:, :B]), state, strict=True):
            self.steps.put_initial(value, target)

    def results(self) -> tuple[Array, tuple[Array, ...]]:
        """Return what `forward` does, once the time loop has run."""
        y = time_steps.unview(self.h[self.steps.B :], self.steps, self.reverse, self.T)
        y.flags.writeable = not self.training
        return y, self.finals()

    def finals(self) -> tuple[Array, ...]:
        """Return the final states, once the time loop has run."""
        histories = zip((self.h, *self.extra), self.weights.widths, strict=True)
        return tuple(self.steps.take_final(s, width) for s, width in histories)

    def write_y(self, y: Array) -> None:
        """Write y, once the time loop has run, to an array; see `steps.unview_into`."""
        rows = self.h[self.steps.B :]
        time_steps.unview_into(rows, self.steps, self.reverse, y, is_added=False)

    def _walk(self) -> None:
        """Run the time loop."""
        B, N = self.steps.B, self.steps.N
        weights, tile, training = self.weights, self.tile, self.training
        H, panels = weights.H, tile.all
        is_looked_up = self.ids is not None
        is_hoisted = not is_looked_up and self.plan.is_hoisted
        R = None if self.is_fresh else weights.recurrent()
        inner = weights.inner()
        looked_up = x = W = bias = None
        gates_rows = N if training or is_hoisted else B
        if training or is_hoisted or inner is not None:
            self.gates = buffers.empty((panels.number, gates_rows, panels.width), self.dtype)
        if is_looked_up:
            looked_up = weights.looked_up(self.E)
        elif is_hoisted:
            project(self.x_rows, weights.input(), weights.bias(), panels, tile.input, self.gates)
        else:
            x, W, bias = self.x, weights.input(), weights.bias()
        kept_rows = (N if training else B, H)
        if inner is not None or projects(type(self.cell)):
            self.operand = buffers.empty(kept_rows, self.dtype)
        arguments = self._common() | {
            "I": weights.I, "x": x and x.array, "x_step": x and x.step, "x_row": x.row if x else 0,
            "ids": self.ids, "table": looked_up, "table_rows": len(self.E) if is_looked_up else 0,
            "W": W, "R": R, "inner": inner, "bias": bias,
            "gates_rows": gates_rows, "operand": self.operand, "masked": self.masked,
            "saving": int(training),
        }  # fmt: skip
        if projects(type(self.cell)):
            arguments |= weights.projection() | {"zone_h": self.zone_h}
            self._run(scan.forward, scan.ProjectedScan(**arguments))
        else:
            self._run(scan.forward, scan.Scan(**arguments))

    def _common(self) -> dict[str, Any]:
        """Return the arguments that all time loops take, forwards and backwards."""
        mask, weights, tile = self.mask, self.weights, self.tile
        return {
            "T": self.steps.T, "B": self.steps.B, "N": self.steps.N, "rows": self.steps.rows,
            "H": weights.H, "features": weights.features,
            "units": tile.units, "panels": tile.all.number,
            "slices": self.plan.slices,
            "splits": time_steps.splits(self.steps, self.plan.slices), "barrier": self._barrier(),
            "h": self.h, "h_row": weights.features, "extra": self.extra, "gates": self.gates,
            "mask": mask and mask.array, "mask_step": mask and mask.step,
            "mask_row": mask.row if mask else 0,
            "zone": self.zone, "raw": self.raw,
        }  # fmt: skip

    def _plan(self) -> plan.Plan:
        """Return how the time loop is shared among workers."""
        weights, tile, steps = self.weights, self.tile, self.steps
        T, N = steps.size
        return plan.plan(
            plan.Loop(
                T, steps.B, N, weights.I, weights.H,
                len(self.cell.GATES), tile.all.number, self.dtype.itemsize, self.is_fresh,
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
        histories = zip((self.h, *self.extra), self.weights.widths, strict=True)
        return tuple(
            time_steps.unview(rows[self.steps.B :, :width], self.steps, self.reverse, self.T)
            for rows, width in histories
        )

    def backward(
        self,
        dy: Array | None,
        dstate: States,
        dextra: States,
        wants_dx: bool,
        wants_norms: bool,
        dx_before: Array | None = None,
        wants_dstate: bool = True,
    ) -> Gradients:
        """Walk all steps backwards; return all gradients.

        The gradient of x is added to `dx_before`, where that is given; see `steps.unview_into`.
        """
        self.dx_before = dx_before
        cotangents = self._cotangents(dy, dstate, dextra, wants_norms)
        self._walk_back(cotangents)
        dx, dW, db = self._input_gradients(wants_dx)
        norms = None
        if cotangents.squares is not None:
            squares = cotangents.squares.sum(axis=0, dtype=np.float64)
            by_row = np.sqrt(squares).astype(self.dtype)
            norms = time_steps.unview(by_row[:, None], self.steps, self.reverse, self.T)[..., 0]
        state = self.take_initial(cotangents.dh, cotangents.dextra) if wants_dstate else ()
        dR, extra = self._recurrent_gradient(), self._extra_gradients()
        return Gradients(dx, dW, dR, db, state, norms, extra)

    def put_final(self, dstate: States, dh: Array, dextra: Array) -> None:
        """Write the gradients of the final states where a walk backwards looks for them."""
        for target, d in zip((dh, *dextra), dstate, strict=True):
            self.steps.put_final(d, target)

    def take_initial(self, dh: Array, dextra: Array) -> tuple[Array, ...]:
        """Return the gradients of the initial states that a walk backwards has left."""
        initial = zip((dh, *dextra), self.weights.widths, strict=True)
        return tuple(self.steps.take_initial(d, width) for d, width in initial)

    def _cotangents(
        self, dy: Array | None, dstate: States, dextra: States, wants_norms: bool
    ) -> Cotangents:
        """Return what a walk backwards starts from."""
        B, N = self.steps.B, self.steps.N
        dy_view = None if dy is None else time_steps.view(dy, self.steps, self.reverse)
        of_steps = squares = None
        if any(d is not None for d in dextra):
            of_steps = self._of_all_steps(dextra, 0.0)
        lanes = self.tile.all.lanes
        vectors = -(-self.weights.features // lanes)
        if wants_norms:
            squares = buffers.empty((vectors, N), self.dtype)
        dh = buffers.empty((B, vectors * lanes), self.dtype)
        dlast = buffers.empty((self.S - 1, B, self.tile.padded), self.dtype)
        self.put_final(dstate, dh, dlast)
        return Cotangents(dy_view, of_steps, squares, dh, dlast)

    def _common_back(self, cotangents: Cotangents) -> dict[str, Any]:
        """Return the arguments that all time loops backwards take."""
        dy, of_steps, squares, dh, dextra = cotangents
        return self._common() | {
            "R_transposed": self.weights.recurrent_transposed(),
            "dy": dy and dy.array, "dy_step": dy and dy.step, "dy_row": dy.row if dy else 0,
            "dextra_steps": of_steps, "truncate": self.truncate,
            "begin": self.begin, "squares": squares,
            "dh": dh, "dextra": dextra,
        }  # fmt: skip

    def _walk_back(self, cotangents: Cotangents) -> None:
        """Run the time loop backwards."""
        weights = self.weights
        arguments = self._common_back(cotangents)
        arguments["inner_transposed"] = weights.inner_transposed()
        if projects(type(self.cell)):
            panels = weights.feature_panels
            shape = (panels.number, self.steps.N, panels.width)
            self.dprojected = buffers.empty(shape, self.dtype)
            self.dprojected[-1] = 0  # vectors that no feature is in
            arguments |= weights.projection_transposed()
            arguments |= {"dprojected": self.dprojected, "zone_h": self.zone_h}
            self._run(scan.backward, scan.ProjectedBackwardScan(**arguments))
        else:
            self._run(scan.backward, scan.BackwardScan(**arguments))

    def _input_gradients(self, wants_dx: bool) -> tuple[Array | None, Array, Array | None]:
        """Return dx, or None, dW and db, or None."""
        weights, tile = self.weights, self.tile
        da = self._products_gradient()
        has_bias = weights.b is not None
        dW, db = weight_gradient(self.x_rows, da, tile.all, tile.input, has_bias)
        dW = unpacked_like(weights.W, dW, tile.input.panels)
        if weights.b is not None and db is not None:
            db = unpacked(db, tile.all, len(weights.b))[0]
        of_x = self.gates if self.is_repeating else da
        dx = input_gradient(weights.W, of_x, tile.all, tile.input) if wants_dx else None
        return self._as_given(dx), dW, db

    def _as_given(self, dx: Array | None) -> Array | None:
        """Return the gradient of the rows of x as one of the x that was given."""
        if dx is not None and self.dx_before is not None:
            time_steps.unview_into(dx, self.steps, self.reverse, self.dx_before, is_added=True)
            return self.dx_before
        if dx is not None and (self.ids is None or self.is_repeating):
            dx = time_steps.unview(dx, self.steps, self.reverse, self.T)
            if self.embedding_backward is not None:
                dx = self.embedding_backward(dx)
        return dx

    def _extra_gradients(self) -> dict[str, Array] | None:
        """Return the gradients of the cell's other weights by name, or None."""
        if self.dprojected is None:
            return None
        weights, panels = self.weights, self.weights.feature_panels
        whole = Share(panels, 0, panels.vectors)
        rows = time_steps.all_rows(self.operand, self.steps.N, weights.H)
        dP, _ = weight_gradient(rows, self.dprojected, panels, whole, False)
        return {"P": unpacked_like(weights.extra["P"], dP, panels)}

    def _recurrent_gradient(self) -> Array | None:
        """Return dR, or None where there is no R."""
        weights, tile = self.weights, self.tile
        if weights.R is None:
            return None
        dR = empty_like(weights.R)
        operands = [(tile.recurrent, self._multiplied_h())]
        if tile.inner.first < tile.inner.last:
            rows = time_steps.all_rows(self.operand, self.steps.N, weights.H)
            operands.append((tile.inner, rows))
        for share, rows in operands:
            if share.first < share.last:
                part, _ = weight_gradient(rows, self.gates, tile.all, share, False)
                unpack_into(dR, part, share.panels)
        return dR

    def _multiplied_h(self) -> gemm.Rows:
        """Return what R multiplied at each row's step: h before it, with its mask."""
        if self.masked is not None:
            return time_steps.all_rows(self.masked, self.steps.N, self.weights.features)
        return time_steps.rows_before(self.h, self.steps)

    def _products_gradient(self) -> Array:
        """Return the gradient of the products of rows of x, or of the table of x, with W."""
        if self.ids is None:
            return self.gates  # type: ignore[no-any-return]
        return table_gradient(self.ids, self.gates, len(self.E), self.tile.all)
