"""How many edits lead from what was recognised to what was said.

Not metrics of Keras'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrnn.metrics.metric import Metric, as_array


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """Return the fewest insertions, deletions and substitutions that make b of a.

    Source
    ------
    V. I. Levenshtein, Binary codes capable of correcting deletions, insertions, and reversals,
    1966.

    Examples
    --------
    >>> edit_distance("kitten", "sitting")
    3
    """
    numbers: dict[Any, int] = {}
    x, y = (
        np.array([numbers.setdefault(token, len(numbers)) for token in tokens], np.int64)
        for tokens in (a, b)
    )
    places = np.arange(len(y) + 1)
    # Row i holds the distances from a[:i] to every b[:j].
    row = places.copy()
    for i, token in enumerate(x):
        best = np.minimum(row[1:] + 1, row[:-1] + (y != token))
        row = np.concatenate([[i + 1], best])
        # An insertion costs 1 a place: the cheapest start to the left decides.
        row = np.minimum.accumulate(row - places) + places
    return int(row[-1])


class WordErrorRate(Metric):
    """Edits a word of the reference: sum of edit distances / sum of lengths of the references.

    Parameters
    ----------
    padding : token, optional
        Is dropped from sequences, such as the 0 that fills up rows of an array.
    """

    def __init__(
        self, name: str | None = "word_error_rate", dtype: Any = None, padding: Any = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.padding = padding
        self.edits = 0.0
        self.length = 0.0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Compare sequences.

        Parameters
        ----------
        y_true, y_pred : sequences of B texts or of B sequences of tokens, or (B, L) arrays
            References and what was recognised.  Texts are cut at white space.
        sample_weight : (B,) array, optional

        Raises
        ------
        ValueError
            If their numbers differ.
        """
        references, found = self._sequences(y_true), self._sequences(y_pred)
        if len(references) != len(found):
            raise ValueError(f"y_pred: expected {len(references)} sequences, got {len(found)}")
        weights = np.ones(len(found))
        if sample_weight is not None:
            weights = as_array(sample_weight).astype(np.float64).reshape(-1)
            if len(weights) != len(found):
                raise ValueError(f"sample_weight: expected ({len(found)},), got {weights.shape}")
        for reference, hypothesis, weight in zip(references, found, weights, strict=True):
            self.edits += float(weight) * edit_distance(reference, hypothesis)
            self.length += float(weight) * len(reference)

    def result(self) -> float:
        """Return the rate; 0 if nothing was measured, inf for edits of empty references."""
        if not self.length:
            return float("inf") if self.edits else 0.0
        return self.edits / self.length

    def reset_state(self) -> None:
        """Forget all sequences."""
        super().reset_state()
        self.edits = self.length = 0.0

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "padding": self.padding}

    def _sequences(self, given: Any) -> list[list[Any]]:
        if isinstance(given, str):
            raise ValueError(f"expected a sequence of texts, got the text {given[:40]!r}")
        rows = given if isinstance(given, list | tuple) else as_array(given).tolist()
        if not all(isinstance(row, Sequence | np.ndarray) for row in rows):
            raise ValueError(f"expected a sequence of sequences, got {type(given).__name__}")
        return [
            [token for token in self._tokens(row) if self.padding is None or token != self.padding]
            for row in rows
        ]

    def _tokens(self, row: Any) -> list[Any]:
        if isinstance(row, str):
            return row.split()
        return [token.item() if isinstance(token, np.generic) else token for token in row]


class CharacterErrorRate(WordErrorRate):
    """Edits a character of the reference: `WordErrorRate` with texts taken letter by letter."""

    def __init__(
        self, name: str | None = "character_error_rate", dtype: Any = None, padding: Any = None
    ) -> None:
        super().__init__(name, dtype, padding)

    def _tokens(self, row: Any) -> list[Any]:
        return list(row) if isinstance(row, str) else super()._tokens(row)
