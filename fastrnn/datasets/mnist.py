"""MNIST: handwritten digits, 28 x 28 grey pixels (Y. LeCun, C. Cortes and C. Burges 1998)."""

from __future__ import annotations

import os
from typing import Any

from numpy.typing import NDArray

from fastrnn.datasets import archive

Pair = tuple[NDArray[Any], NDArray[Any]]


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Pair, Pair]:
    """Load the digits from a file that lies on this machine.

    Parameters
    ----------
    path : str or path
        Absolute, or within ~/.keras/datasets.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : arrays of uint8
        Pixels (60000, 28, 28) and digits (60000,) to learn from, and 10000 of each to test.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged.
    """
    names = ("x_train", "y_train", "x_test", "y_test")
    found = archive.find(path, "keras.datasets.mnist.load_data()")
    x_train, y_train, x_test, y_test = archive.read(found, names)
    return (x_train, y_train), (x_test, y_test)
