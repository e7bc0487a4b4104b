"""Layers: functions with weights, named and shaped as in Keras."""

from fastrnn.layers.dense import Dense
from fastrnn.layers.dropout import Dropout
from fastrnn.layers.embedding import Embedding, LookedUp
from fastrnn.layers.layer import Layer
from fastrnn.layers.recurrent import LSTM, Recurrent

__all__ = ["LSTM", "Dense", "Dropout", "Embedding", "Layer", "LookedUp", "Recurrent"]
