"""Recurrent layers over any cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.cells import CELLS
from fastrnn.cells.protocol import gate_names
from fastrnn.layers.embedding import LookedUp
from fastrnn.layers.layer import Layer, as_tensor, positive
from fastrnn.tape import Tensor, is_recording, record

Array = NDArray[Any]


class Recurrent(Layer):
    """A recurrent layer whose cell is given by name.

    Weights: kernel (I, n * H), recurrent_kernel (H, n * H) and bias (n * H,), each for the n gates
    of the cell that it feeds; a cell without R has no recurrent_kernel.

    Parameters
    ----------
    cell : str
        A name out of `fastrnn.cells.CELLS`.
    units : int
        Hidden units H.
    input_dim : int
        Input features I.
    return_sequences : bool
        Return h of every step, not only of the last.
    return_state : bool
        Return the final states as well.
    go_backwards : bool
        Run from the last step to the first; outputs are in the order of the run, as in Keras.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        input_dim: int,
        *,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        name: str = "rnn",
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        if cell not in CELLS:
            raise ValueError(f"cell: expected one of {', '.join(CELLS)}, got {cell!r}")
        self.cell = CELLS[cell]()
        self.units = positive("units", units)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        inputs, recurrent, biases = (
            len(gate_names(type(self.cell), part)) * units
            for part in ("INPUT", "RECURRENT", "BIAS")
        )
        kernel_shape = (positive("input_dim", input_dim), inputs)
        self.kernel = self._add_weight("kernel", kernel_shape, "glorot_uniform")
        self.recurrent_kernel = None
        if recurrent:
            shape = (units, recurrent)
            self.recurrent_kernel = self._add_weight("recurrent_kernel", shape, "orthogonal")
        self.bias = self._add_weight("bias", (biases,), "zeros")

    def __call__(
        self, inputs: Any, initial_state: Sequence[Any] | None = None, training: bool = False
    ) -> Any:
        """Run over sequences.

        Parameters
        ----------
        inputs : (B, T, I) array or Tensor
            Any memory order: time-major memory seen batch-major is not copied.
        initial_state : sequence of (B, H) arrays or Tensors, optional
            Zeros if not given.
        training : bool
            Keep what a gradient needs; also done while a tape is open.

        Returns
        -------
        Tensor
            h of the last step (B, H), or of every step (B, T, H); a list that starts with it and
            goes on with the final states if `return_state`.
        """
        # Plain data has no place in a computation: nobody can ask for its gradient.
        wants_dx = isinstance(inputs, Tensor)
        x = inputs if isinstance(inputs, LookedUp) else as_tensor(inputs, self.dtype)
        states = [
            as_tensor(s, self.dtype) for s in (() if initial_state is None else initial_state)
        ]
        if isinstance(x, LookedUp):
            source: Tensor = x.table
            rows: Any = functional.Embedded(x.ids.swapaxes(0, 1), x.table.value)
        else:
            source = x
            rows = x.value.swapaxes(0, 1)
        y, final, backward = functional.rnn(
            self.cell,
            rows,
            self.kernel.value,
            None if self.recurrent_kernel is None else self.recurrent_kernel.value,
            self.bias.value,
            tuple(s.value for s in states) or None,
            reverse=self.go_backwards,
            training=training or is_recording(),
            wants_dx=wants_dx,
        )
        if self.go_backwards:
            y = y[::-1]
        sequence = Tensor(y.swapaxes(0, 1))
        finals = [Tensor(s) for s in final]

        def to_inputs(dy: Array | None, *dstate: Array | None) -> list[Array | None]:
            if dy is not None:
                dy = dy.swapaxes(0, 1)[:: -1 if self.go_backwards else 1]
            d = backward(dy, dstate)
            dx = d.x if d.x is None or source is not x else d.x.swapaxes(0, 1)
            dR = [] if self.recurrent_kernel is None else [d.R]
            return [dx, d.W, *dR, d.b, *d.state[: len(states)]]

        record(
            [source, *self.variables, *states],
            [sequence, *finals],
            to_inputs,
        )
        output = sequence if self.return_sequences else finals[0]
        return [output, *finals] if self.return_state else output


class LSTM(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997); see `Recurrent`.

    Parameters
    ----------
    units, input_dim : int
        Hidden units and input features.
    unit_forget_bias : bool
        Start the forget gate's bias at 1 (R. Jozefowicz et al., An empirical exploration of
        recurrent network architectures, ICML 2015).
    """

    def __init__(
        self, units: int, input_dim: int, *, unit_forget_bias: bool = True, **options: Any
    ) -> None:
        super().__init__("lstm", units, input_dim, **{"name": "lstm", **options})
        if unit_forget_bias:
            self.bias.value[units : 2 * units] = np.ones(units, self.dtype)
