"""Chorales as piano rolls: which of 88 keys sound in the next frame."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.data import LengthBatches
from fastrnn.layers import GRU, LSTM, Dense, Dropout
from fastrnn.losses import BinaryCrossentropy
from fastrnn.models import Sequential
from fastrnn.optimizers import Adam
from fastrnn.recipes.recipe import Recipe, RecipeError, Report, Score, read_bytes, require

Array = NDArray[Any]

CELLS = {"lstm": LSTM, "gru": GRU}
KEYS = 88
#: Negative log-likelihoods a frame that S. Bai, J. Z. Kolter and V. Koltun, An empirical
#: evaluation of generic convolutional and recurrent networks for sequence modeling, 2018, give
#: in table 1 for the chorales of this split.
PUBLISHED = {"lstm": 8.45, "gru": 8.43}


class Music(Recipe):
    """Predict the next frame of a piano roll with a recurrent layer.

    Parameters
    ----------
    path : str or path
        A .mat file with the cells `traindata`, `validdata` and `testdata` of arrays (T, 88) of 0
        and 1, as `JSB_Chorales.mat`.
    cell : "lstm" or "gru"
    units : int
        Hidden units.
    layers : int
        Recurrent layers.
    dropout : float
        Share of the numbers between the layers that is 0 while learning.
    input_dropout : float
        Share of the keys that the model does not see while learning.
    batch : int
        Pieces of a step.
    learning_rate : float

    Raises
    ------
    RecipeError
        If the file cannot be read or has something else in it, or an option is unknown.

    Notes
    -----
    A figure is the sum over the keys of the binary cross entropy, averaged over all frames but
    the first of each piece, as Bai et al. compute it.
    """

    epochs = 300
    patience = 20
    loss_label = "cross entropy of a frame in nats"

    def __init__(
        self,
        path: str | Path,
        *,
        cell: str = "lstm",
        units: int = 256,
        layers: int = 1,
        dropout: float = 0.5,
        input_dropout: float = 0.2,
        batch: int = 8,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise RecipeError(f"cell: expected {' or '.join(CELLS)}, got {cell!r}")
        self.path = Path(path)
        self.sources = [self.path]
        self.cell = cell
        self.batch = batch
        self.parts = read(path)
        stack: list[Any] = [Dropout(input_dropout)] if input_dropout else []
        for _ in range(layers):
            stack += [CELLS[cell](units, return_sequences=True), Dropout(dropout)]
        self.model = Sequential([*stack, Dense(KEYS)])
        self.model.build((None, None, KEYS))
        # The loss is a mean over the keys, the figures are sums.
        # Every gradient is longer than the limit: all count alike, and Adam heeds no common scale.
        self.model.compile(
            Adam(learning_rate, global_clipnorm=0.05), BinaryCrossentropy(from_logits=True),
            loss_weights=float(KEYS),
        )  # fmt: skip

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say before learning."""
        counts = [f"{len(part)} {name}" for name, part in zip(NAMES, self.parts, strict=True)]
        frames = sum(len(piece) for part in self.parts for piece in part)
        return [
            ("data", f"{self.path.name}: {frames:,} frames; pieces: {', '.join(counts)}"),
            ("model", f"{self.cell}: {self.size()}"),
        ]

    def batches(self) -> tuple[Any, Any]:
        """Return training and validation pieces."""
        training, validation, _ = (shifted(part) for part in self.parts)
        return (
            LengthBatches(*training, batch_size=self.batch, dtype=np.float32),
            # One batch: a mean over batches would weigh short pieces more.
            LengthBatches(
                *validation, batch_size=len(validation[0]), shuffle=False, dtype=np.float32
            ),
        )

    def evaluate(self) -> Report:
        """Return the loss a frame of the model, and of constant frequencies of the keys."""
        scores = []
        for name, part in list(zip(NAMES, self.parts, strict=True))[1:]:
            what = f"{name} pieces"
            scores.append(Score("nll a frame", self._loss(part), "this model", what))
            value = frequencies_loss(self.parts[0], part)
            scores.append(Score("nll a frame", value, "frequencies of the keys", what))
            value = repetition_loss(self.parts[0], part)
            scores.append(Score("nll a frame", value, "sounding or not before", what))
        published = f"published: {PUBLISHED[self.cell]} for this cell (Bai et al. 2018, table 1)"
        return Report(scores, [published], [self.curves()])

    def _loss(self, pieces: list[Array]) -> float:
        total, frames = 0.0, 0
        for x, y in zip(*shifted(pieces), strict=True):
            logits = self.model.predict_on_batch(x[None])[0].astype(np.float64)
            total += float((np.logaddexp(0.0, logits) - logits * y).sum())
            frames += len(y)
        return total / frames


NAMES = ("training", "validation", "test")


def read(path: str | Path) -> list[list[Array]]:
    """Return the training, validation and test pieces, each (T, 88) float32 of 0 and 1.

    Raises
    ------
    RecipeError
        If the file is no such one.
    """
    content = read_bytes(path)
    scipy_io = require("scipy.io", "scipy", "reading a .mat file")
    try:
        found = scipy_io.loadmat(io.BytesIO(content))
    except Exception as error:  # of many kinds, by what is damaged
        raise RecipeError(f"{path}: not a .mat file that can be read: {error}") from error
    parts = []
    for key in ("traindata", "validdata", "testdata"):
        if key not in found:
            raise RecipeError(
                f"{path}: expected traindata, validdata and testdata, it has no {key}"
            )
        parts.append([_piece(path, key, piece) for piece in np.ravel(found[key])])
        if not parts[-1]:
            raise RecipeError(f"{path}: {key}: expected at least one piece")
    return parts


def _piece(path: str | Path, key: str, piece: Any) -> Array:
    roll = np.asarray(piece)
    if roll.ndim != 2 or roll.shape[1] != KEYS or len(roll) < 2 or roll.dtype.kind not in "biuf":
        raise RecipeError(
            f"{path}: {key}: expected arrays (T, {KEYS}) of at least 2 frames, "
            f"got {roll.dtype} {roll.shape}"
        )
    if not np.isin(roll, (0, 1)).all():
        raise RecipeError(f"{path}: {key}: expected numbers 0 and 1 only")
    return roll.astype(np.float32)


def shifted(pieces: list[Array]) -> tuple[list[Array], list[Array]]:
    """Return each piece without its last frame, and without its first: inputs and targets."""
    return [piece[:-1] for piece in pieces], [piece[1:] for piece in pieces]


def frequencies_loss(training: list[Array], pieces: list[Array]) -> float:
    """Return the loss a frame of predicting each key's frequency in the training pieces."""
    frames = np.concatenate(training)
    p = (frames.sum(axis=0, dtype=np.float64) + 0.5) / (len(frames) + 1.0)
    y = np.concatenate(shifted(pieces)[1])
    return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).sum() / len(y))


def repetition_loss(training: list[Array], pieces: list[Array]) -> float:
    """Return the loss a frame of the frequency of a key after it sounded, and after it did not."""
    before, after = (np.concatenate(part).astype(np.float64) for part in shifted(training))
    x, y = (np.concatenate(part) for part in shifted(pieces))
    p = np.zeros(x.shape)
    for state in (0, 1):
        count = (before == state).sum(axis=0)
        sounding = ((before == state) * after).sum(axis=0)
        p += (x == state) * ((sounding + 0.5) / (count + 1.0))
    return float(-(y * np.log(p) + (1 - y) * np.log1p(-p)).sum() / len(y))
