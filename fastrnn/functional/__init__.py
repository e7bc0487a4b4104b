"""The engine on NumPy arrays.

Each function returns its result and a `backward` closure that turns gradients of the result
into gradients of the arguments.  Everything above in the package uses only these.
"""

from fastrnn.functional.binary_cross_entropy import binary_cross_entropy
from fastrnn.functional.cross_entropy import cross_entropy
from fastrnn.functional.ctc import ctc
from fastrnn.functional.double_backward import rnn_double_backward
from fastrnn.functional.dropout import apply_mask, dropout, dropout_factors
from fastrnn.functional.embedding import embedding, numbered, used_rows
from fastrnn.functional.frozen import freeze
from fastrnn.functional.linear import linear
from fastrnn.functional.options import Embedded, Packed
from fastrnn.functional.rnn import rnn
from fastrnn.functional.softmax_cross_entropy import softmax_cross_entropy
from fastrnn.functional.stack import Direction, stack

__all__ = [
    "Direction",
    "Embedded",
    "Packed",
    "apply_mask",
    "binary_cross_entropy",
    "cross_entropy",
    "ctc",
    "dropout",
    "dropout_factors",
    "embedding",
    "freeze",
    "linear",
    "numbered",
    "rnn",
    "rnn_double_backward",
    "softmax_cross_entropy",
    "stack",
    "used_rows",
]
