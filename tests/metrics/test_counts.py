"""Metrics of counts: areas, precision, recall, F scores as Keras'; error rates by hand."""

import itertools

import numpy as np
import pytest
from losses import witness

from fastrnn import metrics


def close(desired):
    return pytest.approx(np.asarray(desired, float), rel=2e-5, abs=2e-6)


def result_of_keras(metric, *batches):
    for y_true, y_pred, weights in batches:
        metric.update_state(witness.as_tensor(y_true), witness.as_tensor(y_pred), weights)
    return witness.as_numpy(metric.result())


def result_of_ours(metric, *batches):
    for batch in batches:
        metric.update_state(*batch)
    return metric.result()


def binary_batches(rng, *shape):
    """Three batches of labels, scores (N, ...) and weights; many scores lie on thresholds."""
    batches = []
    for N, is_weighted in ((5, False), (11, True), (7, True)):
        y_true = rng.integers(0, 2, (N, *shape))
        y_pred = np.round(rng.random((N, *shape)), 1).astype(np.float32)
        batches.append((y_true, y_pred, rng.random(N) if is_weighted else None))
    return batches


@pytest.mark.parametrize("curve", ["ROC", "PR"])
@pytest.mark.parametrize("method", ["interpolation", "minoring", "majoring"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_thresholds": 2},
        {"num_thresholds": 7},
        {"thresholds": [0.7, 0.05, 0.3]},
        {"multi_label": True},
        {"multi_label": True, "label_weights": [1.0, 2.0, 0.5], "num_labels": 3},
        {"label_weights": [1.0, 2.0, 0.5]},
    ],
    ids=str,
)
def test_areas_are_those_of_keras(rng, curve, method, options):
    keras = witness.keras()
    options = options | {"curve": curve, "summation_method": method}
    batches = binary_batches(rng, 3)
    desired = result_of_keras(keras.metrics.AUC(**options), *batches)
    ours = metrics.AUC(**options)
    assert result_of_ours(ours, *batches) == close(desired)
    assert type(ours.result()) is float
    ours.reset_state()
    assert ours.result() == 0


def test_areas_of_logits_are_those_of_their_probabilities(rng):
    y_true, z = rng.integers(0, 2, 50), 3 * rng.standard_normal(50)
    p = 1 / (1 + np.exp(-z))
    ours = result_of_ours(metrics.AUC(from_logits=True), (y_true, z))
    assert ours == result_of_ours(metrics.AUC(), (y_true, p))
    # The share of pairs in the right order, as fine as thresholds allow.
    pairs = list(itertools.product(p[y_true == 1], p[y_true == 0]))
    assert ours == pytest.approx(np.mean([a > b for a, b in pairs]), abs=0.01)


@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_areas_of_scores_outside_of_0_to_1_are_those_of_keras(rng, curve):
    keras = witness.keras()
    batch = rng.integers(0, 2, 50), rng.normal(0.5, 1, 50).astype(np.float32), None
    desired = result_of_keras(keras.metrics.AUC(curve=curve), batch)
    assert result_of_ours(metrics.AUC(curve=curve), batch) == close(desired)


@pytest.mark.parametrize("name", ["Precision", "Recall"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"thresholds": 0.3},
        {"thresholds": [0.5, 0.3, 0.9]},
        {"top_k": 2},
        {"top_k": 1, "class_id": 2},
        {"class_id": 0},
        {"top_k": 2, "thresholds": 0.6},
    ],
    ids=str,
)
def test_precision_and_recall_are_those_of_keras(rng, name, options):
    keras = witness.keras()
    batches = [
        (y_true, (y_pred + 1e-3 * rng.random(y_pred.shape)).astype(np.float32) / 1.01, weights)
        for y_true, y_pred, weights in binary_batches(rng, 4)
    ]
    desired = result_of_keras(getattr(keras.metrics, name)(**options), *batches)
    ours = metrics.CLASSES[name](**options)
    assert result_of_ours(ours, *batches) == close(desired)
    assert np.ndim(ours.result()) == np.ndim(options.get("thresholds", 0.5))
    ours.reset_state()
    assert not np.any(ours.result())


@pytest.mark.parametrize(
    "name", ["TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives"]
)
def test_counts_at_thresholds_are_those_of_keras(rng, name):
    keras = witness.keras()
    batches = binary_batches(rng)
    for thresholds in (None, [0.0, 0.25, 1.0]):
        desired = result_of_keras(getattr(keras.metrics, name)(thresholds=thresholds), *batches)
        ours = metrics.CLASSES[name](thresholds=thresholds)
        assert result_of_ours(ours, *batches) == close(desired)


def test_a_column_of_predictions_fits_flat_targets():
    ours = metrics.Precision()
    assert ours(np.array([1, 0, 1]), np.full((3, 1), 0.9), np.array([1, 3, 1])) == 0.4


@pytest.mark.parametrize("average", [None, "micro", "macro", "weighted"])
@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_f_scores_are_those_of_keras(rng, average, threshold, beta):
    keras = witness.keras()
    options = {"average": average, "threshold": threshold, "beta": beta}
    batches = binary_batches(rng, 4)
    batches[0][1][0] = 0  # a row without any prediction
    desired = result_of_keras(keras.metrics.FBetaScore(**options), *batches)
    ours = metrics.FBetaScore(**options)
    assert result_of_ours(ours, *batches) == close(desired)
    if beta == 1:
        del options["beta"]
        assert result_of_ours(metrics.F1Score(**options), *batches) == close(desired)
    ours.reset_state()
    assert ours.result() == 0


def brute_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(
        brute_distance(a[1:], b) + 1,
        brute_distance(a, b[1:]) + 1,
        brute_distance(a[1:], b[1:]) + (a[0] != b[0]),
    )


def test_edit_distances_are_the_fewest_edits(rng):
    for _ in range(60):
        a, b = ("".join(rng.choice(list("abc"), rng.integers(0, 6))) for _ in range(2))
        assert metrics.edit_distance(a, b) == brute_distance(a, b), (a, b)


def test_error_rates_count_words_and_characters():
    said = ["the cat sat", "on  the mat"]
    heard = ["the cat sat down", "in the"]
    words = metrics.WordErrorRate()
    assert words(said, heard) == 3 / 6
    assert words(["a b"], ["c d"], sample_weight=[2.0]) == (3 + 4) / (6 + 4)
    words.reset_state()
    assert words.result() == 0
    assert words([""], ["x"]) == float("inf")
    characters = metrics.CharacterErrorRate()
    assert characters(["abc"], ["abd"]) == 1 / 3
    # Arrays of labels, filled up with 0.
    padded = metrics.WordErrorRate(padding=0)
    assert padded(np.array([[1, 2, 0], [3, 0, 0]]), [[1, 0], [3, 4]]) == 2 / 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.AUC(curve="X"), "curve"),
        (lambda: metrics.AUC(summation_method="X"), "summation_method"),
        (lambda: metrics.AUC(num_thresholds=1), "num_thresholds"),
        (lambda: metrics.AUC(thresholds=[0.1, 2]), "thresholds"),
        (lambda: metrics.AUC(num_labels=2), "num_labels"),
        (lambda: metrics.AUC(multi_label=True).update_state([1], [0.5]), "y_pred"),
        (lambda: metrics.AUC(label_weights=[1, 2]).update_state([1], [0.5]), "label_weights"),
        (lambda: metrics.AUC().update_state([1, 0], [0.5]), "y_true"),
        (lambda: metrics.Precision(thresholds=[2.0]), "thresholds"),
        (lambda: metrics.Precision(top_k=0), "top_k"),
        (lambda: metrics.Recall(class_id=-1), "class_id"),
        (lambda: metrics.Recall(class_id=3).update_state([[1, 0]], [[0.5, 0.4]]), "class_id"),
        (lambda: metrics.Recall().update_state([1, 0], [0.5, 0.4], [1, 2, 3]), "sample_weight"),
        (lambda: metrics.F1Score(average="X"), "average"),
        (lambda: metrics.FBetaScore(beta=0), "beta"),
        (lambda: metrics.F1Score(threshold=0), "threshold"),
        (lambda: metrics.F1Score().update_state([1], [0.5]), "y_true, y_pred"),
        (lambda: metrics.F1Score().update_state([[1]], [[0.5]], [1, 2]), "sample_weight"),
        (lambda: metrics.WordErrorRate().update_state(["a"], ["a", "b"]), "y_pred"),
        (lambda: metrics.WordErrorRate().update_state("a", "b"), "sequence of texts"),
        (lambda: metrics.WordErrorRate().update_state([1], [2]), "sequence of sequences"),
        (lambda: metrics.WordErrorRate().update_state(["a"], ["b"], [1, 2]), "sample_weight"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_columns_may_not_change_between_batches():
    for metric in (metrics.AUC(multi_label=True), metrics.F1Score()):
        metric.update_state(np.ones((2, 3)), np.ones((2, 3)))
        with pytest.raises(ValueError, match="y_pred"):
            metric.update_state(np.ones((2, 2)), np.ones((2, 2)))
