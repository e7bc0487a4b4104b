"""Files of data sets: where they lie, and how they are read without trusting them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def find(path: str | os.PathLike[str], loader: str) -> Path:
    """Return where a file lies: `path` itself if absolute, else within ~/.keras/datasets.

    Parameters
    ----------
    path : str or path
    loader : str
        Keras' function that puts the file there, for the message.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    home = os.environ.get("KERAS_HOME")
    folder = (Path(home) if home else Path.home() / ".keras") / "datasets"
    found = folder / path
    if not found.is_file():
        raise FileNotFoundError(
            f"{found.name}: no such file in {found.parent}. fastrnn downloads nothing: fetch it "
            f"once with {loader} where Keras is installed, or copy it there, or give its "
            "absolute path as `path`"
        )
    return found


def read(path: Path, names: Sequence[str]) -> list[Array]:
    """Return arrays out of an .npz file.

    Arrays of objects are read if they are sequences of integers; nothing else that a pickle can
    do is done.

    Parameters
    ----------
    path : Path
    names : sequence of str

    Returns
    -------
    list of arrays
        In the order of `names`; (N,) objects, each a list of ints, for arrays of objects.

    Raises
    ------
    ValueError
        If the file is damaged, lacks a name, or has anything else in it than numbers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            missing = [name for name in names if f"{name}.npy" not in archive.namelist()]
            if missing:
                raise ValueError(f"{path}: there is no array {missing[0]!r} in it")
            return [_parse(archive.read(f"{name}.npy"), f"{path}: {name}") for name in names]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"{path}: damaged, it is not an .npz file") from error


def _parse(content: bytes, where: str) -> Array:
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(file)
        if not dtype.hasobject:
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, KeyError, EOFError) as error:
        raise ValueError(f"{where}: damaged, it is not an .npy array") from error
    sequences = _unpickle(file, where)
    if len(sequences) != np.prod(shape):
        raise ValueError(f"{where}: expected {np.prod(shape)} sequences, got {len(sequences)}")
    array = np.empty(len(sequences), object)
    array[:] = sequences
    return array


def _unpickle(file: io.BytesIO, where: str) -> list[list[int]]:
    try:
        array = _Unpickler(file).load()
    except Exception as error:  # damaged pickles raise whatever their bytes happen to call for
        raise ValueError(f"{where}: {error}; expected a pickled array of lists of ints") from error
    if not isinstance(array, _Objects) or array.items is None:
        raise ValueError(f"{where}: expected a pickled array of lists of ints")
    for item in array.items:
        if type(item) is not list or any(type(number) is not int for number in item):
            raise ValueError(f"{where}: expected lists of ints, got {item!r}"[:200])
    return array.items


class _Named:
    """Stands for a function that the pickle of an array of objects calls.

    NumPy's own would trust what the pickle says about memory.
    """

    __slots__ = ()

    def __call__(self, *arguments: Any) -> Any:
        return _Objects()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes what it should only call")


class _Objects:
    """An array of objects, or a dtype, as its pickle describes it."""

    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items: list[Any] | None = None

    def __setstate__(self, state: Any) -> None:
        # A version, the shape, the dtype, whether columns come first, and the elements; the
        # state of a dtype ends in flags.
        if type(state) is tuple and len(state) == 5 and type(state[4]) is list:
            self.items = state[4]


class _Unpickler(pickle.Unpickler):
    """Reads pickles of arrays of objects that are made of lists and numbers, and no others."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),  # makes the letter of a dtype bytes, in pickles of protocol 2
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"refused to load {module}.{name}")
        return _Named()
