"""The two biases of torch's layers, and the one that the kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.kernels.cpu import moves
from fastrnn.torch.kind import Kind

Array = NDArray[Any]


def joined(kind: Kind, b_ih: Array, b_hh: Array) -> Array:
    """Return b as the cell takes it: the GRU's candidate keeps its two apart."""
    b_ih, b_hh = np.ascontiguousarray(b_ih), np.ascontiguousarray(b_hh)
    both = len(b_ih) // 3 * 2 if kind.mode == "GRU" else len(b_ih)
    b = np.empty(2 * len(b_ih) - both, b_ih.dtype)
    moves.copy(b_ih, b[: len(b_ih)])
    moves.add(b_hh[:both], b[:both])
    if both < len(b_hh):
        moves.copy(b_hh[both:], b[len(b_ih) :])
    return b


def split(kind: Kind, db: Array) -> tuple[Array, Array]:
    """Return the gradients of b_ih and b_hh."""
    size = len(db) // 4 * 3 if kind.mode == "GRU" else len(db)
    both = size // 3 * 2 if kind.mode == "GRU" else size
    db_ih, db_hh = (np.empty(size, db.dtype) for _ in range(2))
    moves.copy(db[:size], db_ih)
    moves.copy(db[:both], db_hh[:both])
    if both < size:
        moves.copy(db[size:], db_hh[both:])
    return db_ih, db_hh
