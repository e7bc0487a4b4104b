"""Dropout layers: only while training, a new mask at each step, the same mask backwards."""

import numpy as np
import pytest

from fastrnn import GradientTape, Tensor, random
from fastrnn.layers import Dropout, SpatialDropout1D


def test_nothing_happens_when_not_training(rng):
    x = Tensor(rng.standard_normal((3, 4)))
    assert Dropout(0.5, dtype="float64")(x) is x
    assert Dropout(0.0, dtype="float64")(x, training=True) is x


def test_masks_differ_by_step_stream_and_seed_and_can_be_repeated():
    x = np.ones((8, 50), np.float32)

    def mask(step=0, **options):
        layer = Dropout(0.5, **{"seed": 0, **options})
        layer.step = step
        return layer(x, training=True).value

    first = mask()
    np.testing.assert_array_equal(mask(), first)
    for other in (mask(step=1), mask(stream=1), mask(seed=1)):
        assert (other != first).any()
    layer = Dropout(0.5, seed=0)
    np.testing.assert_array_equal(layer(x, training=True), first)
    np.testing.assert_array_equal(layer(x, training=True), mask(step=1))


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a.swapaxes(0, 1),
        lambda a: a[::-1],
        lambda a: a[:, ::2],
        lambda a: a.T,
    ],
    ids=["C", "batch-major", "backwards", "strided", "Fortran"],
)
def test_gradient_passes_where_values_did(rng, view):
    x = Tensor(view(rng.standard_normal((4, 6, 5)) + 10))
    with GradientTape() as tape:
        y = Dropout(0.25, seed=0, dtype="float64")(x, training=True)
    dy = rng.standard_normal(y.shape)
    (dx,) = tape.gradient(y, [x], dy)
    kept = y.value != 0
    assert 0.6 < kept.mean() < 0.9
    np.testing.assert_array_equal(dx, np.where(kept, dy * np.float64(1 / 0.75), 0))


@pytest.mark.parametrize("rate", [1.0, -0.1, float("nan")])
def test_wrong_rate_is_named(rate):
    with pytest.raises(ValueError, match=r"^rate: expected a number in \[0, 1\), got"):
        Dropout(rate)


def test_layers_without_a_seed_follow_that_of_the_process():
    x = np.ones((8, 50), np.float32)

    def masks():
        random.set_seed(5)
        return [Dropout(0.5)(x, training=True).value for _ in range(2)]

    first, second = masks()
    assert (first != second).any()
    for ours, again in zip((first, second), masks(), strict=True):
        np.testing.assert_array_equal(ours, again)


def test_masks_of_another_shape_are_the_same_along_its_axes():
    x = np.ones((5, 7, 9), np.float32)
    for layer in (SpatialDropout1D(0.5, seed=1), Dropout(0.5, (None, 1, None), seed=1)):
        y = layer(x, training=True).value
        assert set(np.unique(y)) == {0, 2}
        assert (y == y[:, :1]).all()
        assert (y != y[:, :, :1]).any()
    with pytest.raises(ValueError, match="expected an input of 2 axes as noise_shape"):
        Dropout(0.5, (None, 1), name="d")(x, training=True)
