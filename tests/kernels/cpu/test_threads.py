"""The number of workers: found on the machine, overridden, validated."""

import os

import pytest

from fastrnn.kernels.cpu import threads


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Forget what earlier tests set, and set it again afterwards."""
    monkeypatch.setattr(threads, "_number", None)
    monkeypatch.delenv("FASTRNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    threads.usable_processors.cache_clear()
    yield
    threads.usable_processors.cache_clear()


def machine(monkeypatch, *, processors=8, quota=None):
    monkeypatch.setattr(threads, "_affinity", lambda: processors)
    monkeypatch.setattr(threads, "_quota", lambda: quota)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_default_is_what_this_process_may_use():
    assert 1 <= threads.get_num_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("quota", "numba", "desired"),
    [(None, None, 8), (3, None, 3), (20, None, 8), (None, "2", 2), (3, "2", 2), (1, "5", 1)],
)
def test_default_is_the_lowest_limit(quota, numba, desired, monkeypatch):
    machine(monkeypatch, quota=quota)
    if numba:
        monkeypatch.setenv("NUMBA_NUM_THREADS", numba)
    assert threads.get_num_threads() == desired


def test_environment_overrides_the_machine(monkeypatch):
    machine(monkeypatch, quota=2)
    monkeypatch.setenv("FASTRNN_NUM_THREADS", "5")
    assert threads.get_num_threads() == 5


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_bad_environment_is_named(text, monkeypatch):
    monkeypatch.setenv("FASTRNN_NUM_THREADS", text)
    with pytest.raises(ValueError, match="FASTRNN_NUM_THREADS: expected"):
        threads.get_num_threads()


def test_setting_overrides_everything(monkeypatch):
    monkeypatch.setenv("FASTRNN_NUM_THREADS", "5")
    threads.set_num_threads(64)
    assert threads.get_num_threads() == 64


@pytest.mark.parametrize("number", [0, -3, 1.0, "2", True, None])
def test_only_positive_ints_can_be_set(number):
    with pytest.raises(ValueError, match="number: expected an int of at least 1"):
        threads.set_num_threads(number)


def test_small_problems_get_few_workers():
    threads.set_num_threads(4)
    workers = [threads.workers_over(n * threads.GRAIN - 1) for n in (0, 1, 2, 3, 4, 100)]
    assert workers == [1, 1, 1, 2, 3, 4]


def test_quota_of_version_2_is_rounded_up(tmp_path):
    write(tmp_path / "proc/self/cgroup", "0::/box/inner\n")
    write(tmp_path / "sys/fs/cgroup/box/inner/cpu.max", "max 100000\n")
    write(tmp_path / "sys/fs/cgroup/box/cpu.max", "250000 100000\n")
    assert threads._quota(tmp_path) == 3


def test_quota_of_version_1_is_found_at_the_root_of_a_container(tmp_path):
    write(tmp_path / "proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/docker/abc\n0::/\n")
    folder = tmp_path / "sys/fs/cgroup/cpu,cpuacct"
    write(folder / "cpu.cfs_quota_us", "50000\n")
    write(folder / "cpu.cfs_period_us", "100000\n")
    assert threads._quota(tmp_path) == 1


@pytest.mark.parametrize("quota", ["-1\n", "nonsense\n", ""])
def test_no_quota_is_no_limit(quota, tmp_path):
    assert threads._quota(tmp_path) is None
    write(tmp_path / "proc/self/cgroup", "4:cpu:/\n")
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", quota)
    write(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert threads._quota(tmp_path) is None
