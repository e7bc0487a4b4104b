"""Vectors: operators, selections, sums over lanes, and what moves to and from memory."""

import ctypes
import mmap
import operator
import sys
from typing import NamedTuple

import numpy as np
import pytest
from numba import from_dtype
from simd.vectors import elementwise, uncached

from fastrnn.kernels.cpu.task import Doubles, Floats
from fastrnn.simd.memory import (
    broadcast,
    copy_transposed,
    lanes,
    load,
    load_edge,
    load_first,
    load_tuple,
    store,
    store_edge,
    store_first,
    store_tuple,
    tile_scratch,
)
from fastrnn.simd.target import lanes_of, tile
from fastrnn.simd.vector import (
    absolute,
    double,
    exponent,
    lane_maximum,
    lane_numbers,
    lane_sum,
    maximum,
    minimum,
    power_of_two,
    rint,
    significand,
    sqrt,
    where_less,
)

DTYPES = [np.float32, np.float64]
SPECIAL = [0.0, -0.0, 1.5, -2.5, 3.0, 1e30, -1e-30, np.inf, -np.inf, np.nan]


def pairs(dtype):
    """Every special number beside every other."""
    x, a = np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype))
    return x.ravel(), a.ravel()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv"])
def test_operators_round_as_numpy(name, dtype, rng):
    symbol = getattr(operator, name)
    run = elementwise(lambda x, a, b: symbol(x, a))
    x, a = rng.standard_normal((2, 1000)).astype(dtype)
    np.testing.assert_array_equal(run(x, a), symbol(x, a))
    with np.errstate(all="ignore"):
        x, a = pairs(dtype)
        np.testing.assert_array_equal(run(x, a), symbol(x, a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_mix_with_vectors_on_either_side(dtype, rng):
    x = rng.standard_normal(64).astype(dtype)
    half, three = dtype(0.5), dtype(3)
    for formula, desired in (
        (lambda x, a, b: 0.5 + x, half + x),
        (lambda x, a, b: x - 3, x - three),
        (lambda x, a, b: 3 / x, three / x),
        (lambda x, a, b: -x, -x),
    ):
        np.testing.assert_array_equal(elementwise(formula)(x), desired)


@pytest.mark.parametrize("dtype", DTYPES)
def test_minimum_and_maximum_keep_nan_of_the_first_operand(dtype):
    x, a = pairs(dtype)
    low = elementwise(lambda x, a, b: minimum(x, a))(x, a)
    high = elementwise(lambda x, a, b: maximum(x, a))(x, a)
    assert np.isnan(low[np.isnan(x)]).all()
    assert np.isnan(high[np.isnan(x)]).all()
    both = ~(np.isnan(x) | np.isnan(a))
    np.testing.assert_array_equal(low[both], np.minimum(x, a)[both])
    np.testing.assert_array_equal(high[both], np.maximum(x, a)[both])


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_less_is_false_for_nan(dtype):
    x, a = pairs(dtype)
    y = elementwise(lambda x, a, b: where_less(x, a, 1.0, 2.0))(x, a)
    np.testing.assert_array_equal(y, np.where(x < a, 1, 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_functions_match_numpy(dtype, rng):
    x = np.concatenate([rng.standard_normal(990) * 100, SPECIAL]).astype(dtype)
    with np.errstate(invalid="ignore"):
        for formula, desired in (
            (lambda x, a, b: rint(x), np.rint(x)),
            (lambda x, a, b: sqrt(x), np.sqrt(x)),
            (lambda x, a, b: absolute(x), np.abs(x)),
        ):
            np.testing.assert_array_equal(elementwise(formula)(x), desired)


@pytest.mark.parametrize("dtype", DTYPES)
def test_power_of_two_is_exact_over_all_normal_exponents(dtype):
    limits = np.finfo(dtype)
    n = np.arange(limits.minexp, limits.maxexp, dtype=dtype)
    np.testing.assert_array_equal(
        elementwise(lambda x, a, b: power_of_two(x))(n), np.ldexp(dtype(1), n.astype(np.int32))
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponent_and_significand_are_the_parts_of_a_number(dtype, rng):
    limits = np.finfo(dtype)
    powers = np.arange(limits.minexp, limits.maxexp)
    x = np.ldexp(np.concatenate([rng.uniform(1, 2, len(powers)), np.ones(len(powers))]),
                 np.tile(powers, 2)).astype(dtype)  # fmt: skip
    x = np.concatenate([x, [limits.tiny, limits.max, np.nextafter(dtype(1), dtype(0))]])
    n = elementwise(lambda x, a, b: exponent(x))(x.astype(dtype))
    m = elementwise(lambda x, a, b: significand(x))(x.astype(dtype))
    half, one_more = np.frexp(x.astype(dtype))
    np.testing.assert_array_equal(n, one_more - 1)
    np.testing.assert_array_equal(m, 2 * half)


class Folded(NamedTuple):
    """One vector and what its lanes join to."""

    x: Floats
    y: Floats  # (3,)
    precise: Doubles  # (1,)


@uncached
def fold(cell, args, worker, workers):
    s = args[0]
    x = load(s.x)
    s.y[0] = lane_sum(x)
    s.y[1] = lane_maximum(x)
    s.y[2] = lane_sum(lane_numbers(x))
    s.precise[0] = lane_sum(double(x))


def folded(x):
    y, precise = np.zeros(3, x.dtype), np.zeros(1)
    fold(None, Folded(x, y, precise), 1)
    return y, precise[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_lanes_join_in_one_order(dtype, rng):
    lane = lanes_of(np.dtype(dtype))
    x = rng.standard_normal(lane).astype(dtype)
    desired = x
    while len(desired) > 1:
        desired = desired[: len(desired) // 2] + desired[len(desired) // 2 :]
    (total, highest, numbers), _ = folded(x)
    assert total == desired[0]
    assert highest == x.max()
    assert numbers == sum(range(lane))


@pytest.mark.parametrize("dtype", DTYPES)
def test_double_sums_beyond_the_precision_of_the_format(dtype):
    x = np.ones(lanes_of(np.dtype(dtype)), dtype)
    x[0] = 2.0**30
    _, precise = folded(x)
    assert precise == 2.0**30 + len(x) - 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_any_lane_reaches_sum_and_maximum(dtype):
    for lane in range(lanes_of(np.dtype(dtype))):
        for other in (0.0, np.inf, -np.inf):
            x = np.full(lanes_of(np.dtype(dtype)), other, dtype)
            x[lane] = np.nan
            (total, highest, _), _ = folded(x)
            assert np.isnan(total) and np.isnan(highest), f"lane {lane} beside {other}"


@pytest.mark.parametrize("dtype", DTYPES)
def test_maximum_of_lanes_finds_it_in_any_lane(dtype):
    for lane in range(lanes_of(np.dtype(dtype))):
        x = np.full(lanes_of(np.dtype(dtype)), -np.inf, dtype)
        x[lane] = -5.0
        (_, highest, _), _ = folded(x)
        assert highest == -5.0


class Copy(NamedTuple):
    """Part of a vector, from `x` to `y`."""

    x: Floats
    y: Floats
    count: int
    whole: Floats  # one vector


@uncached
def copy_first(cell, args, worker, workers):
    s = args[0]
    x = load_first(s.x, s.count)
    store(s.whole, x)
    store_first(s.y, x, s.count)


@uncached
def copy_edge(cell, args, worker, workers):
    s = args[0]
    x = load_edge(s.x, s.count)
    store(s.whole, x)
    store_edge(s.y, x, s.count)


@pytest.mark.parametrize("copy", [copy_first, copy_edge], ids=["first", "edge"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_partial_vectors_touch_no_neighbour(copy, dtype):
    lane = lanes_of(np.dtype(dtype))
    for count in range(lane + 1):
        # Not aligned to the vector, and NaN where nothing may be read.
        x, y = np.full(lane + 2, np.nan, dtype), np.full(lane + 2, 7, dtype)
        x[1 : count + 1] = np.arange(1, count + 1)
        whole = np.full(lane, np.nan, dtype)
        copy(None, Copy(x[1:], y[1:], count, whole), 1)
        np.testing.assert_array_equal(whole[:count], np.arange(1, count + 1))
        np.testing.assert_array_equal(whole[count:], 0)
        np.testing.assert_array_equal(y[1 : count + 1], np.arange(1, count + 1))
        assert y[0] == 7 and (y[count + 1 :] == 7).all()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects memory by mprotect")
def test_partial_vectors_at_the_end_of_memory_do_not_fault():
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    numbers = np.frombuffer(pages, np.float32)
    half = len(numbers) // 2
    protect = ctypes.CDLL(None).mprotect
    second = ctypes.c_void_p(numbers[half:].ctypes.data)
    assert protect(second, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    lane = lanes_of(np.dtype(np.float32))
    for count in range(lane):
        whole, y = np.full(lane, np.nan, np.float32), np.zeros(lane, np.float32)
        copy_first(None, Copy(numbers[half - count :], y, count, whole), 1)
        copy_first(None, Copy(y, numbers[half - count :], count, whole), 1)
        assert not whole.any()


class Tuples(NamedTuple):
    """Three vectors from `x`, `stride` numbers apart, to `y`."""

    x: Floats
    y: Floats
    stride: int


@uncached
def copy_tuple(cell, args, worker, workers):
    s = args[0]
    scratch = tile_scratch(s.x)
    store_tuple(scratch, lanes(s.x), load_tuple(s.x, s.stride, 3))
    store_tuple(s.y, s.stride, load_tuple(scratch, lanes(s.x), 3))
    store(s.y + 3 * s.stride, broadcast(s.x, 2.5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tuples_of_vectors_keep_their_strides(dtype, rng):
    lane = lanes_of(np.dtype(dtype))
    stride = lane + 3
    x = rng.standard_normal(4 * stride).astype(dtype)
    y = np.full_like(x, 7)
    copy_tuple(None, Tuples(x, y, stride), 1)
    x, y = x.reshape(4, stride), y.reshape(4, stride)
    np.testing.assert_array_equal(y[:3, :lane], x[:3, :lane])
    np.testing.assert_array_equal(y[3, :lane], 2.5)
    np.testing.assert_array_equal(y[:, lane:], 7)


class Square(NamedTuple):
    """Arguments of `copy_transposed`."""

    source: Floats
    source_row: int
    rows: int
    columns: int
    target: Floats
    target_row: int


@uncached
def transpose(cell, args, worker, workers):
    s = args[0]
    copy_transposed(s.source, s.source_row, s.rows, s.columns, s.target, s.target_row)


@pytest.mark.parametrize("dtype", DTYPES)
def test_squares_of_every_size_are_transposed(dtype, rng):
    lane = lanes_of(np.dtype(dtype))
    for rows in range(1, lane + 1):
        for columns in range(1, lane + 1):
            source = np.full((lane, lane + 1), np.nan, dtype)
            source[:rows, :columns] = rng.standard_normal((rows, columns))
            target = np.full((lane, lane + 2), 7, dtype)
            transpose(None, Square(source, lane + 1, rows, columns, target, lane + 2), 1)
            np.testing.assert_array_equal(target[:columns, :rows], source[:rows, :columns].T)
            np.testing.assert_array_equal(target[:columns, rows:lane], 0)
            assert (target[:, lane:] == 7).all() and (target[columns:] == 7).all()


def test_vectors_fill_whole_registers():
    single, double_ = (tile(from_dtype(np.dtype(dtype))) for dtype in DTYPES)
    assert single.lanes == 2 * double_.lanes
    assert single.lanes in (4, 8, 16)
