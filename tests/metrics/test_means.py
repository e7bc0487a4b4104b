"""Metrics that are means of a value for each sample: Keras' results, weighted and masked."""

import math

import numpy as np
import pytest
from losses import witness

from fastrnn import GradientTape, Tensor, losses, metrics

B, T, V = 4, 3, 5
MASK = np.arange(T) < np.array([[3], [1], [2], [3]])


def arguments(rng):
    """For each class: options, y_true, y_pred (B, T, V)."""
    y = rng.standard_normal((B, T, V)).astype(np.float32)
    x = rng.standard_normal((B, T, V)).astype(np.float32)
    positive = rng.random((2, B, T, V)).astype(np.float32) + 0.2
    p = (positive[0] / positive[0].sum(axis=-1, keepdims=True)).astype(np.float32)
    classes = rng.integers(0, V, (B, T))
    one_hot = np.eye(V, dtype=np.float32)[classes]
    binary = rng.integers(0, 2, (B, T, V))
    whole = rng.integers(0, 3, (2, B, T, V)).astype(np.float32)
    logits = {"from_logits": True}
    return {
        "Accuracy": [({}, *whole)],
        "BinaryAccuracy": [
            ({}, binary, p),
            ({"threshold": 0.2}, binary, p),
            ({"threshold": 0.0}, binary, y),
        ],
        "BinaryCrossentropy": [({}, binary, p), (logits | {"label_smoothing": 0.1}, binary, y)],
        "CategoricalAccuracy": [({}, one_hot, y)],
        "CategoricalCrossentropy": [({}, one_hot, p), (logits, one_hot, y)],
        "CategoricalHinge": [({}, one_hot, y)],
        "CosineSimilarity": [({}, x, y)],
        "Hinge": [({}, binary, y)],
        "KLDivergence": [({}, p[::-1].copy(), p)],
        "LogCoshError": [({}, x, y)],
        "MeanAbsoluteError": [({}, x, y)],
        "MeanAbsolutePercentageError": [({}, positive[0], y)],
        "MeanSquaredError": [({}, x, y)],
        "MeanSquaredLogarithmicError": [({}, *positive)],
        "Poisson": [({}, *positive)],
        "RootMeanSquaredError": [({}, x, y)],
        "SparseCategoricalAccuracy": [({}, classes, y), ({}, classes[..., None], y)],
        "SparseCategoricalCrossentropy": [
            ({}, classes, p),
            (logits, classes, y),
            (logits | {"ignore_class": 2}, classes, y),
        ],
        "SparseTopKCategoricalAccuracy": [({"k": 2}, classes, y), ({}, classes, y)],
        "SquaredHinge": [({}, binary, y)],
        "TopKCategoricalAccuracy": [({"k": 2}, one_hot, y)],
    }


CASES = [
    (name, i)
    for name, cases in arguments(np.random.default_rng(0)).items()
    for i in range(len(cases))
]


def prediction(array, mask):
    tensor = Tensor(array)
    tensor.mask = mask
    return tensor


@pytest.mark.parametrize(("name", "case"), CASES)
def test_results_are_those_of_keras(rng, name, case):
    options, y_true, y_pred = arguments(rng)[name][case]
    theirs = getattr(witness.keras().metrics, name)(**options)
    ours = metrics.CLASSES[name](**options)
    assert ours.name == theirs.name
    batches = [(slice(0, 3), None, None), (slice(3, 4), None, None)]
    batches += [(slice(0, 2), None, rng.random((2, T)))]
    # The values of the first have an axis more than a mask; the second cannot do this in Keras.
    if name != "RootMeanSquaredError" and "ignore_class" not in options:
        batches += [(slice(0, 2), None, rng.random(2)), (slice(1, 4), MASK[1:], None)]
        batches += [(slice(0, 4), MASK, rng.random((B, T)))]
    for rows, mask, weights in batches:
        theirs.update_state(
            witness.as_tensor(y_true[rows]), witness.as_tensor(y_pred[rows], mask), weights
        )
        ours.update_state(y_true[rows], prediction(y_pred[rows], mask), weights)
        found = ours.result()
        assert type(found) is float
        assert found == pytest.approx(float(theirs.result()), rel=2e-5, abs=2e-6)
    ours.reset_state()
    assert ours.result() == 0


@pytest.mark.parametrize("shape", [(), (3,), (3, 4)])
@pytest.mark.parametrize("weights_shape", [None, (), (3,), (3, 1)])
def test_means_and_sums_are_those_of_keras(rng, shape, weights_shape):
    if weights_shape and len(weights_shape) > len(shape):
        return
    keras = witness.keras()
    weights = None if weights_shape is None else np.asarray(rng.random(weights_shape))
    for name in ("Mean", "Sum"):
        theirs, ours = getattr(keras.metrics, name)(), metrics.CLASSES[name]()
        for _ in range(2):
            values = rng.standard_normal(shape)
            theirs.update_state(values, weights)
            assert ours(values, sample_weight=weights) == ours.result()
        assert ours.result() == pytest.approx(float(theirs.result()), rel=2e-5, abs=2e-6)


def test_means_are_counted_in_float64():
    metric = metrics.Mean()
    metric.update_state(np.full(3, 1e8, np.float32))
    metric.update_state(1.0)
    assert metric.result() == (3e8 + 1) / 4
    assert (metric.total, metric.count) == (3e8 + 1, 4)


def test_a_function_and_its_options_are_a_metric():
    metric = metrics.MeanMetricWrapper(lambda y_true, y_pred, power: y_pred**power, power=2)
    assert metric([0.0, 0.0], np.array([1.0, 3.0])) == 5
    assert metric.get_config()["power"] == 2
    # A function on the tape works too, and connects with no tape.
    metric = metrics.MeanMetricWrapper(losses.mean_squared_error, name="mine")
    y_pred = Tensor(np.ones((2, 3)))
    with GradientTape() as tape:
        value = losses.mean_absolute_error(np.zeros((2, 3)), y_pred)
        assert metric(np.zeros((2, 3)), y_pred) == 1
    np.testing.assert_allclose(tape.gradient(value, [y_pred])[0], 1 / 3)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_ties_at_the_kth_place_count_as_in_keras(k):
    keras = witness.keras()
    y_pred = np.array([[0.5, 0.5, 0.1, 0.5, 0.2, 0.9, 0.9]] * 7)
    y_true = np.arange(7)
    desired = keras.metrics.sparse_top_k_categorical_accuracy(
        witness.as_tensor(y_true), witness.as_tensor(y_pred), k=k
    )
    found = metrics.sparse_top_k_categorical_accuracy(y_true, y_pred, k=k)
    np.testing.assert_array_equal(found, witness.as_numpy(desired))


def test_nan_scores_and_unknown_classes_are_never_among_the_best():
    y_pred = np.array([[np.nan, 0.1], [0.2, 0.1]])
    np.testing.assert_array_equal(
        metrics.sparse_top_k_categorical_accuracy([0, 7], y_pred, k=2), [0, 0]
    )


def test_sorted_ids_are_looked_up():
    found = metrics.sparse_top_k_categorical_accuracy(
        [2, 1], np.array([[1, 0, 2], [1, 2, 0]]), k=2, from_sorted_ids=True
    )
    np.testing.assert_array_equal(found, [0, 1])


def test_perplexity_is_the_exponential_of_the_mean_over_all_positions(rng):
    z = rng.standard_normal((B, T, V))
    classes = rng.integers(0, V, (B, T))
    classes[0, 0] = -1
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(log_p, np.maximum(classes, 0)[..., None], axis=-1)[..., 0]
    weights = rng.random((B, T))
    counted = MASK & (classes != -1)
    for used, sample_weight in ((counted * 1.0, None), (counted * weights, weights)):
        metric = metrics.Perplexity(from_logits=True, ignore_class=-1)
        # However the positions are dealt out to batches.
        for rows in (slice(0, 1), slice(1, 4)):
            given = None if sample_weight is None else sample_weight[rows]
            metric.update_state(classes[rows], prediction(z[rows], MASK[rows]), given)
        desired = np.exp(-(own * used).sum() / used.sum())
        assert metric.result() == pytest.approx(desired, rel=1e-12)
    plain = metrics.Perplexity()
    assert plain(classes[1:], np.exp(log_p[1:])) == pytest.approx(np.exp(-own[1:].mean()))


def test_perplexity_of_nothing_and_of_the_impossible():
    metric = metrics.Perplexity(from_logits=True)
    assert metric.result() == 0
    assert metric([0], [[-1e5, 0.0]]) == math.inf
    metric.reset_state()
    assert metric([0], [[0.0, 0.0]]) == pytest.approx(2)


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred", "weights", "message"),
    [
        ("MeanSquaredError", np.zeros((3, 2)), np.zeros((3, 4)), None, "y_true"),
        ("MeanSquaredError", np.zeros((3, 2)), np.zeros((3, 2)), np.ones(2), "sample_weight"),
        ("CategoricalAccuracy", np.zeros((3, 2)), np.zeros((3, 4)), None, "y_true"),
        ("SparseCategoricalAccuracy", np.zeros(2), np.zeros((3, 4)), None, "y_true"),
        ("TopKCategoricalAccuracy", np.zeros((3, 2)), np.zeros((3, 4)), None, "y_true"),
        ("SparseCategoricalAccuracy", np.zeros(()), np.zeros(()), None, "y_pred"),
        ("Perplexity", [0, 5], np.ones((2, 4)), None, "got 5"),
        ("Perplexity", [0, 1], np.ones((2, 4)), np.ones(3), "sample_weight"),
    ],
)
def test_bad_arguments_are_named(name, y_true, y_pred, weights, message):
    with pytest.raises(ValueError, match=message):
        metrics.CLASSES[name]().update_state(y_true, y_pred, weights)


def test_thresholds_of_accuracies_are_checked():
    with pytest.raises(ValueError, match="threshold"):
        metrics.BinaryAccuracy(threshold=math.nan)
