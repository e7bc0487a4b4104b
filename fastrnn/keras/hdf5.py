"""Arrays in the groups of an HDF5 file, as Keras 3 lays weights out; read without trust."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import h5py
except ImportError as error:
    raise ImportError(
        'files of Keras need h5py: install it with pip install "fastrnn[keras]"'
    ) from error

Array = NDArray[Any]
Shape = tuple[int, ...]

# What a heap of strings begins with: signature and version, three bytes that do not matter, and its
# size. An object in it: number, references, four bytes that do not matter, and its size.
_HEAP, _OBJECT = struct.Struct("<5s3xQ"), struct.Struct("<HHxxxxQ")
_SIGNATURE = b"GCOL\x01"


class Reader:
    """A file of weights in memory.

    Parameters
    ----------
    where : str
        Its name, for messages.
    content : bytes

    Raises
    ------
    ValueError
        If it is no HDF5 file.
    """

    def __init__(self, where: str, content: bytes) -> None:
        self._where = where
        self._taken: set[str] = set()
        try:
            _check_heaps(content)
            self._file = h5py.File(io.BytesIO(content), "r")
            if self._file.id.get_create_plist().get_sizes() != (8, 8):
                raise ValueError("expected addresses and sizes of 8 bytes")
            self._shapes: dict[str, Shape | None] = {}
            self._names: dict[str, Any] = {}
            self._file.visititems(self._see)
        except Exception as error:  # h5py has no class of its own for what is damaged
            raise self._damaged(error) from error

    def _see(self, name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            self._shapes[name] = item.shape
        elif name.rpartition("/")[2] == "vars":
            self._names[name] = _name_at(item)

    def name_of(self, path: str) -> str | None:
        """Return the name of the layer whose group this is; None if the file does not tell."""
        found: str | None = self._names.get(_joined(path, "vars"))
        return found

    def groups(self, path: str) -> list[str]:
        """Return the groups directly in a group."""
        inside = f"{path}/" if path else ""
        below = [n[len(inside) :] for n in self._names if n.startswith(inside)]
        return list(dict.fromkeys(name.split("/")[0] for name in below if name.count("/") > 0))

    def take(self, path: str, index: int, shape: Shape, dtype: Any) -> Array:
        """Return an array of the layer at `path`.

        Raises
        ------
        ValueError
            If it is missing, has another shape than `shape`, holds no numbers, or lies elsewhere.
        """
        name = _joined(path, f"vars/{index}")
        if name not in self._shapes:
            raise ValueError(f"{self._where}: expected {name} of shape {shape}, there is none")
        if self._shapes[name] != shape:
            raise ValueError(
                f"{self._where}: expected {name} of shape {shape}, got {self._shapes[name]}"
            )
        try:
            item = self._file[name]
            if item.is_virtual or item.external:
                raise ValueError("it refers to another file")
            if item.dtype.kind not in "fiub":
                raise ValueError(f"expected numbers, got {item.dtype}")
            array: Array = np.asarray(item[()]).astype(dtype, copy=False)
        except Exception as error:
            raise self._damaged(f"{name}: {error}") from error
        self._taken.add(name)
        return array

    def check_rest(self, ignored: tuple[str, ...]) -> None:
        """Check that no array is left, but in groups of these names.

        Raises
        ------
        ValueError
            Naming the first one.
        """
        for name in sorted(self._shapes.keys() - self._taken):
            if not set(name.split("/")) & set(ignored):
                raise ValueError(f"{self._where}: the model has no place for {name}")

    def _damaged(self, why: Any) -> ValueError:
        return ValueError(f"{self._where}: damaged, or not a file of weights of Keras: {why}")


def _name_at(group: Any) -> str | None:
    """Return the name that a group has as an attribute; None if there is no text of any length.

    HDF5 reads other memory where the attribute's type is damaged.
    """
    if "name" not in group.attrs:
        return None
    attribute = h5py.h5a.open(group.id, b"name")
    kind = attribute.get_type()
    is_text = isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
    given = group.attrs["name"] if is_text and attribute.shape == () else None
    return given if isinstance(given, str) else None


def _check_heaps(content: bytes) -> None:
    """Raise a ValueError if an object in a heap of strings does not end behind its beginning.

    HDF5 goes from each object to the next by its size, and would not come to an end.
    """
    start = content.find(_SIGNATURE)
    while start >= 0:
        heap = memoryview(content)[start:]
        place = _HEAP.size
        end = _HEAP.unpack_from(heap)[1] if len(heap) > place else 0
        while place + _OBJECT.size <= min(end, len(heap)):
            number, _, size = _OBJECT.unpack_from(heap, place)
            # Free space has the number 0, and its size counts what describes it too.
            whole = _OBJECT.size + -(-size // 8) * 8 if number else size
            if not _OBJECT.size <= whole <= end - place:
                raise ValueError("a heap of strings is not whole")
            place += whole
        start = content.find(_SIGNATURE, start + 1)


def written(arrays: Mapping[str, Array], names: Mapping[str, str]) -> bytes:
    """Return the content of an HDF5 file.

    Parameters
    ----------
    arrays : mapping
        Arrays by the paths of their datasets.
    names : mapping
        Names of layers by the paths of their groups.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for path, name in names.items():
            file.create_group(_joined(path, "vars")).attrs["name"] = name
        for path, array in arrays.items():
            file.create_dataset(path, data=array)
    return memory.getvalue()


def _joined(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def numbered(names: Iterator[str]) -> Iterator[str]:
    """Yield names, those that were there before with _1, _2, ... at their ends."""
    seen: dict[str, int] = {}
    for name in names:
        count = seen.get(name, -1) + 1
        seen[name] = count
        yield f"{name}_{count}" if count else name
