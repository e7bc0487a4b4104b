"""RNN, GRU and LSTM on the engine.

What follows ONNX Runtime where ONNX' text leaves a choice: `clip` bounds what goes into all
activations but that of the LSTM's cell state; an activation's name is compared without regard to
case, and consumes a number of `activation_alpha` and `activation_beta` only if it has such a
constant; the final states of a sequence of no steps are 0, also where the whole batch has none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import _validate
from fastrnn.cells.activations import Clipped
from fastrnn.cells.cifg import CoupledLSTM
from fastrnn.cells.gru import GRU
from fastrnn.cells.gru_reset_before import GRUResetBefore
from fastrnn.cells.lstm import LSTM
from fastrnn.cells.peephole import PeepholeLSTM
from fastrnn.cells.rnn import RNN
from fastrnn.functional import freeze
from fastrnn.functional import rnn as run_sequence
from fastrnn.onnx import gates, sizes
from fastrnn.onnx.activations import activations_of
from fastrnn.onnx.coupled_peephole import CoupledPeepholeLSTM
from fastrnn.onnx.graph import Node

Array = NDArray[Any]
Run = Callable[..., Any]
# `(x, state, *, lengths, reverse)` to y and the final states.
Sequence = Callable[..., tuple[Array, tuple[Array, ...]]]

_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}

# Where the inputs of all three operators stand; RNN and GRU have the first six.
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_WEIGHTS = ("W", "R", "B", "P")


def rnn(node: Node) -> Run:
    """RNN."""
    turns = _turns(node)
    activations = _activations(node, ("Tanh",) * len(turns))
    kind: Any = RNN
    return _prepared(node, [kind(activation) for activation in activations], turns)


def gru(node: Node) -> Run:
    """GRU, with the reset gate before or after the recurrent product."""
    turns = _turns(node)
    activations = _activations(node, ("Sigmoid", "Tanh") * len(turns))
    kind: Any = GRU if node["linear_before_reset"] else GRUResetBefore
    pairs = zip(activations[::2], activations[1::2], strict=True)
    return _prepared(node, [kind(*pair) for pair in pairs], turns)


def lstm(node: Node) -> Run:
    """LSTM, with or without peepholes and coupled gates."""
    turns = _turns(node)
    activations = _activations(node, ("Sigmoid", "Tanh", "Tanh") * len(turns))
    has_peepholes = len(node.inputs) > 7 and bool(node.inputs[7])
    kind: Any = {
        (False, False): LSTM,
        (False, True): PeepholeLSTM,
        (True, False): CoupledLSTM,
        (True, True): CoupledPeepholeLSTM,
    }[bool(node["input_forget"]), has_peepholes]
    triples = zip(activations[::3], activations[1::3], activations[2::3], strict=True)
    cells = [kind(gate, candidate, _unclipped(output)) for gate, candidate, output in triples]
    return _prepared(node, cells, turns)


def _unclipped(activation: Any) -> Any:
    return activation.activation if isinstance(activation, Clipped) else activation


def _turns(node: Node) -> tuple[bool, ...]:
    """Return for each direction whether time runs backwards."""
    direction = node["direction"].lower()
    if direction not in _DIRECTIONS:
        raise ValueError(f"direction: expected one of {', '.join(_DIRECTIONS)}, got {direction!r}")
    return _DIRECTIONS[direction]


def _activations(node: Node, defaults: tuple[str, ...]) -> list[Any]:
    names = node["activations"] or defaults
    if node.op == "RNN" and names == ("Tanh", "Tanh"):
        names = defaults  # the definition's default, whatever the number of directions
    if len(names) != len(defaults):
        raise ValueError(f"activations: expected {len(defaults)} names, got {', '.join(names)}")
    constants = node["activation_alpha"], node["activation_beta"]
    return activations_of(names, *constants, node["clip"])


def _prepared(node: Node, cells: list[Any], turns: tuple[bool, ...]) -> Run:
    """Return what computes the node; weights that are constants are packed here."""
    given = dict(zip(_INPUTS, node.inputs, strict=False))
    layer = _Layer(node, cells, turns)
    constants = dict(zip(_INPUTS, node.constants, strict=False))
    weights: list[Any] = [constants.get(name) for name in _WEIGHTS]
    pairs = zip(_WEIGHTS, weights, strict=True)
    if all(array is not None for name, array in pairs if given.get(name)):
        layer.frozen = layer.sequences(*weights, is_frozen=True)
    if layer.frozen and len(turns) == 1 and not given.get("sequence_lens") and not _layout(node):
        return _plain(layer, layer.frozen[0], turns[0], node)
    return layer


def _plain(layer: _Layer, frozen: Any, reverse: bool, node: Node) -> Run:
    """Return what computes a node of one direction without lengths: little before it starts."""
    outputs, has_c = len(node.outputs), node.op == "LSTM"

    def run(
        x: Array, W: Any, R: Any, B: Any = None, lengths: Any = None,
        h: Array | None = None, c: Array | None = None, P: Any = None,
    ) -> Any:  # fmt: skip
        if not x.size:
            return layer(x, W, R, B, lengths, h, c, P)
        state = None
        if h is not None or c is not None:
            state = (_only("initial_h", h), _only("initial_c", c))[: 1 + has_c]
        bound = frozen.bound_run(x, state, reverse)
        if bound is None:
            y, states = frozen(x, state, reverse=reverse)
            return y[:, None] if outputs == 1 else (y[:, None], *[s[None] for s in states])
        y = bound.y.copy()[:, None]
        results = y if outputs == 1 else (y, *[s.copy()[None] for s in bound.final])
        bound.put_back()
        return results

    return run


def _only(name: str, state: Array | None) -> Array | None:
    """Return the initial states of the only direction."""
    if state is None:
        return None
    if state.ndim != 3 or len(state) != 1:
        raise ValueError(f"{name}: expected one direction first, got shape {state.shape}")
    only: Array = state[0]
    return only


class _Layer:
    """A node of any kind.

    frozen  what runs each direction, where the weights are constants
    """

    def __init__(self, node: Node, cells: list[Any], turns: tuple[bool, ...]) -> None:
        self._op, self._cells, self._turns = node.op, cells, turns
        self._hidden_size = node["hidden_size"]
        self._outputs = len(node.outputs)
        self.is_batch_major = _layout(node)
        self.frozen: list[Sequence] | None = None

    def sequences(
        self, W: Array, R: Array, B: Array | None, P: Array | None, *, is_frozen: bool
    ) -> list[Sequence]:
        """Return what runs each direction with these weights."""
        self._check_weights(W, R, B, P)
        made: list[Sequence] = []
        for d, cell in enumerate(self._cells):
            weights = gates.Weights(
                W[d], R[d], None if B is None else B[d], None if P is None else P[d]
            )
            ours = gates.from_onnx(self._op, type(cell), weights)
            made.append(freeze(cell, *ours) if is_frozen else _Loose(cell, *ours))
        return made

    def _check_weights(self, W: Array, R: Array, B: Array | None, P: Array | None) -> None:
        D, G = len(self._cells), len(gates.ORDERS[self._op])
        if W.ndim != 3 or R.ndim != 3:
            raise ValueError(f"W, R: expected three axes, got shapes {W.shape} and {R.shape}")
        H = R.shape[2]
        if self._hidden_size not in (None, H):
            raise ValueError(f"R: expected hidden_size {self._hidden_size}, got shape {R.shape}")
        for name, array, shape in (
            ("W", W, (D, G * H, W.shape[2])), ("R", R, (D, G * H, H)),
            ("B", B, (D, 2 * G * H)), ("P", P, (D, 3 * H)),
        ):  # fmt: skip
            if array is None:
                continue
            if array.shape != shape or array.dtype != W.dtype:
                got = f"{array.shape} {array.dtype}"
                raise ValueError(f"{name}: expected {shape} {W.dtype}, got {got}")
        if not H or not W.shape[2]:
            raise ValueError(f"W: expected at least one unit and feature, got shape {W.shape}")

    def __call__(
        self,
        x: Array,
        W: Array,
        R: Array,
        B: Array | None = None,
        lengths: Array | None = None,
        h: Array | None = None,
        c: Array | None = None,
        P: Array | None = None,
    ) -> Any:
        if x.ndim != 3:
            raise ValueError(f"X: expected three axes, got shape {x.shape}")
        initial = [h, c] if self._op == "LSTM" else [h]
        if self.is_batch_major:
            x = x.swapaxes(0, 1)
            initial = [None if state is None else state.swapaxes(0, 1) for state in initial]
        sequences = self.frozen or self.sequences(W, R, B, P, is_frozen=False)
        T, batch, features = x.shape
        D, H = len(sequences), R.shape[2]
        if features != W.shape[2]:
            raise ValueError(f"X: expected {W.shape[2]} features, got shape {x.shape}")
        sizes.check((T, batch, D, H))
        for name, state in zip(("initial_h", "initial_c"), initial, strict=False):
            if state is not None and state.shape != (D, batch, H):
                raise ValueError(f"{name}: expected {(D, batch, H)}, got {state.shape}")
        y = np.empty((T, D, batch, H), x.dtype)
        finals = np.empty((len(initial), D, batch, H), x.dtype)
        if not x.size:
            if lengths is not None and (batch or lengths.size):
                _validate.lengths_array(lengths, T, batch)
            finals[...] = 0
        else:
            for d, (run, reverse) in enumerate(zip(sequences, self._turns, strict=True)):
                starts: Any = tuple(None if state is None else state[d] for state in initial)
                if all(state is None for state in initial):
                    starts = None
                y[:, d], finals[:, d] = run(x, starts, lengths=lengths, reverse=reverse)
            if lengths is not None:
                finals[:, :, lengths == 0] = 0
        if self.is_batch_major:
            y, finals = y.transpose(2, 0, 1, 3), finals.swapaxes(1, 2)
        return y if self._outputs == 1 else (y, *finals)


class _Loose:
    """One direction whose weights come with every call."""

    def __init__(self, cell: Any, W: Array, R: Array, b: Array | None) -> None:
        self._arguments = cell, W, R, b

    def __call__(self, x: Array, state: Any, *, lengths: Any, reverse: bool) -> Any:
        cell, W, R, b = self._arguments
        y, final, _ = run_sequence(
            cell, x, W, R, b, state, lengths=lengths, reverse=reverse, training=False
        )
        return y, final


def _layout(node: Node) -> bool:
    """Return whether the batch is the first axis."""
    layout = node.attributes.get("layout") or 0
    if layout not in (0, 1):
        raise ValueError(f"layout: expected 0 or 1, got {layout}")
    return bool(layout)
