"""Batches: out of arrays, data sets, generators, and sequences of unequal lengths."""

from fastrnn.data.dataset import AUTOTUNE, Dataset
from fastrnn.data.lengths import LengthBatches

__all__ = ["AUTOTUNE", "Dataset", "LengthBatches"]
