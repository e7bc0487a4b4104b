"""Models that go on from the middle of an epoch."""

import numpy as np
import pytest

from fastrnn import layers, random
from fastrnn.models import Sequential, snapshot
from fastrnn.optimizers import Adam

B, T, I = 4, 5, 3
METRICS = [
    ["accuracy", "mse"],
    ["AUC"],
    ["Precision", "recall"],
    ["F1Score"],
    ["BinaryAccuracy", "TruePositives"],
]


def make(metrics):
    random.set_seed(3)
    model = Sequential(
        [
            layers.LSTM(4, stateful=True, return_sequences=True, dropout=0.3),
            layers.RNN([layers.GRUCell(3), layers.LSTMCell(2)], stateful=True),
            layers.Dropout(0.4),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.build((B, T, I))
    model.compile(Adam(0.01, use_ema=True), "binary_crossentropy", metrics=metrics)
    return model


@pytest.mark.parametrize("metrics", METRICS, ids="-".join)
def test_a_snapshot_goes_on_bit_for_bit(metrics, rng):
    batches = [
        (rng.standard_normal((B, T, I)).astype(np.float32), rng.integers(0, 2, (B, 1)) * 1.0)
        for _ in range(5)
    ]
    whole, first, second = (make(metrics) for _ in range(3))
    for x, y in batches[:3]:
        whole.train_on_batch(x, y)
        first.train_on_batch(x, y)
    weights = {name: array.copy() for name, array in snapshot.weights_of(first).items()}
    arrays = {name: array.copy() for name, array in snapshot.arrays_of(first).items()}
    second.test_on_batch(*batches[0])
    snapshot.restore(second, weights, arrays, snapshot.numbers_of(first))
    for x, y in batches[3:]:
        assert second.train_on_batch(x, y) == whole.train_on_batch(x, y)
    for ours, wanted in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, wanted)
    for ours, wanted in zip(second.optimizer.state.values(), whole.optimizer.state.values(),
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(ours, wanted)


def test_states_that_were_reset_stay_so(rng):
    x = rng.standard_normal((B, T, I)).astype(np.float32)
    first, second = make([]), make([])
    for model in (first, second):
        model.predict_on_batch(x)
    first.reset_states()
    snapshot.restore(second, snapshot.weights_of(first), snapshot.arrays_of(first),
                     snapshot.numbers_of(first))  # fmt: skip
    np.testing.assert_array_equal(second.predict_on_batch(x[:2]), first.predict_on_batch(x[:2]))
    with pytest.raises(KeyError):
        snapshot.restore(second, {}, {}, {})
