"""Layers under pytest-benchmark, in a group for each cell, pass and shape.

pytest bench/test_layers.py [--benchmark-group-by=group]
"""

import pytest
import timing
from problems import CELLS, PASSES, Problem, check, outputs_of
from recurrent_layers import SHAPES

pytest.importorskip("torch")

import fastrnn_layers
from rivals import torch_layers

THREADS = 2


@pytest.fixture(scope="module", params=SHAPES["even"], ids=lambda s: "x".join(map(str, s)))
def shape(request):
    """Time steps, batch, input features, hidden units."""
    return request.param


@pytest.fixture(scope="module", params=CELLS)
def problem(request, shape):
    return Problem(request.param, shape)


@pytest.fixture(scope="module", params=PASSES)
def pass_(request):
    return request.param


@pytest.fixture(scope="module")
def pair(problem, pass_):
    """Both layers, which are known to compute the same."""
    timing.use_threads(THREADS)
    ours = fastrnn_layers.candidates(problem, pass_)["ours"][""]
    rival = torch_layers.candidates(problem, pass_)["torch"][""]
    check("torch", outputs_of(problem, rival), outputs_of(problem, ours))
    return {"ours": ours, "torch": rival}


@pytest.mark.parametrize("side", ["ours", "torch"])
def test_layer(benchmark, problem, pass_, pair, side):
    benchmark.group = f"{problem.cell} {pass_} {tuple(problem.shape)}"
    benchmark(pair[side].run)
