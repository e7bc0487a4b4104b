"""Looked-up rows: copied out when somebody asks, with the right gradient either way."""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, assert_close

from fastrnn import GradientTape, reference
from fastrnn.layers import Dense, Dropout, Embedding


@pytest.fixture
def table():
    return Embedding(11, 3, dtype="float64", seed=2)


def test_shape_and_dtype_are_known_without_a_copy(table):
    rows = table([[1, 2], [3, 1]])
    assert (rows.shape, rows.dtype) == ((2, 2, 3), np.float64)
    assert repr(rows) == "LookedUp(shape=(2, 2, 3), dtype=float64)"
    assert rows._rows is None


def test_rows_are_copied_out_once_when_asked_for(table):
    ids = np.array([[1, 2], [10, 1]])
    rows = table(ids)
    assert rows._rows is None
    np.testing.assert_array_equal(rows, table.embeddings.value[ids])
    assert rows.value is rows.value


def test_gradient_reaches_the_table_through_other_layers(rng, table):
    ids = rng.integers(0, 11, (4, 5))
    dense, dropout = Dense(2, 3, dtype="float64"), Dropout(0.0, dtype="float64")
    d = rng.standard_normal((4, 5, 2))
    with GradientTape() as tape:
        y = dense(dropout(table(ids), training=True))
    (gradient,) = tape.gradient(y, [table.embeddings], d)
    drows = d @ dense.kernel.value.T
    assert_close(gradient, reference.embedding.backward(ids, 11, drows), FLOAT64_GRADIENT)


@pytest.mark.parametrize("ids", [[11], [-1], [0.5]], ids=str)
def test_wrong_ids_are_named(table, ids):
    with pytest.raises(ValueError, match="^ids: expected"):
        table(ids).numpy()
