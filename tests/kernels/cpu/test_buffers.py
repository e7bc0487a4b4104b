"""Working memory: aligned, used again, and never while somebody still has it."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastrnn.kernels.cpu import buffers


@pytest.fixture(autouse=True)
def empty_pool():
    buffers.release()
    yield
    buffers.release()


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("shape", [(), (1,), (3, 5, 7), (1000, 33), (0,), (4, 0, 2)], ids=str)
def test_arrays_are_aligned_contiguous_and_writable(shape, dtype):
    for make in (buffers.empty, buffers.zeros):
        array = make(shape, dtype)
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        assert address(array) % 64 == 0
        assert array.flags.c_contiguous
        array[...] = 1
        assert (array == 1).all()


def test_zeros_are_zero_in_used_memory():
    array = buffers.empty((100,), np.float64)
    array[...] = np.nan
    del array
    assert not buffers.zeros((100,), np.float64).any()


def test_memory_is_used_again():
    array = buffers.empty((100, 100), np.float32)
    place = address(array)
    del array
    assert address(buffers.empty((100, 100), np.float32)) == place


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[1:2],
        lambda a: a.T,
        lambda a: a.reshape(-1)[::-3],
        lambda a: a.view(np.uint8),
        lambda a: np.asarray(memoryview(a)),
        lambda a: np.broadcast_to(a[:1], (5, 10)),
        lambda a: np.frombuffer(a, np.float32),
    ],
    ids=["slice", "transpose", "strided", "dtype", "memoryview", "broadcast", "buffer"],
)
def test_any_view_keeps_its_memory(view):
    array = buffers.empty((10, 10), np.float32)
    array[...] = 7
    kept = view(array)
    before = kept.copy()
    del array
    others = [buffers.zeros((10, 10), np.float32) for _ in range(5)]
    np.testing.assert_array_equal(kept, before)
    assert not any(np.shares_memory(kept, other) for other in others)


def test_living_arrays_never_share_memory(rng):
    alive = []
    for n, size in enumerate(rng.integers(0, 200, 300).tolist()):
        array = buffers.empty((size,), np.int64)
        array[...] = n
        alive.append((n, array))
        if len(alive) > 20:
            alive.pop(int(rng.integers(20)))
        assert all((array == n).all() for n, array in alive)


def test_threads_never_get_the_same_memory():
    stop = threading.Event()

    def work(number):
        for size in list(range(1, 60)) * 30:
            array = buffers.empty((size,), np.int64)
            array[...] = number
            again = buffers.empty((size,), np.int64)
            again[...] = -number
            if not ((array == number).all() and (again == -number).all()):
                stop.set()
        return stop.is_set()

    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(work, range(1, 9)))


def test_memory_in_a_cycle_of_references_comes_back():
    class Node:
        pass

    node = Node()
    node.array, node.itself = buffers.empty((50,), np.float64), node
    place, gone = address(node.array), weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
    assert address(buffers.empty((50,), np.float64)) == place


def test_no_more_than_a_bound_is_kept(monkeypatch):
    monkeypatch.setattr(buffers, "_KEPT_BYTES", 1000)
    arrays = [buffers.empty((100,), np.float64) for _ in range(5)]
    del arrays
    assert buffers._kept <= 1000
    assert sum(map(len, buffers._free.values())) == 1


def test_release_forgets_what_nobody_uses():
    array, other = buffers.empty((100,), np.float64), buffers.empty((100,), np.float64)
    other[...] = 3
    del array
    buffers.release()
    assert buffers._kept == 0
    assert (other == 3).all()
    del other
    assert buffers._kept > 0


def test_little_memory_is_wasted():
    for size in [*range(1, 5000, 7), 10**6, 10**7 + 1]:
        wasted = buffers._size_class(size) - size
        assert 0 <= wasted < max(64, size / 8 + 1)
