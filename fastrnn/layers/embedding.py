"""Vectors for the indices of a vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.layers.checks import flag, positive
from fastrnn.layers.layer import Layer
from fastrnn.tape import RowGradients, Tensor, Variable, record

Array = NDArray[Any]
_NOTHING: Array = np.empty(0)

# Ids for each row of a table from which on hardly a row is not used, and none is left out.
_FEWEST_USES = 4


class LookedUp(Tensor):
    """Rows of a table that are copied out only if somebody asks for the array.

    A recurrent layer does not: it looks up products of the table with its weights.

    Parameters
    ----------
    ids : (...) array of integers
    table : (V, D) Variable
    """

    is_source = False

    def __init__(self, ids: Array, table: Variable) -> None:
        super().__init__(_NOTHING)
        self.ids = ids
        self.table = table
        self._rows: Array | None = None
        self._pull: Any = None

    @property
    def value(self) -> Array:
        """The rows (..., D), copied at the first use."""
        if self._rows is None:
            self._rows, self._pull = self.copied()
        # At every use, as another tape may be open.  The closure does not hold this tensor.
        pull = self._pull
        record([self.table], [self], lambda dy: [pull(dy)], repeatable=True)
        return self._rows

    def copied(self) -> tuple[Array, Any]:
        """Return the rows (..., D), and what makes the table's gradient of theirs."""
        return self._look_up(self.ids)

    def by_step(self, turn: int, factors: Array | None) -> tuple[Any, Callable[[Array], Any]]:
        """Return the rows step by step, as `functional.rnn` takes them, and their gradient.

        Parameters
        ----------
        turn : int
            -1: from the last column of ids (B, T) to the first.
        factors : (B, D) array, optional
            What the rows of all steps are multiplied by.

        Returns
        -------
        rows : (T, B, D) array, or Embedded
        gradient : callable
            Makes that of the table of what `functional.rnn` returns for the rows.
        """
        ids, table = self.ids.T[::turn], self.table.value
        if factors is not None:
            return self._look_up(ids, factors)
        if len(table) * _FEWEST_USES <= ids.size:
            return functional.Embedded(ids, table), lambda dtable: dtable
        rows, places = functional.numbered(ids, len(table))
        used, _ = functional.embedding(_filled_up(rows), table)
        shape, number = table.shape, len(rows)
        return (
            functional.Embedded(places, used),
            lambda d: RowGradients.unchecked(rows, d[:number], shape),
        )

    def _look_up(self, ids: Array, factors: Array | None = None) -> tuple[Array, Any]:
        """Return rows, and what makes the table's gradient of theirs."""
        shape, is_sparse = self.table.shape, self.is_sparse
        rows, backward = functional.embedding(ids, self.table.value, factors)

        def pull(dy: Array) -> Any:
            return RowGradients.unchecked(*backward.rows(dy), shape) if is_sparse else backward(dy)

        return rows, pull

    @property
    def is_sparse(self) -> bool:
        """Whether the table has more rows than are looked up."""
        return self.table.shape[0] > self.ids.size

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows."""
        return (*self.ids.shape, self.table.shape[1])

    @property
    def ndim(self) -> int:
        """Number of axes of the rows."""
        return self.ids.ndim + 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the rows."""
        return self.table.dtype


def _filled_up(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows and the last of them again, up to one of few numbers: runs of a size recur."""
    step = 1 << max(4, len(rows).bit_length() - 6)
    return np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % step)])


class Embedding(Layer):
    """A table of vectors, one for each index.

    Parameters
    ----------
    input_dim : int
        Size of the vocabulary V: indices are in 0..V-1.
    output_dim : int
        Length of a vector.
    embeddings_initializer, embeddings_regularizer, embeddings_constraint
        What the table starts as, its term of the loss and its constraint.
    mask_zero : bool
        Index 0 is padding: the layers above pass its steps over.
    weights : (V, D) array, or a list of it, optional
        What the table starts as.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.input_dim = positive("input_dim", input_dim)
        self.output_dim = positive("output_dim", output_dim)
        self.mask_zero = flag("mask_zero", mask_zero)
        self.supports_masking = self.mask_zero
        self._choices = {
            "initializer": embeddings_initializer, "regularizer": embeddings_regularizer,
            "constraint": embeddings_constraint,
        }  # fmt: skip
        # Nothing depends on the inputs' shape.
        self.build(None)
        if weights is not None:
            self.set_weights(weights if isinstance(weights, list | tuple) else [weights])
            self._arguments["weights"] = None

    def build(self, input_shape: Any) -> None:
        """Make the table."""
        if not self.built:
            shape = (self.input_dim, self.output_dim)
            self.embeddings = self.add_weight(name="embeddings", shape=shape, **self._choices)

    def call(self, inputs: Any) -> Tensor:
        """Return the vectors (..., D) of integers (...)."""
        return self._look_up(inputs)

    @property
    def works_on_arrays(self) -> bool:
        """Whether `on_arrays` does what a call does; see `Layer`."""
        return self._calls_as(Embedding)

    @property
    def makes_mask(self) -> bool:
        """Whether the vectors have a mask; see `Layer`."""
        return self.mask_zero

    def on_arrays(self, x: Any, wants_dx: bool) -> Any:
        """Do what `call` does in training; see `Layer`."""
        return self._look_up(x), [self.embeddings], lambda dtable: [None, dtable]

    def _look_up(self, inputs: Any) -> LookedUp:
        ids = np.asarray(inputs)
        if ids.dtype.kind not in "iu":
            if ids.dtype.kind != "f" or (ids != np.floor(ids)).any():
                raise ValueError(f"{self.name}: expected integers, got {ids.dtype}")
            ids = ids.astype(np.int64)
        return LookedUp(ids, self.embeddings)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Array | None:
        """Return where the indices are not 0."""
        return np.asarray(inputs) != 0 if self.mask_zero else None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape with the vectors' length at its end."""
        return (*input_shape, self.output_dim)
