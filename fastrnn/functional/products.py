"""Matrix products with weights: x @ W + b over many rows, and its gradients.

Results of `project`, and the gradients that the other two take, are panel-major: (P, N, width);
see `kernels.cpu.gemm`.  `share` says which vectors of a panel belong to W: all of them for a
plain matrix, the gates that W feeds for a recurrent cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional.panels import Panels, packed, packed_transposed, unpacked
from fastrnn.kernels.cpu import buffers, gemm, schedule

Array = NDArray[Any]


def project(
    x: gemm.Rows, W: Array, b: Array | None, panels: Panels, share: tuple[int, int], out: Array
) -> None:
    """Write x @ W + b.

    x (N, M), W (M, columns of the share), b (columns,) or None; writes out (P, N, width)
    """
    N = out.shape[1]
    arguments = gemm.Projection(
        *x, panels.number, panels.vectors, *share, schedule.PROJECT_ROWS,
        packed(W, panels.share(*share)),
        packed_bias(b, panels, W.dtype), out,
    )  # fmt: skip
    gemm.project(None, arguments, schedule.workers_for(N * W.size, N))


def packed_bias(b: Array | None, panels: Panels, dtype: np.dtype[Any]) -> Array:
    """Return a bias (columns,) in panels (P, 1, width); zeros where it is None."""
    if b is None:
        return buffers.zeros((panels.number, 1, panels.width), dtype)
    return packed(b[None], panels)


def weight_gradient(
    x: gemm.Rows, dout: Array, panels: Panels, share: tuple[int, int], columns: int, with_bias: bool
) -> tuple[Array, Array | None]:
    """Return dW = x^T @ dout (M, columns) and, if `with_bias`, db, the column sums of dout."""
    N = dout.shape[1]
    if N == 0:
        no_db = np.zeros(columns, dout.dtype) if with_bias else None
        return np.zeros((x.M, columns), dout.dtype), no_db
    part = panels.share(*share)
    chunk = schedule.CHUNK_ROWS
    workers = schedule.workers_for(N * x.M * columns, panels.number * x.M)
    gathered = buffers.empty((workers, chunk, x.M), dout.dtype) if x.steps > 1 else None
    packed_dW = buffers.empty((panels.number, x.M, part.width), dout.dtype)
    packed_db = buffers.empty((panels.number, 1, panels.width), dout.dtype) if with_bias else None
    arguments = gemm.WeightGradient(
        *x, panels.number, panels.vectors, *share, dout, chunk, gathered, packed_dW, packed_db
    )
    gemm.weight_gradient(None, arguments, workers)
    db = None if packed_db is None else unpacked(packed_db, panels, columns)[0]
    return unpacked(packed_dW, part, columns), db


def input_gradient(W: Array, dout: Array, panels: Panels, share: tuple[int, int]) -> Array:
    """Return dx = dout @ W^T, (N, M)."""
    N, M = dout.shape[1], W.shape[0]
    dx = buffers.empty((N, M), dout.dtype)
    arguments = gemm.InputGradient(
        N, M, panels.number, panels.vectors, *share,
        *schedule.input_gradient_blocks(panels.number, panels.width), dout,
        packed_transposed(W, panels.share(*share)), dx,
    )  # fmt: skip
    gemm.input_gradient(None, arguments, schedule.workers_for(N * W.size, max(N, 1)))
    return dx
