"""Recurrent layers: one call runs all time steps, one call of its closure all backwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.cells import CELLS
from fastrnn.functional import steps as time_steps
from fastrnn.functional.embedding import embedding
from fastrnn.functional.panels import gate_panels, packed, packed_transposed
from fastrnn.functional.products import (
    input_gradient,
    packed_bias,
    project,
    weight_gradient,
)
from fastrnn.kernels.cpu import buffers, gemm, scan, schedule, table

Array = NDArray[Any]


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
    not asked for; b is None where there is no bias.
    """

    x: Array | None
    W: Array
    R: Array
    b: Array | None
    state: tuple[Array, ...]


Backward = Callable[..., Gradients]


def rnn(
    cell: Any,
    x: ArrayLike | Embedded,
    W: ArrayLike,
    R: ArrayLike,
    b: ArrayLike | None = None,
    state: tuple[ArrayLike | None, ...] | None = None,
    *,
    lengths: ArrayLike | None = None,
    reverse: bool = False,
    training: bool = True,
    wants_dx: bool = True,
) -> tuple[Array, tuple[Array, ...], Backward]:
    """Run a recurrent cell over a batch of sequences.

    Parameters
    ----------
    cell : str or cell
        A name out of `fastrnn.cells.CELLS`, or an instance of a cell class.
    x : (T, B, I) array or Embedded
        Input, float32 or float64, with any strides of time and batch: pass batch-major data as
        `x.swapaxes(0, 1)`.
    W : (I, G * H) array
        Input weights, the cell's G gates side by side in PyTorch's order.
    R : (H, G * H) array
        Recurrent weights.
    b : (G * H,) array, optional
        Bias.
    state : tuple of (B, H) arrays, optional
        Initial states in the order of the cell's STATES; where None, zeros.
    lengths : (B,) integers in 0..T, optional
        Steps of each sequence.  The output is 0 beyond them, the final state is that of the last
        step, and the cost follows their sum.
    reverse : bool
        Run from the last step of each sequence to its first.
    training : bool
        Keep what `backward` needs.
    wants_dx : bool
        Whether `backward` is to compute the gradient of x.

    Returns
    -------
    y : (T, B, H) array
        h of every step; read-only if `training`, as `backward` reads it too.
    state : tuple of (B, H) arrays
        The states after each sequence's last step.
    backward : callable
        `backward(dy=None, dstate=None) -> Gradients`, with dy (T, B, H) and dstate a tuple like
        `state` whose entries may be None.  It overwrites what was saved and so runs once, and
        the arguments of the call must not have changed before it does.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import functional
    >>> x, W, R = (np.ones(s, np.float32) for s in ((3, 2, 4), (4, 20), (5, 20)))
    >>> y, (h, c), backward = functional.rnn("lstm", x, W, R)
    >>> y.shape, h.shape
    ((3, 2, 5), (2, 5))
    >>> backward(np.ones_like(y)).W.shape
    (4, 20)
    """
    run = _Run(_as_cell(cell), W, R, b)
    run.read_input(x, lengths, reverse)
    run.read_state(state)
    y, final = run.forward(training)
    return y, final, _backward_once(run, training, wants_dx)


def _as_cell(cell: Any) -> Any:
    if isinstance(cell, str):
        if cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
        return CELLS[cell]()
    if not hasattr(type(cell), "GATES"):
        raise TypeError(f"cell: expected a name or a cell, got {_validate.describe(cell)}")
    return cell


def _backward_once(run: _Run, training: bool, wants_dx: bool) -> Backward:
    is_spent = False

    def backward(
        dy: ArrayLike | None = None, dstate: tuple[ArrayLike | None, ...] | None = None
    ) -> Gradients:
        nonlocal is_spent
        if not training:
            raise RuntimeError("backward: nothing was saved; call rnn with training=True")
        if is_spent:
            raise RuntimeError("backward: it has run already and overwrote what was saved")
        cotangents = run.read_cotangents(dy, dstate)
        is_spent = True
        return run.backward(*cotangents, wants_dx)

    return backward


class _Run:
    """One call of `rnn`: its arguments, and what forward keeps for backward."""

    def __init__(self, cell: Any, W: Any, R: Any, b: Any) -> None:
        G = len(cell.GATES)
        self.cell = cell
        recurrent = _validate.float_array("R", R, ("H", f"{G} * H"))
        self.H = H = recurrent.shape[0]
        self.R = _validate.float_array("R", recurrent, (H, G * H))
        self.dtype = self.R.dtype
        self.W = self._like_R("W", W, ("I", G * H))
        self.I = self.W.shape[0]
        self.b = None if b is None else self._like_R("b", b, (G * H,))
        self.panels = gate_panels(H, G, self.dtype)
        self.R_panels = self.panels.share(*cell.RECURRENT_GATES)
        self.padded = self.panels.number * self.panels.lanes

    def _like_R(self, name: str, value: Any, shape: tuple[int | str, ...]) -> Array:
        array = _validate.float_array(name, value, shape)
        return _validate.same_dtype(name, array, "R", self.dtype)

    def read_input(self, x: Any, lengths: Any, reverse: bool) -> None:
        """Check x and lengths and put them into the order of the steps."""
        self.reverse = reverse
        self.ids: NDArray[np.int32] | None = None
        self.embedding_backward: Callable[..., Any] | None = None
        if isinstance(x, Embedded):
            E = self._like_R("x.table", x.table, ("vocabulary", self.I))
            ids = _validate.ids_array("x.ids", x.ids, ("T", "B"), E.shape[0])
            if E.shape[0] <= ids.size:
                self.E, self.ids = np.ascontiguousarray(E), ids
            else:
                x, self.embedding_backward = embedding(ids, E)
        if self.ids is None:
            x = self._like_R("x", x, ("T", "B", self.I))
        self.T, B = x.shape[:2] if self.ids is None else self.ids.shape
        self.steps = time_steps.even_steps(self.T, B)
        if lengths is not None:
            lengths = _validate.lengths_array(lengths, self.T, B)
            if (lengths != self.T).any():
                self.steps = time_steps.packed_steps(lengths, reverse)
        if self.ids is None:
            self.x = time_steps.view(x, self.steps, reverse)
            self.x_rows = self.x.rows(self.steps)
        else:
            by_step = time_steps.view(self.ids[:, :, None], self.steps, reverse).array
            self.ids = np.ascontiguousarray(by_step).reshape(-1)
            self.x_rows = time_steps.all_rows(self.E, self.E.shape[0], self.I)

    def read_state(self, state: Any) -> None:
        """Check the initial states."""
        self.state = self._states("state", state)

    def read_cotangents(self, dy: Any, dstate: Any) -> tuple[Any, Any]:
        """Check the gradients of the outputs."""
        if dy is not None:
            dy = self._like_R("dy", dy, (self.T, self.steps.B, self.H))
        return dy, self._states("dstate", dstate)

    def _states(self, name: str, values: Any) -> tuple[Array | None, ...]:
        names = self.cell.STATES
        if values is None:
            return (None,) * len(names)
        if not isinstance(values, tuple | list) or len(values) != len(names):
            raise ValueError(
                f"{name}: expected {len(names)} arrays ({', '.join(names)}), "
                f"got {_validate.describe(values)}"
            )
        shape = (self.steps.B, self.H)
        return tuple(
            None if value is None else self._like_R(f"{name}[{i}]", value, shape)
            for i, value in enumerate(values)
        )

    def forward(self, training: bool) -> tuple[Array, tuple[Array, ...]]:
        """Run all steps; return y and the final states."""
        T, B, N, rows, _ = self.steps
        H, panels = self.H, self.panels
        self.h = buffers.empty((B + N, H), self.dtype)
        kept = B + N if training else B
        self.extra = buffers.empty((len(self.state) - 1, kept, self.padded), self.dtype)
        self._place(self.state, self.h, self.extra)
        is_looked_up = self.ids is not None
        is_hoisted = not is_looked_up and schedule.is_hoisted(
            B, self.I, H, panels.vectors, self.dtype.itemsize
        )
        looked_up = x = W = bias = None
        self.gates: Any = None
        if training or is_hoisted:
            self.gates = buffers.empty((panels.number, N, panels.width), self.dtype)
        if is_looked_up or is_hoisted:
            products = self.gates
            if is_looked_up:
                shape = (panels.number, len(self.E), panels.width)
                products = looked_up = buffers.empty(shape, self.dtype)
            project(self.x_rows, self.W, self.b, panels, self.cell.INPUT_GATES, products)
        else:
            x = self.x
            W = packed(self.W, panels.share(*self.cell.INPUT_GATES))
            bias = packed_bias(self.b, panels, self.dtype)
        R = packed(self.R, self.R_panels)
        workers = schedule.workers_for(N * panels.vectors * H * H, B)
        arguments = scan.Scan(
            T=T, B=B, I=self.I, H=H, panels=panels.number, N=N, rows=rows,
            splits=time_steps.splits(self.steps, workers),
            x=x and x.array, x_step=x and x.step, x_row=x.row if x else 0,
            ids=self.ids, table=looked_up, table_rows=len(self.E) if is_looked_up else 0,
            W=W, R=R, bias=bias, h=self.h, h_row=H, extra=self.extra, gates=self.gates,
            saving=int(training),
        )  # fmt: skip
        scan.forward(self.cell, arguments, workers)
        y = time_steps.unview(self.h[B:], self.steps, self.reverse, self.T)
        y.flags.writeable = not training
        return y, self._final_state(training)

    def _place(self, states: tuple[Array | None, ...], h: Array, extra: Array) -> None:
        """Write states (B, H) of the user's sequences to the first rows of h and extra."""
        B, H = self.steps.B, self.H
        packing = self.steps.packing
        extra[:, :B] = 0
        for target, state in zip((h, *extra), states, strict=True):
            if state is None:
                target[:B] = 0
            else:
                target[:B, :H] = state if packing is None else state[packing.order]

    def _taken(self, rows: Array) -> Array:
        """Return rows (B, >= H) of the places as a state (B, H) of the user's sequences."""
        packing = self.steps.packing
        if packing is None:
            return np.array(rows[:, : self.H])
        state: Array = np.empty((self.steps.B, self.H), self.dtype)
        state[packing.order] = rows[:, : self.H]
        return state

    def _final_state(self, training: bool) -> tuple[Array, ...]:
        """Return the states after each sequence's last step."""
        B, N, packing = self.steps.B, self.steps.N, self.steps.packing
        if packing is None:
            final = slice(N, N + B)
            return tuple(
                self._taken(state[final if state is self.h or training else slice(B)])
                for state in (self.h, *self.extra)
            )
        kept = packing.final if training else np.arange(B)
        return (self._taken(self.h[packing.final]), *(self._taken(e[kept]) for e in self.extra))

    def backward(
        self, dy: Array | None, dstate: tuple[Array | None, ...], wants_dx: bool
    ) -> Gradients:
        """Walk all steps backwards; return all gradients."""
        T, B, N, rows, _ = self.steps
        H, panels = self.H, self.panels
        dh = buffers.zeros((B, self.padded), self.dtype)
        dextra = buffers.zeros((len(self.state) - 1, B, self.padded), self.dtype)
        self._place(dstate, dh, dextra)
        dy_view = None if dy is None else time_steps.view(dy, self.steps, self.reverse)
        R_transposed = packed_transposed(self.R, self.R_panels)
        workers = schedule.workers_for(N * panels.vectors * H * H, B)
        arguments = scan.BackwardScan(
            T=T, B=B, H=H, panels=panels.number, N=N, rows=rows,
            splits=time_steps.splits(self.steps, workers),
            R_transposed=R_transposed, h=self.h, h_row=H, extra=self.extra,
            dy=dy_view and dy_view.array, dy_step=dy_view and dy_view.step,
            dy_row=dy_view.row if dy_view else 0, gates=self.gates, dh=dh, dextra=dextra,
        )  # fmt: skip
        scan.backward(self.cell, arguments, workers)

        columns = panels.vectors * H
        recurrent, share = self.cell.RECURRENT_GATES, self.cell.INPUT_GATES
        before = self._previous_h()
        dR, _ = weight_gradient(before, self.gates, panels, recurrent, columns, False)
        da = self.gates if self.ids is None else self._looked_up_gradient()
        has_bias = self.b is not None
        dW, db = weight_gradient(self.x_rows, da, panels, share, columns, has_bias)
        dx = None
        if wants_dx:
            dx = input_gradient(self.W, da, panels, share)
            if self.ids is None:
                dx = time_steps.unview(dx, self.steps, self.reverse, self.T)
            if self.embedding_backward is not None:
                dx = self.embedding_backward(dx)
        state = tuple(self._taken(d) for d in (dh, *dextra))
        return Gradients(dx, dW, dR, db, state)

    def _previous_h(self) -> gemm.Rows:
        """Return h before each row's step, the operand of dR."""
        T, B, N, rows, packing = self.steps
        if packing is None:
            return time_steps.all_rows(self.h, N, self.H)
        before = np.concatenate([[0], B + rows[: T - 1]]) * self.H
        return gemm.Rows(T, rows, self.h, before.astype(np.int64), self.H, self.H)

    def _looked_up_gradient(self) -> Array:
        """Return the gradient of the table of pre-activations (P, vocabulary, G * V)."""
        panels = self.panels
        out = buffers.empty((panels.number, len(self.E), panels.width), self.dtype)
        arguments = table.TableGradient(
            self.ids, self.steps.N, len(self.E), panels.number, panels.vectors, self.gates, out
        )
        workers = schedule.workers_for(self.gates.size, panels.number)
        table.add_rows(None, arguments, workers)
        return out
