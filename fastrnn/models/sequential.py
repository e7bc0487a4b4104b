"""A model of layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fastrnn.layers import Layer, deserialize, serialize
from fastrnn.layers import register as _register
from fastrnn.layers.symbol import Symbol
from fastrnn.models.graph import Graph, InputLayer
from fastrnn.models.model import Model


@_register
class Sequential(Model):
    """Layers one after the other: each takes the output of the one before.

    Weights are made when the shape of the input is known: from `layers.Input` in the first place,
    from the `input_shape` of the first layer, by `build`, or at the first call.

    Parameters
    ----------
    layers : sequence of Layer, optional
        More come with `add`.
    options
        See `Layer`.

    Examples
    --------
    >>> from fastrnn import layers
    >>> model = Sequential([layers.Embedding(10, 4), layers.LSTM(3), layers.Dense(1)])
    >>> model.predict(np.zeros((2, 5), int), verbose=0).shape
    (2, 1)
    """

    def __init__(self, layers: Iterable[Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._sequence: list[Any] = []
        self._start: Symbol | None = None
        self._is_start_given = False
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    def add(self, layer: Any) -> None:
        """Put a layer on top; `layers.Input` only below all.

        Raises
        ------
        TypeError
            If it is no layer.
        ValueError
            If a layer has its name, or an input comes late.
        """
        self._append(layer)
        self._rebuild()

    def pop(self) -> Any:
        """Take the topmost layer off and return it.

        Raises
        ------
        ValueError
            If there is none.
        """
        if not self._sequence:
            raise ValueError(f"{self.name}: expected a layer to take off, there is none")
        layer = self._sequence.pop()
        self._rebuild()
        return layer

    @property
    def layers(self) -> list[Any]:
        """The layers, without the input."""
        return list(self._sequence)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of all layers.

        Parameters
        ----------
        input_shape : tuple
            With the batch; None stands for any length.

        Raises
        ------
        ValueError
            If there are no layers.
        """
        if input_shape is not None and self._graph is None:
            self._start = Symbol(tuple(input_shape), self.dtype)
            self._rebuild()

    def _build(self, given: Any) -> None:
        if not self._sequence:
            raise ValueError(f"{self.name}: expected layers, there are none; call add()")
        self._start = Symbol(given.first.shape, given.first.dtype)
        self._rebuild()

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """Return what the last layer returns."""
        for layer in self._sequence:
            inputs = layer(inputs)
        return inputs

    def _layers_in_line(self, x: Any) -> Any:
        return self._sequence if type(self).call is Sequential.call else None

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` makes a model with new weights of."""
        start = self._start
        return {
            "name": self.name,
            "trainable": self.trainable,
            "layers": [serialize(layer) for layer in self._sequence],
            "batch_shape": None if start is None else list(start.shape),
            "input_dtype": None if start is None else str(start.dtype),
            "is_input_given": self._is_start_given,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """Return a new model of this configuration, with new weights.

        Raises
        ------
        ValueError
            If the configuration is damaged or names classes that nobody knows.
        """
        try:
            layers = [deserialize(each, custom_objects) for each in config["layers"]]
            model = cls(name=config["name"])
            for layer in layers:
                model._append(layer)
            if config["batch_shape"] is not None:
                model._start = Symbol(tuple(config["batch_shape"]), config["input_dtype"])
                model._is_start_given = bool(config["is_input_given"])
            model._rebuild()
        except (KeyError, TypeError) as error:
            raise ValueError(f"config: damaged, {type(error).__name__}: {error}") from error
        if not config.get("trainable", True):
            model.trainable = False
        return model

    def _append(self, layer: Any) -> None:
        if isinstance(layer, InputLayer):
            layer = Symbol(layer.batch_shape, np.float32, layer.name)
        if isinstance(layer, Symbol):
            if self._start is not None or self._sequence:
                raise ValueError(f"{self.name}: expected an input below all other layers")
            self._start, self._is_start_given = layer, True
            return
        if not isinstance(layer, Layer):
            raise TypeError(f"layer: expected a Layer, got {type(layer).__name__} {layer!r}"[:200])
        if any(layer.name == other.name for other in self._sequence):
            raise ValueError(f"layer: the name {layer.name!r} is taken in {self.name}")
        shape = getattr(layer, "given_input_shape", None)
        if not self._sequence:
            self.dtype = layer.dtype
            if self._start is None and shape is not None:
                self._start, self._is_start_given = Symbol(shape, self.dtype), True
        self._sequence.append(layer)

    def _rebuild(self) -> None:
        """Run the layers on symbols, if the input's shape is known: it makes their weights."""
        self._graph = None
        self.built = False
        if not self._sequence and not self._is_start_given:
            self._start = None
        if self._start is None or not self._sequence:
            return
        end: Any = self._start
        for layer in self._sequence:
            end = layer(end)
        self._graph = Graph(self._start, end)
        self.output_names = self._graph.output_names
        self.built = True
