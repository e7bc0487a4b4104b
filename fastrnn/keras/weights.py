"""Which weight of a model is which array of a file of Keras."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from numpy.typing import NDArray

from fastrnn.keras import hdf5
from fastrnn.keras.graph import Graph
from fastrnn.keras.operation import Operation, Remasked, Unmasked
from fastrnn.layers import Layer
from fastrnn.models import Model, Sequential
from fastrnn.tape import Variable

Array = NDArray[Any]

# Groups of a file that are not the model's: what optimizers and metrics count, and random numbers.
_IGNORED = (
    "optimizer", "seed_generator", "metrics", "_metrics", "_compile_metrics", "_loss_tracker",
)  # fmt: skip


class Place(NamedTuple):
    """A layer and the path of its group in a file."""

    path: str
    layer: Any


def read(model: Any, where: str, content: bytes) -> None:
    """Overwrite the weights of a model with those of a file, all or none of them.

    Raises
    ------
    ValueError
        If it is damaged or has other weights than the model.
    """
    file = hdf5.Reader(where, content)
    found: list[tuple[Variable, Array]] = []
    for path, layer in _places(model, file):
        own = _own_variables(layer)
        found += [
            (v, file.take(path, index, v.shape, v.dtype)) for index, v in enumerate(own)
        ]  # fmt: skip
    file.check_rest(_IGNORED)
    for variable, array in found:
        variable.assign(array)


def written(model: Any) -> bytes:
    """Return the content of a file with the weights of a model."""
    arrays: dict[str, Array] = {}
    names = {}
    for path, layer in _places(model, None):
        names[path] = layer.name
        own = [variable.value for variable in _own_variables(layer)]
        for index, array in enumerate(own):
            arrays[f"{path}/vars/{index}" if path else f"vars/{index}"] = array
    return hdf5.written(arrays, names)


def _places(model: Any, file: hdf5.Reader | None) -> Iterator[Place]:
    """Yield all layers with the paths that they have in a file, each once."""
    pending = [Place("", model)]
    seen: set[int] = set()
    while pending:
        place = pending.pop(0)
        if id(place.layer) in seen:
            continue
        seen.add(id(place.layer))
        yield place
        inside = f"{place.path}/" if place.path else ""
        pending[:0] = [
            Place(inside + path, layer) for path, layer in _children(place.layer, inside, file)
        ]


def _children(layer: Any, inside: str, file: hdf5.Reader | None) -> Iterator[Place]:
    """Yield the layers directly in a layer; the paths go on from its own."""
    if isinstance(layer, Sequential) or (isinstance(layer, Model) and layer.inputs):
        yield from _in_list("layers", layers_of(layer), inside, file)
    for name in sorted(vars(layer), key=lambda name: (name.startswith("_"), name)):
        value = vars(layer)[name]
        if name == "_arguments":
            continue
        if isinstance(value, Layer):
            yield Place(name, value)
        elif isinstance(value, dict | list | tuple):
            several = list(value.values()) if isinstance(value, dict) else list(value)
            yield from _in_list(name, [v for v in several if isinstance(v, Layer)], inside, None)


def _in_list(
    name: str, layers: list[Any], inside: str, file: hdf5.Reader | None
) -> Iterator[Place]:
    """Yield the layers of a list, which files name after their classes.

    A file that tells the names of the layers has them in any order.
    """
    paths = [f"{name}/{n}" for n in hdf5.numbered(_snake(class_name(each)) for each in layers)]
    if file is not None:
        there = [f"{name}/{group}" for group in file.groups(inside + name)]
        by_name = {file.name_of(inside + path): path for path in there}
        wanted = {each.name for each in layers}
        if len(by_name) == len(there) and wanted <= by_name.keys():
            paths = [by_name[each.name] for each in layers]
    return (Place(path, each) for path, each in zip(paths, layers, strict=True))


def layers_of(model: Any) -> list[Any]:
    """Return the layers of a model as Keras lists them."""
    layers = model.layers if isinstance(model, Sequential) else Graph(model).layers
    return [each for each in layers if not isinstance(each, Operation | Remasked | Unmasked)]


def class_name(layer: Any) -> str:
    """Return what Keras calls the class of a layer."""
    return "Functional" if type(layer) is Model else type(layer).__name__


def _snake(name: str) -> str:
    """Return a class's name as files have it: GRUCell is gru_cell."""
    words = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", words).lower()


def _own_variables(layer: Any) -> list[Variable]:
    """Return the weights that a layer itself has made, trainable ones first."""
    held = {id(variable) for variable in layer._held}
    return sorted(layer._variables, key=lambda v: not (v.trainable or id(v) in held))
