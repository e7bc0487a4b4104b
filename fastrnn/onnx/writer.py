"""ONNX files of recurrent layers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

from fastrnn.cells.cifg import CoupledLSTM
from fastrnn.cells.gru import GRU
from fastrnn.cells.gru_reset_before import GRUResetBefore
from fastrnn.cells.lstm import LSTM
from fastrnn.cells.peephole import PeepholeLSTM
from fastrnn.cells.rnn import RNN
from fastrnn.functional import Direction
from fastrnn.functional.weights import Weights
from fastrnn.onnx import gates
from fastrnn.onnx.activations import attributes_of
from fastrnn.onnx.coupled_peephole import CoupledPeepholeLSTM
from fastrnn.onnx.tensors import DTYPES

Array = NDArray[Any]

#: What files are written in: what every runtime of the last years reads.
OPSET = 17
_IR_VERSION = 8

#: The operator of each cell that has one, and the attributes that tell it from others.
OPERATORS: dict[Any, tuple[str, dict[str, int]]] = {
    RNN: ("RNN", {}),
    GRU: ("GRU", {"linear_before_reset": 1}),
    GRUResetBefore: ("GRU", {"linear_before_reset": 0}),
    LSTM: ("LSTM", {}),
    PeepholeLSTM: ("LSTM", {}),
    CoupledLSTM: ("LSTM", {"input_forget": 1}),
    CoupledPeepholeLSTM: ("LSTM", {"input_forget": 1}),
}

# How both directions become one: nodes that reduce the axis of directions.
_MERGES = {"sum": "ReduceSum", "average": "ReduceMean", "mul": "ReduceProd"}


def export_recurrent(
    cell: Any,
    layers: Sequence[Direction | tuple[Direction, Direction]],
    path: str | os.PathLike[str],
    *,
    merge: str = "concat",
    has_lengths: bool = False,
) -> None:
    """Write recurrent layers, one on top of the other, to an ONNX file.

    Parameters
    ----------
    cell : str or cell
        As `functional.stack` takes it; of one of the kinds rnn, gru, gru_reset_before, lstm,
        peephole and cifg.
    layers : sequence
        As `functional.stack` takes it: from the input up a `Direction` (W, R, b), or a pair.
    path : path
        The file.  It is whole or not there: written under another name first.
    merge : str
        How the outputs of both directions become one: "concat", "sum", "mul" or "average".
    has_lengths : bool
        Whether the model has an input `lengths`, (B,) int32, the steps of each sequence.

    Raises
    ------
    ValueError, TypeError
        If ONNX has no such cell, or weights do not fit; the message names them.
    OSError
        If the file cannot be written.

    Notes
    -----
    The model takes `x` (T, B, I), of any T and B, and returns `y` (T, B, F), and of each layer
    `h0`, `h1`, ... and, for LSTMs, `c0`, `c1`, ..., the states (directions, B, H) after the last
    step.  Its opset is 17.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from fastrnn.functional import Direction
    >>> from fastrnn.onnx import export_recurrent, load
    >>> layer = Direction(np.ones((4, 20), np.float32), np.ones((5, 20), np.float32))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_recurrent("lstm", [layer], f"{folder}/lstm.onnx")
    ...     model = load(f"{folder}/lstm.onnx")
    >>> model.output_names
    ['y', 'h0', 'c0']
    >>> model.run({"x": np.ones((3, 2, 4), np.float32)})[0].shape
    (3, 2, 5)
    """
    if merge != "concat" and merge not in _MERGES:
        raise ValueError(f"merge: expected concat, {', '.join(_MERGES)}, got {merge!r}")
    if not layers:
        raise ValueError("layers: expected at least one layer, got none")
    file = File()
    x, lengths = "x", "lengths" if has_lengths else ""
    finals: list[str] = []
    for index, layer in enumerate(layers):
        directions = [layer] if isinstance(layer, Direction) else list(layer)
        y, *states = file.recurrent(cell, directions, x, lengths, name=f"layer{index}")
        letters = "hc"[: len(states)]
        for state, letter in zip(states, letters, strict=True):
            finals.append(file.node("Identity", [state], f"{letter}{index}")[0])
        x = file.merged(y, len(directions), merge)
    file.node("Identity", [x], "y")
    first = layers[0] if isinstance(layers[0], Direction) else layers[0][0]
    W = np.asarray(first.W)
    file.input("x", W.dtype, ("T", "B", W.shape[0]))
    if has_lengths:
        file.input(lengths, np.dtype(np.int32), ("B",))
    file.output("y", W.dtype, ("T", "B", None))
    for name in finals:
        file.output(name, W.dtype, (None, "B", None))
    file.save(path)


class File:
    """An ONNX model in the making: nodes in the order they are added, and constants.

    Values are names; those that `node` and `constant` return are new ones, and not among `taken`.
    """

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self._taken = {*taken}
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._count = 0

    def new(self, *stems: str) -> list[str]:
        """Return names that no value has."""
        return [self._new(stem) for stem in stems]

    def _new(self, stem: str) -> str:
        while True:
            self._count += 1
            name = f"{stem}_{self._count}"
            if name not in self._taken:
                return name

    def constant(self, array: ArrayLike, stem: str = "constant") -> str:
        """Add an array, and return its name."""
        name = self._new(stem)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(
        self, op: str, inputs: Sequence[str], *outputs: str, name: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node; return its outputs, one with a new name if none are given."""
        made = list(outputs) or [self._new(op.lower())]
        node = helper.make_node(op, list(inputs), made, name or self._new(op), **attributes)
        self._nodes.append(node)
        return made

    def input(self, name: str, dtype: np.dtype[Any], shape: Sequence[int | str | None]) -> None:
        """Declare an input; a letter or None stands for any length."""
        self._inputs.append(_value(name, dtype, shape))

    def output(self, name: str, dtype: np.dtype[Any], shape: Sequence[int | str | None]) -> None:
        """Declare an output."""
        self._outputs.append(_value(name, dtype, shape))

    def recurrent(
        self,
        cell: Any,
        directions: Sequence[Direction],
        x: str,
        lengths: str = "",
        initial: Sequence[str] = (),
        *,
        turns: Sequence[bool] = (False, True),
        name: str = "",
    ) -> list[str]:
        """Add a layer of one or two directions.

        Parameters
        ----------
        cell : str or cell
            See `export_recurrent`.
        directions : one or two of Direction
            Weights, all of one shape.
        x, lengths, initial
            Names of the input (T, B, I), of the lengths or "", and of the initial states
            (directions, B, H).
        turns
            For each direction, whether it starts at the end.

        Returns
        -------
        list of str
            Names of Y (T, directions, B, H) and of the final states (directions, B, H).
        """
        if len(directions) not in (1, 2):
            raise ValueError(f"{name}: expected one or two directions, got {len(directions)}")
        parts, activations = [], []
        for direction in directions:
            weights = Weights(cell, direction.W, direction.R, direction.b, direction.extra)
            kind: Any = type(weights.cell)
            if kind not in OPERATORS:
                known = ", ".join(kind.__name__ for kind in OPERATORS)
                raise ValueError(f"cell: ONNX has {known}, got {kind.__name__}")
            op, attributes = OPERATORS[kind]
            parts.append(gates.to_onnx(op, kind, weights.W, weights.R, weights.b))
            activations += weights.cell
        if len({(part.W.shape, part.W.dtype) for part in parts}) > 1:
            raise ValueError(f"{name}: expected weights of one shape and type for both directions")
        is_both = len(directions) == 2
        if is_both and tuple(turns) != (False, True):
            raise ValueError(f"{name}: ONNX' second direction is the one that starts at the end")
        direction_name = "bidirectional" if is_both else "reverse" if turns[0] else "forward"
        inputs = [x]
        for letter in "WRB":
            arrays: list[Any] = [getattr(part, letter) for part in parts]
            has_any = any(array is not None for array in arrays)
            if has_any:
                shape = next(array.shape for array in arrays if array is not None)
                dtype = parts[0].W.dtype
                arrays = [np.zeros(shape, dtype) if a is None else a for a in arrays]
            inputs.append(self.constant(np.stack(arrays), letter) if has_any else "")
        states = len(kind.STATES)
        inputs += [lengths, *initial, *[""] * (states - len(initial))]
        if parts[0].P is not None:
            inputs.append(self.constant(np.stack([np.asarray(part.P) for part in parts]), "P"))
        while not inputs[-1]:
            inputs.pop()
        made = [self._new(letter) for letter in ("Y", "Y_h", "Y_c")[: 1 + states]]
        H = parts[0].R.shape[1]
        given = attributes | {"hidden_size": H, "direction": direction_name}
        return self.node(op, inputs, *made, name=name, **given, **attributes_of(activations))

    def merged(self, y: str, directions: int, merge: str) -> str:
        """Return the name of Y (T, directions, B, H) with its directions made one, (T, B, F)."""
        axis = self.constant(np.array([1]), "axes")
        if directions == 1:
            return self.node("Squeeze", [y, axis])[0]
        if merge == "concat":
            (turned,) = self.node("Transpose", [y], perm=[0, 2, 1, 3])
            return self.node("Reshape", [turned, self.constant(np.array([0, 0, -1]), "shape")])[0]
        if merge == "sum":
            return self.node("ReduceSum", [y, axis], keepdims=0)[0]
        return self.node(_MERGES[merge], [y], axes=[1], keepdims=0)[0]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model: to a temporary file that then takes the place of `path`.

        Raises
        ------
        OSError
            If it cannot be written; `path` is as it was.
        """
        graph = helper.make_graph(
            self._nodes, "fastrnn", self._inputs, self._outputs, self._constants
        )
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="fastrnn"
        )
        onnx.checker.check_model(model)
        _write(Path(path), model.SerializeToString())


def _value(name: str, dtype: np.dtype[Any], shape: Sequence[int | str | None]) -> Any:
    element = helper.np_dtype_to_tensor_dtype(dtype)
    if element not in DTYPES:
        raise ValueError(f"{name}: expected numbers, got {dtype}")
    return helper.make_tensor_value_info(name, element, list(shape))


def _write(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
