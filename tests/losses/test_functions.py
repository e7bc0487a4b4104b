"""Loss functions: values as Keras', gradients as central differences."""

import numpy as np
import pytest
from losses import witness
from losses.problems import NAMES, problem
from numeric import gradient
from tolerances import (
    FLOAT32_GRADIENT,
    FLOAT32_OUTPUT,
    FLOAT64_OUTPUT,
    NUMERIC_GRADIENT,
    TORCH_FLOAT32_OUTPUT,
    assert_close,
)

from fastrnn import GradientTape, Tensor, losses


def gradient_of(function, y_true, y_pred, dvalues, **options):
    prediction = Tensor(y_pred)
    with GradientTape() as tape:
        values = function(y_true, prediction, **options)
    return tape.gradient(values, [prediction], dvalues)[0]


@pytest.mark.parametrize("name", NAMES)
def test_values_are_those_of_keras(rng, name):
    function, options, y_true, y_pred = problem(name, rng)
    theirs = getattr(witness.keras().losses, function.__name__)
    y_pred = y_pred.astype(np.float32)
    desired = witness.run(theirs, y_true, y_pred, **options)
    ours = function(y_true, y_pred, **options)
    assert_close(ours.numpy(), desired, TORCH_FLOAT32_OUTPUT, name)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_central_differences(rng, name):
    function, options, y_true, y_pred = problem(name, rng, shape=(2, 3, 4))
    dvalues = rng.standard_normal(function(y_true, y_pred, **options).shape)
    found = gradient_of(function, y_true, y_pred, dvalues, **options)
    desired = gradient(
        lambda: float((function(y_true, y_pred, **options).numpy() * dvalues).sum()), y_pred
    )
    assert_close(found, desired, NUMERIC_GRADIENT, name)


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "log_cosh", "cosine", "cosine_axis"])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 1)])
def test_gradients_flow_into_targets_that_are_tensors(rng, name, shape):
    function, options, _, y_pred = problem(name, rng, shape=(2, 3, 4))
    y_true = rng.standard_normal(shape)
    targets, prediction = Tensor(y_true), Tensor(y_pred)
    with GradientTape() as tape:
        value = losses.FunctionLoss(function, "sum", **options)(targets, prediction)
    for tensor, found in zip(
        (targets, prediction), tape.gradient(value, [targets, prediction]), strict=True
    ):
        desired = gradient(
            lambda: float(function(y_true, y_pred, **options).numpy().sum()), tensor.numpy()
        )
        assert_close(found, desired, NUMERIC_GRADIENT)


@pytest.mark.parametrize("name", NAMES)
def test_float32_stays_float32_and_close_to_float64(rng, name):
    function, options, y_true, y_pred = problem(name, rng)
    values = function(y_true, y_pred, **options).numpy()
    dvalues = rng.standard_normal(values.shape)
    dy = gradient_of(function, y_true, y_pred, dvalues, **options)
    narrow = y_pred.astype(np.float32), dvalues.astype(np.float32)
    ours = function(y_true, narrow[0], **options).numpy()
    assert_close(ours, values, FLOAT32_OUTPUT, name)
    found = gradient_of(function, y_true, *narrow, **options)
    assert_close(found, dy, FLOAT32_GRADIENT, f"gradient of {name}")


def test_probabilities_at_the_ends_are_clipped_as_in_keras():
    keras = witness.keras()
    y_pred = np.array([[0, 1, 0, 1], [1e-9, 1, 2, 0]], np.float32)
    cases = [
        (losses.binary_crossentropy, np.array([[0.0, 1, 1, 0]] * 2)),
        (losses.categorical_crossentropy, np.array([[1.0, 0, 0, 0]] * 2)),
        (losses.kl_divergence, np.array([[1.0, 0, 0, 0]] * 2)),
        (losses.sparse_categorical_crossentropy, np.array([0, 0])),
    ]
    for function, y_true in cases:
        theirs = getattr(keras.losses, function.__name__)
        desired = witness.run(theirs, y_true, y_pred)
        ours = function(y_true, y_pred).numpy()
        assert np.isfinite(ours).all()
        assert_close(ours, desired, TORCH_FLOAT32_OUTPUT, function.__name__)
        assert np.isfinite(gradient_of(function, y_true, y_pred, ours)).all()
        # What is clipped is constant.
        assert gradient_of(function, y_true, y_pred, ours)[0, 0] == 0


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_logits_of_any_size_neither_overflow_nor_vanish(scale):
    z = scale * np.array([[1.0, -1.0, 0.5]], np.float32)
    third = 1 / 3
    for function, y_true, value, dz in [
        (losses.binary_crossentropy, [[0, 0, 0]], scale / 2, [[third, 0, third]]),
        (losses.categorical_crossentropy, [[0, 1, 0]], 2 * scale, [[1, -1, 0]]),
        (losses.sparse_categorical_crossentropy, [1], 2 * scale, [[1, -1, 0]]),
    ]:
        ours = function(y_true, z, from_logits=True).numpy()
        np.testing.assert_allclose(ours, [value], rtol=1e-6)
        found = gradient_of(function, y_true, z, np.ones(1, np.float32), from_logits=True)
        assert_close(found, np.array(dz, np.float64), FLOAT32_GRADIENT)


def test_classes_of_probability_zero_cost_nothing_where_they_are_not_wanted():
    z = np.array([[0.0, -np.inf, 0.0]])
    ours = losses.categorical_crossentropy([[1, 0, 0]], z, from_logits=True)
    assert_close(ours.numpy(), np.log([2.0]), FLOAT64_OUTPUT)


@pytest.mark.parametrize(
    ("true_shape", "pred_shape"),
    [((3,), (3, 1)), ((3, 1), (3,)), ((3, 4), (3, 1)), ((3, 1), (3, 4)), ((3, 2, 1), (3, 2))],
)
def test_shapes_match_as_in_keras(rng, true_shape, pred_shape):
    keras = witness.keras()
    y_true, y_pred = rng.standard_normal(true_shape), rng.standard_normal(pred_shape)
    narrow = y_pred.astype(np.float32)
    ours = losses.mean_squared_error(y_true, narrow).numpy()
    desired = witness.run(keras.losses.mean_squared_error, y_true, narrow)
    assert_close(ours, desired, TORCH_FLOAT32_OUTPUT)
    dvalues = rng.standard_normal(ours.shape)
    found = gradient_of(losses.mean_squared_error, y_true, y_pred, dvalues)
    desired = gradient(
        lambda: float((losses.mean_squared_error(y_true, y_pred).numpy() * dvalues).sum()), y_pred
    )
    assert_close(found, desired, NUMERIC_GRADIENT)


def test_whole_predictions_become_float32():
    values = losses.mean_squared_error(np.zeros((2, 2), int), np.ones((2, 2), int))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [1, 1])


def test_a_vocabulary_larger_than_a_chunk_is_right(rng):
    z = rng.standard_normal((3, 300_000)).astype(np.float32)
    targets = np.array([299_999, 0, 131_072])
    found = gradient_of(
        losses.sparse_categorical_crossentropy, targets, z, np.ones(3, np.float32), from_logits=True
    )
    e = np.exp(z.astype(np.float64))
    desired = e / e.sum(axis=1, keepdims=True)
    desired[np.arange(3), targets] -= 1
    assert_close(found, desired, FLOAT32_GRADIENT)


@pytest.mark.parametrize(
    ("function", "y_true", "y_pred", "message"),
    [
        ("mean_squared_error", np.zeros((3, 2)), np.zeros((3, 4)), "y_true: expected the shape"),
        ("mean_squared_error", np.zeros(3), np.array(["a"] * 3), "y_pred: expected numbers"),
        ("mean_squared_error", np.array(["a"] * 3), np.zeros(3), "y_true: expected numbers"),
        ("mean_squared_error", np.zeros(3), np.zeros(3, complex), "y_pred: expected real numbers"),
        ("categorical_crossentropy", np.eye(3), np.ones((3, 4)), "y_true: expected the shape"),
        ("sparse_categorical_crossentropy", [0, 1], np.ones((3, 4)), r"y_true: .*\(3,\)"),
        ("sparse_categorical_crossentropy", [0, 1, 4], np.ones((3, 4)), r"0\.\.3, got 4"),
        ("sparse_categorical_crossentropy", [0, -1, 3], np.ones((3, 4)), r"0\.\.3, got -1"),
        ("sparse_categorical_crossentropy", [0, 0.5, 3], np.ones((3, 4)), "whole numbers"),
        ("sparse_categorical_crossentropy", [0, np.nan, 3], np.ones((3, 4)), "whole numbers"),
        ("ctc", [[1]], np.ones((1, 4)), "y_pred: expected shape"),
        ("ctc", [1], np.ones((1, 3, 4)), r"y_true: expected shape \(1, L\)"),
        ("ctc", [[1, 0, 1]], np.ones((1, 5, 4)), "gaps"),
        ("ctc", [[4]], np.ones((1, 5, 4)), "targets"),
        ("ctc", [[0.5]], np.ones((1, 5, 4)), "whole numbers"),
    ],
)
def test_bad_arguments_are_named(function, y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        getattr(losses, function)(y_true, y_pred)
