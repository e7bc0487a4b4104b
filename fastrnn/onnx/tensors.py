"""Tensors of ONNX files as arrays; nothing is believed that the file's size does not bear out."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

Array = NDArray[Any]

#: Element types by their number in files.
DTYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.DOUBLE: np.dtype(np.float64),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.INT8: np.dtype(np.int8),
    TensorProto.INT16: np.dtype(np.int16),
    TensorProto.INT32: np.dtype(np.int32),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.UINT8: np.dtype(np.uint8),
    TensorProto.UINT16: np.dtype(np.uint16),
    TensorProto.UINT32: np.dtype(np.uint32),
    TensorProto.UINT64: np.dtype(np.uint64),
    TensorProto.BOOL: np.dtype(np.bool_),
}

# Where numbers are kept that are not bytes.
_FIELDS = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


def dtype_of(element_type: int) -> np.dtype[Any]:
    """Return the dtype of an element type.

    Raises
    ------
    ValueError
        If it is not among `DTYPES`.
    """
    if element_type not in DTYPES:
        known = element_type in TensorProto.DataType.values()
        name = TensorProto.DataType.Name(element_type) if known else str(element_type)
        raise ValueError(f"element type {name} is not supported")
    return DTYPES[element_type]


def array_of(tensor: Any, folder: Path | None) -> Array:
    """Return a TensorProto as an array that nobody can write to.

    Parameters
    ----------
    tensor : TensorProto
        Its data may be in a file beside the model.
    folder : Path, optional
        Where the model is; None if it did not come from a file.

    Returns
    -------
    array
        Of the tensor's shape and dtype.

    Raises
    ------
    ValueError
        If the data is not what shape and element type say, or lies outside of the folder.
    """
    name = f"tensor {tensor.name!r}"
    try:
        dtype = dtype_of(tensor.data_type)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    shape = tuple(tensor.dims)
    if any(length < 0 for length in shape):
        raise ValueError(f"{name}: expected no negative length, got {shape}")
    if tensor.HasField("segment"):
        raise ValueError(f"{name}: segments are not supported")
    size = prod(shape)
    if tensor.data_location == TensorProto.EXTERNAL:
        flat = _from_bytes(name, _external(name, tensor, folder, size * dtype.itemsize), dtype)
    elif tensor.HasField("raw_data"):
        flat = _from_bytes(name, tensor.raw_data, dtype)
    else:
        flat = _from_numbers(name, tensor, dtype)
    if flat.size != size:
        raise ValueError(f"{name}: expected {size} elements of shape {shape}, got {flat.size}")
    array = flat.reshape(shape)
    array.flags.writeable = False
    return array


def _from_bytes(name: str, content: bytes, dtype: np.dtype[Any]) -> Array:
    if len(content) % dtype.itemsize:
        raise ValueError(f"{name}: {len(content)} bytes are no whole number of {dtype}")
    flat = np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
    if dtype == np.bool_:
        flat = flat.view(np.uint8) != 0  # whatever a byte is, the bool is 0 or 1
    return flat


def _from_numbers(name: str, tensor: Any, dtype: np.dtype[Any]) -> Array:
    numbers = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    if dtype == np.float16:
        bits = np.array(numbers, np.int64)
        return bits.astype(np.uint16).view(np.float16)
    if dtype == np.bool_:
        return np.array(numbers, np.int64).astype(np.bool_)
    if dtype.kind == "f":
        return np.array(numbers, dtype)
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    if any(not low <= number <= high for number in numbers):
        raise ValueError(f"{name}: a number does not fit into {dtype}")
    return np.array(numbers, dtype)


def _external(name: str, tensor: Any, folder: Path | None, size: int) -> bytes:
    """Return the bytes that a tensor keeps in another file."""
    if folder is None:
        raise ValueError(f"{name}: its data is in another file; load the model by its path")
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = str(entries.get("location", ""))
    root = folder.resolve()
    try:
        path = (root / location).resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, null bytes
        raise ValueError(f"{name}: no file {location!r}: {error}") from error
    if not location or root not in path.parents:
        raise ValueError(f"{name}: its data lies outside of the model's folder: {location!r}")
    if not is_file:
        raise ValueError(f"{name}: no file {location!r} beside the model")
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", size))
    except ValueError as error:
        raise ValueError(f"{name}: expected numbers for offset and length of its data") from error
    available = path.stat().st_size - offset
    if offset < 0 or length != size or size > available:
        raise ValueError(
            f"{name}: expected {size} bytes of {location!r} from {offset} on, "
            f"got {length} of {max(available, 0)}"
        )
    with path.open("rb") as file:
        file.seek(offset)
        content: bytes = file.read(size)
        return content
