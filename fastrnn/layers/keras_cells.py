"""The cells of Keras: their arguments, weights and gate orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import activations, initializers, ops
from fastrnn.cells import CELLS
from fastrnn.functional.gradients import Gradients
from fastrnn.layers.cell import KerasCell
from fastrnn.layers.checks import flag
from fastrnn.layers.fused import Arrays
from fastrnn.tape import Tensor

Array = NDArray[Any]


class SimpleRNNCell(KerasCell):
    """h = activation(x kernel + h_prev recurrent_kernel + bias).

    Parameters
    ----------
    units, dropout, recurrent_dropout, seed
        As `Cell` takes them.
    activation : str or callable
        A name of `fastrnn.activations`, or a function of a Tensor.
    use_bias : bool
    kernel_..., recurrent_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            units, use_bias=use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed, **options,
        )  # fmt: skip
        self.activation = activations.get(activation)
        known = activations.of_engine(self.activation)
        self.engine = None if known is None else CELLS["rnn"](known)

    def formula(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        """Return the state after a step."""
        a = ops.add(ops.matmul(x, self.kernel), ops.matmul(h, self.recurrent_kernel))
        return [self.activation(a if self.bias is None else ops.add(a, self.bias))]


class LSTMCell(KerasCell):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), gates in the order i f c o.

    Parameters
    ----------
    units, dropout, recurrent_dropout, seed
        As `Cell` takes them.
    activation, recurrent_activation : str or callable
        Of the candidate and of the output; of the gates.
    use_bias : bool
    unit_forget_bias : bool
        Start the forget gate's bias at 1 (R. Jozefowicz et al., An empirical exploration of
        recurrent network architectures, ICML 2015).
    kernel_..., recurrent_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    """

    gates = 4

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        self.unit_forget_bias = flag("unit_forget_bias", unit_forget_bias)
        if unit_forget_bias:
            bias_initializer = _ForgetBias(bias_initializer)
        super().__init__(
            units, use_bias=use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed, **options,
        )  # fmt: skip
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.state_size = [units, units]
        gate, own = map(activations.of_engine, (self.recurrent_activation, self.activation))
        if gate is not None and own is not None:
            self.engine = CELLS["lstm"](gate, own, own)

    def formula(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        """Return h and c after a step."""
        a = ops.add(ops.matmul(x, self.kernel), ops.matmul(h, self.recurrent_kernel))
        if self.bias is not None:
            a = ops.add(a, self.bias)
        i, f, g, o = ops.split(a, 4, axis=-1)
        gate = self.recurrent_activation
        c = ops.add(
            ops.multiply(gate(f), states[1]), ops.multiply(gate(i), self.activation(g))
        )  # fmt: skip
        return [ops.multiply(gate(o), self.activation(c)), c]


class _ForgetBias:
    """A bias (4H,) that starts like another, but at 1 for the forget gate."""

    def __init__(self, other: Any) -> None:
        self._other = initializers.get(other)

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        bias = np.array(self._other(shape, dtype=dtype))
        units = shape[0] // 4
        bias[units : 2 * units] = 1
        return bias


class GRUCell(KerasCell):
    """Gated recurrent unit (Cho et al. 2014), gates in the order z r h.

    Parameters
    ----------
    units, dropout, recurrent_dropout, seed
        As `Cell` takes them.
    activation, recurrent_activation : str or callable
        Of the candidate; of the gates.
    use_bias : bool
    reset_after : bool
        Whether the reset gate acts after the product with the recurrent weights.  The bias is
        then (2, 3H): of the input and of the recurrent part; (3H,) otherwise.
    kernel_..., recurrent_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    """

    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            units, use_bias=use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed, **options,
        )  # fmt: skip
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = flag("reset_after", reset_after)
        gate, own = map(activations.of_engine, (self.recurrent_activation, self.activation))
        if gate is not None and own is not None:
            self.engine = CELLS["gru" if reset_after else "gru_reset_before"](gate, own)

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        width = 3 * self.units
        return (2, width) if self.reset_after else (width,)

    def arrays(self) -> Arrays:
        """Return the weights with gates in the order r z n."""
        H = self.units
        b = None
        if self.bias is not None and self.reset_after:
            there, back = self.bias.value
            both = there + back
            b = np.concatenate([both[H : 2 * H], both[:H], there[2 * H :], back[2 * H :]])
        elif self.bias is not None:
            b = self._swapped(self.bias.value)
        return Arrays(
            self._swapped(self.kernel.value), self._swapped(self.recurrent_kernel.value), b
        )

    def gradients(self, d: Gradients) -> list[Array | None]:
        """Return the gradients of `engine_weights`."""
        H = self.units
        found: list[Any] = [self._swapped(d.W), self._swapped(d.R)]  # type: ignore[arg-type]
        if self.bias is None or d.b is None:
            return found
        if not self.reset_after:
            return [*found, self._swapped(d.b)]
        gates = [d.b[H : 2 * H], d.b[:H]]
        return [*found, np.stack([np.concatenate([*gates, d.b[at * H :][:H]]) for at in (2, 3)])]

    def _swapped(self, columns: Array) -> Array:
        """Return columns z r h in the order r z h, and back."""
        H = self.units
        parts = (columns[..., H : 2 * H], columns[..., :H], columns[..., 2 * H :])
        return np.concatenate(parts, axis=-1)

    def formula(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        """Return the state after a step."""
        H, (before,) = self.units, states
        of_x = ops.matmul(x, self.kernel)
        if self.bias is not None:
            of_x = ops.add(of_x, self.bias[0] if self.reset_after else self.bias)
        x_z, x_r, x_h = ops.split(of_x, 3, axis=-1)
        if self.reset_after:
            of_h = ops.matmul(h, self.recurrent_kernel)
            if self.bias is not None:
                of_h = ops.add(of_h, self.bias[1])
            h_z, h_r, h_h = ops.split(of_h, 3, axis=-1)
        else:
            h_z, h_r = ops.split(ops.matmul(h, self.recurrent_kernel[:, : 2 * H]), 2, axis=-1)
        z = self.recurrent_activation(ops.add(x_z, h_z))
        r = self.recurrent_activation(ops.add(x_r, h_r))
        if self.reset_after:
            inner = ops.multiply(r, h_h)
        else:
            inner = ops.matmul(ops.multiply(r, h), self.recurrent_kernel[:, 2 * H :])
        n = self.activation(ops.add(x_h, inner))
        return [ops.add(n, ops.multiply(z, ops.subtract(before, n)))]
