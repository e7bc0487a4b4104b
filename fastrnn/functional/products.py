"""Matrix products with weights: x @ W + b over many rows, and its gradients.

Results of `project`, and the gradients that the other two take, are panel-major: (P, N, width);
see `kernels.cpu.gemm`.  `panels` are those of out, and `share` says which of their vectors belong
to W: all of them for a plain matrix, the gates that W feeds for a recurrent cell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.functional.panels import Panels, Share, packed, packed_transposed
from fastrnn.kernels.cpu import buffers, gemm, schedule
from fastrnn.kernels.cpu import table as kernel
from fastrnn.kernels.cpu.threads import workers_over
from fastrnn.simd.target import tile_of

Array = NDArray[Any]


def project(x: gemm.Rows, W: Array, bias: Array, panels: Panels, share: Share, out: Array) -> None:
    """Write x @ W + b.

    x (N, M), W (P, M, width of the share) and bias (P, 1, width) in panels; writes out
    (P, N, width)
    """
    N = out.shape[1]
    arguments = gemm.Projection(
        *x, panels.number, panels.vectors, share.first, share.last, schedule.PROJECT_ROWS,
        W, bias, out,
    )  # fmt: skip
    gemm.project(None, arguments, schedule.workers_for(N * W.size, N))


def packed_bias(b: Array | None, panels: Panels, dtype: np.dtype[Any]) -> Array:
    """Return a bias (columns,) in panels (P, 1, width); zeros where it is None."""
    if b is None:
        return buffers.zeros((panels.number, 1, panels.width), dtype)
    return packed(b[None], panels)


def weight_gradient(
    x: gemm.Rows, dout: Array, panels: Panels, share: Share, with_bias: bool
) -> tuple[Array, Array | None]:
    """Return dW = x^T @ dout in the panels of the share, and, if `with_bias`, db in `panels`.

    db is the sum of the rows of dout.
    """
    N = dout.shape[1]
    width = share.panels.width
    if N == 0:
        no_db = np.zeros((panels.number, 1, panels.width), dout.dtype) if with_bias else None
        return np.zeros((panels.number, x.M, width), dout.dtype), no_db
    runs = schedule.gradient_runs(N, x.M, panels.number)
    chunk = schedule.gradient_chunk(width * dout.itemsize)
    tiles = runs * panels.number * -(-x.M // tile_of(dout.dtype).rows)
    workers = schedule.workers_for(N * x.M * panels.number * width, tiles)
    gathered = None
    row_bytes = x.x_row * dout.itemsize
    if x.steps > 1 or schedule.is_gathered(row_bytes, panels.number * runs, workers):
        gathered = buffers.empty((workers, chunk * x.M + panels.lanes), dout.dtype)
    size = panels.number * x.M * width
    run_size = size + (panels.number * panels.width if with_bias else 0)
    sums = buffers.empty((runs, run_size), dout.dtype)
    dW = sums[0, :size].reshape(panels.number, x.M, width)
    db = sums[0, size:].reshape(panels.number, 1, panels.width) if with_bias else None
    arguments = gemm.WeightGradient(
        *x, panels.number, panels.vectors, share.first, share.last, dout, runs, chunk, gathered,
        run_size, dW, db,
    )  # fmt: skip
    gemm.weight_gradient(None, arguments, workers)
    if runs > 1:
        gemm.add_runs(None, gemm.PartialSums(runs, run_size, sums), 1)
    return dW, db


def input_gradient(W: Array, dout: Array, panels: Panels, share: Share) -> Array:
    """Return dx = dout @ W^T, (N, M)."""
    N, M = dout.shape[1], W.shape[0]
    dx = buffers.empty((N, M), dout.dtype)
    arguments = gemm.InputGradient(
        N, M, panels.number, panels.vectors, share.first, share.last,
        *schedule.input_gradient_blocks(panels.number, panels.width), dout,
        packed_transposed(W, share.panels), dx,
    )  # fmt: skip
    gemm.input_gradient(None, arguments, schedule.workers_for(N * W.size, max(N, 1)))
    return dx


def table_gradient(ids: NDArray[np.int32], dout: Array, rows: int, panels: Panels) -> Array:
    """Return the gradient (P, rows, width) of a table in panels, of which rows were looked up.

    ids (N,) of the rows, dout (P, N, width)
    """
    table = buffers.empty((panels.number, rows, panels.width), dout.dtype)
    given: Any = ids
    arguments = kernel.TableGradient(
        given, len(ids), rows, panels.number, panels.vectors, dout, table
    )
    kernel.add_rows(None, arguments, min(workers_over(dout.size), panels.number * panels.vectors))
    return table
