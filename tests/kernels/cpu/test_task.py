"""Tasks: how arguments travel, who runs them, and what survives in the cache of machine code."""

import ctypes
import os
import shutil
import struct
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numba import types
from processes import run_python
from simd.vectors import uncached

import fastrnn
from fastrnn import _jit, functional, get_num_threads, set_num_threads
from fastrnn.kernels.cpu import pool, schedule
from fastrnn.kernels.cpu import task as tasks
from fastrnn.kernels.cpu.task import Doubles, Floats, Ids, Ints, task
from fastrnn.simd.memory import is_given

PACKAGE = Path(fastrnn.__file__).parent

# Forward and backward of a layer, large enough to be shared out; compared bit for bit.
WORK = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from fastrnn import functional, set_num_threads
from fastrnn.kernels.cpu import buffers, pool, schedule

schedule.MULTIPLY_ADDS_PER_WORKER = 1

def problem(seed):
    rng = np.random.default_rng(seed)
    shapes = (9, 20, 17), (17, 4 * 33), (33, 4 * 33), (4 * 33,)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]

def work(seed):
    y, state, backward = functional.rnn("lstm", *problem(seed))
    gradients = backward(np.ones_like(y))
    return [a.copy() for a in (y, *state, *gradients[:4])]

def same(results, desired):
    assert len(results) == len(desired)
    for ours, wanted in zip(results, desired):
        np.testing.assert_array_equal(ours, wanted)

set_num_threads(1)
desired = [work(seed) for seed in range(4)]
set_num_threads(3)
"""


class Mixed(NamedTuple):
    """One field of every kind."""

    count: int
    factor: float
    floats: Floats
    doubles: Doubles
    ints: Ints
    ids: Ids
    absent: Floats
    out: Doubles


def mix(cell, args, worker, workers):
    s = args[0]
    if worker == 0:
        s.out[0] = s.count
        s.out[1] = s.factor
        s.out[2] = s.floats[1]
        s.out[3] = s.doubles[1]
        s.out[4] = s.ints[1]
        s.out[5] = s.ids[1]
        s.out[6] = 1.0 if is_given(s.floats) else 0.0
        s.out[7] = 1.0 if is_given(s.absent) else 0.0
    s.out[8 + worker] = workers


def mixed_arguments(dtype=np.float32):
    return Mixed(
        count=-(2**40), factor=3, floats=np.array([0, 1.5], dtype), doubles=np.array([0, 2.5]),
        ints=np.array([0, 2**50]), ids=np.array([0, -7], np.int32), absent=None,
        out=np.full(16, np.nan),
    )  # fmt: skip


@pytest.fixture(scope="module")
def mixing():
    return uncached(mix)


def test_every_kind_of_argument_arrives(mixing):
    for dtype in (np.float32, np.float64):
        arguments = mixed_arguments(dtype)
        mixing(None, arguments, 1)
        assert arguments.out[:9].tolist() == [-(2**40), 3.0, 1.5, 2.5, 2**50, -7, 1.0, 0.0, 1.0]


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_every_worker_runs_once_even_beyond_the_threads(mixing, workers):
    arguments = mixed_arguments()
    mixing(None, arguments, workers)
    assert arguments.out[8 : 8 + workers].tolist() == [workers] * workers
    assert np.isnan(arguments.out[8 + workers :]).all()


def test_without_another_thread_the_caller_does_the_work(mixing, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pool, "_pool", None)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    arguments = mixed_arguments()
    mixing(None, arguments, 3)
    assert arguments.out[8:11].tolist() == [3, 3, 3]


class Count(NamedTuple):
    """A place for each worker."""

    runs: Floats


def count(cell, args, worker, workers):
    args[0].runs[worker] += 1


def test_more_workers_than_a_job_can_number_take_turns():
    runs = np.zeros((1 << 20) + 1, np.float32)
    uncached(count)(None, Count(runs), len(runs))
    assert (runs == 1).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"absent": np.zeros(1)}, TypeError, "Mixed: float64 beside float32"),
        ({"floats": None}, TypeError, "Mixed: no float array"),
        ({"count": 1.5}, struct.error, "integer"),
        ({"factor": "1"}, struct.error, "float"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(mixing, changes, error, message):
    with pytest.raises(error, match=message):
        mixing(None, mixed_arguments()._replace(**changes), 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_prepared_call_runs_again_with_what_was_changed(mixing, workers):
    arguments = mixed_arguments()
    call = mixing.prepare(None, arguments, workers)
    call.run()
    first = arguments.out.copy()
    assert first[:9].tolist() == [-(2**40), 3.0, 1.5, 2.5, 2**50, -7, 1.0, 0.0, workers]
    out = np.full(16, np.nan)
    call.set("out", out)
    call.set("count", 5)
    call.set("factor", 0.25)
    call.set("floats", np.array([0, -8.5], np.float32))  # lives on in the call alone
    call.set("absent", np.zeros(3, np.float32))
    call.set("ids", None)
    ids = np.array([1, 2**31 - 1], np.int32)
    call.set("ids", ids.ctypes.data)
    call.run()
    assert out[:9].tolist() == [5, 0.25, -8.5, 2.5, 2**50, 2**31 - 1, 1.0, 1.0, workers]
    np.testing.assert_array_equal(arguments.out, first)


def test_prepared_call_keeps_its_arrays_alive(mixing):
    array = np.array([0, 4.5], np.float32)
    gone = weakref.ref(array)
    arguments = mixed_arguments()
    call = mixing.prepare(None, arguments._replace(floats=array), 1)
    del array
    call.run()
    assert arguments.out[2] == 4.5
    call.set("floats", np.array([0, 5.5], np.float32))
    assert gone() is None
    call.run()
    assert arguments.out[2] == 5.5


def test_prepared_call_also_runs_as_a_team(mixing):
    arguments = mixed_arguments()
    call = mixing.prepare(None, arguments, 3)
    for _ in range(3):
        call.team()
        members = int(arguments.out[8])
        assert 1 <= members <= 3
        assert arguments.out[8 : 8 + members].tolist() == [members] * members


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("floats", np.zeros(2), TypeError, "floats: expected float32, got float64"),
        ("ids", np.zeros(2, np.int64), TypeError, "ids: expected int32, got int64"),
        ("count", 1.5, TypeError, "invalid type"),
        ("factor", "1", TypeError, "invalid type"),
        ("nothing", 1, KeyError, "nothing"),
    ],
)
def test_prepared_call_refuses_what_does_not_fit(field, value, error, message, mixing):
    arguments = mixed_arguments()
    call = mixing.prepare(None, arguments, 1)
    with pytest.raises(error, match=message):
        call.set(field, value)
    call.run()
    assert arguments.out[2] == 1.5


def test_address_of_every_kind_of_array_is_numpys_own():
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    fixed = base.copy()
    fixed.flags.writeable = False
    subclass = base.view(np.recarray)
    for array in (base, base[1:, 2:], base[:, ::-2], base.T, base[:0], fixed, subclass):
        assert tasks.address_of(array) == array.__array_interface__["data"][0]


def test_constants_of_a_cell_arrive():
    class Constants(NamedTuple):
        first: float
        second: float

    def read(cell, args, worker, workers):
        args[0].out[worker] = cell[0].first - 2.0 * cell[0].second

    arguments = mixed_arguments()
    uncached(read)(Constants(1, 0.25), arguments, 2)
    assert arguments.out[:2].tolist() == [0.5, 0.5]


@pytest.fixture
def three_workers(monkeypatch):
    before = get_num_threads()
    monkeypatch.setattr(schedule, "MULTIPLY_ADDS_PER_WORKER", 1)
    set_num_threads(3)
    yield
    set_num_threads(before)


def test_calls_from_many_python_threads_give_their_own_results(rng, three_workers):
    W = rng.standard_normal((9, 50)).astype(np.float32)
    inputs = [rng.standard_normal((40, 9)).astype(np.float32) for _ in range(8)]

    def work(x):
        for _ in range(25):
            y, backward = functional.linear(x, W)
            gradients = backward(y)
        return y, gradients.x, gradients.W

    desired = [work(x) for x in inputs]
    with ThreadPoolExecutor(8) as executor:
        for ours, wanted in zip(executor.map(work, inputs), desired, strict=True):
            for a, b in zip(ours, wanted, strict=True):
                np.testing.assert_array_equal(a, b)


def test_calls_from_a_pool_within_a_pool_give_right_results(rng, three_workers):
    x, W = (rng.standard_normal(shape).astype(np.float32) for shape in ((40, 9), (9, 50)))
    desired, _ = functional.linear(x, W)

    def inner(_):
        return functional.linear(x, W)[0]

    def outer(_):
        with ThreadPoolExecutor(2) as executor:
            return list(executor.map(inner, range(4)))

    with ThreadPoolExecutor(2) as executor:
        for results in executor.map(outer, range(4)):
            for y in results:
                np.testing.assert_array_equal(y, desired)


# Daemon threads are still computing when the interpreter goes down.
EXIT_AT_WORK = (
    WORK
    + """
def for_ever(seed):
    while True:
        same(work(seed), desired[seed])
for seed in range(3):
    threading.Thread(target=for_ever, args=(seed,), daemon=True).start()
same(work(3), desired[3])
"""
)


def test_program_may_end_while_kernels_run():
    run_python(EXIT_AT_WORK)


# The main thread is through, and with it everything that `atexit` does.
WORK_AT_EXIT = (
    WORK
    + """
def last():
    threading.main_thread().join()
    same(work(1), desired[1])
threading.Thread(target=last).start()

class AtTheEnd:
    def __del__(self):
        same(work(0), desired[0])

import atexit
atexit.register(lambda: same(work(2), desired[2]))
"""
)


def test_kernels_run_until_the_very_end_of_a_program():
    _, messages = run_python(WORK_AT_EXIT)
    assert "Error" not in messages


FORKING = """
import signal

def in_child(check):
    child = os.fork()
    if child == 0:
        signal.alarm(120)  # a hang ends the child, and with it the test
        try:
            check()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""

FORK_AFTER_USE = (
    WORK
    + FORKING
    + """
same(work(0), desired[0])
def grandchild():
    in_child(lambda: same(work(1), desired[1]))
    with ThreadPoolExecutor(2) as executor:
        same(list(executor.map(work, [2]))[0], desired[2])
in_child(grandchild)

# Another thread may hold a lock at the very moment of the fork.
held, done = threading.Event(), threading.Event()
def hold():
    with buffers._lock, pool._pool_lock, pool._pool._lock:
        held.set()
        done.wait()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
in_child(lambda: same(work(3), desired[3]))
done.set()
holder.join()
same(work(0), desired[0])
"""
)

# The threads are those of the user's own Numba code.
FORK_AFTER_FOREIGN_THREADS = (
    WORK
    + FORKING
    + """
import numba

@numba.njit(parallel=True)
def total(a):
    return a.sum()

total(np.ones(1000))
in_child(lambda: same(work(0), desired[0]))
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("program", [FORK_AFTER_USE, FORK_AFTER_FOREIGN_THREADS])
def test_forked_child_computes_alone_what_its_parent_shares_out(program):
    run_python(program)


def test_one_thread_runs_all_workers():
    output, _ = run_python(
        WORK + "same(work(0), desired[0]); print(pool._pool)", NUMBA_NUM_THREADS="1"
    )
    assert output.split() == ["None"]


@pytest.fixture
def fresh_cache_folder(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    _jit.cache_folder.cache_clear()
    yield
    _jit.cache_folder.cache_clear()


def test_cache_lies_where_it_can_be_written(monkeypatch, tmp_path, fresh_cache_folder):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert _jit.cache_folder() == PACKAGE / "__pycache__"

    is_writable = _jit._is_writable
    monkeypatch.setattr(
        _jit, "_is_writable", lambda folder: PACKAGE not in folder.parents and is_writable(folder)
    )
    _jit.cache_folder.cache_clear()
    folder = _jit.cache_folder()
    assert tmp_path in folder.parents
    assert folder.is_dir()

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "chosen"))
    _jit.cache_folder.cache_clear()
    assert _jit.cache_folder() == tmp_path / "chosen" / "fastrnn"


def test_folder_that_cannot_be_made_is_not_writable(tmp_path):
    (tmp_path / "file").write_text("")
    assert not _jit._is_writable(tmp_path / "file" / "folder")


def test_without_any_writable_folder_kernels_are_compiled_in_memory(
    monkeypatch, rng, fresh_cache_folder
):
    monkeypatch.setattr(_jit, "_is_writable", lambda folder: False)
    assert _jit.cache_folder() is None
    arguments = mixed_arguments()
    body = _jit.kernel(mix)
    assert not body.stats.cache_path
    task(mix)(None, arguments, 1)
    assert arguments.out[2] == 1.5


LOOK_UP = """
import numpy as np, fastrnn
y, _ = fastrnn.functional.embedding([1], np.arange(64, dtype=np.float32).reshape(2, 32))
print(fastrnn.__file__)
print(y[0, 0])
"""


@pytest.fixture
def copied_package(tmp_path):
    """A folder that has a copy of the package, without any compiled code."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "fastrnn", ignore=ignored)
    return tmp_path


def test_machine_code_is_found_again_until_a_source_changes(copied_package):
    def look_up():
        output, messages = run_python(LOOK_UP, path=[copied_package], NUMBA_CACHE_DIR=None)
        file, number = output.split()
        assert Path(file).parent.parent == copied_package
        return float(number), "compiling kernels" in messages

    assert look_up() == (32.0, True)
    assert look_up() == (32.0, False)
    # A function of another file, which is compiled into the kernel.
    memory = copied_package / "fastrnn" / "simd" / "memory.py"
    source = memory.read_text()
    edited = source.replace("        return load(p)\n", "        return load(p) + load(p)\n")
    assert edited != source
    memory.write_text(edited)
    assert look_up() == (64.0, True)
    memory.write_text(source)
    assert look_up() == (32.0, True)


def test_damaged_cache_is_made_anew(copied_package):
    def look_up():
        output, messages = run_python(LOOK_UP, path=[copied_package], NUMBA_CACHE_DIR=None)
        assert float(output.split()[1]) == 32.0
        return "compiling kernels" in messages

    assert look_up()
    folder = copied_package / "fastrnn" / "__pycache__"
    (code,) = folder.glob("*gather*.nbc")
    code.write_bytes(code.read_bytes()[:-100])
    assert look_up()
    (index,) = folder.glob("*gather*.nbi")
    index.write_bytes(b"nonsense")
    assert look_up()
    assert not look_up()


FACTOR = 2


def scaled(x):
    return FACTOR * x


def call_scaled(kind, c_type, x):
    """Scale x by compiled code, as a process does that has just been started."""
    address = _jit.machine_address(_jit.kernel(scaled), kind(kind))
    return ctypes.CFUNCTYPE(c_type, c_type)(address)(x)


@pytest.fixture
def code_files(monkeypatch, tmp_path, fresh_cache_folder):
    """Files with the code of `scaled` for integers and for floats."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert call_scaled(types.int64, ctypes.c_int64, 3) == 6
    assert call_scaled(types.float64, ctypes.c_double, 1.5) == 3.0
    return sorted(tmp_path.glob("fastrnn/*scaled*.nbc"))


def test_code_for_other_types_is_not_taken_for_what_the_index_says(code_files):
    first, second = code_files  # two processes at once may choose the same name
    second.write_bytes(first.read_bytes())
    assert call_scaled(types.float64, ctypes.c_double, 1.5) == 3.0
    assert call_scaled(types.int64, ctypes.c_int64, 3) == 6


def test_code_of_older_sources_is_not_taken_for_what_the_index_says(code_files, monkeypatch):
    first, _ = code_files  # a process may end between its index and its code
    old = first.read_bytes()
    monkeypatch.setattr(_jit, "_stamp", lambda: "edited")
    monkeypatch.setitem(globals(), "FACTOR", 10)
    assert call_scaled(types.int64, ctypes.c_int64, 3) == 30
    first.write_bytes(old)
    assert call_scaled(types.int64, ctypes.c_int64, 3) == 30


def test_stamp_covers_every_source_that_is_compiled(copied_package, monkeypatch):
    package = copied_package / "fastrnn"
    monkeypatch.setattr(_jit, "_PACKAGE", package)
    stamp = _jit._stamp.__wrapped__
    assert stamp() == stamp()
    folders = ("simd", "cells", "kernels/cpu", "kernels/cpu/scan")
    sources = [
        package / "_jit.py",
        *(f for n in folders for f in sorted((package / n).glob("*.py"))),
    ]
    for source in sources:
        before = stamp()
        source.write_text(source.read_text() + "\n")
        assert stamp() != before, source


USER_CELL = """
from typing import NamedTuple

class Echo(NamedTuple):
    GATES, STATES = ("a",), ("h",)

    def forward(cell, a, state):
        return (a[0],), (a[0] * FACTOR,)

    def backward(cell, saved, before, after, dstate):
        return (dstate[0] * FACTOR,), (dstate[0] * 0.0,)
"""

RUN_USER_CELL = """
import numpy as np
from echo import Echo
from fastrnn import functional
x, W, R = np.ones((1, 1, 1), np.float32), np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)
y, _, _ = functional.rnn(Echo(), x, W, R, training=False)
print(y[0, 0, 0])
"""


def test_edited_formula_of_a_users_cell_is_never_found_in_the_cache(tmp_path):
    for factor in (2.0, 3.0):
        # Another length, for Python's own cache of sources goes by size and second.
        source = USER_CELL.replace("FACTOR", str(factor)) + "#" * int(factor)
        (tmp_path / "echo.py").write_text(source)
        output, _ = run_python(RUN_USER_CELL, path=[tmp_path])
        assert float(output) == factor
