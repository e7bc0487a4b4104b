"""What all layers have in common."""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastrnn import regularizers
from fastrnn.layers import context, symbol
from fastrnn.layers.arguments import Call, as_tensor
from fastrnn.layers.input_spec import check_inputs
from fastrnn.layers.owner import Owner
from fastrnn.layers.serialization import revived, serialize
from fastrnn.layers.structure import leaves, mapped
from fastrnn.tape import Tensor, Variable, constant


class Layer(Owner):
    """A function with weights, called on arrays or, to build a model of them, on symbols.

    A layer of your own defines `__init__`, `build(input_shape)`, which makes weights with
    `add_weight` when the shape of the first input is known, and `call(inputs)`, which may take
    `training`, `mask` and more.  Layers and variables that it keeps in attributes, or in lists
    and dicts there, are its own.

    Parameters
    ----------
    activity_regularizer : callable or str, optional
        Its value on every output, divided by the rows of the batch, is a term of the loss.
    trainable : bool
        Whether optimizers change the weights.
    dtype : str
        float32, unless given, or float64: of weights and of floats that come in.
    name : str, optional
        Made of the class's name if not given: lstm, lstm_1, ...
    input_shape, batch_input_shape, input_dim, input_length, batch_size : optional
        Of older programs.  `input_shape` of the first layer tells a `Sequential` what it takes.

    Attributes
    ----------
    supports_masking : bool
        Whether the layer passes the mask of its input on, by `compute_mask`; as a class that
        defines this method does, unless it says otherwise.
    input_spec : InputSpec or list of them, optional
        What is checked of inputs at every call.
    built : bool
        Whether the weights are made.

    Examples
    --------
    >>> import numpy as np
    >>> from fastrnn import layers
    >>> class Scale(layers.Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=input_shape[-1:], initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> layer = Scale()
    >>> layer(np.ones((2, 3))).shape, layer.count_params()
    ((2, 3), 3)
    """

    supports_masking = False
    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:
        """Remember what the constructor is given, for `get_config`."""
        layer = super().__new__(cls)
        layer._arguments = _constructor_arguments(cls, layer, args, kwargs)
        return layer

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "build" in cls.__dict__:
            cls.build = _named_build(cls.build)  # type: ignore[method-assign]
        if "compute_mask" in cls.__dict__:
            cls.supports_masking = cls.__dict__.get("supports_masking", True)

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        **older: Any,
    ) -> None:
        self.name = context.automatic_name(type(self).__name__) if name is None else str(name)
        self.dtype = _dtype(dtype)
        self.built = False
        self.input_spec: Any = None
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.given_input_shape = _older_shape(type(self).__name__, older)
        self._variables: list[Variable] = []
        self._added_losses: list[Tensor] = []
        self._held = []
        self._first_output: Any = None  # the first Symbol that a call gave
        self._trainable = bool(trainable)
        self._has_warned = False

    # What subclasses define.

    def build(self, input_shape: Any) -> None:
        """Make the weights, for inputs of this shape; None stands for any length."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Return the layer's outputs."""
        raise NotImplementedError(f"{type(self).__name__}: expected a method `call`")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the output, or a list of them; None stands for any length.

        Layers that do not define it are tried on zeros.
        """
        raise NotImplementedError

    def output_dtype(self, dtypes: set[np.dtype[Any]]) -> np.dtype[Any]:
        """Return the dtype of the output for inputs of these dtypes; used for symbols."""
        return self.dtype

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the output, (B, T) bools or None; that of the input by itself."""
        return previous_mask

    # Training without a tape, of layers one after the other; see `models.straight`.

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call with one input, which has no mask, does.

        Then the layer is built, and users have put no `call` of their own in its place.
        """
        return False

    #: Whether `on_arrays` takes the mask of its input.
    takes_mask = False

    @property
    def makes_mask(self) -> bool:
        """Whether the output has a mask where the input has none; see `compute_mask`."""
        return False

    @property
    def keeps_mask(self) -> bool:
        """Whether the output has the mask of the input."""
        return True

    def on_arrays(self, x: Any, wants_dx: bool) -> tuple[Any, list[Variable], Any]:
        """Do what a call does in training, with arrays and without a tape.

        Parameters
        ----------
        x : array, or LookedUp
            What the layer before made, of this layer's dtype.
        wants_dx : bool
            Whether its gradient is wanted.
        mask : (B, T) bools, optional
            That of x; of layers that take it.

        Returns
        -------
        y : array, or LookedUp
        weights : list of Variable
        backward : callable
            `backward(dy)` returns the gradients of x and of each weight in one list.
        """
        raise NotImplementedError(f"{type(self).__name__}: on_arrays() is not implemented")

    def _calls_as(self, kind: type[Layer]) -> bool:
        """Whether a call does what `kind` does, and no more."""
        return (
            type(self).call is kind.call
            and type(self).__call__ is Layer.__call__
            and type(self).compute_mask is kind.compute_mask
            and self.__dict__.keys().isdisjoint(("call", "compute_mask"))
            and self.activity_regularizer is None
            and self.built
        )

    # Calls.

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute: arrays become Tensors, weights are made at the first call.

        Parameters
        ----------
        training : bool, optional
            As in the call of the layer around this one, if not given; False outside of all.
        mask : (B, T) bools, optional
            Which steps there are; the input's own mask if not given.

        Returns
        -------
        Tensor or structure of Tensors
            `Symbol`s if there is one among the inputs.
        """
        if "_variables" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}.__init__: expected super().__init__() in it")
        given = Call(self, args, kwargs)
        check_inputs(self.name, self.input_spec, given.shapes)
        if not self.built:
            self._build(given)
            check_inputs(self.name, self.input_spec, given.shapes)
        if given.is_symbolic:
            return symbol.call(self, given)
        if context.is_outermost():
            self._begin()
        training = context.training_of_call(given.training)
        masks = given.masks()
        placed, named = given.arguments(training, masks)
        with context.Calling(self.name, training):
            outputs = self.call(*placed, **named)
            if not isinstance(outputs, Tensor):
                outputs = mapped(_result, outputs)
            if self.activity_regularizer is not None:
                for output in leaves(outputs):
                    self.add_loss(self.activity_regularizer(output) / max(1, output.shape[0]))
        self._pass_mask(given.first, masks, outputs)
        return outputs

    @property
    def input(self) -> Any:
        """The symbol, or structure of them, that the first call on symbols took."""
        inputs = self._first_call("input").inputs
        return next(iter(inputs.values())) if inputs else self._first_output

    @property
    def output(self) -> Any:
        """The symbol, or tuple of them, that the first call on symbols gave."""
        node = self._first_call("output")
        return tuple(node.outputs) if node.is_list else node.outputs[0]

    def _first_call(self, name: str) -> symbol.Node:
        if self._first_output is None:
            raise AttributeError(f"{self.name} has no {name}, as it was not called on symbols yet")
        node: symbol.Node = self._first_output.node
        return node

    def _build(self, given: Call) -> None:
        """Make the weights for the inputs of a call."""
        names = list(inspect.signature(self.build).parameters)
        if len(names) <= 1:
            self.build(given.first_shape)
        else:
            self.build(**{name: given.shape_of(name.removesuffix("_shape")) for name in names})
        self.built = True

    def _pass_mask(self, inputs: Any, masks: Any, outputs: Any) -> None:
        is_masked = masks is not None and any(mask is not None for mask in leaves(masks))
        if not self.supports_masking:
            if is_masked and not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    f"{self.name}: {type(self).__name__} does not support masking, and the mask "
                    "of its input ends here",
                    stacklevel=3,
                )
            return
        if not is_masked and type(self).compute_mask is Layer.compute_mask:
            return
        computed = leaves(self.compute_mask(inputs, masks))
        tensors = leaves(outputs)
        if len(computed) == 1:
            computed += [None] * (len(tensors) - 1)
        for tensor, mask in zip(tensors, computed, strict=False):
            if mask is not None and isinstance(tensor, Tensor):
                tensor.mask = np.asarray(mask, bool)

    # Losses.

    def add_loss(self, loss: Any) -> None:
        """Add a scalar to `losses`, until the next call."""
        self._added_losses += [as_tensor(each, self.dtype) for each in leaves(loss)]
        self._note_what_is_kept()

    @property
    def losses(self) -> list[Tensor]:
        """Scalars to add to a loss: those of `add_loss` and of regularizers, of all layers."""
        if not _keeping and not Variable.are_regularized:
            return []
        family = self._family()
        losses = [loss for layer, _ in family for loss in layer._added_losses]
        if any(v.regularizer is not None for _, variables in family for v in variables):
            regular = [(v, v.regularizer) for v in self.trainable_variables]
            losses += [r(v) for v, r in regular if r is not None]
        return losses

    def _begin(self) -> None:
        """Forget what the layers within keep for one call: losses, and masks of dropout."""
        if not _keeping:
            return
        for layer in self._all_layers():
            layer._added_losses = []
            if layer is not self:
                layer._forget_masks()
            layer._note_what_is_kept()

    def _note_what_is_kept(self) -> None:
        """Let `_begin` know whether there is anything to forget."""
        (_keeping.add if self._added_losses or self._has_masks else _keeping.discard)(self)

    # Configurations.

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as JSON can hold them.

        Raises
        ------
        NotImplementedError
            If an argument is no number, string, layer or other thing with a configuration: the
            layer then needs a `get_config` of its own.
        """
        config = {"name": self.name, "trainable": self.trainable, "dtype": str(self.dtype)}
        is_own = type(self).get_config is not Layer.get_config
        for name, value in self._arguments.items():
            now = getattr(self, name, value)
            plain = bool | int | float | str | None
            if isinstance(value, plain) and isinstance(now, plain):
                value = now
            try:
                config[name] = serialize(value)
            except TypeError as error:
                if not is_own:
                    raise NotImplementedError(
                        f"{type(self).__name__}.get_config: expected one, as {name}={value!r} "
                        "cannot be written"
                    ) from error
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Return a new layer of this configuration, with new weights."""
        return cls(**{name: revived(value) for name, value in config.items()})

    @property
    def variable_dtype(self) -> str:
        """Dtype of the weights."""
        return str(self.dtype)

    @property
    def compute_dtype(self) -> str:
        """Dtype that floats that come in are converted to."""
        return str(self.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


# Layers that keep something for one call.
_keeping: weakref.WeakSet[Layer] = weakref.WeakSet()


def _result(value: Any) -> Any:
    """Return what `call` returned as a Tensor, if it is an array."""
    return constant(value) if isinstance(value, np.ndarray) else value


def _dtype(given: Any) -> np.dtype[Any]:
    """Return the dtype of an argument: a name, or the configuration that Keras writes for one."""
    if isinstance(given, Mapping):
        given = given.get("config", {}).get("name")
    dtype = np.dtype(np.float32 if given is None else given)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype: expected float32 or float64, got {given!r}")
    return dtype


def _older_shape(class_name: str, older: dict[str, Any]) -> tuple[int | None, ...] | None:
    """Return the input's shape with its batch, as older programs give it to a first layer."""
    shape = older.pop("batch_input_shape", older.pop("batch_shape", None))
    batch = older.pop("batch_size", None)
    length = older.pop("input_length", None)
    if "input_shape" in older:
        shape = (batch, *older.pop("input_shape"))
    if "input_dim" in older:
        dim = older.pop("input_dim")
        shape = (batch, dim) if length is None else (batch, length, dim)
    for name in ("autocast", "implementation"):
        older.pop(name, None)
    if older:
        raise TypeError(f"{class_name}: unexpected {', '.join(sorted(older))}")
    return None if shape is None else tuple(shape)


def _constructor_arguments(
    cls: type[Any], layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return what a constructor was given by name, and its defaults."""
    kind: Any = cls
    signature = _signature(kind)
    try:
        bound = signature.bind(layer, *args, **kwargs)
    except TypeError:
        return {}  # the constructor says it better
    bound.apply_defaults()
    arguments = dict(bound.arguments)
    del arguments[next(iter(arguments))]
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            arguments |= arguments.pop(name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            arguments.pop(name)
    return {n: v for n, v in arguments.items() if n not in ("name", "trainable", "dtype")}


@functools.cache
def _signature(cls: Any) -> inspect.Signature:
    return inspect.signature(cls.__init__)


def _named_build(build: Any) -> Any:
    """Return a `build` that makes weights in the layer's name, and knows when it is done."""

    @functools.wraps(build)
    def named(self: Layer, *args: Any, **kwargs: Any) -> None:
        with context.naming(self.name):
            build(self, *args, **kwargs)
        self.built = True

    return named
