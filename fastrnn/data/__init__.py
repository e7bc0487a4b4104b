"""Batches: out of arrays, data sets, generators, and sequences of unequal lengths."""

from fastrnn.data.dataset import AUTOTUNE, Dataset
from fastrnn.data.lengths import LengthBatches
from fastrnn.data.py_dataset import PyDataset
from fastrnn.data.windows import timeseries_dataset_from_array

__all__ = ["AUTOTUNE", "Dataset", "LengthBatches", "PyDataset", "timeseries_dataset_from_array"]
