"""One call of `functional.rnn` on dual numbers: plain NumPy, forwards and backwards.

Where all arguments p have the direction v, forward has the derivatives J v of the outputs, and
backward those of the gradients J^T u, for cotangents u of the outputs.  J^T u is the gradient of
<u, outputs>, whose second derivatives are symmetric: the latter are the gradients of <v, J^T u>
with respect to p, too (B. A. Pearlmutter, Fast exact multiplication by the Hessian, Neural
Computation 1994).  What truncation cuts is a constant to both.

The steps are those of `kernels.cpu.scan`, on rows packed likewise: places of a batch are
sequences or, where resets cut them, segments of sequences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.cells.protocol import gate_names, projects
from fastrnn.functional import steps as time_steps
from fastrnn.functional.dual import (
    Dual,
    Normalised,
    dual,
    normalise,
    normalise_backward,
    zeros,
)
from fastrnn.functional.embedding import embedding
from fastrnn.functional.options import Embedded, Options
from fastrnn.functional.run import Run, States
from fastrnn.functional.weights import Weights

Array = NDArray[Any]


class SecondGradients(NamedTuple):
    """What `rnn_double_backward` returns: gradients for the arguments of `backward` and of `rnn`.

    dy is (T, B, H), dstate has (B, H) and dstates (T, B, H) for each state, and dstates[0] is dy;
    the others are as in `Gradients`.
    """

    dy: Array
    dstate: tuple[Array, ...]
    dstates: tuple[Array, ...]
    x: Array
    W: Array
    R: Array | None
    b: Array | None
    state: tuple[Array, ...]
    extra: dict[str, Array] | None


class Step(NamedTuple):
    """What a step keeps for the way back.

    before      the states before it
    multiplied  the previous h as R meets it
    saved       what the formula keeps
    after       the states that the formula returns
    v           normalised products of h, or None
    c           the normalised state, or None
    """

    before: tuple[Dual, ...]
    multiplied: Dual
    saved: Any
    after: Any
    v: Normalised | None
    c: Normalised | None


_FORMULAS = ("forward", "backward", "operand", "operand_backward", "expose", "expose_backward")


class DualRun(Run):
    """A `Run` on dual numbers; `read_directions` comes after the other readers."""

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights, True)
        kind: Any = type(weights.cell)
        self.formulas = {name: getattr(kind, name) for name in _FORMULAS if hasattr(kind, name)}
        self.normal = kind.NORMALISED if weights.is_normalised else ()
        recurrent, inner = (gate_names(kind, part) for part in ("RECURRENT", "INNER"))
        named = {part: gate_names(kind, part) for part in ("INPUT", "BIAS")}
        named |= {"outer": tuple(name for name in recurrent if name not in inner), "inner": inner}
        #: Places in GATES, in the order of columns.
        self.gates_of = {
            part: [kind.GATES.index(name) for name in names] for part, names in named.items()
        }
        columns = np.arange(len(recurrent) * weights.H).reshape(-1, weights.H)
        #: Columns of R that take h, and those that take the cell's own operand.
        self.columns_of = {
            part: columns[[recurrent.index(name) for name in named[part]]].reshape(-1)
            for part in ("outer", "inner")
        }

    # Arguments

    def read_input(self, x: Any, lengths: Any, resets: Any, reverse: bool) -> None:
        """Check x, lengths and resets, and put x into the order of the steps."""
        self.table_ids: Any = None
        if not isinstance(x, Embedded):
            super().read_input(x, lengths, resets, reverse)
            return
        E = self.weights.same("x.table", x.table, ("vocabulary", self.weights.I))
        self.table_ids = _validate.ids_array("x.ids", x.ids, ("T", "B"), len(E))
        self.table_rows = len(E)
        looked_up, backward = embedding(self.table_ids, E)
        super().read_input(looked_up, lengths, resets, reverse)
        self.embedding_backward = backward

    def read_options(self, options: Options) -> None:
        """Check masks, zoneout and truncation."""
        super().read_options(options)
        N, weights = self.steps.N, self.weights
        self.factors = None
        if self.mask is not None:
            self.factors = self.mask.array.reshape(N, weights.features)
        self.zones: list[Array | None] = [None] * self.S
        if self.zone is not None:
            self.zones = [zone[:, : weights.H] for zone in self.zone]
            if projects(type(self.cell)):
                self.zones[0] = self.zone_h

    def read_directions(
        self, ddx: Any, ddW: Any, ddR: Any, ddb: Any, ddstate: Any, ddextra: Any
    ) -> None:
        """Check the direction in which to differentiate; None for zeros."""
        weights, N = self.weights, self.steps.N
        if ddx is not None and self.table_ids is not None:
            table = weights.same("ddx", ddx, (self.table_rows, weights.I))
            ddx, _ = embedding(self.table_ids, table)
        if ddx is not None:
            shape = (*self.leading, weights.I)
            ddx = self._of_steps(weights.same("ddx", ddx, shape))
        assert self.x is not None
        self.inputs = dual(self.x.array.reshape(N, weights.I), ddx)
        self.W = self._weight("W", weights.W, ddW)
        self.R = self._weight("R", weights.R, ddR)
        self.b = self._weight("b", weights.b, ddb)
        self.parts_of_R = {
            part: self.R[:, columns] for part, columns in self.columns_of.items() if len(columns)
        }
        given = {} if ddextra is None else ddextra
        if not isinstance(given, Mapping) or not set(given) <= set(weights.extra):
            names = ", ".join(weights.extra)
            wanted = f"a mapping of {names}" if names else "None for this cell"
            raise ValueError(f"ddextra: expected {wanted}, got {_validate.describe(given)}")
        self.others = {
            name: self._weight(f'extra["{name}"]', weight, given.get(name))
            for name, weight in weights.extra.items()
        }
        self.state_direction = self.checked_states("ddstate", ddstate, (self.sequences,))

    def _weight(self, name: str, weight: Array | None, direction: Any) -> Any:
        """Return a weight and its direction, or None where there is no such weight."""
        if weight is not None:
            if direction is not None:
                direction = self.weights.same(f"dd{name}", direction, weight.shape)
            return dual(weight, direction)
        if direction is not None:
            got = _validate.describe(direction)
            raise ValueError(f"dd{name}: expected None, as {name} is, got {got}")
        return None

    # Forwards

    def _forwards(self) -> None:
        """Run all steps."""
        B, N, weights = self.steps.B, self.steps.N, self.weights
        self.history = [zeros(B + N, width) for width in weights.widths]
        initial = zip(self.history, self.state, self.state_direction, strict=True)
        for history, state, direction in initial:
            self.steps.put_initial(state, history.value[:B])
            self.steps.put_initial(direction, history.tangent[:B])
        u = self.inputs @ self.W
        if self.normal:
            self.u = normalise(u)
            u = self.u.rows * self.others["gain_x"]
        self.a = zeros(N, len(self.cell.GATES), weights.H)
        self._add("INPUT", u, self.a)
        if self.b is not None:
            self._add("BIAS", self.b.reshape(1, -1), self.a)
        self.multiplied, self.operands = zeros(N, weights.features), zeros(N, weights.H)
        self.unprojected = zeros(N, weights.H)
        self.kept = [self._step(t) for t in range(self.steps.T)]

    def _add(self, part: str, columns: Dual, a: Dual) -> None:
        """Add columns (n, gates * H) to pre-activations a (N, G, H); n is N or 1."""
        gates = self.gates_of[part]
        by_gate = columns.reshape(len(columns.value), len(gates), self.weights.H)
        a[:, gates] = a[:, gates] + by_gate

    def _rows(self, t: int) -> slice:
        return slice(int(self.steps.rows[t]), int(self.steps.rows[t + 1]))

    def _cut(self, t: int) -> NDArray[np.intp]:
        """Return the places that no gradient leaves at step t for the step before."""
        rows = self._rows(t)
        if not self.truncate or t == 0:
            return np.zeros(0, np.intp)
        done = np.full(rows.stop - rows.start, t)
        if self.begin is not None:
            done += self.begin[: len(done)]
        return np.flatnonzero(done % self.truncate == 0)

    def _step(self, t: int) -> Step:
        """Run a step; write the states after it."""
        cell, formulas, others = self.cell, self.formulas, self.others
        B, rows = self.steps.B, self._rows(t)
        start = 0 if t == 0 else B + int(self.steps.rows[t - 1])
        there = slice(start, start + rows.stop - rows.start)
        before = tuple(history[there].constant(self._cut(t)) for history in self.history)
        h = before[0] if self.factors is None else before[0] * self.factors[rows]
        self.multiplied[rows] = h
        a, v, c = self.a[rows], None, None
        if self.gates_of["outer"]:
            product = h @ self.parts_of_R["outer"]
            if self.normal:
                v = normalise(product)
                product = v.rows * others["gain_h"]
            self._add("outer", product, a)
        if self.gates_of["inner"]:
            gates, self.operands[rows] = formulas["operand"](cell, _columns(a), h)
            a = zeros(*a.value.shape)
            for g, gate in enumerate(gates):
                a[:, g] = gate
            self._add("inner", self.operands[rows] @ self.parts_of_R["inner"], a)
        saved, after = formulas["forward"](cell, _columns(a), before)
        new = list(after)
        if "c" in self.normal:
            c = normalise(after[1])
            new[0] = formulas["expose"](cell, after[0], self._exposed(c))
        if "P" in others:
            self.unprojected[rows] = after[0]
            new[0] = after[0] @ others["P"]
        there = slice(B + rows.start, B + rows.stop)
        for history, zone, old, s in zip(self.history, self.zones, before, new, strict=True):
            history[there] = s if zone is None else old + (s - old) * zone[rows]
        return Step(before, h, saved, after, v, c)

    def _exposed(self, c: Normalised) -> Dual:
        """Return the normalised state with its gain and its bias."""
        exposed: Dual = c.rows * self.others["gain_c"] + self.others["bias_c"]
        return exposed

    # Backwards

    def _backwards(self, dy: Array | None, dstate: States, dextra: States) -> None:
        """Run all steps backwards."""
        B, N, weights = self.steps.B, self.steps.N, self.weights
        self.carried = [zeros(B, width) for width in weights.widths]
        for carried, d in zip(self.carried, dstate, strict=True):
            self.steps.put_final(d, carried.value)
        arriving = [None if d is None else self._of_steps(d) for d in (dy, *dextra)]
        self.da = zeros(*self.a.value.shape)
        self.dproducts = zeros(N, len(self.columns_of["outer"]))
        self.dprojected = zeros(N, weights.features)
        self.dothers = {name: zeros(*weight.value.shape) for name, weight in self.others.items()}
        for t in range(self.steps.T - 1, -1, -1):
            rows = self._rows(t)
            there = slice(rows.stop - rows.start)
            ds = [
                carried[there].copy() + (0.0 if d is None else d[rows])
                for carried, d in zip(self.carried, arriving, strict=True)
            ]
            for carried, d in zip(self.carried, self._step_back(t, ds), strict=True):
                carried[there] = d
                carried[self._cut(t)] = 0.0

    def _step_back(self, t: int, ds: list[Dual]) -> list[Any]:
        """Return the gradients of the states before a step from those after it."""
        cell, formulas, others, dothers = self.cell, self.formulas, self.others, self.dothers
        rows, step = self._rows(t), self.kept[t]
        dbefore: list[Any] = [0.0] * self.S
        for n, zone in enumerate(self.zones):
            if zone is not None:
                dbefore[n], ds[n] = ds[n] * (1.0 - zone[rows]), ds[n] * zone[rows]
        if "P" in others:
            self.dprojected[rows] = ds[0]
            ds[0] = ds[0] @ others["P"].T
        if step.c is not None:
            ds[0], dn = formulas["expose_backward"](cell, step.saved, self._exposed(step.c), ds[0])
            dothers["gain_c"] += (dn * step.c.rows).sum()
            dothers["bias_c"] += dn.sum()
            ds[1] = ds[1] + normalise_backward(step.c, dn * others["gain_c"])
        da, dstate = formulas["backward"](cell, step.saved, step.before, step.after, tuple(ds))
        self._keep(rows, da)
        dh: Any = 0.0
        if self.gates_of["inner"]:
            doperand = self._gradient("inner", rows) @ self.parts_of_R["inner"].T
            da, dh = formulas["operand_backward"](cell, da, step.multiplied, doperand)
            self._keep(rows, da)
        if self.gates_of["outer"]:
            d = self._gradient("outer", rows)
            if step.v is not None:
                dothers["gain_h"] += (d * step.v.rows).sum()
                d = normalise_backward(step.v, d * others["gain_h"])
            self.dproducts[rows] = d
            dh = d @ self.parts_of_R["outer"].T + dh
        dbefore[0] = dbefore[0] + (dh if self.factors is None else dh * self.factors[rows])
        return [kept + d for kept, d in zip(dbefore, dstate, strict=True)]

    def _keep(self, rows: slice, da: Any) -> None:
        """Write the gradients of pre-activations, some of which may be numbers."""
        for g, d in enumerate(da):
            self.da[rows, g] = d

    def _gradient(self, part: str, rows: slice) -> Dual:
        """Return the gradients of the pre-activations of some gates side by side."""
        d = self.da[rows][:, self.gates_of[part]]
        return d.reshape(len(d.value), len(self.gates_of[part]) * self.weights.H)

    # Results

    def differentiate(self, dy: Array | None, dstate: States, dextra: States) -> SecondGradients:
        """Run forwards and backwards; return all second gradients."""
        # NaN and infinity pass through as they do in kernels: without a warning.
        with np.errstate(all="ignore"):
            self._forwards()
            self._backwards(dy, dstate, dextra)
            dx, dW, dR, db = self._products()
        x_gradient: Any = self._as_given(self._rounded(dx))
        B, steps, widths = self.steps.B, self.steps, self.weights.widths
        outputs = [s.tangent for s in self.history]
        states = [
            self._rounded(time_steps.unview(s[B:], steps, self.reverse, self.T)) for s in outputs
        ]
        final = [steps.take_final(s, width) for s, width in zip(outputs, widths, strict=True)]
        initial = [
            steps.take_initial(d.tangent, width)
            for d, width in zip(self.carried, widths, strict=True)
        ]
        return SecondGradients(
            states[0],
            tuple(map(self._rounded, final)),
            tuple(states),
            x_gradient,
            self._rounded(dW),
            None if dR is None else self._rounded(dR),
            None if db is None else self._rounded(db),
            tuple(map(self._rounded, initial)),
            {name: self._rounded(d.tangent) for name, d in self.dothers.items()} or None,
        )

    def _rounded(self, array: Array) -> Array:
        return array.astype(self.dtype)

    def _products(self) -> tuple[Array, Array, Array | None, Array | None]:
        """Return the tangents of dx, in the order of the steps, and of dW, dR and db."""
        every = slice(None)
        du = self._gradient("INPUT", every)
        if self.normal:
            self.dothers["gain_x"] += (du * self.u.rows).sum()
            du = normalise_backward(self.u, du * self.others["gain_x"])
        if "P" in self.others:
            self.dothers["P"] = self.unprojected.T @ self.dprojected
        dR = db = None
        if self.R is not None:
            dR = np.empty(self.R.value.shape)
            inner = self._gradient("inner", every)
            sides = {"outer": (self.multiplied, self.dproducts), "inner": (self.operands, inner)}
            for part, (rows, d) in sides.items():
                if self.gates_of[part]:
                    dR[:, self.columns_of[part]] = (rows.T @ d).tangent
        if self.b is not None:
            db = self._gradient("BIAS", every).sum().tangent
        return (du @ self.W.T).tangent, (self.inputs.T @ du).tangent, dR, db


def _columns(a: Dual) -> tuple[Dual, ...]:
    """Return pre-activations (n, G, H) as G of (n, H)."""
    return tuple(a[:, g] for g in range(a.value.shape[1]))
