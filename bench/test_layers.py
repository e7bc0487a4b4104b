"""Layers under pytest-benchmark, in a group for each shape and pass.

pytest bench/ [--benchmark-group-by=group]
"""

import pytest
import timing

pytest.importorskip("torch")

from lstm_layer import MORE_SHAPES, SHAPES, check_pair, make_pair

THREADS = 2


@pytest.fixture(scope="module", params=[*SHAPES, *MORE_SHAPES], ids=lambda s: "x".join(map(str, s)))
def shape(request):
    """Time steps, batch, input features, hidden units."""
    return request.param


@pytest.fixture(scope="module")
def pair(shape):
    """Both layers, which are known to compute the same."""
    timing.use_threads(THREADS)
    ours, rival = make_pair(shape)
    check_pair(ours, rival)
    return {"ours": ours, "torch": rival}


@pytest.mark.parametrize("side", ["ours", "torch"])
@pytest.mark.parametrize("verb", ["forward", "train"])
def test_lstm(benchmark, shape, pair, verb, side):
    benchmark.group = f"LSTM {verb} {tuple(shape)}"
    benchmark(getattr(pair[side], verb))
