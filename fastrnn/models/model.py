"""Models: layers that learn by themselves, of a class of your own or between symbols."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fastrnn.data.structure import leaves, transform
from fastrnn.layers import register as _register
from fastrnn.layers.symbol import Symbol
from fastrnn.models import graph_config, saving, summary
from fastrnn.models.graph import Graph
from fastrnn.models.trainer import Trainer


@_register
class Model(Trainer):
    """A layer with `compile`, `fit`, `evaluate`, `predict` and `save`.

    Either of a class of your own, with `call(self, inputs, training=None)`, or of what lies
    between symbols: `Model(inputs, outputs)`.

    Parameters
    ----------
    inputs, outputs : Symbol, or list, tuple or dict of them, optional
        `inputs` come from `layers.Input`, `outputs` from layers called on them.
    options
        See `Layer`.

    Raises
    ------
    ValueError
        If `outputs` depend on something else than `inputs`.

    Examples
    --------
    >>> from fastrnn import layers
    >>> x = layers.Input((None, 3))
    >>> model = Model(x, layers.Dense(1)(layers.LSTM(4)(x)))
    >>> model.predict(np.ones((2, 5, 3)), verbose=0).shape
    (2, 1)
    """

    supports_masking = True

    def __init__(self, inputs: Any = None, outputs: Any = None, **options: Any) -> None:
        if (inputs is None) != (outputs is None):
            raise TypeError("Model: expected both inputs and outputs, or none of them")
        super().__init__(**options)
        self._graph: Graph | None = None
        self._shapes_at_build: Any = None
        if inputs is not None:
            self._graph = Graph(inputs, outputs)
            self._graph_layers = self._graph.layers
            self.output_names = self._graph.output_names
            self.dtype = _float_dtype(self._graph.layers, self.dtype)
            self.built = True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Return the outputs for inputs: what subclasses define."""
        if self._graph is None:
            raise NotImplementedError(f"{type(self).__name__}: expected a method `call`")
        return self._graph.run(inputs)

    def _layers_in_line(self, x: Any) -> Any:
        if self._graph is None or self._graph.line is None or type(self).call is not Model.call:
            return None
        self._graph.bound(x)
        return self._graph.line

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of all layers for inputs of a shape, by running them on zeros.

        Parameters
        ----------
        input_shape : tuple, or list or dict of tuples
            None stands for 1.
        """
        if self._graph is None and input_shape is not None:
            self(_zeros(input_shape, self.dtype))

    def _build(self, given: Any) -> None:
        if type(self).build is not Model.build:
            super()._build(given)
        self._shapes_at_build = transform(
            lambda leaf: [list(leaf.shape), str(leaf.dtype)], given.first
        )
        self.built = True

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shapes of the outputs; None stands for any length."""
        if self._graph is None:
            raise NotImplementedError
        known = leaves(self._graph.inputs)
        shapes = [input_shape] if len(known) == 1 else graph_config.shapes_in(input_shape)
        symbols = [
            Symbol(tuple(shape), symbol.dtype) for shape, symbol in zip(shapes, known, strict=True)
        ]
        outputs = self._graph.run(symbols)
        found = [symbol.shape for symbol in leaves(outputs)]
        return found[0] if isinstance(outputs, Symbol) else found

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return None: outputs have the masks that the layers gave them."""
        return None

    @property
    def layers(self) -> list[Any]:
        """The layers directly in this model."""
        return list(self._graph.layers) if self._graph is not None else list(self.layers_inside)

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """Return a layer by its name or its place.

        Raises
        ------
        ValueError
            If there is no such layer, or not one of both is given.
        """
        if (name is None) == (index is None):
            raise ValueError("get_layer: expected either a name or an index")
        found = self.layers
        if index is not None:
            if not -len(found) <= index < len(found):
                raise ValueError(f"index: expected one of {len(found)} layers, got {index}")
            return found[index]
        for layer in found:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in found)
        raise ValueError(f"name: expected one of {names}, got {name!r}")

    @property
    def inputs(self) -> list[Any]:
        """The symbols that the model starts from; empty for a class of your own."""
        return leaves(self._graph.inputs) if self._graph is not None else []

    @property
    def outputs(self) -> list[Any]:
        """The symbols that the model ends in; empty for a class of your own."""
        return leaves(self._graph.outputs) if self._graph is not None else []

    @property
    def input(self) -> Any:
        """The symbols that the model starts from, as they were given."""
        return self._known_graph().inputs

    @property
    def output(self) -> Any:
        """The symbols that the model ends in, as they were given."""
        return self._known_graph().outputs

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs."""
        return transform(lambda symbol: symbol.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """Shapes of the outputs."""
        return transform(lambda symbol: symbol.shape, self.output)

    def _known_graph(self) -> Graph:
        if self._graph is None:
            raise AttributeError(f"{self.name}: it has no symbols before it is built of them")
        return self._graph

    def reset_states(self) -> None:
        """Let all stateful layers start from zeros."""
        for layer in self._all_layers():
            if layer is not self and hasattr(layer, "reset_states"):
                layer.reset_states()

    def connections(self) -> list[tuple[str, str, list[str]]]:
        """Return name, class and sources of every layer, for drawings of the model."""
        return [
            (layer.name, type(layer).__name__, [source.split("[")[0] for source in sources])
            for layer, sources in summary.connected(self)
        ]

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of the layers: names, shapes of outputs, numbers of weights.

        Parameters
        ----------
        line_length : int, optional
            Columns of the table.
        print_fn : callable, optional
            Takes the text, instead of `print`.
        expand_nested : bool
            List the layers of models within this one.
        show_trainable : bool
            Say of each layer whether optimizers change it.
        layer_range : pair of str, optional
            Names of the first and the last layer to list.
        positions
            Of no effect.
        """
        text = summary.table(
            self, line_length=line_length, expand_nested=expand_nested,
            show_trainable=show_trainable, layer_range=layer_range,
        )  # fmt: skip
        (print if print_fn is None else print_fn)(text)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the model to one file: configuration, weights, what it learns with.

        `load_model` returns it; learning then goes on bit for bit.  The file has JSON and
        safetensors in it; it is written whole or not at all.

        Parameters
        ----------
        filepath : str or path
            `.fastrnn` by custom.  With `.keras`, `.h5` and `.hdf5` there is a warning, as Keras
            does not read the file: `fastrnn.keras.save` writes one that it reads.
        overwrite : bool
            Whether a file of that name may be replaced.

        Raises
        ------
        FileExistsError
            If there is one and it may not.
        ValueError
            If the model has no weights yet.
        """
        saving.save_model(self, filepath, overwrite)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Write the weights to a safetensors file; see `save`."""
        saving.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Read weights that `save_weights` or `save` wrote.

        Raises
        ------
        ValueError
            If the file is missing or damaged, or has other weights than the model.
        """
        saving.load_weights(self, filepath)

    def to_json(self, **options: Any) -> str:
        """Return the configuration as JSON; `options` are those of `json.dumps`."""
        return saving.to_json(self, **options)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes a model with new weights of."""
        if self._graph is None:
            return super().get_config()
        common = {"name": self.name, "trainable": self.trainable}
        return {**common, **graph_config.written(self._graph)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """Return a new model of this configuration, with new weights.

        Raises
        ------
        ValueError
            If the configuration is damaged or names classes that nobody knows.
        """
        if "nodes" not in config:
            return super().from_config(config)
        inputs, outputs = graph_config.read(config, custom_objects)
        model = cls(inputs, outputs, name=config.get("name"))
        if not config.get("trainable", True):
            model.trainable = False
        return model


def _zeros(shape: Any, dtype: Any) -> Any:
    if isinstance(shape, dict):
        return {name: _zeros(part, dtype) for name, part in shape.items()}
    if any(isinstance(part, list | tuple) for part in shape):
        return [_zeros(part, dtype) for part in shape]
    return np.zeros([1 if length is None else length for length in shape], dtype)


def _float_dtype(layers: list[Any], default: Any) -> Any:
    """Return the dtype of the first layer with weights: what data is to be converted to."""
    return next((layer.dtype for layer in layers if layer.weights), default)
