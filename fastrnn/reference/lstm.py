"""Long short-term memory with forget gates, in float64 NumPy.

Hochreiter & Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8), 1997; the forget
gate from Gers, Schmidhuber & Cummins, "Learning to Forget: Continual Prediction with LSTM",
Neural Computation 12(10), 2000. For one step of the rows that still run::

    (1)  a = x W + h_prev R + b         split into a_i, a_f, a_g, a_o
    (2)  i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
    (3)  g = tanh(a_g)
    (4)  c = f * c_prev + i * g
    (5)  h = o * tanh(c)                y = h
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrnn.reference.float64 import Array, as_float64
from fastrnn.reference.sequence import Gradients, States, sigmoid, steps_of_rows

GATES = ("i", "f", "g", "o")
STATES = ("h", "c")


class Saved(NamedTuple):
    """What `backward` needs; entries of `gates` beyond a row's length stay zero, unread."""

    x: Array  # (T, B, I)
    W: Array  # (I, 4H)
    R: Array  # (H, 4H)
    lengths: NDArray[np.intp]  # (B,)
    gates: Array  # (4, T, B, H), activated
    h: Array  # (T+1, B, H), before each step and after the last
    c: Array  # (T+1, B, H)


def forward(
    x: ArrayLike,
    W: ArrayLike,
    R: ArrayLike,
    b: ArrayLike,
    state: tuple[ArrayLike, ...],
    lengths: ArrayLike | None = None,
) -> tuple[Array, States, Saved]:
    """Run an LSTM over time.

    Parameters
    ----------
    x : array (T, B, I)
        Input, time-major. Never read beyond a row's length.
    W, R, b : arrays (I, 4H), (H, 4H), (4H,)
        Input weights, recurrent weights and bias; gates in the order of `GATES`.
    state : tuple of two arrays (B, H)
        Initial `h` and `c`.
    lengths : integer array (B,), optional
        Row `n` runs `lengths[n]` steps, 0 to T; all T by default.

    Returns
    -------
    y : float64 array (T, B, H)
        `h` after every step, 0 beyond a row's length.
    state_T : tuple of two float64 arrays (B, H)
        `h` and `c` after each row's last step; the initial ones where the length is 0.
    saved : Saved
        For `backward`. Shares memory with those inputs that were float64 already.
    """
    x, W, R, b = as_float64(x), as_float64(W), as_float64(R), as_float64(b)
    h0, c0 = as_float64(state[0]), as_float64(state[1])
    T, B, _ = x.shape
    H = len(R)
    lengths = steps_of_rows(lengths, T, B)

    y = np.zeros((T, B, H))
    gates = np.zeros((4, T, B, H))
    h = np.zeros((T + 1, B, H))
    c = np.zeros((T + 1, B, H))
    h[0], c[0] = h0, c0

    for t in range(T):
        rows = lengths > t
        a = x[t, rows] @ W + h[t, rows] @ R + b  # (1)
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)  # (2)
        g = np.tanh(a_g)  # (3)
        gates[:, t, rows] = i, f, g, o

        # A row that has ended carries its states to the end of the batch.
        h[t + 1], c[t + 1] = h[t], c[t]
        c[t + 1, rows] = f * c[t, rows] + i * g  # (4)
        h[t + 1, rows] = o * np.tanh(c[t + 1, rows])  # (5)
        y[t, rows] = h[t + 1, rows]

    return y, (h[T].copy(), c[T].copy()), Saved(x, W, R, lengths, gates, h, c)


def backward(saved: Saved, dy: ArrayLike, dstate: tuple[ArrayLike, ...]) -> Gradients:
    """Propagate the gradients of `forward`'s results to its inputs.

    Parameters
    ----------
    saved : Saved
        From `forward`.
    dy : array (T, B, H)
        Gradient of `y`. Never read beyond a row's length.
    dstate : tuple of two arrays (B, H)
        Gradients of the final `h` and `c`.

    Returns
    -------
    Gradients
        Float64: `x` (T, B, I), 0 beyond a row's length; `W` (I, 4H), `R` (H, 4H), `b` (4H,);
        `states`, the gradients (B, H) of the initial `h` and `c`.
    """
    x, W, R, lengths, gates, h, c = saved
    dy = as_float64(dy)
    dh, dc = as_float64(dstate[0]).copy(), as_float64(dstate[1]).copy()

    dx = np.zeros_like(x)
    dW = np.zeros_like(W)
    dR = np.zeros_like(R)
    db = np.zeros(R.shape[1])

    for t in reversed(range(len(x))):
        rows = lengths > t
        i, f, g, o = gates[:, t, rows]
        tanh_c = np.tanh(c[t + 1, rows])

        # dh arrives twice: from y[t], and from step t+1 or the final state; dc likewise.
        dh_t = dy[t, rows] + dh[rows]
        do = dh_t * tanh_c  # (5)
        dc_t = dc[rows] + dh_t * o * (1 - tanh_c**2)  # (5)
        df, di, dg = dc_t * c[t, rows], dc_t * g, dc_t * i  # (4)
        da_g = dg * (1 - g**2)  # (3)
        da_i, da_f, da_o = di * i * (1 - i), df * f * (1 - f), do * o * (1 - o)  # (2)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)

        dx[t, rows] = da @ W.T  # (1)
        dW += x[t, rows].T @ da  # (1)
        dR += h[t, rows].T @ da  # (1)
        db += da.sum(axis=0)  # (1)
        dh[rows] = da @ R.T  # (1)
        dc[rows] = dc_t * f  # (4)

    return Gradients(dx, dW, dR, db, (dh, dc))
