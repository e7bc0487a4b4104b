"""Processors other than this one: narrower vectors, fewer registers, the same results."""

import platform

import pytest
from numba.core import types
from processes import run_python
from structures import STRUCTURES

from fastrnn.simd import target

FORWARD_AND_BACKWARD = """
import numpy as np
from functional.problems import assert_results_close, random_problem, reference_run, run
from fastrnn.simd.target import instruction_set

print(instruction_set())
rng = np.random.default_rng(1)
for cell in {cells}:
    for sizes in (3, 5, 7, 19), (2, 20, 3, 40):
        problem = random_problem(rng, cell, *sizes, np.float32)
        lengths = rng.integers(0, sizes[0] + 1, sizes[1])
        for options in {{}}, {{"lengths": lengths, "reverse": True}}:
            desired = reference_run(cell, problem, **options)
            assert_results_close(run(cell, problem, **options), desired)
"""

# What compiles for a minute; what differs between processors is below the cells.
SOME_CELLS = ("rnn", "gru", "ln_lstm")

REGISTERS = {"avx512": 32, "avx2": 16, "portable": 16, "neon": 32}
VECTOR_BYTES = {"avx512": 64, "avx2": 32, "portable": 16, "neon": 16}


def can_run(instruction_set):
    """Whether this machine executes the instructions of the set."""
    order = ("portable", "avx2", "avx512")
    here = target.instruction_set()
    return here in order and order.index(instruction_set) <= order.index(here)


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="processors of another family"
)
@pytest.mark.parametrize(
    ("processor", "expected", "cells"),
    [
        ("nehalem", "portable", SOME_CELLS),
        ("haswell", "avx2", tuple(STRUCTURES)),
        ("x86-64-v4", "avx512", SOME_CELLS),
    ],
)
def test_results_match_reference_on_an_older_processor(processor, expected, cells):
    program = FORWARD_AND_BACKWARD.format(cells=cells)
    if not can_run(expected):
        # What the processor cannot execute can at least be chosen.
        program = "from fastrnn.simd.target import instruction_set; print(instruction_set())"
    output, _ = run_python(program, NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=None)
    assert output.split() == [expected]


@pytest.mark.parametrize("instruction_set", REGISTERS)
def test_tile_fits_the_register_file(instruction_set, monkeypatch):
    monkeypatch.setattr(target, "instruction_set", lambda: instruction_set)
    for dtype in (types.float32, types.float64):
        tile = target.tile(dtype)
        assert tile.lanes * dtype.bitwidth // 8 == VECTOR_BYTES[instruction_set]
        for rows, vectors in (tile.rows, tile.vectors), *enumerate(tile.few, 1):
            # Accumulators, a row of the panel and one number of the left operand.
            assert rows * vectors + vectors + 1 <= REGISTERS[instruction_set]
            # What is left of a panel may be as wide as a block of any height.
            assert vectors >= tile.vectors


def test_every_named_processor_chooses_a_tile(monkeypatch):
    monkeypatch.setattr(target.config, "CPU_FEATURES", "")
    monkeypatch.setattr(target.platform, "machine", lambda: "x86_64")
    choose = target.instruction_set.__wrapped__
    for processor, expected in {
        "skylake-avx512": "avx512", "znver5": "avx512", "znver3": "avx2", "core2": "portable",
        "generic": "portable",
    }.items():  # fmt: skip
        monkeypatch.setattr(target.config, "CPU_NAME", processor)
        assert choose() == expected


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("+avx512f,+avx2,+fma", "avx512"),
        ("+avx2,+fma", "avx2"),
        ("+avx2,-fma", "portable"),
        ("+sse2", "portable"),
    ],
)
def test_named_features_choose_a_tile(monkeypatch, features, expected):
    monkeypatch.setattr(target.config, "CPU_FEATURES", features)
    monkeypatch.setattr(target.platform, "machine", lambda: "x86_64")
    assert target.instruction_set.__wrapped__() == expected


@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_arm_has_neon(monkeypatch, machine):
    monkeypatch.setattr(target.platform, "machine", lambda: machine)
    assert target.instruction_set.__wrapped__() == "neon"
