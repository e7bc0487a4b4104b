"""Several cells as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrnn.layers.layer import Layer
from fastrnn.layers.structure import mapped


class StackedRNNCells(Layer):
    """Cells on top of each other: each takes the output of the one before.

    Parameters
    ----------
    cells : sequence of cells
    """

    def __init__(self, cells: Sequence[Any], **options: Any) -> None:
        super().__init__(**options)
        if not cells:
            raise ValueError("cells: expected at least one cell, got none")
        for cell in cells:
            if not hasattr(cell, "state_size"):
                raise ValueError(f"cells: expected cells with a state_size, got {cell!r}")
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """What the cells have as theirs."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Length of the last cell's output."""
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """Return the initial states of each cell."""
        found = []
        for cell in self.cells:
            if hasattr(cell, "get_initial_state"):
                states = cell.get_initial_state(batch_size=batch_size)
            else:
                states = mapped(
                    lambda size: np.zeros((batch_size, size), self.dtype), cell.state_size
                )
            found.append(_alone(states, cell))
        return found

    def build(self, input_shape: Any) -> None:
        """Make the weights of all cells for inputs (B, I)."""
        batch, features = input_shape[0], input_shape[-1]
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build((batch, features))
                cell.built = True
            features = _output_size(cell)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        """Run all cells one step.

        Parameters
        ----------
        inputs : (B, I) array
        states : list
            Those of each cell.

        Returns
        -------
        output : (B, H) Tensor
            Of the last cell.
        states : list
        """
        if len(states) != len(self.cells):
            raise ValueError(
                f"{self.name}: expected states of {len(self.cells)} cells, got {len(states)}"
            )
        after = []
        output = inputs
        for cell, before in zip(self.cells, states, strict=True):
            listed = list(before) if isinstance(before, list | tuple) else [before]
            if isinstance(cell, Layer):
                output, new = cell(output, listed, training=training)
            else:
                output, new = cell.call(output, listed)
            after.append(_alone(new, cell))
        return output, after

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output."""
        return (input_shape[0], self.output_size)

    def reset_dropout_mask(self) -> None:
        """Draw other factors of the inputs from now on."""
        for cell in self.cells:
            if hasattr(cell, "reset_dropout_mask"):
                cell.reset_dropout_mask()

    def reset_recurrent_dropout_mask(self) -> None:
        """Draw other factors of the previous outputs from now on."""
        for cell in self.cells:
            if hasattr(cell, "reset_recurrent_dropout_mask"):
                cell.reset_recurrent_dropout_mask()


def _alone(states: Any, cell: Any) -> Any:
    """Return the states of a cell, or the one state out of its list, as its state_size is."""
    is_alone = isinstance(states, list | tuple) and not isinstance(cell.state_size, list | tuple)
    return states[0] if is_alone else states


def _output_size(cell: Any) -> Any:
    size = getattr(cell, "output_size", None) or cell.state_size
    return size[0] if isinstance(size, list | tuple) else size
