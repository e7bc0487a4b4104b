"""Inference with weights that do not change: packed once, then run on whole sequences or steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.cells.protocol import projects
from fastrnn.functional.bound import Bound, BoundRuns
from fastrnn.functional.normalised import run_of
from fastrnn.functional.options import Embedded, Options
from fastrnn.functional.steps import even_steps, splits
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu import buffers, plan, scan

Array = NDArray[Any]


def freeze(
    cell: Any,
    W: ArrayLike,
    R: ArrayLike | None,
    b: ArrayLike | None = None,
    *,
    extra: Mapping[str, ArrayLike] | None = None,
    table: ArrayLike | None = None,
) -> Frozen:
    """Pack the weights of a recurrent layer once, for inference.

    Parameters
    ----------
    cell, W, R, b, extra
        As `rnn` takes them: (I, n * H), (H, n * H) and (n * H,) arrays, and a mapping of them.
        They are copied.
    table : (vocabulary, I) array, optional
        An embedding, which is copied too.  The layer then takes integers (T, B), or (B,) in a
        stream, whose rows of the table are x; what W makes of the table is made here, once.

    Returns
    -------
    Frozen
        `frozen(x)` runs sequences, `frozen.stream(B)` single steps.

    Raises
    ------
    ValueError, TypeError
        Where an argument does not fit; the message names it.

    Examples
    --------
    >>> W, R = np.ones((4, 20), np.float32), np.ones((5, 20), np.float32)
    >>> lstm = freeze("lstm", W, R)
    >>> y, (h, c) = lstm(np.ones((3, 2, 4), np.float32))
    >>> y.shape, h.shape
    ((3, 2, 5), (2, 5))
    >>> stream = lstm.stream(2)
    >>> all(np.array_equal(stream.step(np.ones((2, 4), np.float32)), y[t]) for t in range(3))
    True
    >>> letters = freeze("lstm", W, R, table=np.eye(4, dtype=np.float32)).stream(1)
    >>> letters.step(np.array([2])).shape
    (1, 5)
    """
    return Frozen(cell, W, R, b, extra, table)


class Frozen:
    """A recurrent layer whose weights are packed; see `freeze`."""

    def __init__(
        self,
        cell: Any,
        W: ArrayLike,
        R: ArrayLike | None,
        b: ArrayLike | None,
        extra: Mapping[str, ArrayLike] | None,
        table: ArrayLike | None = None,
    ) -> None:
        copies: list[Any] = [None if a is None else np.array(a) for a in (W, R, b)]
        if isinstance(extra, Mapping):
            extra = {name: np.array(a) for name, a in extra.items()}
        self._weights = weights = Weights(
            cell, copies[0], copies[1], copies[2], extra, is_frozen=True
        )
        for pack in (weights.input, weights.bias, weights.recurrent, weights.inner):
            pack()
        if table is not None:
            rows = weights.same("table", table, ("vocabulary", weights.I))
            weights.table = np.array(rows, order="C")
            weights.looked_up(weights.table)
        self._bound = BoundRuns(weights)

    def __getstate__(self) -> Any:
        return self._weights

    def __setstate__(self, state: Any) -> None:
        self._weights, self._bound = state, BoundRuns(state)

    def __call__(
        self,
        x: ArrayLike | Embedded,
        state: tuple[ArrayLike | None, ...] | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        reverse: bool = False,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Run sequences; parameters and results are those of `rnn`, but for x with a table.

        Returns
        -------
        y : (T, B, H) array
            h of every step.
        state : tuple of (B, H) arrays
            The states after each sequence's last step.
        """
        if lengths is None and resets is None:
            bound = self.bound_run(x, state, reverse)
            if bound is not None:
                y = bound.y.copy()
                final = tuple([states.copy() for states in bound.final])
                bound.put_back()
                return y, final
        run = run_of(self._weights, False)
        run.read_input(x, lengths, resets, reverse)
        run.read_state(state)
        run.read_options(Options())
        y, final = run.forward()
        if lengths is None and resets is None:
            self._bound.remember(x, state, reverse)
        return y, final

    def bound_run(self, x: Any, state: Any, reverse: bool) -> Bound | None:
        """Return what has run these sequences on memory of its own; parameters are those of `rnn`.

        Its results are to be copied, and then it is to be put back.  None for sequences that are
        not small, or whose shape has not come before.
        """
        bound = self._bound.take(x, state, reverse)
        if bound is not None:
            bound.run(x, state)
        return bound

    def stream(self, B: int = 1) -> Stream:
        """Return `B` independent streams, from zero states."""
        return Stream(self._weights, B)


class Stream:
    """Independent streams that go on step by step.

    A step allocates nothing, except with layer normalisation.  Made by `Frozen.stream`.  One thread
    at a time may use it.
    """

    def __init__(self, weights: Weights, B: int) -> None:
        if isinstance(B, bool) or not isinstance(B, int) or B < 1:
            raise ValueError(f"B: expected an int of at least 1, got {B!r}")
        self._weights, self._B = weights, B
        tile, H, dtype = weights.tile, weights.H, weights.dtype
        gates, states = len(weights.cell.GATES), len(weights.cell.STATES)
        table, ids = weights.table, None
        self._x = buffers.zeros((B, weights.I), dtype)
        if table is not None:
            self._x = ids = buffers.zeros((B,), np.int32)
        # The rows before the step and those after it.
        self._h = buffers.zeros((2 * B, weights.features), dtype)
        self._before, self._after = self._h[:B], self._h[B:]
        self._extra = buffers.zeros((states - 1, B, tile.padded), dtype)
        if weights.is_normalised:
            self._run: Callable[[], None] = self._run_anew
            return
        inner = weights.inner()
        gate_rows = operand = None
        if inner is not None:
            gate_rows = buffers.empty((tile.all.number, B, tile.all.width), dtype)
        if inner is not None or projects(type(weights.cell)):
            operand = buffers.empty((B, H), dtype)
        loop = plan.Loop(1, B, B, weights.I, H, gates, tile.all.number, dtype.itemsize)
        chosen = plan.plan(loop)
        steps = even_steps(1, B)
        barrier = buffers.zeros((chosen.slices, 8), np.int64) if chosen.members > 1 else None
        given = {
            "T": 1, "B": B, "I": weights.I, "H": H, "features": weights.features,
            "units": tile.units, "panels": tile.all.number, "N": B,
            "rows": steps.rows, "slices": chosen.slices, "splits": splits(steps, chosen.slices),
            "barrier": barrier, "x": self._x, "x_step": np.zeros(1, np.int64), "x_row": weights.I,
            "ids": None, "table": None, "table_rows": 0, "W": weights.input(),
            "R": weights.recurrent(), "inner": inner, "bias": weights.bias(),
            "h": self._h, "h_row": weights.features, "extra": self._extra,
            "gates": gate_rows, "gates_rows": B, "operand": operand,
            "mask": None, "mask_step": None, "mask_row": 0, "masked": None,
            "zone": None, "raw": None, "saving": 0,
        }  # fmt: skip
        if table is not None:
            given |= dict.fromkeys(("x", "x_step", "W", "bias"))
            given |= {"ids": ids, "table": weights.looked_up(table), "table_rows": len(table)}
        arguments: Any = None
        if projects(type(weights.cell)):
            arguments = scan.ProjectedScan(**given | weights.projection(), zone_h=None)
        else:
            arguments = scan.Scan(**given)
        prepared = scan.forward.prepare(weights.cell, arguments, chosen.workers)
        self._run = prepared.team if chosen.members > 1 else prepared.run

    def step(self, x: ArrayLike) -> Array:
        """Push one step.

        Parameters
        ----------
        x : (B, I) array
            Of the weights' dtype; (B,) integers where the weights have a table.

        Returns
        -------
        h : (B, H) array
            Overwritten by the next step: copy it to keep it.

        Raises
        ------
        ValueError, TypeError
            If x does not fit.
        """
        if self._weights.table is not None:
            array: Array = _validate.ids_array("x", x, self._x.shape, len(self._weights.table))
        else:
            array = np.asarray(x)
        if array.shape != self._x.shape or array.dtype != self._x.dtype:
            wanted = f"{self._x.shape} {self._x.dtype}"
            raise ValueError(f"x: expected {wanted}, got {_validate.describe(array)}")
        np.copyto(self._x, array)
        np.copyto(self._before, self._after)
        self._run()
        return self._after

    def _run_anew(self) -> None:
        """Run one step as a sequence."""
        self.run(self._x[None])

    def run(self, x: ArrayLike) -> Array:
        """Push a chunk of steps at once, x (T, B, I) or (T, B); return h of each, (T, B, H)."""
        run = run_of(self._weights, False)
        run.read_input(x, None, None, False)
        run.read_state(self.state)
        run.read_options(Options())
        y, final = run.forward()
        self.state = final
        return y

    @property
    def state(self) -> tuple[Array, ...]:
        """The present states, (B, H) each, in the order of the cell's STATES; can be set."""
        H = self._weights.H
        return (self._after.copy(), *(extra[:, :H].copy() for extra in self._extra))

    @state.setter
    def state(self, values: tuple[ArrayLike, ...]) -> None:
        """Go on from other states."""
        names = self._weights.cell.STATES
        if not isinstance(values, tuple | list) or len(values) != len(names):
            got = _validate.describe(values)
            raise ValueError(f"state: expected {len(names)} arrays ({', '.join(names)}), got {got}")
        widths = zip(values, self._weights.widths, strict=True)
        arrays = [
            self._weights.same(f"state[{i}]", value, (self._B, width))
            for i, (value, width) in enumerate(widths)
        ]
        np.copyto(self._after, arrays[0])
        for extra, array in zip(self._extra, arrays[1:], strict=True):
            extra[:, : array.shape[1]] = array

    def reset(self, streams: ArrayLike | None = None) -> None:
        """Start streams anew from zero states.

        Parameters
        ----------
        streams : integers or (B,) bools, optional
            Which of them; all if not given.
        """
        chosen = slice(None) if streams is None else np.asarray(streams)
        self._after[chosen] = 0
        self._extra[:, chosen] = 0
