"""Loss objects: reductions, weights and masks as Keras', and the way from and to a config."""

import json

import numpy as np
import pytest
from losses import witness
from numeric import gradient
from tolerances import (
    FLOAT32_OUTPUT,
    NUMERIC_GRADIENT,
    TORCH_FLOAT32_OUTPUT,
    assert_close,
)

from fastrnn import GradientTape, Tensor, losses
from fastrnn.losses.loss import REDUCTIONS

SHAPE = (2, 3, 4)
MASK = np.array([[True, True, False], [True, False, False]])


def prediction(array, mask=None):
    tensor = Tensor(array)
    tensor.mask = mask
    return tensor


def problem(rng, shape=SHAPE):
    return rng.standard_normal(shape), rng.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights_shape", [None, (), (1,), (2, 1), (2, 3), (2, 3, 1), (3,)])
def test_reduced_values_are_those_of_keras(rng, reduction, weights_shape):
    keras = witness.keras()
    y_true, y_pred = problem(rng)
    weights = None if weights_shape is None else np.asarray(rng.random(weights_shape))
    desired = keras.losses.MeanSquaredError(reduction=reduction)(
        witness.as_tensor(y_true), witness.as_tensor(y_pred), weights
    )
    found = losses.MeanSquaredError(reduction=reduction)(y_true, y_pred, weights)
    assert_close(found.numpy(), witness.as_numpy(desired), TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights_shape", [None, (2, 3), (2, 3, 1)])
def test_masked_values_are_those_of_keras(rng, reduction, weights_shape):
    keras = witness.keras()
    y_true, y_pred = problem(rng)
    weights = None if weights_shape is None else rng.random(weights_shape)
    desired = keras.losses.MeanSquaredError(reduction=reduction)(
        witness.as_tensor(y_true), witness.as_tensor(y_pred, MASK), weights
    )
    found = losses.MeanSquaredError(reduction=reduction)(y_true, prediction(y_pred, MASK), weights)
    assert_close(found.numpy(), witness.as_numpy(desired), TORCH_FLOAT32_OUTPUT)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("weights_shape", [None, (), (2, 1), (2, 3, 1)])
def test_gradients_are_central_differences(rng, reduction, is_masked, weights_shape):
    y_true, y_pred = rng.standard_normal((2, *SHAPE))
    weights = None if weights_shape is None else np.asarray(rng.random(weights_shape))
    loss = losses.MeanSquaredError(reduction=reduction)
    tensor = prediction(y_pred, MASK if is_masked else None)
    with GradientTape() as tape:
        value = loss(y_true, tensor, weights)
    dvalue = rng.standard_normal(value.shape)
    found = tape.gradient(value, [tensor], np.asarray(dvalue))[0]
    desired = gradient(
        lambda: float((loss(y_true, tensor, weights).numpy() * dvalue).sum()), y_pred
    )
    assert_close(found, desired, NUMERIC_GRADIENT)
    if is_masked:
        assert not found[~MASK].any()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("is_weighted", [False, True])
def test_ignored_classes_leave_means_as_in_keras(rng, reduction, is_weighted):
    keras = witness.keras()
    y_pred = rng.random(SHAPE).astype(np.float32)
    y_true = rng.integers(-1, 4, SHAPE[:2])
    y_true[0, 0] = -1
    weights = rng.random(SHAPE[:2]) if is_weighted else None
    for mask in (None, MASK):
        options = {"ignore_class": -1, "reduction": reduction}
        desired = keras.losses.SparseCategoricalCrossentropy(**options)(
            witness.as_tensor(y_true), witness.as_tensor(y_pred, mask), weights
        )
        loss = losses.SparseCategoricalCrossentropy(**options)
        found = loss(y_true, prediction(y_pred, mask), weights)
        assert_close(found.numpy(), witness.as_numpy(desired), TORCH_FLOAT32_OUTPUT)


def test_nothing_valid_is_a_loss_of_zero(rng):
    y_true, y_pred = problem(rng)
    loss = losses.MeanSquaredError()
    assert float(loss(y_true, prediction(y_pred, np.zeros_like(MASK)))) == 0
    assert float(loss(y_true, y_pred, np.zeros((2, 3)))) == 0
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert float(loss(y_true, y_pred, np.zeros((2, 3)))) == 0


def test_a_loss_of_ones_own_is_reduced_and_masked(rng):
    class Furthest(losses.Loss):
        def call(self, y_true, y_pred):
            return losses.mean_absolute_error(y_true, y_pred)

    y_true, y_pred = problem(rng)
    found = Furthest()(y_true, prediction(y_pred, MASK))
    desired = np.abs(y_true - y_pred).mean(axis=-1)[MASK].mean()
    assert_close(found.numpy(), np.array(desired), FLOAT32_OUTPUT)
    assert Furthest().name == "furthest"
    with pytest.raises(NotImplementedError, match="call"):
        losses.Loss()(y_true, y_pred)


def test_functions_of_ones_own_get_targets_in_the_dtype_of_predictions(rng):
    def product(y_true, y_pred):
        assert y_true.dtype == np.float32
        return y_true * y_pred.numpy()

    found = losses.FunctionLoss(product)(np.array([1, 2]), np.array([3, 4], np.float32))
    assert found.dtype == np.float32
    assert float(found) == 5.5


def test_ctc_takes_lengths_from_zeros_and_from_the_mask(rng):
    keras = witness.keras()
    y_pred = rng.standard_normal((2, 6, 4)).astype(np.float32)
    y_true = np.array([[1, 2, 0], [1, 1, 3]])
    desired = keras.losses.CTC()(witness.as_tensor(y_true), witness.as_tensor(y_pred))
    found = losses.CTC()(y_true, y_pred)
    assert_close(found.numpy(), witness.as_numpy(desired), TORCH_FLOAT32_OUTPUT)

    mask = np.arange(6) < np.array([[4], [6]])
    found = losses.CTC(reduction="none")(y_true, prediction(y_pred, mask)).numpy()
    alone = losses.ctc(y_true[:1], y_pred[:1, :4]).numpy()
    np.testing.assert_array_equal(found[:1], alone)
    with pytest.raises(ValueError, match="mask: .*gaps"):
        losses.CTC()(y_true, prediction(y_pred, mask[:, ::-1]))


def test_ctc_gradients_are_central_differences(rng):
    y_pred = rng.standard_normal((2, 5, 4))
    y_true = np.array([[1, 0], [3, 3]])
    tensor = prediction(y_pred, np.arange(5) < np.array([[3], [5]]))
    loss = losses.CTC()
    with GradientTape() as tape:
        value = loss(y_true, tensor)
    found = tape.gradient(value, [tensor])[0]
    assert_close(found, gradient(lambda: float(loss(y_true, tensor)), y_pred), NUMERIC_GRADIENT)


def test_dtype_of_a_loss_is_that_of_its_computation(rng):
    y_true, y_pred = problem(rng)
    tensor = prediction(y_pred, MASK)
    with GradientTape() as tape:
        value = losses.MeanSquaredError(dtype="float64")(y_true, tensor)
    assert value.dtype == np.float64
    assert tape.gradient(value, [tensor])[0].dtype == np.float32
    # A mask survives the change of dtype.
    desired = losses.MeanSquaredError()(y_true, tensor)
    assert float(value) == pytest.approx(float(desired), rel=1e-6)


@pytest.mark.parametrize("name", sorted(losses.CLASSES))
def test_losses_survive_a_config(name):
    found = losses.CLASSES[name](reduction="sum", name="mine")
    config = json.loads(json.dumps(losses.serialize(found)))
    again = losses.deserialize(config)
    assert type(again) is type(found)
    assert again.get_config() == found.get_config()
    assert again.reduction == "sum"
    assert again.name == "mine"


def test_keras_configs_are_understood():
    keras = witness.keras()
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=3)
    ours = losses.get(keras.losses.serialize(theirs))
    assert isinstance(ours, losses.SparseCategoricalCrossentropy)
    assert ours.options["from_logits"] is True
    assert ours.options["ignore_class"] == 3
    function = losses.get(keras.losses.serialize(keras.losses.mean_squared_error))
    assert function is losses.mean_squared_error


def test_names_and_defaults_are_those_of_keras():
    keras = witness.keras()
    for name, kind in losses.CLASSES.items():
        theirs, ours = getattr(keras.losses, name)(), kind()
        assert ours.name == theirs.name
        known = theirs.get_config()
        assert {key: ours.get_config()[key] for key in known} == known


def test_get_finds_names_classes_and_callables():
    assert losses.get("mse") is losses.get("MSE") is losses.mean_squared_error
    assert losses.get("binary_crossentropy") is losses.binary_crossentropy
    assert isinstance(losses.get("Huber"), losses.Huber)
    assert isinstance(losses.get(losses.CTC), losses.CTC)
    loss = losses.Poisson()
    assert losses.get(loss) is loss
    assert losses.get(len) is len
    assert losses.get(None) is None


@pytest.mark.parametrize("bad", ["mean_cube_error", 3, {"class_name": "Mean"}, {}, ""])
def test_unknown_losses_are_named(bad):
    with pytest.raises(ValueError, match="loss: expected"):
        losses.get(bad)


def test_only_own_losses_are_serialized():
    assert losses.serialize(losses.huber) == "huber"
    with pytest.raises(ValueError, match="loss: expected"):
        losses.serialize(len)


def test_bad_arguments_are_named(rng):
    y_true, y_pred = problem(rng)
    with pytest.raises(ValueError, match="reduction: expected"):
        losses.MeanSquaredError(reduction="average")
    with pytest.raises(ValueError, match=r"sample_weight: .*\(2, 3\).*got \(2,\)"):
        losses.MeanSquaredError()(y_true, y_pred, np.ones(2))
    with pytest.raises(ValueError, match=r"sample_weight: .*mask, \(2, 3\)"):
        losses.MeanSquaredError()(y_true, prediction(y_pred, MASK), np.ones(2))
