"""Gather and scatter of packed rows: exact copies, zeros in padding, nothing else touched."""

import numpy as np
import pytest

from fastrnn.kernels.cpu.rows import Gathering, Scattering, gather, scatter

DTYPES = [np.float32, np.float64]
WORKERS = [1, 2, 3, 8]

# Steps of each of the user's sequences, and how many time steps there are.
LENGTHS = {
    "different": ([3, 0, 5, 1, 5, 2], 6),
    "equal": ([4, 4, 4], 4),
    "none": ([0, 0], 3),
    "one sequence": ([2], 4),
    "one step": ([1, 0, 1], 1),
    "many": ([*range(41)], 40),
}

LAYOUTS = {
    "C": lambda a: a,
    "batch-major": lambda a: a.swapaxes(0, 1).copy().swapaxes(0, 1),
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "part of wider rows": lambda a: np.pad(a, ((1, 2), (3, 1), (2, 5)), constant_values=7)[
        1:-2, 3:-1, 2:-5
    ],
}


class Order:
    """Where each row belongs, one by one: place p of step k is row[k, p], or -1."""

    def __init__(self, lengths, reverse):
        self.lengths = np.array(lengths, np.int64)
        self.sequence = sorted(range(len(lengths)), key=lambda b: -lengths[b])
        self.steps = max(lengths)
        self.where = []  # (time, sequence) of each row
        rows = [0]
        for k in range(self.steps):
            for b in self.sequence:
                if k < lengths[b]:
                    self.where.append((lengths[b] - 1 - k if reverse else k, b))
            rows.append(len(self.where))
        self.rows = np.array(rows, np.int64)
        self.start = [lengths[b] - 1 if reverse else 0 for b in self.sequence]
        self.turn = -1 if reverse else 1

    def origin(self, array):
        """Arguments `origin` and `step` for an array."""
        time, batch = (stride // array.itemsize for stride in array.strides[:2])
        origin = [t * time + b * batch for t, b in zip(self.start, self.sequence, strict=True)]
        return np.array(origin, np.int64), self.turn * time


def gathered(array, order, packed, workers):
    origin, step = order.origin(array)
    gather(
        None,
        Gathering(order.steps, order.rows, origin, step, array.shape[2], array, packed),
        workers,
    )


def scattered(packed, packed_row, order, array, workers):
    T, B, M = array.shape
    origin, step = order.origin(array)
    time, batch = (stride // array.itemsize for stride in array.strides[:2])
    arguments = Scattering(
        order.steps, order.rows, origin, step, M, packed, packed_row,
        T, B, order.lengths, time, batch, array,
    )  # fmt: skip
    scatter(None, arguments, workers)


@pytest.fixture(params=LENGTHS)
def problem(request):
    return LENGTHS[request.param]


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gather_copies_rows_with_any_number_of_workers(problem, layout, dtype, reverse, rng):
    lengths, T = problem
    order = Order(lengths, reverse)
    N = len(order.where)
    for M in (1, 3, 16, 17, 100):
        array = LAYOUTS[layout](rng.standard_normal((T, len(lengths), M)).astype(dtype))
        padding = np.arange(T)[:, None] >= order.lengths
        array[padding] = np.nan
        desired = np.array([array[where] for where in order.where], dtype).reshape(N, M)
        assert not np.isnan(desired).any()
        for workers in WORKERS:
            memory = np.full(N * M + 40, 7, dtype)
            packed = memory[1 : N * M + 1].reshape(N, M)
            gathered(array, order, packed, workers)
            np.testing.assert_array_equal(packed, desired)
            assert memory[0] == 7 and (memory[N * M + 1 :] == 7).all()


@pytest.mark.parametrize("reverse", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_scatter_writes_rows_and_padding_with_any_number_of_workers(
    problem, layout, dtype, reverse, rng
):
    lengths, T = problem
    order = Order(lengths, reverse)
    N = len(order.where)
    for M in (1, 3, 16, 17, 100):
        wide = rng.standard_normal((N, M + 5)).astype(dtype)
        desired = np.zeros((T, len(lengths), M), dtype)
        for n, where in enumerate(order.where):
            desired[where] = wide[n, :M]
        for workers in WORKERS:
            array = LAYOUTS[layout](np.full(desired.shape, np.nan, dtype))
            around = array.base if layout == "part of wider rows" else None
            scattered(wide, M + 5, order, array, workers)
            np.testing.assert_array_equal(array, desired)
            if around is not None:
                array[...] = 7
                assert (around == 7).all()


def test_bits_are_moved_as_they_are(rng):
    order = Order([3, 2, 0], reverse=True)
    bits = rng.integers(0, 2**32, (3, 3, 19), np.uint32)
    bits[:2, 0, :] = [[0x7F800001] * 19, [0xFF812345] * 19]  # signalling NaN
    packed = np.empty((5, 19), np.uint32)
    gathered(bits.view(np.float32), order, packed.view(np.float32), 2)
    back = np.full_like(bits, 1)
    scattered(packed.view(np.float32), 19, order, back.view(np.float32), 2)
    padding = np.arange(3)[:, None] >= order.lengths
    np.testing.assert_array_equal(back[~padding], bits[~padding])
    assert not back[padding].any()
