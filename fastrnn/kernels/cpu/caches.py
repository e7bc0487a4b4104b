"""Sizes of a core's caches, as far as the system tells."""

from __future__ import annotations

from functools import cache
from pathlib import Path


def first_level_size() -> int:
    """Return the bytes of a core's first-level cache of data, 32 KB where unknown."""
    return _size("1") or 1 << 15


def second_level_size() -> int:
    """Return the bytes of a core's second-level cache, 1 MB where unknown."""
    return _size("2") or 1 << 20


@cache
def _size(wanted: str) -> int | None:
    for index in range(8):
        folder = Path(f"/sys/devices/system/cpu/cpu0/cache/index{index}")
        try:
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            break
        is_wanted = level == wanted and kind != "Instruction"
        if is_wanted and size.endswith("K") and size[:-1].isdecimal():
            return int(size[:-1]) * 1024
    return None
