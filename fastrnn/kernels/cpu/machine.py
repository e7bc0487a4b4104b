"""The machine that kernels run on: what it is, and how fast its arithmetic can be at most."""

from __future__ import annotations

import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numba import types

from fastrnn._jit import cache_folder
from fastrnn.kernels.cpu import buffers
from fastrnn.kernels.cpu.task import Floats, task
from fastrnn.kernels.cpu.threads import get_num_threads, usable_processors
from fastrnn.simd.memory import lanes, tile_rows, tile_vectors
from fastrnn.simd.microkernel import Left, multiply
from fastrnn.simd.target import instruction_set, tile

# Rows of the panel: with the widest tile it takes 16 KB, which every first-level cache holds.
_DEPTH = 64

# Tiles that one worker computes in one measurement: some 15 ms at any vector width.
_TILES = 80_000


class Tiles(NamedTuple):
    """Arguments of `multiply_tiles`."""

    tiles: int
    depth: int
    a: Floats  # (workers, rows, depth)
    panel: Floats  # (workers, depth, width)
    zeros: Floats  # (width,)
    c: Floats  # (workers, rows, width), written


@task
def multiply_tiles(cell, args, worker, workers):  # type: ignore[no-untyped-def]
    """Compute one and the same largest tile again and again: nothing leaves the nearest cache."""
    s = args[0]
    rows = tile_rows(s.a)
    vectors = tile_vectors(s.a)
    width = vectors * lanes(s.a)
    a = Left(s.a + worker * rows * s.depth, s.depth, 1, s.depth, 1, 0)
    panel = s.panel + worker * s.depth * width
    c = s.c + worker * rows * width
    for _ in range(s.tiles):
        multiply(rows, vectors, a, panel, width, s.zeros, 0, c, width)


def measure_peak(threads: int, *, attempts: int = 9) -> float:
    """Return the float32 arithmetic peak that `threads` workers reach together, in GFLOP/s.

    It is that of the register-tile micro-kernel on data in the first-level caches, a multiply-add
    counted as two, and the best of all attempts.

    Parameters
    ----------
    threads, attempts : int
        At least 1.
    """
    shape = tile(types.float32)
    width = shape.vectors * shape.lanes
    rng = np.random.default_rng(0)

    def filled(*sizes: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        array = buffers.empty(sizes, np.float32)
        array[:] = rng.uniform(-1.0, 1.0, sizes)  # zeros would draw less power than real data
        return array

    arguments = Tiles(
        tiles=_TILES,
        depth=_DEPTH,
        a=filled(threads, shape.rows, _DEPTH),
        panel=filled(threads, _DEPTH, width),
        zeros=buffers.zeros((width,), np.float32),
        c=buffers.empty((threads, shape.rows, width), np.float32),
    )
    multiply_tiles(None, arguments._replace(tiles=1), threads)  # compiles, wakes the threads
    seconds = []
    for _ in range(attempts):
        start = time.perf_counter()
        multiply_tiles(None, arguments, threads)
        seconds.append(time.perf_counter() - start)
    operations = 2 * shape.rows * width * _DEPTH * _TILES * threads
    return operations / min(seconds) / 1e9


def describe() -> dict[str, str]:
    """Return what decides the speed here; runs no kernel and starts no thread.

    Returns
    -------
    dict
        processor, instruction_set, tile, threads, threading_layer, cache_folder, and the versions
        of python, numba, llvmlite and numpy.
    """
    shape = tile(types.float32)
    return {
        "processor": _processor(),
        "instruction_set": instruction_set(),
        "tile": f"{shape.rows} rows x {shape.vectors} vectors x {shape.lanes} float32",
        "threads": str(get_num_threads()),
        "threading_layer": _threading_layer(),
        "cache_folder": str(cache_folder() or "none: no folder is writable"),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("numba", "llvmlite", "numpy")},
    }


def _processor() -> str:
    """Return the processor's name, and the one that LLVM compiles for."""
    host = str(llvm.get_host_cpu_name())
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, "") or platform.processor()
    return f"{name} ({host})" if name else host


def _threading_layer() -> str:
    is_alone = get_num_threads() == 1 or usable_processors() == 1 or sys.platform == "win32"
    return "none: one thread" if is_alone else "own thread pool (fastrnn.kernels.cpu.pool)"
