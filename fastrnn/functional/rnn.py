"""Recurrent layers: one call runs all time steps, one call of its closure all backwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastrnn.functional.normalised import run_of
from fastrnn.functional.options import Embedded, Options
from fastrnn.functional.recompute import ChunkedRun, Sequences
from fastrnn.functional.replay import Replay, Replays
from fastrnn.functional.run import Gradients, Run
from fastrnn.functional.weights import Weights

Array = NDArray[Any]
Backward = Callable[..., Gradients]


_replays = Replays()


def rnn(
    cell: Any,
    x: ArrayLike | Embedded,
    W: ArrayLike,
    R: ArrayLike | None,
    b: ArrayLike | None = None,
    state: tuple[ArrayLike | None, ...] | None = None,
    *,
    extra: Mapping[str, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    reverse: bool = False,
    recurrent_mask: ArrayLike | None = None,
    zoneout: tuple[ArrayLike | None, ...] | None = None,
    truncate: int = 0,
    recompute: int | None = None,
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
        Recurrent weights.  Of "lstmp" (S, G * H): its h, and y, have S features where others have
        H.
    b : (G * H,) array, optional
        Bias.
    state : tuple of (B, H) arrays, optional
        Initial states in the order of the cell's STATES; where None, zeros.
    extra : mapping of arrays, optional
        The cell's other weights by name, for those that have any: the projection "P" (H, S) of
        "lstmp"; "gain_x" (G * H,) and "gain_h" (G * H,) of "ln_lstm" and "ln_gru", as the columns
        of W and of R; and "gain_c" (H,) and "bias_c" (H,) of "ln_lstm".
    lengths : (B,) integers in 0..T, optional
        Steps of each sequence.  The output is 0 beyond them, the final state is that of the last
        step, and the cost follows their sum.
    resets : (T, B) bools, optional
        Where true, all states are 0 before the step.  It costs nothing: the parts of a sequence
        run side by side.
    reverse : bool
        Run from the last step of each sequence to its first.
    recurrent_mask : (T, B, H) or (B, H) array, optional
        Factors of the previous h where R meets it, and only there: recurrent dropout, with a mask
        for each step or one for all (Y. Gal and Z. Ghahramani, NeurIPS 2016).
    zoneout : tuple of (T, B, H) arrays, optional
        For each state the share of its change that is made, s = s_prev + z * (s_new - s_prev),
        or None for all of it (D. Krueger et al., ICLR 2017).
    truncate : int, optional
        No gradient of a state flows back into the first, second, ... `truncate` steps of a
        sequence from later ones (truncated backpropagation through time); 0 for never.
    recompute : int, optional
        Keep the states of every `recompute`-th step only, and compute the rest again in backward:
        memory is that of so many steps (besides x, y and their gradients), for the time of one
        more forward pass.
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
        `backward(dy=None, dstate=None, *, dstates=None, wants_norms=False) -> Gradients`, with
        dy (T, B, H), dstate a tuple like `state` whose entries may be None, and dstates likewise
        gradients (T, B, H) of all states after every step, of which `backward.states()` returns
        the values.  It overwrites what was saved and so runs once, and the arguments of the call
        must not have changed before it does.

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
    has_plain_steps = lengths is None and resets is None and recompute is None and not truncate
    kind = None
    if has_plain_steps and extra is None and recurrent_mask is None and zoneout is None:
        kind, replay = _replays.find(cell, x, (W, R, b), reverse, training)
        if replay is not None:
            return *replay.forward(x, (W, R, b), state), _backward_once(replay, wants_dx)
    weights = Weights(cell, W, R, b, extra)
    options = Options(recurrent_mask, zoneout, truncate)
    if recompute is not None and training:
        chunks = ChunkedRun(weights, recompute)
        chunks.read(Sequences(x, lengths, resets, reverse), state, options)
        y, final = chunks.forward()
        return y, final, _backward_once(chunks, wants_dx)
    run = run_of(weights, training)
    run.read_input(x, lengths, resets, reverse)
    run.read_state(state)
    run.read_options(options)
    y, final, made = _replays.forward(kind, run, x)
    return y, final, _backward_once(made, wants_dx)


def _backward_once(run: Run | Replay | ChunkedRun, wants_dx: bool) -> Backward:
    is_spent = False

    def backward(
        dy: ArrayLike | None = None,
        dstate: tuple[ArrayLike | None, ...] | None = None,
        *,
        dstates: tuple[ArrayLike | None, ...] | None = None,
        wants_norms: bool = False,
    ) -> Gradients:
        nonlocal is_spent
        if not run.training:
            raise RuntimeError("backward: nothing was saved; call rnn with training=True")
        if is_spent:
            raise RuntimeError("backward: it has run already and overwrote what was saved")
        cotangents = run.read_cotangents(dy, dstate, dstates)
        is_spent = True
        return run.backward(*cotangents, wants_dx, wants_norms)

    backward.states = run.states  # type: ignore[attr-defined]
    return backward
