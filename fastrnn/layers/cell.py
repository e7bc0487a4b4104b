"""Cells of recurrent layers: one step, and what the engine needs to run them all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional, ops
from fastrnn.functional.gradients import Gradients
from fastrnn.layers import fused, loop
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.checks import flag, positive, share
from fastrnn.layers.fused import Arrays
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.random import next_seed
from fastrnn.tape import Tensor, Variable

Array = NDArray[Any]

# Masks of dropout that are drawn together: so many at most, and of so many numbers.
_MOST_AT_ONCE = 16
_MOST_NUMBERS_AT_ONCE = 1 << 16
# Shapes and shares whose masks are kept until they are used.
_MOST_KINDS = 8


class Cell(Layer):
    """One step of a recurrent layer, whose formula the engine knows.

    Called as `output, states = cell(inputs, states)`, and by layers for all steps at once.

    Parameters
    ----------
    units : int
        Hidden units H.
    dropout, recurrent_dropout : float
        Share of the inputs, and of the previous outputs where they meet the recurrent weights,
        that is 0 while training, the same ones in all steps and for all gates (Y. Gal and
        Z. Ghahramani, NeurIPS 2016).
    seed : int, optional
        Of dropout.

    Attributes
    ----------
    engine : cell of `fastrnn.cells`, or None
        None for a formula that the engine does not know.
    state_size : int or list of ints
        Lengths of the states.
    """

    def __init__(
        self, units: int, *, dropout: float = 0.0, recurrent_dropout: float = 0.0,
        seed: int | None = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(**options)
        self.units = positive("units", units)
        self.dropout = share("dropout", dropout)
        self.recurrent_dropout = share("recurrent_dropout", recurrent_dropout)
        self.seed = seed
        self._seed = next_seed() if seed is None else seed
        self._draws = 0
        self._drawn: dict[Any, tuple[int, Array]] = {}
        self._input_mask: Array | None = None
        self._recurrent_mask: Array | None = None
        self.engine: Any = None
        self.state_size: Any = units
        self.input_spec = InputSpec(ndim=2)
        self.record_gradient_norms = False
        self.gradient_norms: Array | None = None
        self.output_size = units

    def arrays(self) -> Arrays:
        """Return the weights in the engine's order."""
        raise NotImplementedError

    @property
    def engine_weights(self) -> list[Variable]:
        """The weights that `arrays` is made of."""
        raise NotImplementedError

    def gradients(self, d: Gradients) -> list[Array | None]:
        """Return the gradients of `engine_weights`, in their order, from those of the engine."""
        raise NotImplementedError

    def formula(self, x: Tensor, states: list[Tensor], h: Tensor) -> list[Tensor]:
        """Return the states after a step, with any activations.

        x (B, I), states (B, H), h the first of them with its dropout.
        """
        raise NotImplementedError

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> Any:
        """Run one step.

        Parameters
        ----------
        inputs : (B, I) array
        states : list of (B, H) arrays, or one of them alone for a cell that has one

        Returns
        -------
        output : (B, H) Tensor
        states : like `states`
        """
        is_alone = not isinstance(states, list | tuple)
        before = [as_floats(s, self.dtype) for s in ([states] if is_alone else states)]
        if len(before) != len(self.sizes):
            raise ValueError(f"{self.name}: expected {len(self.sizes)} states, got {len(before)}")
        x = as_floats(inputs, self.dtype)
        dropped = fused.Dropped.of(self, x.shape, training)
        if self.engine is not None:
            after = fused.step(self, x, before, dropped)
        else:
            if dropped.inputs is not None:
                x = ops.multiply(x, dropped.inputs)
            h = before[0]
            if dropped.recurrent is not None:
                h = ops.multiply(h, dropped.recurrent)
            after = self.formula(x, before, h)
        return after[0], after[0] if is_alone else after

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run one step, as `call` does; with those around it where nobody looks in between."""
        after = loop.step(self, *args, **kwargs)
        return super().__call__(*args, **kwargs) if after is None else after

    @property
    def is_plain(self) -> bool:
        """Whether the engine does all that a call does."""
        is_own = type(self).call is not Cell.call or self.activity_regularizer is not None
        return self.engine is not None and not is_own

    @property
    def sizes(self) -> list[int]:
        """Lengths of the states, in a list."""
        return list(self.state_size) if isinstance(self.state_size, list) else [self.state_size]

    def get_initial_state(self, batch_size: int | None = None) -> list[Array]:
        """Return zeros (batch_size, H) for each state."""
        return [np.zeros((batch_size or 1, size), self.dtype) for size in self.sizes]

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the output and of the states."""
        batch = input_shape[0]
        return [(batch, self.output_size), *((batch, size) for size in self.sizes)]

    # Dropout, the same in all steps until it is reset.

    def get_dropout_mask(self, step_input: Any) -> Array | None:
        """Return the factors (B, I) of inputs shaped like `step_input`; None without dropout."""
        return self.input_mask(*np.shape(step_input))

    def get_recurrent_dropout_mask(self, step_input: Any) -> Array | None:
        """Return the factors (B, H) of outputs shaped like `step_input`; None without dropout."""
        return self.recurrent_mask(np.shape(step_input)[0])

    def reset_dropout_mask(self) -> None:
        """Draw other factors of the inputs from now on."""
        self._input_mask = None
        self._note_what_is_kept()

    def reset_recurrent_dropout_mask(self) -> None:
        """Draw other factors of the previous outputs from now on."""
        self._recurrent_mask = None
        self._note_what_is_kept()

    @property
    def _has_masks(self) -> bool:  # type: ignore[override]
        return self._input_mask is not None or self._recurrent_mask is not None

    def _forget_masks(self) -> None:
        self.reset_dropout_mask()
        self.reset_recurrent_dropout_mask()

    def input_mask(self, batch: int, features: int) -> Array | None:
        """Return the factors (batch, features) of the inputs."""
        if not self.dropout:
            return None
        if self._is_other(self._input_mask, batch, features):
            self._input_mask = self._draw(self.dropout, (batch, features))
        self._note_what_is_kept()
        return self._input_mask

    def recurrent_mask(self, batch: int) -> Array | None:
        """Return the factors (batch, H) of the previous outputs."""
        if not self.recurrent_dropout:
            return None
        if self._is_other(self._recurrent_mask, batch, self.output_size):
            self._recurrent_mask = self._draw(self.recurrent_dropout, (batch, self.output_size))
        self._note_what_is_kept()
        return self._recurrent_mask

    def masks_of_a_run(self, batch: int, features: int) -> tuple[Array | None, Array | None]:
        """Return factors of inputs and of previous outputs for one run, which are not kept."""
        inputs = recurrent = None
        if self.dropout:
            inputs = self._draw(self.dropout, (batch, features))
        if self.recurrent_dropout:
            recurrent = self._draw(self.recurrent_dropout, (batch, self.output_size))
        return inputs, recurrent

    def _is_other(self, mask: Array | None, *shape: int) -> bool:
        return mask is None or mask.shape != shape

    def _draw(self, rate: float, shape: tuple[int, int]) -> Array:
        """Return the next factors; those of small shapes are drawn several at once."""
        at_once = min(_MOST_AT_ONCE, _MOST_NUMBERS_AT_ONCE // max(1, math.prod(shape))) or 1
        block, place = divmod(self._draws, at_once)
        self._draws += 1
        kind = (*shape, rate, self._seed)
        known = self._drawn.get(kind)
        if known is None or known[0] != block:
            key = (self._seed, block, *shape)
            factors = functional.dropout_factors((at_once, *shape), self.dtype, rate, key)
            if known is None and len(self._drawn) >= _MOST_KINDS:
                self._drawn.clear()
            known = self._drawn[kind] = block, factors
        mask: Array = known[1][place]
        return mask


class KerasCell(Cell):
    """What the cells of Keras have in common: `kernel`, `recurrent_kernel` and `bias`."""

    def __init__(
        self,
        units: int,
        *,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        **options: Any,
    ) -> None:
        super().__init__(units, **options)
        self.use_bias = flag("use_bias", use_bias)
        self._choices = {
            "kernel": (kernel_initializer, kernel_regularizer, kernel_constraint),
            "recurrent_kernel": (
                recurrent_initializer, recurrent_regularizer, recurrent_constraint,
            ),
            "bias": (bias_initializer, bias_regularizer, bias_constraint),
        }  # fmt: skip
        self.kernel: Any = None
        self.recurrent_kernel: Any = None
        self.bias: Any = None

    #: Number of gates.
    gates = 1

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.gates * self.units,)

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs (B, I)."""
        width = self.gates * self.units
        features = input_shape[-1]
        self.kernel = self._weight("kernel", (features, width))
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, width))
        self.bias = self._weight("bias", self.bias_shape) if self.use_bias else None
        self.input_spec = InputSpec(ndim=2, axes={-1: features})

    def _weight(self, name: str, shape: tuple[int, ...]) -> Variable:
        initializer, regularizer, constraint = self._choices[name]
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, regularizer=regularizer,
            constraint=constraint,
        )  # fmt: skip

    def arrays(self) -> Arrays:
        """Return the weights; Keras' order of gates is the engine's in most cells."""
        bias = None if self.bias is None else self.bias.value
        return Arrays(self.kernel.value, self.recurrent_kernel.value, bias)

    @property
    def engine_weights(self) -> list[Variable]:
        """The weights that `arrays` is made of."""
        matrices = [self.kernel, self.recurrent_kernel]
        return matrices if self.bias is None else [*matrices, self.bias]

    def gradients(self, d: Gradients) -> list[Array | None]:
        """Return the gradients of `engine_weights`."""
        return [d.W, d.R] if self.bias is None else [d.W, d.R, d.b]
