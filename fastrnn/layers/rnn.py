"""Recurrent layers over any cell."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers import fused
from fastrnn.layers.arguments import as_floats
from fastrnn.layers.cell import Cell
from fastrnn.layers.checks import flag
from fastrnn.layers.embedding import LookedUp
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.layer import Layer
from fastrnn.layers.stacked_cells import StackedRNNCells
from fastrnn.layers.structure import leaves, mapped
from fastrnn.tape import Tensor, constant

Array = NDArray[Any]


class RNN(Layer):
    """Run a cell over all steps of sequences (B, T, I).

    Parameters
    ----------
    cell : cell, or list of them for a stack
        One of this package, which runs all steps at once, or any object with `state_size` (an int
        or a list of them) and `call(inputs, states)` that returns an output and the next states:
        it is called step by step.
    return_sequences : bool
        Return the outputs of all steps (B, T, H), not only of the last (B, H).
    return_state : bool
        Return the final states as well, in a tuple after the output.
    go_backwards : bool
        Run from the last step to the first; outputs are in the order of the run.
    stateful : bool
        Start where the call before ended, row by row, until `reset_states`, after which there may
        be another number of rows (which Keras, whose batch is fixed, refuses).
    unroll : bool
        Of no effect here.
    zero_output_for_mask : bool
        Outputs of masked steps are 0, instead of that of the step before.
    """

    supports_masking = True

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(cell, list | tuple):
            cell = StackedRNNCells(cell, dtype=self.dtype)
        if not callable(getattr(cell, "call", None)) and not callable(cell):
            raise ValueError(f"cell: expected a cell or a list of cells, got {cell!r}")
        if not hasattr(cell, "state_size"):
            raise ValueError(f"cell: expected one with a state_size, got {cell!r}")
        self.cell = cell
        self.return_sequences = flag("return_sequences", return_sequences)
        self.return_state = flag("return_state", return_state)
        self.go_backwards = flag("go_backwards", go_backwards)
        self.stateful = flag("stateful", stateful)
        self.unroll = flag("unroll", unroll)
        self.zero_output_for_mask = flag("zero_output_for_mask", zero_output_for_mask)
        self.input_spec = InputSpec(ndim=3)
        #: Where the next call of a stateful layer starts; None before the first.
        self.states: Any = None
        self._zeros: Any = None  # what `reset_state` made

    @property
    def state_size(self) -> Any:
        """Lengths of the states, as the cell has them."""
        return self.cell.state_size

    @property
    def starts_anew(self) -> bool:
        """Whether the next call of a stateful layer starts from zeros, with any number of rows."""
        return self.states is self._zeros

    @property
    def units(self) -> int:
        """Hidden units of the cell."""
        units: int = self.cell.units
        return units

    def build(self, input_shape: Any) -> None:
        """Make the cell's weights for sequences (B, T, I)."""
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((input_shape[0], input_shape[-1]))
            self.cell.built = True
        self.input_spec = InputSpec(ndim=3, axes={-1: input_shape[-1]})

    def call(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Run over sequences.

        Parameters
        ----------
        sequences : (B, T, I) array
            In any memory order: time-major memory seen batch-major is not copied.
        initial_state : (B, H) arrays in the structure of `state_size`, optional
            Zeros if not given.
        mask : (B, T) bools, optional
            Steps where it is false are passed over.
        training : bool
            Apply the cell's dropout.

        Returns
        -------
        Tensor
            (B, H), or (B, T, H); first in a tuple with the final states if `return_state`.
        """
        x = sequences if isinstance(sequences, LookedUp) else as_floats(sequences, self.dtype)
        batch, length = x.shape[:2]
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        if mask is not None and mask.shape != (batch, length):
            raise ValueError(
                f"{self.name}: expected a mask of shape {(batch, length)}, got {mask.shape}"
            )
        states = self._initial(initial_state, batch)
        cells = self.cell.cells if isinstance(self.cell, StackedRNNCells) else [self.cell]
        if all(isinstance(cell, Cell) and cell.engine is not None for cell in cells):
            output, finals = self._run(cells, x, states, mask, training)
        else:
            output, finals = self._run_step_by_step(x, states, mask, training)
        self._reset_dropout(cells)
        if self.stateful:
            self.states = mapped(lambda state: constant(np.array(state.value)), finals)
        return (output, *finals) if self.return_state else output

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call does; see `Layer`."""
        has_engine = isinstance(self.cell, Cell) and self.cell.engine is not None
        return self._calls_as(RNN) and has_engine and not (self.return_state or self.stateful)

    @property
    def keeps_mask(self) -> bool:
        """Whether the output has the mask of the input; see `Layer`."""
        return self.return_sequences

    takes_mask = True

    def on_arrays(self, x: Any, wants_dx: bool, mask: Any = None) -> Any:
        """Do what `call` does in training; see `Layer`."""
        cell = self.cell
        y, backward = fused.run_on_arrays(
            cell, x, mask, fused.Dropped(*cell.masks_of_a_run(*x.shape[::2])),
            go_backwards=self.go_backwards, zero_output=self.zero_output_for_mask,
            wants_sequences=self.return_sequences, wants_dx=wants_dx,
        )  # fmt: skip
        return y, cell.engine_weights, backward

    def _initial(self, given: Any, batch: int) -> list[Any]:
        """Return the initial states, a list in the structure of the cell's; [] for zeros."""
        if given is None:
            given = self.states if self.stateful and not self.starts_anew else None
        if given is None:
            return []
        wanted = self.state_size if _is_many(self.state_size) else [self.state_size]
        given = list(given) if isinstance(given, list | tuple) else [given]
        if not given:
            return []
        if len(given) == 1 and getattr(given[0], "ndim", 0) == 3:
            given = list(ops.unstack(given[0], axis=0))
        if len(leaves(given)) != len(leaves(wanted)):
            raise ValueError(
                f"{self.name}: expected {len(leaves(wanted))} initial states, "
                f"got {len(leaves(given))}"
            )
        states = mapped(lambda state: as_floats(state, self.dtype), given)
        for state, size in zip(leaves(states), leaves(wanted), strict=True):
            if state.shape != (batch, size):
                is_own = "; reset_states() starts anew" if self.stateful else ""
                raise ValueError(
                    f"{self.name}: expected an initial state of shape {(batch, size)}, "
                    f"got {state.shape}{is_own}"
                )
        return list(states)

    def _run(
        self, cells: list[Any], x: Tensor, states: list[Any], mask: Any, training: bool
    ) -> tuple[Tensor, list[Any]]:
        """Run cells of the engine, one after the other over all steps."""
        finals: list[Any] = []
        is_stack = isinstance(self.cell, StackedRNNCells)
        turned = mask
        for index, cell in enumerate(cells):
            is_last = index == len(cells) - 1
            own = states[index] if states and is_stack else states
            x, after = fused.run(
                cell, x, own if isinstance(own, list) else [own], turned,
                go_backwards=self.go_backwards and index == 0,
                zero_output=self.zero_output_for_mask or not is_last, training=training,
                wants_sequences=self.return_sequences or not is_last,
            )  # fmt: skip
            # Outputs are in the order of the run, for the cells above as well.
            if index == 0 and mask is not None and self.go_backwards:
                turned = mask[:, ::-1]
            is_alone = is_stack and not _is_many(cell.state_size)
            finals.append(after[0] if is_alone else after)
        return x, finals if is_stack else finals[0]

    def _run_step_by_step(
        self, x: Tensor, states: list[Any], mask: Any, training: bool
    ) -> tuple[Tensor, list[Any]]:
        """Call the cell once for each step."""
        states = states or self.get_initial_state(x.shape[0])
        is_alone = not _is_many(self.state_size)
        steps = ops.unstack(x, axis=1)
        order = range(len(steps))[:: -1 if self.go_backwards else 1]
        outputs: list[Any] = []
        output: Any = None
        for t in order:
            new, after = self._step(steps[t], states, training)
            after = [after] if is_alone and not isinstance(after, list | tuple) else list(after)
            if mask is not None and not mask[:, t].all():
                is_there = mask[:, t][:, None]
                before = ops.zeros_like(new) if output is None else output
                hidden = ops.zeros_like(new) if self.zero_output_for_mask else before
                output = ops.where(is_there, new, before)
                new = ops.where(is_there, new, hidden)
                after = _chosen(is_there, after, states)
            else:
                output = new
            states = after
            outputs.append(new)
        if self.return_sequences:
            return ops.stack(outputs, axis=1), states
        return outputs[-1], states

    def _step(self, x: Tensor, states: list[Any], training: bool) -> tuple[Tensor, Any]:
        cell = self.cell
        if isinstance(cell, Layer):
            result = cell(x, states, training=training)
        else:
            result = (cell.call if hasattr(cell, "call") else cell)(x, states)
        if not isinstance(result, list | tuple) or len(result) != 2:
            raise ValueError(f"{self.name}: expected a cell that returns (output, states)")
        return result[0], result[1]

    def _reset_dropout(self, cells: list[Any]) -> None:
        for cell in cells:
            for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
                if hasattr(cell, name):
                    getattr(cell, name)()

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """Return zeros (batch_size, H) for each state, in a list."""
        if hasattr(self.cell, "get_initial_state"):
            states = self.cell.get_initial_state(batch_size=batch_size)
        else:
            states = mapped(lambda size: np.zeros((batch_size, size), self.dtype), self.state_size)
        states = list(states) if isinstance(states, list | tuple) else [states]
        return list(mapped(lambda state: as_floats(state, self.dtype), states))

    def reset_states(self) -> None:
        """Start from zeros at the next call of a stateful layer."""
        self.reset_state()

    def reset_state(self) -> None:
        """Start from zeros at the next call of a stateful layer."""
        if self.states is not None:
            self._zeros = mapped(lambda state: constant(np.zeros_like(state.value)), self.states)
            self.states = self._zeros

    def compute_output_shape(self, sequences_shape: Any) -> Any:
        """Return the shape of the output, and those of the states if they are returned."""
        batch, length = sequences_shape[:2]
        sizes = self.state_size if _is_many(self.state_size) else [self.state_size]
        features = getattr(self.cell, "output_size", None) or leaves(sizes)[0]
        output = (batch, length, features) if self.return_sequences else (batch, features)
        if not self.return_state:
            return output
        return [output, *mapped(lambda size: (batch, size), list(sizes))]

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the outputs of all steps; None for the states and a last output."""
        mask = previous_mask[0] if isinstance(previous_mask, list | tuple) else previous_mask
        return mask if self.return_sequences else None


def _is_many(size: Any) -> bool:
    return isinstance(size, list | tuple)


def _chosen(is_there: Array, after: Any, before: Any) -> list[Any]:
    """Return new states where a step is there, and the old ones elsewhere."""
    if isinstance(after, list | tuple):
        pairs = zip(after, before, strict=True)
        return [_chosen(is_there, new, old) for new, old in pairs]
    return ops.where(is_there, after, before)  # type: ignore[no-any-return]
