"""The recurrent layers of Keras."""

from __future__ import annotations

from typing import Any

from fastrnn.layers.keras_cells import GRUCell, LSTMCell, SimpleRNNCell
from fastrnn.layers.rnn import RNN


class SimpleRNN(RNN):
    """A layer of simple recurrent units (Elman 1990): h = activation(x W + h_prev R + b).

    Parameters
    ----------
    units : int
        Hidden units H.
    activation : str or callable
        A name of `fastrnn.activations`, or a function of a Tensor, which is slower.
    use_bias : bool
    kernel_..., recurrent_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    activity_regularizer : callable or str, optional
        Its value on the output is a term of the loss.
    dropout, recurrent_dropout : float
        Share of the inputs, and of the previous outputs where they meet the recurrent weights,
        that is 0 while training; the same ones in all steps, and for all gates.
    seed : int, optional
        Of dropout.
    return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask
        As `RNN` takes them.
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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **options: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units, activation=activation, use_bias=use_bias,
            kernel_initializer=kernel_initializer, recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint, dropout=dropout,
            recurrent_dropout=recurrent_dropout, seed=seed, dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful, unroll=unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip


class LSTM(RNN):
    """A layer of long short-term memory (Hochreiter and Schmidhuber 1997).

    Parameters
    ----------
    units : int
        Hidden units H.
    activation, recurrent_activation : str or callable
        Of the candidate and the output, and of the gates: names of `fastrnn.activations`, or
        functions of a Tensor, which are slower.
    use_bias : bool
    unit_forget_bias : bool
        Start the forget gate's bias at 1.
    kernel_..., recurrent_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    activity_regularizer : callable or str, optional
        Its value on the output is a term of the loss.
    dropout, recurrent_dropout : float
        Share of the inputs, and of the previous outputs where they meet the recurrent weights,
        that is 0 while training; the same ones in all steps, and for all gates.
    seed : int, optional
        Of dropout.
    return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask
        As `RNN` takes them.
    use_cudnn
        Of no effect here.
    """

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **options: Any,
    ) -> None:
        cell = LSTMCell(
            units, activation=activation, recurrent_activation=recurrent_activation,
            use_bias=use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias, kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint, dropout=dropout,
            recurrent_dropout=recurrent_dropout, seed=seed, dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful, unroll=unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip


class GRU(RNN):
    """A layer of gated recurrent units (Cho et al. 2014).

    Parameters
    ----------
    units : int
        Hidden units H.
    activation, recurrent_activation : str or callable
        Of the candidate, and of the gates: names of `fastrnn.activations`, or functions of a
        Tensor, which are slower.
    use_bias : bool
    reset_after : bool
        Whether the reset gate acts after the product with the recurrent weights; the bias is then
        (2, 3H), else (3H,).
    kernel_..., recurrent_..., bias_...
        What weights start as, and their terms of the loss and constraints.
    activity_regularizer : callable or str, optional
        Its value on the output is a term of the loss.
    dropout, recurrent_dropout : float
        Share of the inputs, and of the previous outputs where they meet the recurrent weights,
        that is 0 while training; the same ones in all steps, and for all gates.
    seed : int, optional
        Of dropout.
    return_sequences, return_state, go_backwards, stateful, unroll, zero_output_for_mask
        As `RNN` takes them.
    use_cudnn
        Of no effect here.
    """

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
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **options: Any,
    ) -> None:
        cell = GRUCell(
            units, activation=activation, recurrent_activation=recurrent_activation,
            use_bias=use_bias, kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer, kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint, bias_constraint=bias_constraint,
            dropout=dropout, recurrent_dropout=recurrent_dropout, seed=seed,
            reset_after=reset_after, dtype=options.get("dtype"),
        )  # fmt: skip
        super().__init__(
            cell, return_sequences=return_sequences, return_state=return_state,
            go_backwards=go_backwards, stateful=stateful, unroll=unroll,
            activity_regularizer=activity_regularizer, **options,
        )  # fmt: skip
