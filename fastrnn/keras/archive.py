"""The archive that a `.keras` file is: two JSON files and one of weights, read without trust.

```
metadata.json       which version of Keras wrote it
config.json         the model
model.weights.h5    its weights
```

Nothing is unpacked to the disk, and nothing in it is run.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from fastrnn.models.checkpoint import read_file, replace

_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_SHARDED = "model.weights.json"

# A description of thousands of layers has a few MB.
_LARGEST_JSON = 64 << 20
# Weights hardly get smaller; what does by so much is made to fill a memory.
_LARGEST_RATIO = 100
_SMALL = 16 << 20


class Archive(NamedTuple):
    """What a `.keras` file holds.

    config    description of the model, as Keras nests it
    weights   content of an HDF5 file
    """

    config: dict[str, Any]
    weights: bytes


def read(path: str | os.PathLike[str]) -> Archive:
    """Return what is in a `.keras` file.

    Raises
    ------
    ValueError
        If it is missing, damaged, no such archive, of Keras 2, or swells when read.
    """
    where = Path(path)
    content = read_file(where)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = _entries(where, archive)
            metadata = _parsed(where, _METADATA, archive.read(entries[_METADATA]))
            config = _parsed(where, _CONFIG, archive.read(entries[_CONFIG]))
            weights = archive.read(entries[_WEIGHTS])
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ValueError(f"{where}: damaged, or not a .keras file: {error}") from error
    except Exception as error:  # what the decompressors raise has no common class
        if isinstance(error, ValueError | MemoryError):
            raise
        raise ValueError(f"{where}: damaged: {error}") from error
    version = metadata.get("keras_version")
    if not isinstance(version, str) or version.split(".")[0] != "3":
        raise ValueError(f"{where}: expected a file of Keras 3, got keras_version {version!r}")
    return Archive(config, weights)


def write(path: str | os.PathLike[str], content: Archive) -> None:
    """Write a `.keras` file, whole or not at all; the same content gives the same file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    metadata = {"keras_version": "3.0.0", "date_saved": "1980-01-01@00:00:00"}
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, part in (
            (_METADATA, json.dumps(metadata).encode()),
            (_CONFIG, json.dumps(content.config, allow_nan=False).encode()),
            (_WEIGHTS, content.weights),
        ):
            archive.writestr(zipfile.ZipInfo(name), part)
    replace(Path(path), memory.getvalue())


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the three entries that are read, after a look at their sizes."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.filename in found:
            raise ValueError(f"{path}: damaged, {entry.filename!r} is in it twice")
        found[entry.filename] = entry
    missing = [name for name in (_METADATA, _CONFIG, _WEIGHTS) if name not in found]
    if missing:
        is_sharded = " (weights in several files are not read)" if _SHARDED in found else ""
        raise ValueError(f"{path}: not a .keras file, it has no {missing[0]}{is_sharded}")
    for name in (_METADATA, _CONFIG):
        if found[name].file_size > _LARGEST_JSON:
            raise ValueError(f"{path}: {name} has {found[name].file_size} bytes, which is no model")
    weights = found[_WEIGHTS]
    if weights.file_size > max(_SMALL, _LARGEST_RATIO * weights.compress_size):
        raise ValueError(
            f"{path}: {_WEIGHTS} swells from {weights.compress_size} to {weights.file_size} bytes"
        )
    return found


def _parsed(path: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged, {name} is not JSON") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path}: damaged, {name}: expected a JSON object")
    return value
