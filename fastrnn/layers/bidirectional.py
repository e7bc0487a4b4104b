"""Recurrent layers that run both ways."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import ops
from fastrnn.layers.layer import Layer
from fastrnn.tape import Tensor, constant, record

Array = NDArray[Any]

#: How the outputs of both directions become one; None keeps both.
MERGES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Layer):
    """Run a recurrent layer forwards and another one backwards.

    M. Schuster and K. Paliwal, Bidirectional recurrent neural networks, IEEE Transactions on
    Signal Processing 1997.

    Parameters
    ----------
    layer : RNN
        A recurrent layer, of which both directions are copies, with weights of their own.
    merge_mode : str or None
        "concat", "sum", "mul" or "ave"; None returns both outputs.
    backward_layer : RNN, optional
        Runs backwards, in the place of a copy of `layer`.
    weights : list of arrays, optional
        Forwards first; as `set_weights` takes them, when the layer is built.
    """

    supports_masking = True

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for name, given in (("layer", layer), ("backward_layer", backward_layer)):
            is_recurrent = isinstance(given, Layer) and hasattr(given, "go_backwards")
            if not is_recurrent and (given is not None or name == "layer"):
                raise ValueError(f"{name}: expected a recurrent layer, got {given!r}")
        if merge_mode not in MERGES:
            raise ValueError(
                f"merge_mode: expected one of {', '.join(map(str, MERGES))}, got {merge_mode!r}"
            )
        self.merge_mode = merge_mode
        self.forward_layer = copied(layer, name=f"forward_{layer.name}")
        if backward_layer is None:
            self.backward_layer = copied(
                layer, name=f"backward_{layer.name}", go_backwards=not layer.go_backwards
            )
        else:
            self.backward_layer = backward_layer
            self._check_directions()
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.stateful = layer.stateful
        for each in (self.forward_layer, self.backward_layer):
            each.zero_output_for_mask = each.return_sequences
        self.input_spec = layer.input_spec
        self._initial_weights = weights
        self._arguments["weights"] = None

    def _check_directions(self) -> None:
        there, back = self.forward_layer, self.backward_layer
        if there.go_backwards == back.go_backwards:
            raise ValueError(
                "backward_layer: expected another `go_backwards` than that of layer, "
                f"got {back.go_backwards}"
            )
        for name in ("return_sequences", "return_state", "stateful"):
            if getattr(there, name) != getattr(back, name):
                raise ValueError(
                    f"backward_layer: expected {name}={getattr(there, name)} as layer has, "
                    f"got {getattr(back, name)}"
                )

    def build(self, sequences_shape: Any) -> None:
        """Make the weights of both directions."""
        for each in (self.forward_layer, self.backward_layer):
            if not each.built:
                each.build(sequences_shape)
                each.built = True
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)
            self._initial_weights = None

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """Run both ways.

        Parameters
        ----------
        sequences : (B, T, I) array
        initial_state : list of arrays, optional
            Those forwards, then those backwards.
        mask : (B, T) bools, optional
        training : bool

        Returns
        -------
        Tensor
            Outputs, merged; first in a tuple with the final states forwards and backwards if
            `return_state`.  Outputs backwards are in the order of the input.
        """
        states: list[Any] = [None, None]
        if initial_state is not None:
            given = list(initial_state)
            if len(given) % 2 or not given:
                raise ValueError(
                    f"{self.name}: expected initial states of two directions, got {len(given)}"
                )
            states = [given[: len(given) // 2], given[len(given) // 2 :]]
        outputs, finals = [], []
        for layer, state in zip((self.forward_layer, self.backward_layer), states, strict=True):
            result = layer(sequences, initial_state=state, mask=mask, training=training)
            if self.return_state:
                result, *final = result
                finals += final
            outputs.append(result)
        there, back = outputs
        if self.return_sequences:
            back = ops.flip(back, axis=1)
        merged = _merged(self.merge_mode, there, back)
        if not self.return_state:
            return merged
        return (*merged, *finals) if self.merge_mode is None else (merged, *finals)

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call does; see `Layer`."""
        both = self.forward_layer, self.backward_layer
        return (
            self._calls_as(Bidirectional)
            and self.merge_mode == "concat"
            and all(layer.works_on_arrays and layer.dtype == self.dtype for layer in both)
        )

    takes_mask = True

    @property
    def keeps_mask(self) -> bool:
        """Whether the output has the mask of the input; see `Layer`."""
        return bool(self.return_sequences)

    def on_arrays(self, x: Any, wants_dx: bool, mask: Any = None) -> Any:
        """Do what `call` does in training; see `Layer`."""
        there, weights, from_there = self.forward_layer.on_arrays(x, wants_dx, mask)
        back, others, from_back = self.backward_layer.on_arrays(x, wants_dx, mask)
        width = there.shape[-1]
        order = (slice(None), slice(None, None, -1)) if self.return_sequences else ()
        y = _joined(there, back[order])

        def backward(dy: Array) -> list[Any]:
            dx, *of_weights = from_there(dy[..., :width])
            dx_back, *of_others = from_back(dy[..., width:][order])
            dx = None if dx is None else dx_back + dx
            return [dx, *of_weights, *of_others]

        return y, [*weights, *others], backward

    @property
    def states(self) -> Any:
        """The final states of the last call, if stateful: forwards, then backwards."""
        both = (self.forward_layer.states, self.backward_layer.states)
        return None if None in both else [*both[0], *both[1]]

    def reset_states(self) -> None:
        """Start from zeros at the next call of a stateful layer."""
        self.reset_state()

    def reset_state(self) -> None:
        """Start from zeros at the next call of a stateful layer."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def compute_output_shape(self, sequences_shape: Any) -> Any:
        """Return the shape of the output, and those of the states if they are returned."""
        shapes = self.forward_layer.compute_output_shape(sequences_shape)
        other = self.backward_layer.compute_output_shape(sequences_shape)
        output, *states = shapes if self.return_state else [shapes]
        other, *more = other if self.return_state else [other]
        if self.merge_mode is None:
            return [output, other, *states, *more]
        if self.merge_mode == "concat":
            output = (*output[:-1], output[-1] + other[-1])
        return [output, *states, *more] if self.return_state else output

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the outputs of all steps; None for the states and a last output."""
        mask = previous_mask[0] if isinstance(previous_mask, list | tuple) else previous_mask
        mask = mask if self.return_sequences else None
        return [mask, mask] if self.merge_mode is None else mask


def copied(layer: Any, **changes: Any) -> Any:
    """Return a new layer made with the arguments of another one, but for some of them.

    Layers among the arguments, such as cells, are made anew as well.
    """
    arguments = {name: _anew(value) for name, value in layer._arguments.items()}
    signature = inspect.signature(type(layer).__init__)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    options = {"name": layer.name, "dtype": str(layer.dtype), "trainable": layer.trainable}
    arguments |= options | changes
    known = {n: v for n, v in arguments.items() if takes_any or n in signature.parameters}
    new = type(layer)(**known)
    for name, value in changes.items():
        if name not in known:
            setattr(new, name, value)
    return new


def _anew(value: Any) -> Any:
    if isinstance(value, Layer):
        return copied(value)
    if isinstance(value, list | tuple):
        return [_anew(each) for each in value]
    return copy.deepcopy(value) if hasattr(value, "state_size") else value


def _merged(mode: str | None, there: Tensor, back: Tensor) -> Any:
    """Return the outputs of both directions as one, or both."""
    match mode:
        case "concat":
            return _side_by_side(there, back)
        case "sum":
            return ops.add(there, back)
        case "mul":
            return ops.multiply(there, back)
        case "ave":
            return ops.multiply(ops.add(there, back), 0.5)
        case _:
            return there, back


def _side_by_side(there: Tensor, back: Tensor) -> Tensor:
    """Return features (..., H) side by side."""
    width = there.shape[-1]
    output = constant(_joined(there.value, back.value))
    record(
        [there, back], [output], lambda d: [d[..., :width], d[..., width:]], repeatable=True
    )  # fmt: skip
    return output


def _joined(there: Array, back: Array) -> Array:
    """Return features (..., H) side by side, sequences in time-major memory as they are."""
    by_time = (lambda a: a.swapaxes(0, 1)) if there.ndim == 3 else np.asarray
    return by_time(np.concatenate([by_time(there), by_time(back)], axis=-1))
