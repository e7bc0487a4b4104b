"""Matrix products over all rows of all time steps, outside the time loop.

    project           out = bias + X @ W                  out in panels (P, N, gates * V)
    weight_gradient   dW = X^T @ out, dbias = column sums of out
    input_gradient    dX = out @ W^T

`out` is panel-major as in `kernels.cpu.scan`, of which vectors first..last belong to W.  The rows
of X need not be one block of memory: rows `rows[t] .. rows[t + 1]` start at x + x_step[t] and are
x_row apart.  Where they are evenly spaced throughout, one step of N rows says so.

Every element is summed in one order: the results do not depend on the number of workers.
"""

from __future__ import annotations

from typing import NamedTuple

from fastrnn._jit import part, pointwise
from fastrnn.kernels.cpu.task import Floats, Ints, task
from fastrnn.simd.memory import (
    broadcast,
    is_given,
    lanes,
    line,
    load,
    load_edge,
    prefetch,
    prefetch_block,
    store,
    store_edge,
    tile_rows,
    tile_scratch,
    tile_vectors,
)
from fastrnn.simd.microkernel import Left, multiply, widest


class Rows(NamedTuple):
    """X, the first arguments of `Projection` and `WeightGradient`: `Projection(*rows, ...)`.

    (N, M) numbers, spaced as the module's docstring says.
    """

    steps: int
    rows: Ints  # (steps + 1,)
    x: Floats
    x_step: Ints  # (steps,)
    x_row: int
    M: int


class Projection(NamedTuple):
    """Arguments of `project`; the module's docstring gives the shapes."""

    steps: int
    rows: Ints
    x: Floats
    x_step: Ints
    x_row: int
    M: int
    panels: int
    gates: int
    first: int
    last: int
    block: int  # rows whose products with one panel are made before the next panel is read
    W: Floats  # (P, M, (last - first) * V)
    bias: Floats  # (P, gates * V)
    out: Floats  # (P, N, gates * V), written


class WeightGradient(NamedTuple):
    """Arguments of `weight_gradient`; the module's docstring gives the shapes."""

    steps: int
    rows: Ints
    x: Floats
    x_step: Ints
    x_row: int
    M: int
    panels: int
    gates: int
    first: int
    last: int
    out: Floats  # (P, N, gates * V)
    runs: int  # into which the rows are cut, each with sums of its own
    chunk: int  # rows summed before the sums go to memory
    gathered: Floats  # (workers, chunk * M + V) scratch for rows of X; None: read where they are
    run_size: int  # numbers from the sums of one run to those of the next
    dW: Floats  # (P, M, (last - first) * V) of the first run, written
    dbias: Floats  # (P, gates * V) of the first run, written, or None


class PartialSums(NamedTuple):
    """Arguments of `add_runs`."""

    runs: int
    size: int
    sums: Floats  # (runs, size)


class InputGradient(NamedTuple):
    """Arguments of `input_gradient`; the module's docstring gives the shapes."""

    N: int
    M: int
    panels: int
    gates: int
    first: int
    last: int
    block: int  # rows whose gradients are made before others are read
    chunk: int  # panels summed before the sums go to memory
    out: Floats  # (P, N, gates * V)
    W_transposed: Floats  # as `pack.pack_transposed` writes it
    dx: Floats  # (N, M), written


@task
def project(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write out = bias + X @ W; see the module's docstring."""
    s = args[0]
    lane = lanes(s.x)
    width = s.gates * lane
    N = s.rows[s.steps]
    begin = N * worker // workers
    end = N * (worker + 1) // workers
    stride = (s.last - s.first) * lane
    for t in range(s.steps):
        row = max(begin, s.rows[t])
        stop = min(end, s.rows[t + 1])
        while row < stop:
            count = min(s.block, stop - row)
            tiles = (count + tile_rows(s.x) - 1) // tile_rows(s.x)
            for panel in range(s.panels):
                weights = s.W + panel * s.M * stride
                bias = s.bias + panel * width
                for q in range(tiles):
                    r = row + count * q // tiles
                    height = row + count * (q + 1) // tiles - r
                    x = s.x + s.x_step[t] + (r - s.rows[t]) * s.x_row
                    a = Left(x, s.x_row, 1, s.M, 1, 0)
                    out = s.out + (panel * N + r) * width
                    for v in range(s.gates):
                        if v < s.first or v >= s.last:
                            for i in range(height):
                                store(out + i * width + v * lane, load(bias + v * lane))
                    step = widest(height, s.x)
                    for v in range(s.first, s.last, step):
                        size = min(step, s.last - v)
                        right = weights + (v - s.first) * lane
                        c = out + v * lane
                        multiply(height, size, a, right, stride, bias + v * lane, 0, c, width)
            row += count


@part
def _gather(s, low, high, begin, end, tiles, gathered):  # type: ignore[no-untyped-def]
    """Copy rows low..high of X to `gathered`, for the tiles begin..end of its `tiles`.

    The numbers that a tile of columns m.. multiplies lie one behind the other from m * (high - low)
    on, where none of them drives another out of the nearest cache, as rows of 2 KB do.
    """
    lane = lanes(s.x)
    rows = high - low
    top = 0
    while s.rows[top + 1] <= low:
        top += 1
    for q in range(begin, end):
        m = s.M * q // tiles
        height = s.M * (q + 1) // tiles - m
        t = top
        for row in range(low, high):
            while s.rows[t + 1] <= row:
                t += 1
            source = s.x + s.x_step[t] + (row - s.rows[t]) * s.x_row + m
            target = gathered + m * rows + (row - low) * height
            # What a vector holds too much is written over by the next row, or the next tile.
            for i in range(0, height, lane):
                store(target + i, load_edge(source + i, s.M - m - i))


@pointwise
def _prefetch_rows(s, panel, low, high, q, parts):  # type: ignore[no-untyped-def]
    """Ask for part q of `parts` of the rows low..high of a panel of `out`, as far as W has them."""
    lane = lanes(s.x)
    width = s.gates * lane
    begin = low + (high - low) * q // parts
    count = low + (high - low) * (q + 1) // parts - begin
    start = s.out + (panel * s.rows[s.steps] + begin) * width
    for column in range(s.first * lane, s.last * lane, line(s.x)):
        prefetch(start + column, count, width)


@part
def _column_sums(s, total, panel, low, high, adds):  # type: ignore[no-untyped-def]
    """Write the sums of rows low..high of a panel of `out` to `total`, or add them to it."""
    lane = lanes(s.x)
    width = s.gates * lane
    N = s.rows[s.steps]
    for v in range(0, width, lane):
        start = s.out + (panel * N + low) * width + v
        # Several sums, as each waits for the one before.
        a = load(total + v) if adds else broadcast(total, 0.0)
        b = c = d = broadcast(total, 0.0)
        whole = (high - low) // 4 * 4
        for row in range(0, whole, 4):
            place = start + row * width
            a = a + load(place)
            b = b + load(place + width)
            c = c + load(place + 2 * width)
            d = d + load(place + 3 * width)
        for row in range(whole, high - low):
            a = a + load(start + row * width)
        store(total + v, (a + b) + (c + d))


@task
def weight_gradient(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write dW = X^T @ out and dbias, each run of rows by itself; see the module's docstring.

    Chunks of rows are outermost, so that the chunk of X stays in the second-level cache for all
    panels, and that of a panel in the first-level cache for all its rows of dW.  A worker owns an
    even share of the tiles of all panels of dW, of all runs.
    """
    s = args[0]
    tiles = s.panels * ((s.M + tile_rows(s.x) - 1) // tile_rows(s.x))
    first = s.runs * tiles * worker // workers
    last = s.runs * tiles * (worker + 1) // workers
    for run in range(s.runs):
        begin = max(0, first - run * tiles)
        end = min(tiles, last - run * tiles)
        if begin < end:
            _gradient_of_run(args, worker, run, begin, end)


@part
def _gradient_of_run(args, worker, run, begin, end):  # type: ignore[no-untyped-def]
    """Write tiles begin..end of the panels of dW, and dbias, for one run of the rows of X."""
    s = args[0]
    lane = lanes(s.x)
    width = s.gates * lane
    stride = (s.last - s.first) * lane
    N = s.rows[s.steps]
    dW = s.dW + run * s.run_size
    zeros = tile_scratch(s.x)
    for v in range(0, tile_vectors(s.x) * lane, lane):
        store(zeros + v, broadcast(zeros, 0.0))
    tiles = (s.M + tile_rows(s.x) - 1) // tile_rows(s.x)
    gathered = s.gathered + worker * (s.chunk * s.M + lane)
    is_whole = begin // tiles != (end - 1) // tiles
    left = 0 if is_whole else begin % tiles
    right = tiles if is_whole else (end - 1) % tiles + 1
    top = N * run // s.runs
    bottom = N * (run + 1) // s.runs
    chunks = (bottom - top + s.chunk - 1) // s.chunk
    for chunk in range(chunks):
        low = top + (bottom - top) * chunk // chunks
        high = top + (bottom - top) * (chunk + 1) // chunks
        if is_given(s.gathered):
            _gather(s, low, high, left, right, tiles, gathered)
        for tile in range(begin, end):
            panel = tile // tiles
            q = tile - panel * tiles
            m = s.M * q // tiles
            height = s.M * (q + 1) // tiles - m
            if is_given(s.gathered):
                a = Left(gathered + m * (high - low), 1, height, high - low, 1, 0)
            else:
                x = s.x + s.x_step[0] + low * s.x_row + m
                a = Left(x, 1, s.x_row, high - low, 1, 0)
            sums = dW + (panel * s.M + m) * stride
            # The next tile's sums, else waited for when its product begins.
            if tile + 1 < end:
                prefetch_block(sums + height * stride, height * stride)
            # What comes after this panel's rows: the next panel's, or those of the next chunk.
            if tile + tiles < end:
                _prefetch_rows(s, panel + 1, low, high, q, tiles)
            else:
                _prefetch_rows(s, begin // tiles, high, min(2 * high - low, bottom), q, tiles)
            for v in range(s.first, s.last, tile_vectors(s.x)):
                size = min(tile_vectors(s.x), s.last - v)
                c = sums + (v - s.first) * lane
                right_hand = s.out + (panel * N + low) * width + v * lane
                if chunk == 0:
                    multiply(height, size, a, right_hand, width, zeros, 0, c, stride)
                else:
                    multiply(height, size, a, right_hand, width, c, stride, c, stride)
            if q == 0 and is_given(s.dbias):
                total = s.dbias + run * s.run_size + panel * width
                _column_sums(s, total, panel, low, high, chunk > 0)


@task
def add_runs(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Add the sums of all other runs to those of the first, in their order."""
    s = args[0]
    lane = lanes(s.sums)
    vectors = (s.size + lane - 1) // lane
    for vector in range(vectors * worker // workers, vectors * (worker + 1) // workers):
        place = s.sums + vector * lane
        there = s.size - vector * lane
        total = load_edge(place, there)
        for run in range(1, s.runs):
            total = total + load_edge(place + run * s.size, there)
        store_edge(place, total, there)


@task
def input_gradient(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Write dX = out @ W^T; see the module's docstring.

    Blocks of rows are outermost: a block of `out` is read from memory once.  Then groups of
    columns, then chunks of panels (whose part of W^T stays in the second-level cache), then tiles.
    """
    s = args[0]
    lane = lanes(s.out)
    width = s.gates * lane
    depth = (s.last - s.first) * lane
    begin = s.N * worker // workers
    end = s.N * (worker + 1) // workers
    blocks = (s.M + lane - 1) // lane
    groups = (blocks + tile_vectors(s.out) - 1) // tile_vectors(s.out)
    scratch = tile_scratch(s.out)
    zeros = tile_scratch(s.out)
    for v in range(0, tile_vectors(s.out) * lane, lane):
        store(zeros + v, broadcast(zeros, 0.0))
    row = begin
    while row < end:
        count = min(s.block, end - row)
        tiles = (count + tile_rows(s.out) - 1) // tile_rows(s.out)
        for group in range(groups):
            low = blocks * group // groups
            high = blocks * (group + 1) // groups
            size = (high - low) * lane
            there = min(size, s.M - low * lane)
            for panel in range(0, s.panels, s.chunk):
                panels = min(s.chunk, s.panels - panel)
                weights = s.W_transposed + low * lane * s.panels * depth + panel * depth * size
                for q in range(tiles):
                    r = row + count * q // tiles
                    height = row + count * (q + 1) // tiles - r
                    start = s.out + (panel * s.N + r) * width
                    if group == 0:
                        for p in range(panels):
                            next_rows = start + (p * s.N + height) * width
                            prefetch_block(next_rows, height * width)
                    a = Left(start + s.first * lane, width, 1, depth, panels, s.N * width)
                    c = s.dx + r * s.M + low * lane
                    # Stores wait for lines that they write in part, where rows are not whole lines.
                    if s.M % line(s.dx) != 0:
                        for v in range(0, there, line(s.dx)):
                            prefetch(c + v, height, s.M)
                        prefetch(c + (there - 1), height, s.M)
                    if there == size:
                        if panel == 0:
                            multiply(height, high - low, a, weights, size, zeros, 0, c, s.M)
                        else:
                            multiply(height, high - low, a, weights, size, c, s.M, c, s.M)
                    else:
                        for i in range(height):
                            for v in range(0, size, lane):
                                if panel == 0:
                                    sums = broadcast(scratch, 0.0)
                                else:
                                    sums = load_edge(c + i * s.M + v, there - v)
                                store(scratch + i * size + v, sums)
                        multiply(height, high - low, a, weights, size, scratch, size, scratch, size)
                        for i in range(height):
                            for v in range(0, size, lane):
                                store_edge(c + i * s.M + v, load(scratch + i * size + v), there - v)
        row += count
