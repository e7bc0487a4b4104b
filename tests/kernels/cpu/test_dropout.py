"""Dropout's kernel: Threefry's published numbers, wherever vectors and workers begin."""

import numpy as np
import pytest

from fastrnn.kernels.cpu.dropout import BLOCK, Dropout, apply

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 3, 15, 16, 17, 31, 32, 33, 48, 49, 100, 1000]
ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24]


def threefry(key, counter):
    """Threefry-2x32 of two 32-bit words with 20 rounds, as published, in Python's integers."""
    mask = 0xFFFFFFFF
    schedule = [*key, key[0] ^ key[1] ^ 0x1BD11BDA]
    a, b = (counter[0] + key[0]) & mask, (counter[1] + key[1]) & mask
    for n in range(20):
        a = (a + b) & mask
        bits = ROTATIONS[n % 8]
        b = ((b << bits | b >> (32 - bits)) & mask) ^ a
        if n % 4 == 3:
            q = n // 4 + 1
            a = (a + schedule[q % 3]) & mask
            b = (b + schedule[(q + 1) % 3] + q) & mask
    return a, b


def words(key, size):
    """The random word of each number."""
    half = BLOCK // 2
    key = (key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF)
    result = []
    for i in range(size):
        counter = i // BLOCK * half + i % half
        result.append(threefry(key, (counter & 0xFFFFFFFF, counter >> 32))[i % BLOCK // half])
    return np.array(result, np.int64)


def dropped(x, key, threshold, factor, workers=1):
    memory = np.full(x.size + 40, 7, x.dtype)
    y = memory[1 : x.size + 1]
    apply(None, Dropout(x.size, x, y, key, threshold, factor), workers)
    assert memory[0] == 7 and (memory[x.size + 1 :] == 7).all()
    return y


@pytest.mark.parametrize(
    ("key", "counter", "desired"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_oracle_knows_the_answers_of_random123(key, counter, desired):
    assert threefry(key, counter) == desired


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("key", [0, 1, 0x0123456789ABCDEF, -1, -(1 << 63)])
def test_numbers_are_kept_where_the_oracle_says(key, dtype):
    x = np.arange(1, 101, dtype=dtype)
    threshold = 3 << 30
    desired = np.where(words(key, 100) >= threshold, 4 * x, 0)
    np.testing.assert_array_equal(dropped(x, key, threshold, 4.0), desired)


@pytest.mark.parametrize("threshold", [1, 1 << 31, (1 << 32) - 1])
def test_thresholds_are_unsigned(threshold):
    x = np.ones(1000, np.float32)
    desired = words(5, 1000) >= threshold
    np.testing.assert_array_equal(dropped(x, 5, threshold, 1.0), desired)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_size_and_workers_change_no_bit(size, dtype, rng):
    x = rng.standard_normal(1000).astype(dtype)
    desired = dropped(x, 42, 1 << 30, 4 / 3)[:size]
    for workers in (1, 2, 3, 8):
        np.testing.assert_array_equal(dropped(x[:size], 42, 1 << 30, 4 / 3, workers), desired)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_stays_even_where_it_is_dropped(dtype):
    x = np.full(100, np.nan, dtype)
    assert np.isnan(dropped(x, 1, 1 << 31, 2.0)).all()


def test_result_may_replace_its_argument(rng):
    x = rng.standard_normal(100).astype(np.float32)
    desired = dropped(x, 9, 1 << 31, 2.0)
    apply(None, Dropout(100, x, x, 9, 1 << 31, 2.0), 1)
    np.testing.assert_array_equal(x, desired)
