"""Names, configurations, and which accuracy "accuracy" is."""

import json

import numpy as np
import pytest
from losses import witness

from fastrnn import metrics

OWN = {"Perplexity", "WordErrorRate", "CharacterErrorRate"}


@pytest.mark.parametrize("name", sorted(metrics.CLASSES))
def test_metrics_survive_a_config(name):
    found = metrics.CLASSES[name](name="mine")
    config = json.loads(json.dumps(metrics.serialize(found)))
    again = metrics.deserialize(config)
    assert type(again) is type(found)
    assert again.get_config() == found.get_config()
    assert again.name == "mine"


@pytest.mark.parametrize("name", sorted(set(metrics.CLASSES) - OWN))
def test_configs_of_keras_are_understood(name):
    theirs = getattr(witness.keras().metrics, name)(name="mine")
    config = theirs.get_config()
    ours = metrics.deserialize({"class_name": name, "config": config})
    assert {key: ours.get_config()[key] for key in config} == config


def test_options_survive_a_config():
    for metric in (
        metrics.AUC(thresholds=[0.2, 0.4], curve="PR"),
        metrics.AUC(multi_label=True, label_weights=np.array([1, 2])),
        metrics.Precision(thresholds=np.array([0.2, 0.4]), top_k=3, class_id=1),
        metrics.FBetaScore(beta=2, average="micro", threshold=0.4),
        metrics.Perplexity(from_logits=True, ignore_class=0),
    ):
        config = json.loads(json.dumps(metric.get_config()))
        assert type(metric).from_config(config).get_config() == metric.get_config()


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        ((3,), (3, 1)),
        ((3, 1), (3, 1)),
        ((3,), (3, 4)),
        ((3, 1), (3, 4)),
        ((3, 4), (3, 4)),
        ((3, 5), (3, 5, 4)),
        ((3, 5, 1), (3, 5, 4)),
        ((3, 5, 4), (3, 5, 4)),
        ((3, 5), (3, 5, 1)),
        ((3,), (3,)),
    ],
)
def test_accuracy_is_chosen_by_shapes_as_in_keras(y_true, y_pred):
    witness.keras()
    from keras.src.trainers.compile_utils import get_metric

    theirs = get_metric("acc", np.zeros(y_true), np.zeros(y_pred))
    ours = metrics.resolve("acc", y_true, y_pred)
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.name == "acc"
    assert type(metrics.resolve_accuracy(y_true, y_pred)) is type(ours)
    kind = type(metrics.resolve("ce", y_true, y_pred)).__name__
    assert kind == type(ours).__name__.replace("Accuracy", "Crossentropy")


def test_resolve_wraps_functions_and_names_metrics():
    def distance(y_true, y_pred):
        return abs(y_true - y_pred)

    metric = metrics.resolve(distance, (3,), (3,))
    assert metric.name == "distance"
    assert metric([1.0, 2.0], [1.0, 4.0]) == 1
    assert metrics.resolve("mse", (3,), (3,)).name == "mse"
    auc = metrics.AUC(name="area")
    assert metrics.resolve(auc, (3,), (3,)) is auc
    with pytest.raises(ValueError, match="metric: expected"):
        metrics.resolve(None, (3,), (3,))


def test_get_finds_names_classes_and_callables():
    assert type(metrics.get("mse")) is metrics.MeanSquaredError
    assert type(metrics.get("AUC")) is metrics.AUC
    assert type(metrics.get(metrics.Recall)) is metrics.Recall
    assert metrics.get("MSE").name == "mean_squared_error"
    assert metrics.get(len) is len
    assert metrics.get(None) is None
    for short, name in metrics.NAMES.items():
        assert type(metrics.get(short)).__name__ == name


def test_names_are_numbered():
    first, second = metrics.Precision().name, metrics.Precision().name
    stem, _, number = second.rpartition("_")
    assert stem == "precision"
    assert first == f"precision_{int(number) - 1}".removesuffix("_0")
    assert metrics.F1Score().name == metrics.F1Score().name == "f1_score"


@pytest.mark.parametrize("bad", ["mean_cube_error", 3, {"class_name": "Nothing"}, {}])
def test_unknown_metrics_are_named(bad):
    with pytest.raises(ValueError, match="metric: expected"):
        metrics.get(bad)
    with pytest.raises(ValueError, match="metric: expected"):
        metrics.serialize(bad)


def test_a_metric_of_ones_own_keeps_numbers():
    class Positives(metrics.Metric):
        def __init__(self, **options):
            super().__init__(**options)
            self.number = self.add_weight(name="number", initializer="zeros")
            self.ones = self.add_weight(shape=(2,), initializer="ones")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.number.assign(self.number.numpy() + (np.asarray(y_pred) > 0).sum())

        def result(self):
            return float(self.number)

    metric = Positives(name="positives")
    assert metric(None, [1, -1, 2]) == 2
    assert metric(None, [1]) == 3
    assert [variable.name for variable in metric.variables] == ["number", "weight"]
    metric.reset_state()
    assert metric.result() == 0
    np.testing.assert_array_equal(metric.ones, [1, 1])
    with pytest.raises(ValueError, match="initializer"):
        metric.add_weight(initializer="twos")
    with pytest.raises(NotImplementedError, match="result"):
        metrics.Metric().result()
