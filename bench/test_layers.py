"""The suite's cases under pytest-benchmark, in a group for each case.

    pytest bench/test_layers.py [--benchmark-json=FILE]
    pytest-benchmark compare FILE...

Here all libraries share one process: it is quicker than `fastrnn bench`, and less fair.
"""

import importlib

import pytest

from . import cases, oracle, ours, timing
from .candidate import UnableError, check, first_call
from .rivals import RIVALS

pytest.importorskip("pytest_benchmark")

THREADS = 2
SIDES = ("fastrnn", "numpy", "torch")
CASES = cases.select(["even", "stream", "step-characters"], cases.USUAL_CELLS, cases.PASSES)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: str(case).replace(" ", "-"))
def case(request):
    return request.param


@pytest.fixture(scope="module")
def expected(case):
    return oracle.outputs(case)


@pytest.mark.parametrize("side", SIDES)
def test_case(benchmark, case, expected, side):
    if side in RIVALS and not RIVALS[side].is_installed():
        pytest.skip(f"{side} is not installed")
    timing.use_threads(THREADS)
    module = ours
    if side in RIVALS:
        module = importlib.import_module(f".rivals.{side}_rival", __package__)
    try:
        candidate = next(iter(module.prepare(case).values()))()
    except UnableError as error:
        pytest.skip(str(error))
    check(case, first_call(case, candidate)[1], expected)
    benchmark.group = str(case)
    benchmark(candidate.run)
