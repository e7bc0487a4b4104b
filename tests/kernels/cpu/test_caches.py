"""Sizes of caches: what the system says, or what no processor has less of."""

import pytest

from fastrnn.kernels.cpu import caches


@pytest.fixture
def folders(monkeypatch, tmp_path):
    """Make the system say what is written below."""
    monkeypatch.setattr(caches, "Path", lambda path: tmp_path / path.rsplit("/", 1)[1])
    caches._size.cache_clear()
    yield tmp_path
    caches._size.cache_clear()


def write(folder, index, level, kind, size):
    place = folder / f"index{index}"
    place.mkdir()
    for name, text in (("level", level), ("type", kind), ("size", size)):
        (place / name).write_text(f"{text}\n")


def test_sizes_are_those_of_data(folders):
    write(folders, 0, "1", "Instruction", "64K")
    write(folders, 1, "1", "Data", "48K")
    write(folders, 2, "2", "Unified", "2048K")
    assert caches.first_level_size() == 48 << 10
    assert caches.second_level_size() == 2 << 20


def test_what_the_system_does_not_tell_is_assumed(folders):
    assert caches.first_level_size() == 32 << 10
    assert caches.second_level_size() == 1 << 20


def test_what_is_no_size_is_assumed(folders):
    write(folders, 0, "1", "Data", "large")
    assert caches.first_level_size() == 32 << 10
