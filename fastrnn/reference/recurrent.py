"""The time loop that the references of all cells share; gradients come from `autodiff`.

A cell is its formula for one step. With every option, step t = 0, 1, ... of a row is::

    (1)  s_prev = the states after step t-1, without their gradient where t % truncate == 0
    (2)  s_prev = 0                                 where resets[t]
    (3)  h = h_prev * recurrent_mask[t]             for the products with R, nowhere else
    (4)  s_new = step(x[t], h, s_prev)
    (5)  s = s_prev + zoneout[t] * (s_new - s_prev)
    (6)  y[t] = h of s
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastrnn.reference.activations import Activation, Function, function
from fastrnn.reference.autodiff import Mask, Node, propagate, put, take, where
from fastrnn.reference.float64 import Array, as_float64

States = tuple[Array, ...]
Nodes = tuple[Node, ...]
Functions = tuple[Function, ...]


class Gradients(NamedTuple):
    """Gradients of a cell's inputs, each of its input's shape; `states` of the initial states."""

    x: Array
    W: Array
    R: Array | None
    b: Array
    states: States
    extra: dict[str, Array]


class Weights(NamedTuple):
    """The weights of a cell as nodes; R is empty for a cell without, and is not to be used."""

    W: Node
    R: Node
    b: Node
    extra: dict[str, Node]


class Step(NamedTuple):
    """One step: the rows that ran it, their input, and the states after it of all rows."""

    rows: Mask  # (B,)
    x: Node  # (N, I), of the N rows that ran
    states: Nodes  # (B, H) each; rows that have ended carry theirs along


class Saved(NamedTuple):
    """What `backward` needs."""

    weights: Weights
    initial: Nodes  # (B, H) each
    steps: list[Step]  # T
    shape: tuple[int, ...]  # of x
    states: States  # (T, B, H) each, after every step, 0 beyond a row's length


class Cell:
    """A recurrent cell.

    Subclasses give the names below, `h` first among the states, and `step`.
    """

    #: Names of the pre-activations of a hidden unit, in the order of b.
    GATES: tuple[str, ...]
    #: Those that x reaches through W, in the order of its columns.
    INPUT: tuple[str, ...]
    #: Those that the previous h reaches through R, in the order of its columns; () without R.
    RECURRENT: tuple[str, ...]
    #: Those of b: all of them.
    BIAS: tuple[str, ...]
    STATES: tuple[str, ...]
    #: Default of the option `activations`; () if they are not to be chosen.
    ACTIVATIONS: tuple[str, ...] = ()
    #: Names of the weights in the option `extra`.
    EXTRA: tuple[str, ...] = ()

    def step(self, weights: Weights, x: Node, h: Node, state: Nodes, functions: Functions) -> Nodes:
        """Return the states (N, H) after one step of N rows.

        x (N, I) input; h (N, H) the previous h as the products with R meet it; state (N, H)
        each, the previous states; functions, the activations in the order of `ACTIVATIONS`.
        """
        raise NotImplementedError

    def forward(
        self,
        x: ArrayLike,
        W: ArrayLike,
        R: ArrayLike | None,
        b: ArrayLike,
        state: Sequence[ArrayLike],
        lengths: ArrayLike | None = None,
        *,
        extra: Mapping[str, ArrayLike] | None = None,
        activations: Sequence[Activation] | None = None,
        clip: float | None = None,
        resets: ArrayLike | None = None,
        recurrent_mask: ArrayLike | None = None,
        zoneout: Sequence[ArrayLike | None] | None = None,
        truncate: int | None = None,
    ) -> tuple[Array, States, Saved]:
        """Run the cell over time.

        Where h has another size than the hidden units (`lstmp`), it is that of h which counts
        for y, the rows of R, and everything that belongs to h.

        Parameters
        ----------
        x : array (T, B, I)
            Input, time-major. This and every array with an axis T is never read beyond a row's
            length.
        W : array (I, len(INPUT) * H)
            Input weights; gates in the order of `INPUT`.
        R : array (H, len(RECURRENT) * H), or None
            Recurrent weights in the order of `RECURRENT`; None where that is empty.
        b : array (len(BIAS) * H,)
            Biases, and other numbers of each hidden unit, in the order of `BIAS`.
        state : tuple of arrays (B, H)
            Initial states in the order of `STATES`.
        lengths : integer array (B,), optional
            Row `n` runs `lengths[n]` steps, 0 to T; all T by default.
        extra : mapping of arrays, optional
            The cell's other weights by the names in `EXTRA`; their shapes stand there.
        activations : sequence, optional
            One for each of `ACTIVATIONS`: "tanh" or ("elu", alpha), see
            `fastrnn.reference.activations`.
        clip : float, optional
            The argument of every activation is clipped to [-clip, clip] before it.
        resets : bool array (T, B), optional
            Where true, all states are zero before the step, whatever they were.
        recurrent_mask : array (T, B, H) or (B, H), optional
            Factors of the previous h where it meets R, and only there.
        zoneout : tuple of arrays (T, B, H) or None, optional
            For each state, factors of its change in every step: 0 keeps the old state.
        truncate : int, optional
            No gradient of any state flows from step t + 1 back to step t where t + 1 is a
            multiple of this, t = 0 being the first step. Those of the initial states get through.

        Returns
        -------
        y : float64 array (T, B, H)
            h after every step, 0 beyond a row's length.
        state_T : tuple of float64 arrays (B, H)
            States after each row's last step; the initial ones where the length is 0.
        saved : Saved
            For `backward`. `saved.states` are the states (T, B, H) after every step, 0 beyond a
            row's length. Shares memory with those inputs that were float64 already.

        Raises
        ------
        ValueError
            For options that the cell does not have: `activations` or `clip` where `ACTIVATIONS`
            is empty, `recurrent_mask` where `RECURRENT` is.
        """
        if not self.ACTIVATIONS and not (activations is None and clip is None):
            raise ValueError("activations, clip: this cell's activations are fixed")
        if not self.RECURRENT and recurrent_mask is not None:
            raise ValueError("recurrent_mask: this cell has no R")
        pairs = zip(self.ACTIVATIONS, activations or self.ACTIVATIONS, strict=True)
        functions = tuple(function(chosen, clip) for _, chosen in pairs)

        x = as_float64(x)
        T, B, _ = x.shape
        ends = np.full(B, T) if lengths is None else np.asarray(lengths)
        weights = Weights(
            Node(W),
            Node(np.zeros((0, 0)) if R is None else R),
            Node(b),
            {name: Node((extra or {})[name]) for name in self.EXTRA},
        )
        initial = tuple(map(Node, state))
        reset = None if resets is None else np.asarray(resets)[..., None]
        masks = None if recurrent_mask is None else as_float64(recurrent_mask)
        if masks is not None and masks.ndim == 2:
            masks = np.broadcast_to(masks, (T, *masks.shape))
        zones = [None if z is None else as_float64(z) for z in zoneout or [None] * len(initial)]

        steps: list[Step] = []
        states = initial
        for t in range(T):
            rows = ends > t
            x_t = Node(x[t, rows])
            before = tuple(take(s, rows) for s in states)
            if truncate is not None and t > 0 and t % truncate == 0:
                before = tuple(Node(s.value) for s in before)  # (1)
            if reset is not None:
                before = tuple(where(reset[t, rows], 0.0, s) for s in before)  # (2)
            h = before[0] if masks is None else before[0] * masks[t, rows]  # (3)
            after = self.step(weights, x_t, h, before, functions)  # (4)
            after = tuple(
                new if z is None else old + z[t, rows] * (new - old)  # (5)
                for old, new, z in zip(before, after, zones, strict=True)
            )
            states = tuple(put(s, rows, new) for s, new in zip(states, after, strict=True))
            steps.append(Step(rows, x_t, states))

        history = tuple(np.zeros((T, *s.value.shape)) for s in initial)
        for t, step in enumerate(steps):
            for whole, s in zip(history, step.states, strict=True):
                whole[t, step.rows] = s.value[step.rows]
        saved = Saved(weights, initial, steps, x.shape, history)
        return history[0].copy(), tuple(s.value.copy() for s in states), saved  # (6)

    def backward(
        self,
        saved: Saved,
        dy: ArrayLike,
        dstate: Sequence[ArrayLike],
        dstates: Sequence[ArrayLike | None] | None = None,
    ) -> Gradients:
        """Propagate the gradients of `forward`'s results to its inputs.

        Parameters
        ----------
        saved : Saved
            From `forward`.
        dy : array (T, B, H)
            Gradient of `y`. Never read beyond a row's length.
        dstate : tuple of arrays (B, H)
            Gradients of the final states.
        dstates : tuple of arrays (T, B, H) or None, optional
            Gradients of `saved.states`, that of h on top of `dy`; never read beyond a row's
            length.

        Returns
        -------
        Gradients
            Float64: `x` (T, B, I), 0 beyond a row's length; `W`, `R`, `b` and `extra` like the
            weights, R None for a cell without; `states`, those of the initial states (B, H).
        """
        gradient = _propagate(saved, dy, dstate, dstates)
        dx = np.zeros(saved.shape)
        for t, step in enumerate(saved.steps):
            dx[t, step.rows] = gradient(step.x)
        W, R, b, extra = saved.weights
        return Gradients(
            dx,
            gradient(W),
            gradient(R) if self.RECURRENT else None,
            gradient(b),
            tuple(map(gradient, saved.initial)),
            {name: gradient(weight) for name, weight in extra.items()},
        )

    def gradient_norms(
        self,
        saved: Saved,
        dy: ArrayLike,
        dstate: Sequence[ArrayLike],
        dstates: Sequence[ArrayLike | None] | None = None,
    ) -> Array:
        """Euclidean norms (T, B) of the whole gradient of h after every step.

        That is, of all that reaches it: from dy[t] and dstates[0][t], from step t + 1, and after
        a row's last step from dstate[0]. 0 beyond a row's length. Parameters as of `backward`.
        """
        gradient = _propagate(saved, dy, dstate, dstates)
        norms = np.zeros(saved.shape[:2])
        for t, step in enumerate(saved.steps):
            norms[t, step.rows] = np.linalg.norm(gradient(step.states[0])[step.rows], axis=-1)
        return norms


def _propagate(
    saved: Saved,
    dy: ArrayLike,
    dstate: Sequence[ArrayLike],
    dstates: Sequence[ArrayLike | None] | None,
) -> Callable[[Node], Array]:
    """Gradients of all nodes of a run."""
    final = saved.steps[-1].states if saved.steps else saved.initial
    seeds = [(s, as_float64(ds)) for s, ds in zip(final, dstate, strict=True)]
    for k, ds in [(0, dy), *enumerate(dstates or ())]:
        if ds is not None:
            ds = as_float64(ds)
            for t, (rows, _, states) in enumerate(saved.steps):
                within = np.zeros_like(states[k].value)
                within[rows] = ds[t, rows]
                seeds.append((states[k], within))
    return propagate(seeds)
