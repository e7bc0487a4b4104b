"""Tables of embeddings as TensorBoard's projector reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def embedding_layers(model: Any, names: Sequence[str] | None) -> list[Any]:
    """Return the layers of a model that have a table of vectors, or those with these names.

    Raises
    ------
    ValueError
        If a name is none of such a layer.
    """
    found = [layer for layer in model.layers if hasattr(layer, "embeddings")]
    if not names:
        return found
    unknown = set(names) - {layer.name for layer in found}
    if unknown:
        raise ValueError(f"embeddings_layer_names: there is no embedding layer {min(unknown)!r}")
    return [layer for layer in found if layer.name in names]


def labels_of(layers: Sequence[Any], metadata: str | Mapping[str, str] | None) -> dict[str, str]:
    """Return the file of labels for each layer that has one, by the layer's name.

    Raises
    ------
    ValueError
        If a name in `metadata` is none of the layers.
    """
    names = [layer.name for layer in layers]
    if isinstance(metadata, str):
        return dict.fromkeys(names, metadata)
    metadata = metadata or {}
    unknown = set(metadata) - set(names)
    if unknown:
        raise ValueError(f"embeddings_metadata: there is no embedding layer {min(unknown)!r}")
    return dict(metadata)


def write_table(path: Path, rows: Array) -> None:
    """Write an array (N, D) as lines of numbers with tabulators between them."""
    from fastrnn.models.checkpoint import replace

    line = "\t".join(["%.7g"] * rows.shape[1]) + "\n"
    replace(path, "".join([line % tuple(row) for row in np.asarray(rows).tolist()]).encode())


def write_config(folder: Path, tables: Mapping[str, str], labels: Mapping[str, str]) -> None:
    """Write projector_config.pbtxt: the file of each table by its name, and those of labels."""
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    from fastrnn.models.checkpoint import replace

    config = ProjectorConfig()
    for name, table in tables.items():
        config.embeddings.add(tensor_name=name, tensor_path=table, metadata_path=labels.get(name))
    replace(folder / "projector_config.pbtxt", text_format.MessageToString(config).encode())
