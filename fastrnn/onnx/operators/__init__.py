"""Every operator that models may have, by its ONNX name.

An operator is made ready once, `run = OPERATORS[node.op](node)`, and then computes:
`run(*inputs)` returns its output, or a tuple where it has several.  Inputs that are left out are
None.  A definition's version in a given opset is `node.version`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastrnn.onnx.graph import Node
from fastrnn.onnx.operators import elementwise, indexing, product, recurrent, reduction, shape
from fastrnn.onnx.operators.elementwise import binary, floating, logical, unary, variadic
from fastrnn.onnx.operators.reduction import reduction as reduce_by

Make = Callable[[Node], Callable[..., Any]]

OPERATORS: dict[str, Make] = {
    "Abs": unary(np.abs),
    "Add": binary(np.add),
    "And": binary(logical(np.logical_and)),
    "ArgMax": reduction.arg_max,
    "Cast": elementwise.cast,
    "CastLike": elementwise.cast_like,
    "Clip": elementwise.clip,
    "Concat": shape.concat,
    "Constant": shape.constant,
    "ConstantOfShape": shape.constant_of_shape,
    "Div": binary(elementwise.divide),
    "CumSum": reduction.cumulative_sum,
    "Dropout": elementwise.dropout,
    "Elu": elementwise.elu,
    "Equal": binary(np.equal),
    "Exp": floating(np.exp),
    "Expand": shape.expand,
    "Flatten": shape.flatten,
    "GRU": recurrent.gru,
    "Gather": indexing.gather,
    "GatherElements": indexing.gather_elements,
    "GatherND": indexing.gather_nd,
    "Gemm": product.gemm,
    "Greater": binary(np.greater),
    "GreaterOrEqual": binary(np.greater_equal),
    "HardSigmoid": elementwise.hard_sigmoid,
    "Identity": elementwise.identity,
    "LSTM": recurrent.lstm,
    "LayerNormalization": reduction.layer_normalization,
    "LeakyRelu": elementwise.leaky_relu,
    "Less": binary(np.less),
    "LessOrEqual": binary(np.less_equal),
    "Log": floating(np.log),
    "LogSoftmax": reduction.log_softmax,
    "MatMul": product.matmul,
    "Max": variadic(np.maximum),
    "Min": variadic(np.minimum),
    "Mul": binary(np.multiply),
    "Neg": unary(np.negative),
    "Not": unary(logical(np.logical_not)),
    "Or": binary(logical(np.logical_or)),
    "Pad": shape.pad,
    "Pow": elementwise.power,
    "RNN": recurrent.rnn,
    "Range": shape.arithmetic_range,
    "Reciprocal": floating(np.reciprocal),
    "ReduceMax": reduce_by(reduction.largest),
    "ReduceMean": reduce_by(reduction.mean),
    "ReduceMin": reduce_by(reduction.smallest),
    "ReduceProd": reduce_by(reduction.product),
    "ReduceSum": reduce_by(reduction.total),
    "Relu": unary(elementwise.relu),
    "Reshape": shape.reshape,
    "ReverseSequence": indexing.reverse_sequence,
    "ScatterElements": indexing.scatter_elements,
    "Shape": shape.shape,
    "Sigmoid": floating(elementwise.sigmoid),
    "Size": shape.size,
    "Slice": indexing.slices,
    "Softmax": reduction.softmax,
    "Softplus": floating(elementwise.softplus),
    "Softsign": floating(elementwise.softsign),
    "Split": shape.split,
    "Sqrt": floating(np.sqrt),
    "Squeeze": shape.squeeze,
    "Sub": binary(np.subtract),
    "Sum": variadic(np.add),
    "Tanh": floating(np.tanh),
    "Tile": shape.tile,
    "TopK": reduction.top_k,
    "Transpose": shape.transpose,
    "Unsqueeze": shape.unsqueeze,
    "Where": elementwise.where,
}

#: Operators whose result may be a view of an input, or the input itself.
VIEWS = frozenset(
    ("Cast", "CastLike", "Clip", "Dropout", "Flatten", "GatherND", "Identity", "LogSoftmax", "Max",
     "Min", "Reshape", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Slice",
     "Softmax", "Split", "Squeeze", "Sum", "Transpose", "Unsqueeze")
)  # fmt: skip
