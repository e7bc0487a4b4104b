"""A checkpoint: a folder that is written whole or not at all, and its damage detected.

```
weights.safetensors     the model's arrays
training.safetensors    optimizer slots, carried states
checkpoint.json         step, progress, SHA-256 sums of the other two
```
The sum of checkpoint.json itself is kept by whoever points to the folder.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

TEMPORARY = ".tmp-"

Arrays: TypeAlias = Mapping[str, NDArray[Any]]


class CheckpointError(ValueError):
    """A run folder is missing, damaged, busy, or of another kind."""


@dataclass(frozen=True)
class Checkpoint:
    """What a run needs to go on.

    Parameters
    ----------
    step
        Number of training steps done.
    weights
        The model's arrays by name.
    training
        All other arrays by name: optimizer slots, carried states.
    progress
        Everything else, as JSON values.
    """

    step: int
    weights: Arrays
    training: Arrays
    progress: dict[str, Any]


def write(folder: Path, checkpoint: Checkpoint) -> str:
    """Fill the new folder `folder` and sync it to the disk.

    Returns
    -------
    str
        The SHA-256 sum of its checkpoint.json, which `read` asks for.

    Raises
    ------
    OSError
        If something cannot be written.
    """
    folder.mkdir()
    sums = {}
    for name, arrays in (
        ("weights.safetensors", checkpoint.weights),
        ("training.safetensors", checkpoint.training),
    ):
        content = safetensors.numpy.save(
            {key: np.asarray(array, order="C") for key, array in arrays.items()}
        )
        _write_file(folder / name, content)
        sums[name] = hashlib.sha256(content).hexdigest()
    index = serialise({"step": checkpoint.step, "progress": checkpoint.progress, "files": sums})
    _write_file(folder / "checkpoint.json", index)
    sync_folder(folder)
    return hashlib.sha256(index).hexdigest()


def read(folder: Path, digest: str) -> Checkpoint:
    """Return the checkpoint that `write` put into `folder`.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or not of the expected form.
    """
    path = folder / "checkpoint.json"
    content = parse(path, _read_checked(path, digest))
    match content:
        case {
            "step": int(step),
            "progress": dict(progress),
            "files": {"weights.safetensors": str(weights), "training.safetensors": str(training)},
        }:
            return Checkpoint(
                step=step,
                weights=_read_arrays(folder / "weights.safetensors", weights),
                training=_read_arrays(folder / "training.safetensors", training),
                progress=progress,
            )
    raise CheckpointError(f"{path}: damaged, entries are missing or of another type")


def check_arrays(found: Arrays, expected: Arrays, *, where: str) -> None:
    """Check that two mappings have the same names, shapes and dtypes.

    Raises
    ------
    CheckpointError
        Naming the first difference, after `where`.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise CheckpointError(f"{where}: the array {name!r} is missing")
        if name not in expected:
            raise CheckpointError(f"{where}: unexpected array {name!r}")
        got, wanted = found[name], expected[name]
        if (got.shape, got.dtype) != (wanted.shape, wanted.dtype):
            raise CheckpointError(
                f"{where}: {name!r}: expected {wanted.dtype} of shape {wanted.shape}, "
                f"got {got.dtype} of shape {got.shape}"
            )


def serialise(content: dict[str, Any]) -> bytes:
    """Return `content` as JSON; NaN, which JSON lacks, is a ValueError."""
    return json.dumps(content, indent=1, allow_nan=False).encode()


def _write_file(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Put `content` at `path`, so that at any instant the old or the new file is there."""
    temporary = path.with_name(TEMPORARY + path.name)
    try:
        temporary.unlink(missing_ok=True)
        _write_file(temporary, content)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        error.filename = str(path)  # the user knows of no temporary one
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Put the names in a folder on the disk."""
    if os.name == "nt":
        return  # Windows opens no folders, and its renames are journalled
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot sync folders
            raise
    finally:
        os.close(folder)


def read_file(path: Path) -> bytes:
    """Return what is in a file; a CheckpointError says why not."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error


def _read_checked(path: Path, digest: str) -> bytes:
    content = read_file(path)
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointError(f"{path}: damaged, its SHA-256 sum is not the recorded one")
    return content


def parse(path: Path, content: bytes) -> dict[str, Any]:
    """Return the JSON object in `content`; a CheckpointError names `path` if it is none."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, it is not JSON") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: damaged, expected a JSON object")
    return value


def _read_arrays(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    content = _read_checked(path, digest)
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged, it is not a safetensors file") from error
    return {name: np.array(array) for name, array in arrays.items()}
