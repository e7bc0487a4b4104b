"""Estimators: scikit-learn's own checks, and sequences of unequal lengths, which it has none of."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastrnn.sklearn import RNNClassifier, RNNRegressor

UNLIKE = {
    "check_sample_weight_equivalence_on_dense_data": (
        "batches are drawn from the rows: a row twice is not a row of weight 2"
    ),
}
SMALL = {"units": 8, "random_state": 0}


@parametrize_with_checks(
    [
        RNNClassifier("gru", epochs=20, learning_rate=0.05, **SMALL),
        RNNRegressor("gru", epochs=20, learning_rate=0.05, **SMALL),
    ],
    expected_failed_checks=lambda estimator: UNLIKE,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


def sequences(n=40, features=2, seed=0):
    """Sequences whose first step tells the class, and whose sum is a number to predict."""
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(length, features)) for length in rng.integers(1, 9, size=n)]
    label = np.array([x[0, 0] > 0 for x in X])
    return X, np.where(label, "up", "down"), np.array([x[:, 0].sum() for x in X])


def test_classes_of_sequences_of_unequal_lengths_are_learned():
    X, labels, _ = sequences(80)
    classifier = RNNClassifier(epochs=60, batch_size=16, learning_rate=0.02, **SMALL).fit(X, labels)
    assert list(classifier.classes_) == ["down", "up"]
    assert classifier.n_features_in_ == 2
    assert classifier.score(X, labels) > 0.95
    assert classifier.loss_curve_[-1] < 0.3 * classifier.loss_curve_[0]
    p = classifier.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(classifier.classes_[p.argmax(axis=1)], classifier.predict(X))


def test_rows_come_back_in_their_order():
    X, labels, _ = sequences()
    classifier = RNNClassifier(epochs=1, **SMALL).fit(X, labels)
    alone = np.concatenate([classifier.predict_proba([x]) for x in X])
    np.testing.assert_allclose(classifier.predict_proba(X), alone, rtol=1e-5)


def test_numbers_and_several_of_them_are_learned():
    X, _, sums = sequences(80)
    regressor = RNNRegressor(
        "rnn", layers=2, bidirectional=True, epochs=40, batch_size=16, **SMALL
    )  # fmt: skip
    assert regressor.fit(X, 1e3 + 1e3 * sums).score(X, 1e3 + 1e3 * sums) > 0.9
    both = np.stack([sums, -sums], axis=1)
    assert regressor.set_params(epochs=1).fit(X, both).predict(X[:3]).shape == (3, 2)


def test_words_are_learned():
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 9, size=length).tolist() for length in rng.integers(1, 7, size=60)]
    y = [3 in words for words in X]
    classifier = RNNClassifier(
        vocabulary_size=9, embedding_size=4, epochs=40, batch_size=8, learning_rate=0.03, **SMALL
    ).fit(X, y)
    assert classifier.score(X, y) > 0.95
    np.testing.assert_array_equal(classifier.predict(np.array([[3, 0], [8, 1]])), [True, False])
    with pytest.raises(ValueError, match=r"0\.\.8"):
        classifier.predict([[9]])
    with pytest.raises(ValueError, match="integers"):
        classifier.predict([[0.5]])


@pytest.mark.parametrize("options", [{}, {"dropout": 0.4, "patience": 3, "layers": 2}])
def test_the_same_random_state_gives_the_same_predictions(options):
    X, labels, _ = sequences()
    made = [RNNClassifier("gru", epochs=3, **SMALL, **options) for _ in range(2)]
    first, second = (each.fit(X, labels).predict_proba(X) for each in made)
    np.testing.assert_array_equal(first, second)
    other = clone(made[0]).set_params(random_state=1).fit(X, labels).predict_proba(X)
    assert (other != first).any()


@pytest.mark.parametrize("vocabulary_size", [None, 5])
def test_pickles_predict_the_same(vocabulary_size):
    X, labels, sums = sequences()
    if vocabulary_size:
        X = [np.abs(x[:, 0] * 2).astype(int).clip(0, 4) for x in X]
    for estimator, y in ((RNNClassifier, labels), (RNNRegressor, sums)):
        options = {"epochs": 1, "vocabulary_size": vocabulary_size, **SMALL}
        fitted = estimator(**options).fit(X, y)
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
        assert pickle.loads(pickle.dumps(estimator())).get_params() == estimator().get_params()


def test_arrays_of_two_and_three_axes_are_the_same_sequences():
    X = np.random.default_rng(0).normal(size=(12, 5))
    y = X[:, 0] > 0
    flat, deep, listed = (
        RNNClassifier(epochs=2, **SMALL).fit(x, y).predict_proba(x)
        for x in (X, X[..., None], [row[:, None] for row in X])
    )
    np.testing.assert_array_equal(flat, deep)
    np.testing.assert_array_equal(flat, listed)


def test_early_stopping_ends_before_the_last_epoch():
    X, _, _ = sequences()
    noise = np.random.default_rng(1).integers(2, size=len(X))
    stopped = RNNClassifier(epochs=60, patience=2, validation_fraction=0.3, **SMALL).fit(X, noise)
    assert len(stopped.loss_curve_) < 60


def test_sequences_of_weight_0_are_not_learned_from():
    X, labels, _ = sequences()
    wrong = np.where(labels == "up", "down", "up")
    weight = np.repeat([1.0, 0.0], len(X))
    fitted = RNNClassifier(epochs=40, learning_rate=0.03, **SMALL).fit(
        X + X, np.concatenate([labels, wrong]), weight
    )
    assert fitted.score(X, labels) > 0.9


@pytest.mark.parametrize("weight", [np.ones(39), np.ones((40, 1)), -np.ones(40), [np.nan] * 40])
def test_weights_that_are_none(weight):
    X, labels, _ = sequences()
    with pytest.raises(ValueError, match="sample_weight"):
        RNNClassifier().fit(X, labels, weight)


def test_searches_and_cross_validation_take_lists_of_sequences():
    X, labels, _ = sequences()
    search = GridSearchCV(RNNClassifier(epochs=1, **SMALL), {"cell": ["gru", "rnn"]}, cv=2)
    assert search.fit(X, labels).best_params_["cell"] in ("gru", "rnn")
    assert len(cross_val_score(RNNClassifier(epochs=1, **SMALL), X, labels, cv=2)) == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cell": "tcn"}, "cell: expected one of"),
        ({"units": 0}, "units"),
        ({"epochs": 1.5}, "epochs"),
        ({"dropout": 1.0}, "dropout"),
        ({"patience": 0}, "patience"),
        ({"patience": 1, "validation_fraction": 0.99}, "validation_fraction"),
    ],
)
def test_parameters_that_make_no_network(options, match):
    X, labels, _ = sequences()
    with pytest.raises(ValueError, match=match):
        RNNClassifier(**options).fit(X, labels)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        ([np.ones((3, 2)), np.ones((2, 3))], r"\(T, 2\), got \(2, 3\) at 1"),
        ([np.ones((3, 2)), np.ones((0, 2))], "at 1"),
        ([np.ones((3, 2)), np.full((1, 2), np.nan)], "finite"),
        ([np.ones((3, 2)), np.array([["a", "b"]])], "finite numbers"),
        ([np.ones((3, 2))], "inconsistent"),
    ],
)
def test_sequences_that_are_none(X, match):
    with pytest.raises(ValueError, match=match):
        RNNClassifier().fit(X, [0, 1])


def test_predictions_before_fit_and_of_other_features():
    X, labels, sums = sequences()
    for estimator, y in ((RNNClassifier(epochs=1), labels), (RNNRegressor(epochs=1), sums)):
        with pytest.raises(NotFittedError):
            estimator.predict(X)
        with pytest.raises(ValueError, match="2 features"):
            estimator.fit(X, y).predict([np.ones((2, 3))])
