"""Run folders: the settings of a run, its checkpoints, and pointers to them.

```
RUN/run.json                    kind, format version, settings
RUN/last.json, best.json        pointers: which checkpoint, and the sum of its checkpoint.json
RUN/checkpoints/step-00001234/
```
A checkpoint is written under a temporary name, synced to the disk, and renamed. Then the
pointer is replaced in the same way, and only then are checkpoints removed that no pointer
names. So at any instant a pointer names a whole one.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastrnn.models.checkpoint import (
    TEMPORARY,
    Checkpoint,
    CheckpointError,
    parse,
    read,
    read_file,
    replace,
    serialise,
    sync_folder,
    write,
)

FORMAT = 1
POINTERS = ("last", "best")

_STEP = re.compile(r"step-\d{8,}(-\d+)?")
_SUM = re.compile(r"[0-9a-f]{64}")


def kind_of(path: str | Path) -> str | None:
    """Return the kind of the run in the folder `path`; None if there is none that can be read."""
    run = Path(path) / "run.json"
    try:
        kind = parse(run, read_file(run)).get("kind")
    except CheckpointError:
        return None
    return kind if isinstance(kind, str) else None


class RunFolder:
    """A folder of one training run; made by `create` and `open`.

    Attributes
    ----------
    path : Path
    settings : dict
        The JSON object kept in run.json.
    """

    def __init__(self, path: Path, *, kind: str, settings: dict[str, Any]) -> None:
        self.path = path
        self.kind = kind
        self.settings = settings
        self._checkpoints = path / "checkpoints"

    @classmethod
    def create(cls, path: str | Path, *, kind: str, settings: dict[str, Any]) -> RunFolder:
        """Make the folder `path`, which must be empty or absent, and its run.json.

        Raises
        ------
        CheckpointError
            If `path` is a file or a folder with anything in it.
        OSError
            If it cannot be written.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise CheckpointError(f"{path}: expected a new folder, got a file")
        path.mkdir(parents=True, exist_ok=True)
        sync_folder(path.parent)
        if any(path.iterdir()):
            raise CheckpointError(f"{path}: the folder is not empty")
        run = cls(path, kind=kind, settings=settings)
        try:
            run._checkpoints.mkdir()
            run.update(settings)
        except OSError:
            with suppress(OSError):
                run._checkpoints.rmdir()
                path.rmdir()
            raise
        return run

    @classmethod
    def open(cls, path: str | Path, *, kind: str) -> RunFolder:
        """Return the run in the folder `path`.

        Raises
        ------
        CheckpointError
            If there is none, or its kind or format is another, or its run.json is damaged.
        """
        path = Path(path)
        if not path.exists():
            raise CheckpointError(f"{path}: no such folder")
        if not path.is_dir():
            raise CheckpointError(f"{path}: expected a run folder, got a file")
        if not (path / "run.json").exists():
            raise CheckpointError(f"{path}: not a run folder, it has no run.json")
        content = parse(path / "run.json", read_file(path / "run.json"))
        if content.get("kind") != kind:
            raise CheckpointError(
                f"{path}: expected a run of the kind {kind!r}, got {content.get('kind')!r}"
            )
        if content.get("format") != FORMAT:
            raise CheckpointError(
                f"{path}: expected run format {FORMAT}, got {content.get('format')!r}; "
                "it was written by another version"
            )
        settings = content.get("settings")
        if not isinstance(settings, dict):
            raise CheckpointError(f"{path / 'run.json'}: damaged, it has no settings")
        return cls(path, kind=kind, settings=settings)

    def update(self, settings: dict[str, Any]) -> None:
        """Replace the settings in run.json."""
        content = {"format": FORMAT, "kind": self.kind, "settings": settings}
        replace(self.path / "run.json", serialise(content))
        self.settings = settings

    def has(self, pointer: str) -> bool:
        """Return whether there is a checkpoint of that name ("last" or "best")."""
        return (self.path / f"{pointer}.json").exists()

    def save(self, checkpoint: Checkpoint, *, pointers: Sequence[str] = ("last",)) -> None:
        """Write a checkpoint and let `pointers` name it, in this order.

        When this fails, or the process is killed, the pointers name whole checkpoints.

        Raises
        ------
        OSError
            If something cannot be written: disk full, permissions.
        """
        # A step may be saved twice: before and after its validation.
        name = first = f"step-{checkpoint.step:08d}"
        count = 1
        while (self._checkpoints / name).exists():
            name, count = f"{first}-{count}", count + 1
        temporary = self._checkpoints / (TEMPORARY + name)
        shutil.rmtree(temporary, ignore_errors=True)  # of a killed process
        try:
            digest = write(temporary, checkpoint)
            temporary.rename(self._checkpoints / name)
            sync_folder(self._checkpoints)
            for pointer in pointers:
                content = {"checkpoint": name, "sha256": digest}
                replace(self.path / f"{pointer}.json", serialise(content))
        except OSError as error:
            error.filename = str(self.path)  # not the temporary name, if any
            raise
        finally:
            self.sweep()

    def load(self, pointer: str) -> Checkpoint:
        """Return the checkpoint that `pointer` ("last" or "best") names.

        Raises
        ------
        CheckpointError
            If there is none, or anything about it is damaged.
        """
        target = self._target(pointer)
        while True:
            try:
                return read(self._checkpoints / target[0], target[1])
            except CheckpointError:
                # A training process may have moved the pointer on while we read.
                if (newer := self._target(pointer)) == target:
                    raise
                target = newer

    def sweep(self) -> None:
        """Remove what no pointer names: older checkpoints, leftovers of a killed process."""
        try:
            kept = {self._target(pointer)[0] for pointer in POINTERS if self.has(pointer)}
        except CheckpointError:
            return  # with a damaged pointer every checkpoint may be somebody's last hope
        for entry in self._checkpoints.glob("*"):
            if entry.name.startswith(TEMPORARY):
                shutil.rmtree(entry, ignore_errors=True)
            elif _STEP.fullmatch(entry.name) and entry.name not in kept:
                removed = entry.with_name(TEMPORARY + entry.name)
                with suppress(OSError):
                    entry.rename(removed)
                    shutil.rmtree(removed, ignore_errors=True)
        for entry in self.path.glob(f"{TEMPORARY}*"):
            with suppress(OSError):
                entry.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one training process, where the system has `flock`.

        Raises
        ------
        CheckpointError
            If another process holds it.
        """
        try:
            import fcntl
        except ImportError:
            yield
            return
        folder = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CheckpointError(f"{self.path}: another process is training it") from error
            except OSError:
                pass  # a file system without locks
            yield
        finally:
            os.close(folder)

    def _target(self, pointer: str) -> tuple[str, str]:
        path = self.path / f"{pointer}.json"
        if not path.exists():
            raise CheckpointError(f"{self.path}: it has no {pointer} checkpoint")
        content = parse(path, read_file(path))
        name, digest = content.get("checkpoint"), content.get("sha256")
        if not isinstance(name, str) or not _STEP.fullmatch(name):
            raise CheckpointError(f"{path}: damaged, it names no checkpoint")
        if not isinstance(digest, str) or not _SUM.fullmatch(digest):
            raise CheckpointError(f"{path}: damaged, it has no SHA-256 sum")
        return name, digest
