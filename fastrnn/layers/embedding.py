"""Vectors for the indices of a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrnn import functional
from fastrnn.layers.layer import Layer, positive
from fastrnn.tape import Tensor, Variable, record

Array = NDArray[Any]


class LookedUp(Tensor):
    """Rows of a table that are copied out only if somebody asks for the array.

    A recurrent layer does not: it looks up products of the table with its weights.
    """

    def __init__(self, ids: Array, table: Variable) -> None:
        super().__init__(np.empty(0))
        self.ids = ids
        self.table = table
        self._rows: Array | None = None
        self._backward: Any = None

    @property
    def value(self) -> Array:
        """The rows (..., D), copied at the first use."""
        if self._rows is None:
            self._rows, self._backward = functional.embedding(self.ids, self.table.value)
        # At every use, as another tape may be open; what arrives goes to one record only.
        record([self.table], [self], lambda dy: [self._backward(dy)])
        return self._rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows."""
        return (*self.ids.shape, self.table.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the rows."""
        return self.table.dtype


class Embedding(Layer):
    """A table of vectors, one for each index.

    Parameters
    ----------
    input_dim : int
        Size of the vocabulary.
    output_dim : int
        Length of a vector.
    embeddings_initializer : str
        A name out of `fastrnn.initializers.INITIALIZERS`.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        embeddings_initializer: str = "uniform",
        name: str = "embedding",
        **options: Any,
    ) -> None:
        super().__init__(name=name, **options)
        self.input_dim = positive("input_dim", input_dim)
        self.output_dim = positive("output_dim", output_dim)
        shape = (input_dim, output_dim)
        self.embeddings = self._add_weight("embeddings", shape, embeddings_initializer)

    def __call__(self, ids: Any) -> Tensor:
        """Return the vectors (..., output_dim) of integer indices (...)."""
        return LookedUp(np.asarray(ids), self.embeddings)
