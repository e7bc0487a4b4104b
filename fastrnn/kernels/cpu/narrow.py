"""Products with matrices of few columns, such as the heads of classifiers have.

Vectors run along the rows of x: a panel of columns would be mostly empty.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn.kernels.cpu.task import Floats, task
from fastrnn.simd.memory import broadcast, is_given, lanes, load_edge, store_edge
from fastrnn.simd.vector import lane_sum

#: Rows whose gradients are summed before they join the sum of all: errors grow with both numbers.
CHUNK = 256


class Narrow(NamedTuple):
    """Arguments of `forward` and `backward`.

    Gradients are given, or written, by `backward` alone.
    """

    N: int
    I: int
    O: int
    x: Floats  # (N, I), rows x_row numbers apart
    x_row: int
    W: Floats  # (O, I), transposed
    b: Floats  # (O,), or None for zeros
    y: Floats  # (N, O)
    dy: Floats = None  # (N, O)
    dx: Floats = None  # (N, I)
    dW: Floats = None  # (O, I)
    db: Floats = None  # (O,)


@task
def forward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Multiply by a matrix and add a bias: y = x @ W^T + b.

    args    Narrow; writes y

    A worker owns a range of rows.
    """
    s = args[0]
    for n in range(s.N * worker // workers, s.N * (worker + 1) // workers):
        x = s.x + n * s.x_row
        for o in range(s.O):
            total = broadcast(s.x, 0.0)
            for i in range(0, s.I, lanes(s.x)):
                total = total + load_edge(x + i, s.I - i) * load_edge(s.W + o * s.I + i, s.I - i)
            s.y[n * s.O + o] = lane_sum(total) + (s.b[o] if is_given(s.b) else 0.0)


@task
def backward(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Return all gradients from that of y.

    args    Narrow; writes dx, dW and db

    A worker owns a range of the rows of dx, and a range of the columns of dW; the first one db.
    """
    s = args[0]
    lane = lanes(s.x)
    for n in range(s.N * worker // workers, s.N * (worker + 1) // workers):
        for i in range(0, s.I, lane):
            total = broadcast(s.x, 0.0)
            for o in range(s.O):
                total = total + s.dy[n * s.O + o] * load_edge(s.W + o * s.I + i, s.I - i)
            store_edge(s.dx + n * s.I + i, total, s.I - i)
    vectors = (s.I + lane - 1) // lane
    for o in range(s.O):
        for v in range(vectors * worker // workers, vectors * (worker + 1) // workers):
            i = v * lane
            total = broadcast(s.x, 0.0)
            for begin in range(0, s.N, CHUNK):
                part = broadcast(s.x, 0.0)
                for n in range(begin, min(begin + CHUNK, s.N)):
                    part = part + s.dy[n * s.O + o] * load_edge(s.x + n * s.x_row + i, s.I - i)
                total = total + part
            store_edge(s.dW + o * s.I + i, total, s.I - i)
        if worker == 0 and is_given(s.db):
            rows = 0.0
            for n in range(s.N):
                rows += s.dy[n * s.O + o]
            s.db[o] = rows
