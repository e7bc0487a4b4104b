"""Recurrent layers in NumPy, as fast as NumPy allows.

The input's products of all steps are one matrix product; a step is one more, and a few whole-array
operations in place, in buffers that are made once.  Backward is as much: one product a step, then
three large ones.  Sequences of unequal lengths are ordered by length and their steps packed one
after the other, so that the work follows the sum of the lengths.

Letters as in `fastrnn`: T time, B sequences, N steps of all sequences, I input, H hidden units.
Matrices have their gates in an order of their own, in which what is treated alike stands together.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..data import Array, Weights


class Rows:
    """Where the steps of all sequences stand, one time step after the other.

    Step t takes the rows `slices[t]`, for as many of the sequences, longest first.
    """

    def __init__(self, T: int, B: int, steps: Array | None) -> None:
        self.T, self.B = T, B
        self.order = None if steps is None else np.argsort(-steps, kind="stable")
        ends = np.full(B, T) if steps is None else steps
        counts = (ends > np.arange(T)[:, None]).sum(axis=1)
        offsets = np.concatenate([[0], np.cumsum(counts)]).tolist()
        self.slices = [slice(a, b) for a, b in pairwise(offsets)]
        self.counts: list[int] = counts.tolist()
        self.N: int = offsets[-1]
        if self.order is not None:
            places = [t * B + self.order[:count] for t, count in enumerate(self.counts)]
            self._places = np.concatenate(places)

    def pack(self, array: Array) -> Array:
        """Return the rows (N, F) of `array` (T, B, F)."""
        flat = array.reshape(self.T * self.B, -1)
        return flat if self.order is None else flat[self._places]

    def unpack(self, rows: Array) -> Array:
        """Return (T, B, F), 0 beyond the lengths, from rows (N, F)."""
        if self.order is None:
            return rows.reshape(self.T, self.B, -1)
        array = np.zeros((self.T * self.B, rows.shape[1]), rows.dtype)
        array[self._places] = rows
        return array.reshape(self.T, self.B, -1)

    def times(self, *, backwards: bool) -> range:
        """Return the time steps in the order in which they are run."""
        return range(self.T - 1, -1, -1) if backwards else range(self.T)


class Loop:
    """One layer in one direction: buffers, and the time loop that the cells fill in."""

    #: Names of the gates in fastrnn's order, and in the order of W, R and b here.
    GIVEN: tuple[str, ...]
    OF_W: tuple[str, ...]
    OF_R: tuple[str, ...]

    def __init__(
        self, weights: Weights, rows: Rows, *, reverse: bool = False, training: bool
    ) -> None:
        self.rows, self._reverse, self._training = rows, reverse, training
        self.H = H = len(weights.R)
        self.W = _columns(weights.W, self.GIVEN, self.OF_W)
        self.R = _columns(weights.R, self.GIVEN, self.OF_R)
        dtype = self.W.dtype
        self._empty = lambda *shape: np.empty(shape, dtype)
        self.b, self.b_h = self._biases(weights.b)
        N, B = rows.N, rows.B
        self.gates = self._empty(N, self.W.shape[1])
        self.product = self._empty(B, self.R.shape[1])
        self.scratch = self._empty(B, H)
        self.h, self.y = np.zeros((B, H), dtype), self._empty(N, H)
        if training:
            self.h_before = self._empty(N, H)
            self.dh = self._empty(B, H)
            self.ones = np.ones(N, dtype)
        self._allocate(N, B)

    def _biases(self, b: Array) -> tuple[Array, Any]:
        """Return what is added to x @ W, and to h @ R."""
        return _columns(b, self.GIVEN, self.OF_W), None

    def _allocate(self, N: int, B: int) -> None:
        """Make the cell's own buffers."""

    def _begin(self) -> None:
        """Start from zero states."""
        self.h[:] = 0

    def forward(self, x: Array, *, goes_on: bool = False) -> Array:
        """Return y (N, H) of x (N, I); from the last states if it `goes_on`."""
        self.x = x
        np.matmul(x, self.W, out=self.gates)
        self.gates += self.b
        if not goes_on:
            self._begin()
        for t in self.rows.times(backwards=self._reverse):
            n, rows = self.rows.counts[t], self.rows.slices[t]
            h, product = self.h[:n], self.product[:n]
            if self._training:
                self.h_before[rows] = h
            np.matmul(h, self.R, out=product)
            self._step(rows, n, self.gates[rows], product, h)
            self.y[rows] = h
        return self.y

    def _step(self, rows: slice, n: int, a: Array, product: Array, h: Array) -> None:
        """Replace the n first states by those after a step."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        """Return dx (N, I) of dy (N, H); `gradients` then has the rest."""
        self.dh[:] = 0
        self._begin_backward()
        for t in self.rows.times(backwards=not self._reverse):
            n, rows = self.rows.counts[t], self.rows.slices[t]
            dh = self.dh[:n]
            dh += dy[rows]
            self._step_backward(rows, n, dh)
        d_W, d_R = self._gate_gradients()
        self._dW, self._dR = self.x.T @ d_W, self.h_before.T @ d_R
        self._db = self.ones @ d_W
        return d_W @ self.W.T

    def _begin_backward(self) -> None:
        pass

    def _step_backward(self, rows: slice, n: int, dh: Array) -> None:
        """Go one step back: dh becomes the gradient of h before the step."""
        raise NotImplementedError

    def _gate_gradients(self) -> tuple[Array, Array]:
        """Return the gradients (N, gates * H) of x @ W and of h @ R."""
        return self.gates, self.gates

    def parameters(self) -> list[Array]:
        """Return the arrays that are trained."""
        return [self.W, self.R, self.b]

    def gradients(self) -> list[Array]:
        """Return their gradients."""
        return [self._dW, self._dR, self._db]

    def in_given_order(self, W: Array, R: Array, b: Array, *rest: Array) -> tuple[Any, Any, Any]:
        """Return parameters, or their gradients, in fastrnn's layouts."""
        return (
            _columns(W, self.OF_W, self.GIVEN),
            _columns(R, self.OF_R, self.GIVEN),
            _columns(b, self.OF_W, self.GIVEN),
        )


def _columns(array: Any, given: tuple[str, ...], wanted: tuple[str, ...]) -> Array:
    """Return the gates of `array` (..., gates * H) in another order."""
    parts = dict(zip(given, np.split(array, len(given), axis=-1), strict=True))
    return np.concatenate([parts[name] for name in wanted], axis=-1)


def _sigmoid(a: Array) -> None:
    """sigmoid(a) = tanh(a / 2) / 2 + 1 / 2, in place: NumPy's tanh is vectorised."""
    a *= 0.5
    np.tanh(a, out=a)
    a *= 0.5
    a += 0.5


class LSTM(Loop):
    """Gates i f o, then g."""

    GIVEN = ("i", "f", "g", "o")
    OF_W = OF_R = ("i", "f", "o", "g")

    def _allocate(self, N: int, B: int) -> None:
        H = self.H
        self.c = np.zeros_like(self.h)
        self.tanh_c = self._empty(N if self._training else B, H)
        if self._training:
            self.c_before = self._empty(N, H)
            self.dc = self._empty(B, H)
            self.slopes = self._empty(B, 3 * H)

    def _begin(self) -> None:
        self.h[:] = 0
        self.c[:] = 0

    def _step(self, rows: slice, n: int, a: Array, product: Array, h: Array) -> None:
        H, c, scratch = self.H, self.c[:n], self.scratch[:n]
        tanh_c = self.tanh_c[rows] if self._training else self.tanh_c[:n]
        a += product
        _sigmoid(a[:, : 3 * H])
        i, f, o, g = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
        np.tanh(g, out=g)
        if self._training:
            self.c_before[rows] = c
        c *= f
        np.multiply(i, g, out=scratch)
        c += scratch
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)

    def _begin_backward(self) -> None:
        self.dc[:] = 0

    def _step_backward(self, rows: slice, n: int, dh: Array) -> None:
        # The gates of the step are overwritten by their gradients.
        H, a, dc = self.H, self.gates[rows], self.dc[:n]
        i, f, o, g = a[:, :H], a[:, H : 2 * H], a[:, 2 * H : 3 * H], a[:, 3 * H :]
        tanh_c, scratch, slopes = self.tanh_c[rows], self.scratch[:n], self.slopes[:n]
        gates = a[:, : 3 * H]
        np.multiply(gates, gates, out=slopes)
        np.subtract(gates, slopes, out=slopes)  # sigmoid' = s - s * s
        np.multiply(tanh_c, tanh_c, out=scratch)
        np.subtract(1.0, scratch, out=scratch)
        scratch *= o
        scratch *= dh
        dc += scratch
        np.multiply(dh, tanh_c, out=o)
        np.multiply(dc, f, out=scratch)  # dc of the step before
        np.multiply(dc, self.c_before[rows], out=f)
        np.multiply(dc, g, out=dh)
        dc *= i
        np.multiply(g, g, out=g)
        np.subtract(1.0, g, out=g)
        g *= dc
        i[:] = dh
        gates *= slopes
        dc[:] = scratch
        np.matmul(a, self.R.T, out=dh)


class GRU(Loop):
    """Gates n r z of x @ W, r z n of h @ R: the gradients n_x r z n_h hold both, side by side."""

    GIVEN = ("r", "z", "n")
    OF_W, OF_R = ("n", "r", "z"), ("r", "z", "n")

    def _biases(self, b: Array) -> tuple[Array, Any]:
        r, z, n_x, n_h = np.split(b, 4)
        return np.concatenate([n_x, r, z]), n_h.copy()

    def _allocate(self, N: int, B: int) -> None:
        if self._training:
            self.n_h = self._empty(N, self.H)
            self.d = self._empty(N, 4 * self.H)
            self.slopes = self._empty(B, 2 * self.H)

    def _step(self, rows: slice, n: int, a: Array, product: Array, h: Array) -> None:
        H, scratch = self.H, self.scratch[:n]
        candidate, gates, n_h = a[:, :H], a[:, H:], product[:, 2 * H :]
        gates += product[:, : 2 * H]
        _sigmoid(gates)
        r, z = gates[:, :H], gates[:, H:]
        n_h += self.b_h
        if self._training:
            self.n_h[rows] = n_h
        n_h *= r
        candidate += n_h
        np.tanh(candidate, out=candidate)
        np.subtract(h, candidate, out=scratch)
        scratch *= z
        np.add(candidate, scratch, out=h)  # h = n + z * (h - n)

    def _step_backward(self, rows: slice, n: int, dh: Array) -> None:
        H, a, d = self.H, self.gates[rows], self.d[rows]
        candidate, gates = a[:, :H], a[:, H:]
        r, z = gates[:, :H], gates[:, H:]
        scratch, slopes = self.scratch[:n], self.slopes[:n]
        dn_x, dr, dz, dn_h = d[:, :H], d[:, H : 2 * H], d[:, 2 * H : 3 * H], d[:, 3 * H :]
        np.multiply(gates, gates, out=slopes)
        np.subtract(gates, slopes, out=slopes)
        np.subtract(self.h_before[rows], candidate, out=dz)
        dz *= dh
        np.multiply(candidate, candidate, out=dn_x)
        np.subtract(1.0, dn_x, out=dn_x)
        np.subtract(1.0, z, out=scratch)
        scratch *= dh
        dn_x *= scratch
        np.multiply(dn_x, self.n_h[rows], out=dr)
        d[:, H : 3 * H] *= slopes
        np.multiply(dn_x, r, out=dn_h)
        np.multiply(dh, z, out=scratch)
        np.matmul(d[:, H:], self.R.T, out=dh)
        dh += scratch

    def _gate_gradients(self) -> tuple[Array, Array]:
        return self.d[:, : 3 * self.H], self.d[:, self.H :]

    def backward(self, dy: Array) -> Array:
        """Return dx (N, I) of dy (N, H); `gradients` then has the rest."""
        dx = super().backward(dy)
        self._db_h = self.ones @ self.d[:, 3 * self.H :]
        return dx

    def parameters(self) -> list[Array]:
        """Return the arrays that are trained."""
        return [*super().parameters(), self.b_h]

    def gradients(self) -> list[Array]:
        """Return their gradients."""
        return [*super().gradients(), self._db_h]

    def in_given_order(self, W: Array, R: Array, b: Array, *rest: Array) -> tuple[Any, Any, Any]:
        """Return parameters, or their gradients, in fastrnn's layouts."""
        n, r, z = np.split(b, 3)
        W, R, _ = super().in_given_order(W, R, b)
        return W, R, np.concatenate([r, z, n, *rest])


class RNN(Loop):
    """tanh."""

    GIVEN = OF_W = OF_R = ("n",)

    def _step(self, rows: slice, n: int, a: Array, product: Array, h: Array) -> None:
        product += a
        np.tanh(product, out=h)

    def _step_backward(self, rows: slice, n: int, dh: Array) -> None:
        y, d = self.y[rows], self.gates[rows]
        np.multiply(y, y, out=d)
        np.subtract(1.0, d, out=d)
        d *= dh
        np.matmul(d, self.R.T, out=dh)


LOOPS: dict[str, type[Loop]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}
