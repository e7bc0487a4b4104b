"""Models from files of Keras and to them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrnn.keras import archive
from fastrnn.models.checkpoint import read_file


def load(path: str | os.PathLike[str], *, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Return the model in a `.keras` file, with its weights; it is not compiled.

    Keras is not needed.  No code is in the file, or run: a `Lambda` is among the layers that are
    refused.

    Parameters
    ----------
    path : str or path
        A file that `model.save("....keras")` of Keras 3 wrote for a Sequential or functional model.
    custom_objects : mapping, optional
        Layers of fastrnn of your own, and activation functions, by the names that the file has
        for them; layers that `fastrnn.layers.register` knows need not be in it.

    Returns
    -------
    Sequential or Model
        Its predictions are those of the model of Keras.

    Raises
    ------
    ValueError
        If the file is missing or damaged, or has layers, options or weights that have no
        counterpart here: all of them are named.
    ImportError
        If h5py is not installed.
    """
    from fastrnn.keras import reading, weights

    where = os.fspath(path)
    content = archive.read(path)
    model = reading.model(where, content.config, len(content.weights), custom_objects)
    weights.read(model, where, content.weights)
    return model


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Overwrite the weights of a model with those that Keras saved, all or none of them.

    Parameters
    ----------
    model : Model
        Built; of the same layers as the model of Keras.  Of a class of its own, it keeps its layers
        in attributes of the same names.
    path : str or path
        A `.weights.h5` or a `.keras` file of Keras 3.

    Raises
    ------
    ValueError
        If the file is missing or damaged, or has other weights than the model.
    ImportError
        If h5py is not installed.
    """
    from fastrnn.keras import weights

    if not model.built:
        raise ValueError(f"{model.name}: expected a model with weights; build it or call it first")
    content = read_file(Path(path))
    if content[:4] == b"PK\x03\x04":
        content = archive.read(path).weights
    weights.read(model, os.fspath(path), content)


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a model to a file that Keras 3 loads: `keras.saving.load_model(path)`.

    The file is written whole or not at all.  What the model was compiled with and the states of
    stateful layers are not in it.

    Parameters
    ----------
    model : Sequential or Model
        Built, of layers that Keras has.
    path : str or path
        Its name ends in `.keras`, as Keras wants it.

    Raises
    ------
    ValueError
        If the model is not built, has layers or functions that Keras lacks, all of which are
        named, or `path` ends otherwise.
    OSError
        If it cannot be written.
    ImportError
        If h5py is not installed.
    """
    from fastrnn.keras import weights, writing

    if Path(path).suffix != ".keras":
        raise ValueError(f"path: expected a name that ends in .keras, got {os.fspath(path)!r}")
    config = writing.described(model)
    archive.write(path, archive.Archive(config, weights.written(model)))
