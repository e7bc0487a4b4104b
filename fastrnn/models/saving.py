"""Models and weights as files: JSON and safetensors, whole or absent, never a pickle.

A model's file is a ZIP archive without compression:

```
model.json              class, configuration, what it was compiled with, how far it has learned
weights.safetensors     all weights, in their order
optimizer.safetensors   what the optimizer keeps of them
```
"""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.layers import deserialize, serialize
from fastrnn.models import compile_config

Array = NDArray[Any]

FORMAT = 1
_MODEL, _WEIGHTS, _OPTIMIZER = "model.json", "weights.safetensors", "optimizer.safetensors"

# Names that end so promise a file that Keras reads, and what is in such a file.
_OF_KERAS = (".keras", ".h5", ".hdf5")
_KERAS = "config.json"


def save_model(model: Any, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
    """Write a model to one file; see `Model.save`."""
    from fastrnn.models.checkpoint import replace

    if not model.built:
        raise ValueError(f"{model.name}: expected a model with weights; build it or call it first")
    path = _writable(filepath, overwrite)
    _tell_of_format(path)
    compiled = None
    if model.compiled:
        try:
            compiled = compile_config.written(model)
        except (TypeError, ValueError) as error:
            warnings.warn(f"{path}: it is saved without compile(): {error}", stacklevel=3)
    description = {
        "format": FORMAT,
        "model": serialize(model),
        "built_for": model._shapes_at_build,
        "compiled": compiled,
        "epochs_done": model.epochs_done,
        "shuffle_seed": model.shuffle_seed,
        "random": random_state(model),
    }
    entries = {
        _MODEL: json.dumps(description, indent=1, allow_nan=False).encode(),
        _WEIGHTS: _arrays_written(_numbered(model)),
    }
    if compiled is not None:
        entries[_OPTIMIZER] = _arrays_written(model.optimizer.state)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name), content)  # without a date: same model, same file
    replace(path, archive.getvalue())


def load_model(
    filepath: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
    safe_mode: bool = True,
) -> Any:
    """Return the model that `Model.save` wrote to a file.

    Parameters
    ----------
    filepath : str or path
    custom_objects : mapping, optional
        Classes and functions of your own by name, besides those that `layers.register` knows.
    compile : bool
        Whether the model is to be compiled as it was, its optimizer going on.
    safe_mode : bool
        Of no effect: there is no code in a file.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        If the file is missing or damaged, or names classes that nobody knows.
    """
    path = Path(filepath)
    entries = _entries(path)
    missing = {_MODEL, _WEIGHTS} - entries.keys()
    if missing:
        hint = "; fastrnn.keras.load(path) reads files of Keras" if _KERAS in entries else ""
        raise ValueError(f"{path}: not a model's file of fastrnn, it has no {min(missing)}{hint}")
    description = _parsed(path, entries[_MODEL])
    model = deserialize(description.get("model"), custom_objects)
    try:
        if not model.built or description["built_for"] is not None:
            model(_zeros(description["built_for"]), training=False)
            model.reset_states()
        _put(model, _arrays_read(path, entries[_WEIGHTS]), path)
        model.epochs_done = int(description["epochs_done"])
        model.shuffle_seed = int(description["shuffle_seed"])
        restore_random_state(model, description["random"])
        compiled = description["compiled"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: damaged, {type(error).__name__}: {error}") from error
    if compile and compiled is not None:
        optimizer = compile_config.compile_like(model, compiled, custom_objects)
        if _OPTIMIZER in entries:
            optimizer.load_state(_arrays_read(path, entries[_OPTIMIZER]))
    return model


def save_weights(model: Any, filepath: str | os.PathLike[str], overwrite: bool) -> None:
    """Write the weights of a model; see `Model.save_weights`."""
    from fastrnn.models.checkpoint import replace

    if not model.built:
        raise ValueError(f"{model.name}: expected a model with weights; build it or call it first")
    path = _writable(filepath, overwrite)
    _tell_of_format(path)
    replace(path, _arrays_written(_numbered(model)))


def load_weights(model: Any, filepath: str | os.PathLike[str]) -> None:
    """Read the weights of a model; see `Model.load_weights`."""
    path = Path(filepath)
    content = _read(path)
    if content[:4] == b"PK\x03\x04":
        entries = _entries(path)
        if _WEIGHTS not in entries:
            raise ValueError(f"{path}: not a model's file of fastrnn, it has no {_WEIGHTS}")
        content = entries[_WEIGHTS]
    _put(model, _arrays_read(path, content), path)


def to_json(model: Any, **options: Any) -> str:
    """Return the configuration of a model as JSON."""
    return json.dumps(serialize(model), **options)


def model_from_json(content: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return a new model of the configuration that `Model.to_json` returned.

    Raises
    ------
    ValueError
        If it is damaged or names classes that nobody knows.
    """
    return deserialize(json.loads(content), custom_objects)


def clone_model(model: Any) -> Any:
    """Return a new model of the same configuration, with new weights.

    Raises
    ------
    NotImplementedError
        If a layer has no configuration.
    """
    return type(model).from_config(model.get_config())


def _numbered(model: Any) -> dict[str, Array]:
    """Return all weights, named so that their order is that of their names."""
    return {f"{i:05d}/{v.name}": v.value for i, v in enumerate(model.variables)}


def _put(model: Any, arrays: dict[str, Array], path: Path) -> None:
    """Overwrite the weights of a model with those of a file, all or none of them."""
    variables = model.variables
    if len(arrays) != len(variables):
        raise ValueError(
            f"{path}: expected {len(variables)} weights as the model has, got {len(arrays)}"
        )
    ordered = [arrays[name] for name in sorted(arrays)]
    for variable, array in zip(variables, ordered, strict=True):
        if (variable.shape, variable.dtype) != (array.shape, array.dtype):
            raise ValueError(
                f"{path}: expected {variable.name} of {variable.dtype} {variable.shape}, "
                f"got {array.dtype} {array.shape}"
            )
    for variable, array in zip(variables, ordered, strict=True):
        variable.assign(array)


# What random layers count, so that a model that is loaded goes on with the same numbers.
_RANDOM = ("_seed", "step", "_draws")


def random_state(model: Any) -> list[dict[str, int]]:
    """Return what the random layers of a model count, layer by layer."""
    return [
        {name: value for name in _RANDOM if isinstance(value := vars(layer).get(name), int)}
        for layer in model._all_layers()
    ]


def restore_random_state(model: Any, states: list[dict[str, int]]) -> None:
    """Set what the random layers of a model count."""
    for layer, state in zip(model._all_layers(), states, strict=True):
        for name in _RANDOM:
            if name in state and name in vars(layer):
                setattr(layer, name, int(state[name]))


def _zeros(described: Any) -> Any:
    """Return zeros of the shapes and dtypes that a model was built for."""
    if isinstance(described, dict):
        return {name: _zeros(part) for name, part in described.items()}
    shape, dtype = described if len(described) == 2 else (None, None)
    if isinstance(dtype, str):
        return np.zeros(shape, dtype)
    return [_zeros(part) for part in described]


def _writable(filepath: str | os.PathLike[str], overwrite: bool) -> Path:
    path = Path(filepath)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected the name of a file, it is a folder")
    if not overwrite and path.exists():
        raise FileExistsError(f"{path}: it exists; overwrite=True replaces it")
    return path


def _tell_of_format(path: Path) -> None:
    """Warn of a name that promises a file of Keras, once for each place that asks for it."""
    if path.suffix.lower() in _OF_KERAS:
        warnings.warn(
            f"{path.name}: a file of fastrnn in spite of its suffix, which fastrnn alone reads; "
            "fastrnn.keras.save(model, path) writes one that Keras reads",
            stacklevel=4,
        )


def _read(path: Path) -> bytes:
    from fastrnn.models.checkpoint import read_file

    return read_file(path)


def _entries(path: Path) -> dict[str, bytes]:
    """Return what is in a model's file; reading checks the sums of the archive."""
    content = _read(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()
            # Stored as they are, entries are no larger than the file.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in found):
                raise ValueError(f"{path}: not a model's file of fastrnn, it is compressed")
            return {entry.filename: archive.read(entry) for entry in found}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path}: damaged, or not a model's file of fastrnn: {error}") from error


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    from fastrnn.models.checkpoint import parse

    description = parse(path, content)
    if description.get("format") != FORMAT:
        raise ValueError(
            f"{path}: expected format {FORMAT}, got {description.get('format')!r}; "
            "it was written by another version"
        )
    return description


def _arrays_written(arrays: Mapping[str, Array]) -> bytes:
    import safetensors.numpy

    plain = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content: bytes = safetensors.numpy.save(plain)
    return content


def _arrays_read(path: Path, content: bytes) -> dict[str, Array]:
    import safetensors
    import safetensors.numpy

    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged, or not a file of weights: {error}") from error
    return {name: np.array(array) for name, array in arrays.items()}
