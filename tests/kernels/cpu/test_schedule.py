"""Who does what: never more workers than parts, threads, or work worth waking them for."""

import pytest

from fastrnn.kernels.cpu import schedule

GRAIN = schedule.MULTIPLY_ADDS_PER_WORKER


@pytest.fixture
def eight_threads(monkeypatch):
    monkeypatch.setattr(schedule, "get_num_threads", lambda: 8)


@pytest.mark.parametrize(
    ("multiply_adds", "parts", "workers"),
    [
        (0, 0, 1),
        (0, 100, 1),
        (GRAIN - 1, 100, 1),
        (3 * GRAIN, 100, 3),
        (3 * GRAIN, 2, 2),
        (100 * GRAIN, 100, 8),
        (100 * GRAIN, 1, 1),
        (100 * GRAIN, 0, 1),
        (10**18, 10**9, 8),
    ],
)
def test_workers_are_limited_by_threads_parts_and_work(
    eight_threads, multiply_adds, parts, workers
):
    assert schedule.workers_for(multiply_adds, parts) == workers


def test_one_thread_is_one_worker(monkeypatch):
    monkeypatch.setattr(schedule, "get_num_threads", lambda: 1)
    assert schedule.workers_for(10**12, 1000) == 1


@pytest.mark.parametrize("panels", [1, 8, 41, 1000])
def test_blocks_of_the_input_gradient_are_whole_tiles(panels):
    rows, chunk = schedule.input_gradient_blocks(panels, 64)
    assert rows >= 24
    assert rows % 6 == 0
    assert chunk >= 1
    smaller, _ = schedule.input_gradient_blocks(4 * panels, 64)
    assert smaller <= rows


@pytest.mark.parametrize(("size", "row_bytes", "rows"), [(48 << 10, 256, 192), (16 << 10, 4096, 6)])
def test_rows_of_a_gradient_fill_the_first_level_cache(monkeypatch, size, row_bytes, rows):
    monkeypatch.setattr(schedule, "first_level_size", lambda: size)
    assert schedule.gradient_chunk(row_bytes) == rows


@pytest.mark.parametrize(
    ("rows", "features", "panels", "runs"),
    [
        (1, 1, 1, 1),
        (2047, 64, 1, 1),
        (2048, 128, 2, 2),
        (2048, 129, 2, 1),  # sums of runs would cost more than they save
        (10240, 100, 1, 8),
        (1 << 30, 100, 1, 8),
        (1 << 30, 100, 3, 1),
    ],
)
def test_many_rows_of_few_panels_are_summed_in_runs(rows, features, panels, runs):
    assert schedule.gradient_runs(rows, features, panels) == runs


@pytest.mark.parametrize(
    ("row_bytes", "panels", "workers", "is_gathered"),
    [(2048, 4, 2, True), (2047, 4, 2, False), (2048, 3, 2, False), (1 << 20, 1, 1, False)],
)
def test_long_rows_of_several_panels_are_gathered(row_bytes, panels, workers, is_gathered):
    assert schedule.is_gathered(row_bytes, panels, workers) == is_gathered


@pytest.mark.parametrize(
    ("products", "vectors", "widest", "units"),
    [
        ([4, 4], 8, 2, 1),  # LSTM with AVX2: two full tiles a row
        ([3, 3], 8, 2, 2),  # GRU: three full tiles for two units
        ([3, 3], 5, 2, 1),  # the sixth vector would be empty
        ([3, 2, 1], 2, 2, 2),
        ([1, 1], 8, 2, 2),
        ([1, 1], 1, 2, 1),
        ([4, 4], 8, 4, 1),
        ([3, 3], 8, 4, 1),
        ([2, 2], 8, 4, 2),
        ([1, 1], 8, 4, 4),
        ([1, 1], 3, 4, 3),
    ],
)
def test_panels_fill_register_tiles(products, vectors, widest, units):
    assert schedule.units_per_panel(products, vectors, widest) == units
    assert units <= schedule.most_units(max(products), widest)
