"""Dropout on arrays: the right share, independent masks, the same mask backwards."""

import numpy as np
import pytest
from functional.problems import in_records

from fastrnn import functional
from fastrnn.functional.dropout import dropout
from fastrnn.kernels.cpu.threads import get_num_threads, set_num_threads

DTYPES = [np.float32, np.float64]
MANY = 1 << 20


def mask(rate, key, size=MANY):
    """Which of so many numbers are kept."""
    return dropout(np.ones(size, np.float32), rate, key)[0] != 0


def deviations(share, desired, size=MANY):
    """How many standard deviations a share of successes is off."""
    return abs(share - desired) / np.sqrt(desired * (1 - desired) / size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 17, 33), (0, 3)])
def test_numbers_are_dropped_or_scaled_and_backward_agrees(shape, dtype, rng):
    x = np.asarray(rng.standard_normal(shape), dtype)
    y, backward = dropout(x, 0.25, (1, 2, 3))
    assert y.shape == shape and y.dtype == dtype
    kept = y != 0
    np.testing.assert_array_equal(y[kept], (x * dtype(1 / 0.75))[kept])
    dy = np.asarray(rng.standard_normal(shape), dtype)
    np.testing.assert_array_equal(backward(dy), np.where(kept, dy * dtype(1 / 0.75), 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_are_what_ones_become(dtype):
    factors = functional.dropout_factors((3, 5), dtype, 0.25, (1, 2, 3))
    np.testing.assert_array_equal(factors, dropout(np.ones((3, 5), dtype), 0.25, (1, 2, 3))[0])


def test_factors_of_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="dtype: expected float32 or float64, got int64"):
        functional.dropout_factors((3,), np.int64, 0.5, 0)
    with pytest.raises(ValueError, match="rate: expected"):
        functional.dropout_factors((3,), np.float32, 1.0, 0)


@pytest.mark.parametrize("rate", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_share_of_dropped_numbers_is_the_rate(rate):
    assert deviations(1 - mask(rate, 7).mean(), rate) < 4
    y, _ = dropout(np.ones(MANY), rate, 7)
    assert y.mean() == pytest.approx(1, abs=4 * np.sqrt(rate / (1 - rate) / MANY))


def test_rate_zero_keeps_everything():
    x = np.arange(100, dtype=np.float32)
    np.testing.assert_array_equal(dropout(x, 0.0, 1)[0], x)


def test_rate_just_below_one_is_still_a_rate():
    y, _ = dropout(np.ones(1000), np.nextafter(1.0, 0.0), 1)
    assert (y == 0).all()


KEYS = [0, 1, (1,), (0, 1), (1, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), 1 << 32, 1 << 63]


def test_masks_of_different_keys_are_independent():
    masks = [mask(0.5, key) for key in KEYS if key != (1,)]
    for n, one in enumerate(masks):
        for other in masks[:n]:
            assert deviations((one == other).mean(), 0.5) < 4.5


def test_an_int_is_a_key_of_one_number():
    np.testing.assert_array_equal(mask(0.5, 1), mask(0.5, (1,)))


def test_neighbours_in_a_mask_are_independent():
    kept = mask(0.5, 11)
    for distance in (1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 64, 1000, 1024):
        same = kept[distance:] == kept[:-distance]
        assert deviations(same.mean(), 0.5, same.size) < 4, f"distance {distance}"


def test_every_place_in_a_block_has_the_same_share():
    shares = mask(0.3, 5).reshape(-1, 32).mean(axis=0)
    assert max(deviations(share, 0.7, MANY // 32) for share in shares) < 4.5


def test_mask_depends_on_key_and_place_alone(rng):
    before = get_num_threads()
    x = rng.uniform(1, 2, 200_003).astype(np.float32)
    y, _ = dropout(x, 0.4, (3, 1))
    try:
        for number in (1, 2, 3, 8):
            set_num_threads(number)
            np.testing.assert_array_equal(dropout(x, 0.4, (3, 1))[0], y)
    finally:
        set_num_threads(before)
    kept = y != 0
    np.testing.assert_array_equal(dropout(x.astype(np.float64), 0.4, (3, 1))[0] != 0, kept)
    np.testing.assert_array_equal(dropout(x[:1001], 0.4, (3, 1))[0] != 0, kept[:1001])
    # Places count in C order, whatever the strides.
    square = np.asfortranarray(x[:900].reshape(30, 30))
    np.testing.assert_array_equal(dropout(square, 0.4, (3, 1))[0].ravel() != 0, kept[:900])


def test_nan_and_infinity_are_seen():
    x = np.array([np.nan, np.inf] * 50)
    y, _ = dropout(x, 0.5, 3)
    assert not np.isfinite(y).any()


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, np.nan, np.inf])
def test_bad_rates_are_named(rate):
    with pytest.raises(ValueError, match=r"rate: expected a number in \[0, 1\)"):
        dropout(np.ones(3), rate, 0)


@pytest.mark.parametrize("key", [-1, 1 << 64, 1.5, "a", (1, -1), (0.5,), None])
def test_bad_keys_are_named(key):
    with pytest.raises(ValueError, match="key: expected ints"):
        dropout(np.ones(3), 0.5, key)


def test_bad_arrays_are_named():
    with pytest.raises(ValueError, match=r"x: expected float32 or float64, got \(2,\) int64"):
        dropout(np.array([1, 2], np.int64), 0.5, 0)
    _, backward = dropout(np.ones((2, 3)), 0.5, 0)
    for dy in (np.ones((3, 2)), np.ones((2, 3), np.float32)):
        with pytest.raises(ValueError, match=r"dy: expected \(2, 3\) float64"):
            backward(dy)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_is_applied_to_every_step(rng, dtype):
    x, mask = rng.normal(size=(5, 3, 7)).astype(dtype), rng.normal(size=(3, 7)).astype(dtype)
    views = (
        x, x[::-1], np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1), x[:, :, ::-1], x[:0],
        np.asfortranarray(x), in_records(x), x[0], x[None], np.broadcast_to(x[:1], x.shape),
    )  # fmt: skip
    for view in views:
        y = functional.apply_mask(view, mask)
        assert y.flags.c_contiguous and y.dtype == dtype
        np.testing.assert_array_equal(y, view * mask)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_is_applied_by_any_number_of_workers(rng, dtype):
    before = get_num_threads()
    x, mask = rng.normal(size=(50, 40, 100)).astype(dtype), rng.normal(size=(40, 100)).astype(dtype)
    try:
        for number in (1, 2, 3, 8):
            set_num_threads(number)
            np.testing.assert_array_equal(functional.apply_mask(x, mask), x * mask)
    finally:
        set_num_threads(before)


def test_a_mask_that_does_not_fit_is_refused():
    x, mask = np.ones((5, 3, 7), np.float32), np.ones((3, 7), np.float32)
    with pytest.raises(ValueError, match=r"x: expected \(\.\.\., B, I\) float32 or float64, got"):
        functional.apply_mask(x[0, 0], mask)
    with pytest.raises(ValueError, match=r"mask: expected \(3, 7\) float32, got \(3, 6\)"):
        functional.apply_mask(x, mask[:, :6])
    with pytest.raises(ValueError, match=r"mask: expected \(3, 7\) float32, got .*float64"):
        functional.apply_mask(x, mask.astype(np.float64))
