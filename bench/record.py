"""The file of a run: JSON in the format "fastrnn bench 1", whole at any time."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fastrnn import __version__
from fastrnn.kernels.cpu import machine
from fastrnn.models import checkpoint

FORMAT = "fastrnn bench 1"


class Record:
    """What has been measured until now; `path` may be None.

    Raises
    ------
    OSError
        If the file cannot be written: at once, not after the first case.
    """

    def __init__(self, path: Path | None, *, threads: int, settings: dict[str, Any]) -> None:
        self._path = path
        facts = machine.describe()
        del facts["cache_folder"]  # nobody else's business
        packages = ("python", "numba", "llvmlite", "numpy")
        self.content: dict[str, Any] = {
            "format": FORMAT,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": {"system": platform.platform(), **_without(facts, packages)},
            "versions": {"fastrnn": __version__, **{name: facts[name] for name in packages}},
            "threads": threads,
            "pinning": None,
            "settings": settings,
            "rivals": {},
            "results": [],
            "wrong": [],
            "scaling": [],
        }
        self.save()

    def set_rival(self, name: str, facts: dict[str, Any]) -> None:
        """Note how a rival takes part, or what to install for it."""
        self.content["rivals"][name] = facts
        self.content["versions"] |= facts.get("versions", {})

    def add(self, part: str, entry: dict[str, Any]) -> None:
        """Put an entry into "results", "wrong" or "scaling", and save all."""
        self.content[part].append(entry)
        self.save()

    def save(self) -> None:
        """Write the file, so that at any instant the old or the new one is there."""
        if self._path is not None:
            checkpoint.replace(self._path, checkpoint.serialise(self.content) + b"\n")


def _without(facts: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: fact for name, fact in facts.items() if name not in names}
