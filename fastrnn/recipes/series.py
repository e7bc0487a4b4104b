"""Forecasts of columns of numbers."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn.data import Dataset
from fastrnn.layers import GRU, LSTM, Dense, Dropout, Reshape
from fastrnn.models import Sequential
from fastrnn.optimizers import Adam
from fastrnn.recipes.recipe import (
    Panel,
    Recipe,
    RecipeError,
    Report,
    Score,
    decode,
    read_bytes,
)

Array = NDArray[Any]

CELLS = {"lstm": LSTM, "gru": GRU}


class Series(Recipe):
    """Forecast the next rows of a table from the rows before, all of them at once.

    The model sees columns less their last row in the window and divided by their deviation in the
    training part, and forecasts the change from that row on: the naive forecast, that nothing
    changes, is what it starts from.

    Parameters
    ----------
    path : str or path
        A CSV file, a row for each moment, the oldest first; perhaps with a line of names.
    columns : str, optional
        Names, or numbers from 1, with commas between them; all that have numbers only if not
        given.
    horizon : int
        Rows to forecast.
    window : int
        Rows to forecast from.
    cell : "lstm" or "gru"
    units : int
        Hidden units.
    dropout : float
        Share of inputs of the last layer that is 0 while learning.
    batch : int
        Windows of a step.
    learning_rate : float

    Raises
    ------
    RecipeError
        If the file cannot be read, is no table of numbers, or is too short, or an option is
        unknown.

    Notes
    -----
    The last 20 % of the rows are the test part, and the 10 % before them the validation part: the
    rows that are forecast, and no row of a later part, were seen in learning.
    """

    epochs = 100
    patience = 10
    loss_label = "squared error of scaled columns"

    def __init__(
        self,
        path: str | Path,
        *,
        columns: str | None = None,
        horizon: int = 1,
        window: int = 24,
        cell: str = "lstm",
        units: int = 64,
        dropout: float = 0.0,
        batch: int = 32,
        learning_rate: float = 2e-3,
    ) -> None:
        super().__init__()
        if cell not in CELLS:
            raise RecipeError(f"cell: expected {' or '.join(CELLS)}, got {cell!r}")
        self.path = Path(path)
        self.sources = [self.path]
        self.names, table, self.left_out = read(path, columns)
        self.horizon, self.window, self.batch = horizon, window, batch
        ends = round(0.7 * len(table)), round(0.8 * len(table)), len(table)
        self.table = table
        self.ends = ends
        if ends[0] < window + horizon or min(ends[1] - ends[0], ends[2] - ends[1]) < horizon:
            raise RecipeError(
                f"{path}: {len(table)} rows are too few for a window of {window} and a horizon "
                f"of {horizon}"
            )
        deviation = table[: ends[0]].std(axis=0)
        self.scale = np.where(deviation > 0, deviation, 1.0)
        D = table.shape[1]
        self.model = Sequential(
            [
                CELLS[cell](units),
                Dropout(dropout),
                Dense(horizon * D, kernel_initializer="zeros"),
                Reshape((horizon, D)),
            ]
        )
        self.model.build((None, window, 2 * D))
        self.model.compile(Adam(learning_rate, global_clipnorm=1.0), "mean_squared_error")

    def facts(self) -> list[tuple[str, str]]:
        """Return what there is to say before learning."""
        left_out = [("", f"{_listed(self.left_out)}: left out, as not all cells are numbers")]
        rows = "row" if self.horizon == 1 else "rows"
        return [
            ("data", f"{self.path.name}: {len(self.table):,} rows of {_listed(self.names)}"),
            *(left_out if self.left_out else []),
            ("", f"{self.ends[0]:,} to train on, {self.ends[1] - self.ends[0]:,} to validate, "
             f"{self.ends[2] - self.ends[1]:,} to test"),
            ("task", f"{self.horizon} {rows} out of {self.window}"),
            ("model", self.size()),
        ]  # fmt: skip

    def preprocessing(self) -> dict[str, Any]:
        """Return names and scales of the columns."""
        return {
            "columns": self.names, "window": self.window, "horizon": self.horizon,
            "mean": self._mean().tolist(), "scale": self.scale.tolist(),
            "inputs": "(x - x[-1]) / scale beside (x - mean) / scale",
            "outputs": "(y - x[-1]) / scale",
        }  # fmt: skip

    def _mean(self) -> Array:
        mean: Array = self.table[: self.ends[0]].mean(axis=0)
        return mean

    def windows(self, part: int) -> tuple[Array, Array, Array]:
        """Return inputs (N, window, 2 D), changes (N, horizon, D), and last rows (N, 1, D).

        All rows that are forecast are in part 0 (training), 1 (validation) or 2 (test).
        """
        first = self.window if part == 0 else self.ends[part - 1]
        starts = np.arange(first, self.ends[part] - self.horizon + 1)
        x = self.table[starts[:, None] + np.arange(-self.window, 0)]
        y = self.table[starts[:, None] + np.arange(self.horizon)]
        last = x[:, -1:]
        inputs = np.concatenate([(x - last) / self.scale, (x - self._mean()) / self.scale], axis=-1)
        change = (y - last) / self.scale
        return inputs.astype(np.float32), change.astype(np.float32), last

    def batches(self) -> tuple[Any, Any]:
        """Return training and validation data."""
        training = Dataset.from_tensor_slices(self.windows(0)[:2])
        validation = Dataset.from_tensor_slices(self.windows(1)[:2])
        return training.shuffle(len(training)).batch(self.batch), validation.batch(1024)

    def evaluate(self) -> Report:
        """Return errors of the forecasts of the test part, and those of simpler ones."""
        inputs, change, last = self.windows(2)
        predicted = self.model.predict(inputs, batch_size=1024, verbose=0)
        truth = last + change * self.scale
        rows = f"{len(truth):,} forecasts"
        rivals = {"this model": predicted, "naive: no change": np.zeros_like(change)}
        before = inputs[:, :, : change.shape[2]]
        if self.window >= 2:
            slope = before[:, -1:] - before[:, -2:-1]
            rivals["the last change again"] = slope * np.arange(1, self.horizon + 1)[:, None]
        scores = []
        for index, name in enumerate(self.names):
            for label in ("mean absolute error", "root mean square error"):
                for who, forecast in rivals.items():
                    error = (forecast - change)[:, :, index] * self.scale[index]
                    is_mean = label.startswith("mean")
                    mean = float((np.abs(error) if is_mean else np.square(error)).mean())
                    value = mean if is_mean else math.sqrt(mean)
                    scores.append(Score(label, value, who, f"{name}, {rows}"))
        x = np.arange(self.ends[1] + self.horizon - 1, self.ends[2])[-200:]
        shown = {
            "truth": truth[-200:, -1, 0],
            f"forecast {self.horizon} ahead": (last + predicted * self.scale)[-200:, -1, 0],
        }
        panel = Panel("row", self.names[0], {name: (x, y) for name, y in shown.items()})
        return Report(scores, [], [self.curves(), panel])


def read(path: str | Path, columns: str | None) -> tuple[list[str], Array, list[str]]:
    """Return names of columns, a table (T, D) float64, and names of columns that are no numbers.

    The last are empty where columns are asked for.

    Raises
    ------
    RecipeError
        If the file is no table, or a column is unknown, or has something else than numbers.
    """
    text = decode(path, read_bytes(path))
    try:
        dialect: Any = csv.Sniffer().sniff(text[:4096], delimiters=",;\t")
    except csv.Error:
        dialect = csv.excel
    try:
        rows = [row for row in csv.reader(io.StringIO(text), dialect) if any(row)]
    except csv.Error as error:
        raise RecipeError(f"{path}: not a CSV file: {error}") from error
    widths = {len(row) for row in rows}
    if len(widths) != 1:
        raise RecipeError(f"{path}: expected rows of equal length, got {sorted(widths)[:4]} fields")
    names = [f"column {i}" for i in range(1, len(rows[0]) + 1)]
    if all(_number(cell) is None for cell in rows[0]):
        names, rows = [cell.strip() for cell in rows[0]], rows[1:]
    values = [[_number(row[i]) for row in rows] for i in range(len(names))]
    chosen = _chosen(path, columns, names, values)
    for i in chosen:
        bad = next((n for n, value in enumerate(values[i], 1) if value is None), None)
        if bad is not None:
            raise RecipeError(
                f"{path}: {names[i]}: expected numbers only, got {rows[bad - 1][i]!r} in row {bad}"
            )
    table = np.array([values[i] for i in chosen], np.float64).T
    left_out = [] if columns is not None else [n for i, n in enumerate(names) if i not in chosen]
    return [names[i] for i in chosen], table, left_out


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def _chosen(
    path: str | Path, columns: str | None, names: list[str], values: list[list[float | None]]
) -> list[int]:
    if columns is None:
        found = [i for i, column in enumerate(values) if column and None not in column]
        if not found:
            raise RecipeError(f"{path}: expected at least one column of numbers only")
        return found
    chosen = []
    for column in columns.split(","):
        word = column.strip()
        if word in names:
            chosen.append(names.index(word))
        elif word.isdecimal() and 1 <= int(word) <= len(names):
            chosen.append(int(word) - 1)
        else:
            raise RecipeError(f"{path}: columns: expected some of {', '.join(names)}, got {word!r}")
    return chosen


def _number(cell: str) -> float | None:
    """Return the number in a cell, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
