"""What a recurrent layer computes, and the order of its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastrnn import cells
from fastrnn.cells.activations import Relu
from fastrnn.torch.packing import Layout

T = TypeVar("T")

#: Cells by `Kind.mode`.
CELLS = {
    "RNN_TANH": cells.CELLS["rnn"](),
    "RNN_RELU": cells.CELLS["rnn"](Relu()),
    "LSTM": cells.CELLS["lstm"](),
    "LSTMP": cells.CELLS["lstmp"](),
    "GRU": cells.CELLS["gru"](),
}


class Kind(NamedTuple):
    """What of a recurrent layer is no tensor.

    Its tensors are, in this order:

    x        (T, B, I), or packed rows (N, I); y likewise
    weights  for each of D directions w_ih (G * H, I), w_hh (G * H, S), if it has biases b_ih and
             b_hh (G * H,), and if it projects w_hr (S, H); S is H where it does not
    states   the initial h (D, B, S) and, of an LSTM, c (D, B, H); zeros where they are left out

    Parameters
    ----------
    mode : str
        "RNN_TANH", "RNN_RELU", "LSTM", "GRU" as torch.nn calls them, or "LSTMP": with projection.
    has_bias : bool
        Whether each direction has b_ih and b_hh.
    directions : int
        1 or 2.
    lengths : (B,) int64 array, optional
        Steps of each sequence; all of them if not given.
    layout : Layout, optional
        Where the rows belong if they are packed.
    """

    mode: str
    has_bias: bool = True
    directions: int = 1
    lengths: NDArray[np.int64] | None = None
    layout: Layout | None = None

    @property
    def weights(self) -> int:
        """Weights of a direction."""
        return 2 + 2 * self.has_bias + (self.mode == "LSTMP")

    def parts(self, tensors: Sequence[T]) -> tuple[T, list[Sequence[T]], Sequence[T]]:
        """Return x, the weights of each direction, and the states: () where left out."""
        n = self.weights
        weights = [tensors[1 + i * n : 1 + (i + 1) * n] for i in range(self.directions)]
        return tensors[0], weights, tensors[1 + self.directions * n :]


def gates(mode: str) -> int:
    """Return how many gates w_ih and w_hh have."""
    return {"LSTM": 4, "LSTMP": 4, "GRU": 3}.get(mode, 1)


def is_lstm(mode: str) -> bool:
    """Return whether there is a state c besides h."""
    return mode in ("LSTM", "LSTMP")
