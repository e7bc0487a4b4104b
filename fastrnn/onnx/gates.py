"""Weights of recurrent layers in ONNX' layout and in the engine's.

ONNX has a direction's W (G * H, I), R (G * H, H), B (2 * G * H,), a bias for each of the two
products, and P (3 * H,); the engine W (I, G * H), R (H, G * H) and one b, which has peepholes too.
The gates are i o f c (LSTM), z r h (GRU), and those of P are i o f.  They go here by the names
that the engine's cells have for them, c by g and h by n.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastrnn.cells.protocol import gate_names

Array = NDArray[Any]

#: ONNX' order of gates, by operator.
ORDERS = {"LSTM": "iofg", "GRU": "zrn", "RNN": "n"}
_PEEPHOLES = "iof"


class Weights(NamedTuple):
    """One direction's weights as ONNX has them; see the module."""

    W: Array
    R: Array
    B: Array | None
    P: Array | None


def from_onnx(op: str, kind: Any, weights: Weights) -> tuple[Array, Array, Array | None]:
    """Return W, R and b, as `functional.rnn` takes them, for a cell of class `kind`."""
    order = ORDERS[op]
    H = weights.R.shape[1]

    def turned(matrix: Array, part: str) -> Array:
        blocks = matrix.reshape(len(order), H, -1)
        chosen = blocks[[order.index(name[0]) for name in gate_names(kind, part)]]
        return np.ascontiguousarray(chosen.reshape(-1, matrix.shape[1]).T)

    W, R = turned(weights.W, "INPUT"), turned(weights.R, "RECURRENT")
    if weights.B is None and weights.P is None:
        return W, R, None
    B = np.zeros((2, len(order), H), W.dtype)
    if weights.B is not None:
        B[...] = weights.B.reshape(B.shape)
    P = np.zeros((len(_PEEPHOLES), H), W.dtype)
    if weights.P is not None:
        P[...] = weights.P.reshape(P.shape)
    rows = []
    for name in gate_names(kind, "BIAS"):
        if name.startswith("p_"):
            rows.append(P[_PEEPHOLES.index(name[2:])])
        elif name in ("n_x", "n_h"):
            rows.append(B[int(name == "n_h"), order.index("n")])
        else:
            rows.append(B[:, order.index(name)].sum(axis=0))
    return W, R, np.concatenate(rows)


def to_onnx(op: str, kind: Any, W: Array, R: Array, b: Array | None) -> Weights:
    """Return the weights of a cell of class `kind` as ONNX has them: `from_onnx` undone.

    Gates that the cell does not have are zeros.
    """
    order = ORDERS[op]
    H = R.shape[0]

    def turned(matrix: Array, part: str) -> Array:
        blocks = np.zeros((len(order), H, matrix.shape[0]), matrix.dtype)
        names = gate_names(kind, part)
        for name, block in zip(names, matrix.T.reshape(len(names), H, -1), strict=True):
            blocks[order.index(name[0])] = block
        return blocks.reshape(len(order) * H, -1)

    weights = Weights(turned(W, "INPUT"), turned(R, "RECURRENT"), None, None)
    names = gate_names(kind, "BIAS")
    has_peepholes = any(name.startswith("p_") for name in names)
    if b is None and not has_peepholes:
        return weights
    rows = np.zeros((len(names), H), W.dtype) if b is None else b.reshape(len(names), H)
    B = np.zeros((2, len(order), H), W.dtype)
    P = np.zeros((len(_PEEPHOLES), H), W.dtype)
    for name, row in zip(names, rows, strict=True):
        if name.startswith("p_"):
            P[_PEEPHOLES.index(name[2:])] = row
        else:
            B[int(name == "n_h"), order.index(name[0])] = row
    return weights._replace(B=B.reshape(-1), P=P.reshape(-1) if has_peepholes else None)
