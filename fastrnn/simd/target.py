"""The tile table: how wide this processor's vectors are and how large a register tile may be."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numba import from_dtype
from numba.core import config, types


class Tile(NamedTuple):
    """A block of accumulators that fills the vector registers.

    lanes    numbers in one vector
    rows     rows of the block
    vectors  vectors in a row of the block
    few      vectors in a row of a block of one row, and of one of two rows
    """

    lanes: int
    rows: int
    vectors: int
    few: tuple[int, int]


# rows * vectors accumulators, `vectors` loaded operands and one broadcast must fit the register
# file: 32 registers with AVX-512 and NEON, 16 with AVX2 and SSE2.  Measured share of the FMA
# peak with float32: AVX-512 6x4 100 %; AVX2 6x2 100 %, 2x4 94 %, 3x4 (spills) 47 %.  Two sums of
# one row wait for each other's end: AVX2 1x2 42 %, 1x4 78 %, 1x6 87 %; 2x2 78 %, 2x4 96 %.
_FLOAT32 = {
    "avx512": Tile(16, 6, 4, (4, 4)),
    "avx2": Tile(8, 6, 2, (6, 4)),
    "neon": Tile(4, 6, 4, (4, 4)),
    "portable": Tile(4, 6, 2, (6, 4)),
}
_FLOAT64 = {name: tile._replace(lanes=tile.lanes // 2) for name, tile in _FLOAT32.items()}

_AVX512_PROCESSORS = ("x86-64-v4", "skylake-avx512", "cascadelake", "cooperlake", "cannonlake",
                      "icelake-client", "icelake-server", "tigerlake", "rocketlake",
                      "sapphirerapids", "emeraldrapids", "graniterapids",
                      "znver4", "znver5")  # fmt: skip
_AVX2_PROCESSORS = ("x86-64-v3", "haswell", "broadwell", "skylake", "alderlake", "raptorlake",
                    "meteorlake", "arrowlake", "znver1", "znver2", "znver3")  # fmt: skip


def _respect_forced_processor() -> None:
    """Let `NUMBA_CPU_NAME` alone choose the instruction set.

    Numba would still enable every feature of the host; without `NUMBA_CPU_FEATURES` the named
    processor's own features are what the user asked for.
    """
    if config.CPU_NAME and config.CPU_FEATURES is None:
        config.CPU_FEATURES = ""


_respect_forced_processor()


@cache
def instruction_set() -> str:
    """Return the key of the tile table for the processor that kernels are compiled for."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        return "neon"
    features = _features()
    if "avx512f" in features:
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= features else "portable"


def _features() -> set[str]:
    """Return what the processor that kernels are compiled for can do, as far as tiles care."""
    if config.CPU_FEATURES:
        return {word[1:] for word in config.CPU_FEATURES.split(",") if word.startswith("+")}
    if config.CPU_NAME in _AVX512_PROCESSORS:
        return {"avx512f", "avx2", "fma"}
    if config.CPU_NAME in _AVX2_PROCESSORS:
        return {"avx2", "fma"}
    if config.CPU_NAME:
        return set()
    return {name for name, has in llvm.get_host_cpu_features().items() if has}


def lanes_of(dtype: np.dtype[Any]) -> int:
    """Return the lanes of a vector of NumPy's float32 or float64."""
    return tile_of(dtype).lanes


@cache
def tile_of(dtype: np.dtype[Any]) -> Tile:
    """Return the register tile for NumPy's float32 or float64."""
    return tile(from_dtype(dtype))


def tile(dtype: types.Float) -> Tile:
    """Return the register tile for numbers of Numba type `dtype`."""
    table = {types.float32: _FLOAT32, types.float64: _FLOAT64}
    return table[dtype][instruction_set()]
