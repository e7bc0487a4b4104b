"""Recurrent layers: one call runs all time steps, one call of its closure all backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

from fastrnn import _validate
from fastrnn.functional.gradients import Gradients
from fastrnn.functional.normalised import run_of
from fastrnn.functional.options import Embedded, Options, Packed
from fastrnn.functional.recompute import ChunkedRun, Sequences
from fastrnn.functional.replay import Replay, Replays
from fastrnn.functional.run import Run
from fastrnn.functional.weights import Weights
from fastrnn.kernels.cpu.recording import run_side_by_side
from fastrnn.kernels.cpu.threads import get_num_threads

Array = NDArray[Any]

_replays = Replays()


def rnn(
    cell: Any,
    x: ArrayLike | Embedded | Packed,
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
    x : (T, B, I) array, Embedded or Packed
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
        `backward(dy=None, dstate=None, *, dstates=None, wants_norms=False, wants_dstate=True) ->
        Gradients`, with dy (T, B, H), dstate a tuple like `state` whose entries may be None, and
        dstates likewise gradients (T, B, H) of all states after every step, of which
        `backward.states()` returns the values.  Without `wants_dstate` the gradients of the
        initial states are left out.  It overwrites what was saved and so runs once, and the
        arguments of the call must not have changed before it does.

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
    if has_plain_steps and extra is None and zoneout is None:
        kind, replay = _replays.find(cell, x, (W, R, b), recurrent_mask, reverse, training)
        if replay is not None:
            outputs = replay.forward(x, (W, R, b), recurrent_mask, state)
            return *outputs, Backward(replay, wants_dx)
    weights = Weights(cell, W, R, b, extra)
    options = Options(recurrent_mask, zoneout, truncate)
    if isinstance(x, Packed):
        others = {
            "lengths": lengths, "resets": resets, "recurrent_mask": recurrent_mask,
            "zoneout": zoneout, "recompute": recompute,
        }  # fmt: skip
        for name, value in others.items():
            if value is not None:
                got = _validate.describe(value)
                raise ValueError(f"{name}: expected None for packed input, got {got}")
    if recompute is not None and training:
        chunks = ChunkedRun(weights, recompute)
        chunks.read(Sequences(x, lengths, resets, reverse), state, options)
        y, final = chunks.forward()
        return y, final, Backward(chunks, wants_dx)
    run = run_of(weights, training)
    run.read_input(x, lengths, resets, reverse)
    run.read_state(state)
    run.read_options(options)
    y, final, made = _replays.forward(kind, run, x, recurrent_mask)
    return y, final, Backward(made, wants_dx)


def rnn_both_ways(
    cell: Any,
    x: ArrayLike | Embedded,
    weights: Sequence[tuple[Any, Any, Any, Any]],
    state: Sequence[Any],
    *,
    lengths: ArrayLike | None = None,
    resets: ArrayLike | None = None,
    training: bool = True,
    wants_dx: bool = True,
) -> list[tuple[Array, tuple[Array, ...], Backward]]:
    """Return the results of `rnn` forwards, and of `rnn` with other weights backwards.

    Small runs of few sequences that have come before are made at the same time, on a thread each:
    by itself a run would share its hidden units between threads, which meet at every step.

    Parameters
    ----------
    cell, x, lengths, resets, training, wants_dx
        As `rnn` takes them, (T, B, I) input.
    weights : two tuples (W, R, b, extra)
    state : two tuples of (B, H) arrays, or None

    Raises
    ------
    ValueError, TypeError
        As `rnn`.
    """
    if lengths is None and resets is None and get_num_threads() > 1:
        replays = [
            None if extra else _replays.find(cell, x, (W, R, b), None, n == 1, training)[1]
            for n, (W, R, b, extra) in enumerate(weights)
        ]
        there, back = replays
        if there is not None and back is not None and there.is_narrow and back.is_narrow:
            run_side_by_side([
                replay.begin(x, matrices[:3], None, initial)
                for replay, matrices, initial in zip((there, back), weights, state, strict=True)
            ])  # fmt: skip
            return [(*replay.end(), Backward(replay, wants_dx)) for replay in (there, back)]
        for replay in replays:
            if replay is not None:
                replay.put_back()
    return [
        rnn(
            cell, x, W, R, b, initial, extra=extra, lengths=lengths, resets=resets,
            reverse=n == 1, training=training, wants_dx=wants_dx,
        )
        for n, ((W, R, b, extra), initial) in enumerate(zip(weights, state, strict=True))
    ]  # fmt: skip


class Backward:
    """Turns gradients of what `rnn` returned into gradients of its arguments, once."""

    def __init__(self, run: Run | Replay | ChunkedRun, wants_dx: bool) -> None:
        self._run = run
        self._wants_dx = wants_dx
        self._is_spent = False

    def __call__(
        self,
        dy: ArrayLike | None = None,
        dstate: tuple[ArrayLike | None, ...] | None = None,
        *,
        dstates: tuple[ArrayLike | None, ...] | None = None,
        wants_norms: bool = False,
        wants_dstate: bool = True,
    ) -> Gradients:
        """Return the gradients; see `rnn`."""
        given = self._read(dy, dstate, dstates)
        return self._run.backward(*given, self._wants_dx, wants_norms, wants_dstate=wants_dstate)

    def states(self) -> tuple[Array, ...]:
        """Return all states after every step, (T, B, H) each, before the gradients."""
        return self._run.states()

    def _read(self, *cotangents: Any) -> tuple[Any, Any, Any]:
        if not self._run.training:
            raise RuntimeError("backward: nothing was saved; call rnn with training=True")
        if self._is_spent:
            raise RuntimeError("backward: it has run already and overwrote what was saved")
        given = self._run.read_cotangents(*cotangents)
        self._is_spent = True
        return given

    @staticmethod
    def both(
        backwards: Sequence[Backward], dy: Sequence[Any], dstate: Sequence[Any]
    ) -> list[Gradients]:
        """Return the gradients of what `rnn_both_ways` returned, of both runs at once if small.

        backwards     of one direction or two
        dy, dstate    for each of them, as a call takes them
        """
        given = [b._read(d, ds, None) for b, d, ds in zip(backwards, dy, dstate, strict=True)]
        runs = [b._run for b in backwards]
        wants_dx = backwards[0]._wants_dx
        # A run by itself is faster on all threads.
        if len(runs) == 2 and all(isinstance(run, Replay) and run.is_narrow for run in runs):
            replays: Any = runs
            if get_num_threads() > 1 and all(
                replay.has_walk(*each, wants_dx)
                for replay, each in zip(replays, given, strict=True)
            ):
                begun = [
                    replay.begin_backward(*each, wants_dx, False)
                    for replay, each in zip(replays, given, strict=True)
                ]
                run_side_by_side([each.calls for each in begun])
                return [r.end_backward(each) for r, each in zip(replays, begun, strict=True)]
        return [run.backward(*each, wants_dx, False) for run, each in zip(runs, given, strict=True)]
