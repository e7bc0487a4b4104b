"""Layers: functions with weights, named and shaped as in Keras."""

from fastrnn.layers.activation import Activation
from fastrnn.layers.attention import AdditiveAttention, Attention
from fastrnn.layers.bidirectional import Bidirectional
from fastrnn.layers.cell import Cell
from fastrnn.layers.dense import Dense
from fastrnn.layers.dot import Dot, dot
from fastrnn.layers.dropout import Dropout, SpatialDropout1D
from fastrnn.layers.embedding import Embedding, LookedUp
from fastrnn.layers.formula import FormulaCell, Recurrent
from fastrnn.layers.input_spec import InputSpec
from fastrnn.layers.keras_cells import GRUCell, LSTMCell, SimpleRNNCell
from fastrnn.layers.layer import Layer
from fastrnn.layers.layer_normalization import LayerNormalization
from fastrnn.layers.masking import Masking
from fastrnn.layers.merging import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    maximum,
    minimum,
    multiply,
    subtract,
)
from fastrnn.layers.pooling import GlobalAveragePooling1D, GlobalMaxPooling1D
from fastrnn.layers.recurrent import GRU, LSTM, SimpleRNN
from fastrnn.layers.rnn import RNN
from fastrnn.layers.serialization import deserialize, register, serialize
from fastrnn.layers.shaping import Flatten, Permute, RepeatVector, Reshape
from fastrnn.layers.stacked_cells import StackedRNNCells
from fastrnn.layers.symbol import Input, Symbol
from fastrnn.layers.wrappers import TimeDistributed

LAYERS = (
    Activation, Add, AdditiveAttention, Attention, Average, Bidirectional, Concatenate, Dense,
    Dot, Dropout, Embedding, Flatten, FormulaCell, GlobalAveragePooling1D, GlobalMaxPooling1D, GRU,
    GRUCell, LSTM, LSTMCell, LayerNormalization, Masking, Maximum, Minimum, Multiply, Permute,
    RNN, Recurrent, RepeatVector, Reshape, SimpleRNN, SimpleRNNCell, SpatialDropout1D,
    StackedRNNCells, Subtract, TimeDistributed,
)  # fmt: skip
for _layer in LAYERS:
    register(_layer)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "Bidirectional",
    "Cell",
    "Concatenate",
    "Dense",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "FormulaCell",
    "GRUCell",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "Input",
    "InputSpec",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LookedUp",
    "Masking",
    "Maximum",
    "Minimum",
    "Multiply",
    "Permute",
    "Recurrent",
    "RepeatVector",
    "Reshape",
    "SimpleRNN",
    "SimpleRNNCell",
    "SpatialDropout1D",
    "StackedRNNCells",
    "Subtract",
    "Symbol",
    "TimeDistributed",
    "add",
    "average",
    "concatenate",
    "deserialize",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "register",
    "serialize",
    "subtract",
]
