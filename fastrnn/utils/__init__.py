"""Names that programs for Keras import from `keras.utils`."""

from fastrnn.data.feed import pack as pack_x_y_sample_weight
from fastrnn.data.feed import unpack as unpack_x_y_sample_weight
from fastrnn.data.py_dataset import PyDataset
from fastrnn.data.py_dataset import PyDataset as Sequence
from fastrnn.data.windows import timeseries_dataset_from_array
from fastrnn.layers.context import clear_session
from fastrnn.layers.serialization import register_keras_serializable
from fastrnn.preprocessing.categories import to_categorical
from fastrnn.preprocessing.sequence import pad_sequences
from fastrnn.random import set_seed as set_random_seed

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "register_keras_serializable",
    "set_random_seed",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]
