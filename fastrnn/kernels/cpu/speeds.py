"""How fast a core computes and reads its caches, for the cost model of `kernels.cpu.plan`.

Measured with AVX-512 and float32 on two cores each of an AMD Zen 5 and of an Intel Emerald Rapids
(`fastrnn info` names yours).  Other instruction sets scale the products and the caches alike, and
choices depend on ratios only.  Processors of neither kind, whose last cache is shared by all cores
as a rule, are taken for Intel's.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import llvmlite.binding as llvm
from numba.core import config


class Speeds(NamedTuple):
    """Of one core while the others work too.

    multiply_adds   products a second
    second_level    bytes a second from the second-level cache
    third_level     likewise from the third
    both            share of the shorter of products and reading that the longer does not hide
    unit_seconds    of the formula for one hidden unit
    meeting_seconds of two workers
    fused_bytes     weights above which x @ W is better made before the time loop
    """

    multiply_adds: float
    second_level: float
    third_level: float
    both: float
    unit_seconds: float
    meeting_seconds: float
    fused_bytes: int


AMD = Speeds(1.1e11, 176e9, 103e9, 0.0, 0.9e-9, 0.3e-6, 12_000_000)
INTEL = Speeds(0.75e11, 100e9, 20e9, 0.3, 1.7e-9, 0.3e-6, 4_000_000)


@cache
def speeds() -> Speeds:
    """Return the speeds of the processor that kernels are compiled for."""
    name = config.CPU_NAME or llvm.get_host_cpu_name()
    return AMD if name.startswith("znver") else INTEL
