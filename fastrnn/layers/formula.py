"""Recurrent layers of any cell of the engine, in its own order of gates."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fastrnn.cells.protocol import extra_names, gate_names, projects
from fastrnn.functional.gradients import Gradients
from fastrnn.functional.weights import as_cell
from fastrnn.layers.cell import Cell
from fastrnn.layers.checks import flag, positive
from fastrnn.layers.fused import Arrays
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.rnn import RNN
from fastrnn.tape import Variable

Array = NDArray[Any]

# Weights besides W, R and b: what the layer calls each, and what it starts as.
_EXTRA = {
    "P": ("projection", "glorot_uniform"),
    "gain_x": ("gain_x", "ones"),
    "gain_h": ("gain_h", "ones"),
    "gain_c": ("gain_c", "ones"),
    "bias_c": ("bias_c", "zeros"),
}


class FormulaCell(Cell):
    """A cell of the engine as a layer's cell.

    Weights, each for the n gates that it feeds, in PyTorch's order: kernel (I, n * H),
    recurrent_kernel (S, n * H), bias (n * H,), and what else the cell has.

    Parameters
    ----------
    cell : str or cell
        A name of `fastrnn.cells.CELLS`, or an instance of a class made by `fastrnn.cells.cell`.
    units, dropout, recurrent_dropout, seed
        As `Cell` takes them.
    projection_size : int, optional
        Features S of the output, of "lstmp" only; H if not given.
    use_bias, unit_forget_bias : bool
    kernel_initializer, recurrent_initializer, bias_initializer : str or callable
    """

    def __init__(
        self,
        cell: Any,
        units: int,
        *,
        projection_size: int | None = None,
        use_bias: bool = True,
        unit_forget_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        **options: Any,
    ) -> None:
        super().__init__(units, **options)
        self.engine = as_cell(cell)
        kind = type(self.engine)
        self.use_bias = flag("use_bias", use_bias)
        self.unit_forget_bias = flag("unit_forget_bias", unit_forget_bias)
        if unit_forget_bias and "f" not in gate_names(kind, "BIAS"):
            raise ValueError(f"unit_forget_bias: expected False for {kind.__name__}")
        self.projection_size = None
        if projects(kind):
            self.projection_size = units
            if projection_size is not None:
                self.projection_size = positive("projection_size", projection_size)
            self.output_size = self.projection_size
        elif projection_size is not None:
            raise ValueError(f"projection_size: expected None for {kind.__name__}")
        if self.recurrent_dropout and not gate_names(kind, "RECURRENT"):
            raise ValueError(f"recurrent_dropout: expected 0 for {kind.__name__}")
        others = [units] * (len(kind.STATES) - 1)
        self.state_size = [self.output_size, *others] if others else self.output_size
        self._initializers = (kernel_initializer, recurrent_initializer, bias_initializer)
        self.kernel: Any = None
        self.recurrent_kernel: Any = None
        self.bias: Any = None
        self.extra: dict[str, Any] = {}

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs (B, I)."""
        H, kind = self.units, type(self.engine)
        inputs, recurrent, biases = (
            len(gate_names(kind, part)) * H for part in ("INPUT", "RECURRENT", "BIAS")
        )
        of_kernel, of_recurrent, of_bias = self._initializers
        shape = (input_shape[-1], inputs)
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=of_kernel)
        if recurrent:
            shape = (self.output_size, recurrent)
            self.recurrent_kernel = self.add_weight(
                name="recurrent_kernel", shape=shape, initializer=of_recurrent
            )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(biases,), initializer=of_bias)
            if self.unit_forget_bias:
                at = gate_names(kind, "BIAS").index("f") * H
                self.bias.value[at : at + H] = 1
        shapes = {
            "P": (H, self.output_size), "gain_x": (inputs,), "gain_h": (recurrent,),
            "gain_c": (H,), "bias_c": (H,),
        }  # fmt: skip
        for name in extra_names(kind):
            own, start = _EXTRA[name]
            self.extra[name] = self.add_weight(name=own, shape=shapes[name], initializer=start)
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def arrays(self) -> Arrays:
        """Return the weights."""
        R = None if self.recurrent_kernel is None else self.recurrent_kernel.value
        b = None if self.bias is None else self.bias.value
        extra = {name: weight.value for name, weight in self.extra.items()}
        return Arrays(self.kernel.value, R, b, extra or None)

    @property
    def engine_weights(self) -> list[Variable]:
        """The weights that `arrays` is made of."""
        named = [self.kernel, self.recurrent_kernel, self.bias]
        return [*(weight for weight in named if weight is not None), *self.extra.values()]

    def gradients(self, d: Gradients) -> list[Array | None]:
        """Return the gradients of `engine_weights`."""
        R = [] if self.recurrent_kernel is None else [d.R]
        b = [] if self.bias is None else [d.b]
        return [d.W, *R, *b, *((d.extra or {})[name] for name in self.extra)]


class Recurrent(RNN):
    """A layer whose cell is any of the engine's, or your own formula.

    Weights are named after the layer: lstm/kernel, lstm/recurrent_kernel, lstm/bias; see
    `FormulaCell`.

    Parameters
    ----------
    cell : str or cell
        A name of `fastrnn.cells.CELLS`, or an instance of a class made by `fastrnn.cells.cell`.
    units, projection_size, use_bias, unit_forget_bias, dropout, recurrent_dropout, seed
        As `FormulaCell` takes them.
    kernel_initializer, recurrent_initializer, bias_initializer : str or callable
    return_sequences, return_state, go_backwards, stateful, zero_output_for_mask
        As `RNN` takes them.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import layers
    >>> layer = layers.Recurrent("mgu", 4, return_state=True, name="mgu")
    >>> y, h = layer(np.ones((2, 3, 5)))
    >>> y.shape, [v.name for v in layer.variables]
    ((2, 4), ['mgu/kernel', 'mgu/recurrent_kernel', 'mgu/bias'])
    """

    def __init__(
        self,
        cell: Any,
        units: int,
        *,
        projection_size: int | None = None,
        use_bias: bool = True,
        unit_forget_bias: bool = False,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        zero_output_for_mask: bool = False,
        **options: Any,
    ) -> None:
        own = FormulaCell(
            cell, units, projection_size=projection_size, use_bias=use_bias,
            unit_forget_bias=unit_forget_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed,
            dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            own, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful,
            zero_output_for_mask=zero_output_for_mask, **options,
        )  # fmt: skip
        own.name = self.name  # weights have the layer's name only
