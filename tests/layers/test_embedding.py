"""Looked-up rows: copied out when somebody asks, with the right gradient either way."""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, assert_close

from fastrnn import GradientTape, Tensor, reference
from fastrnn.layers import Dense, Dropout, Embedding
from fastrnn.tape import record


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


def test_rows_read_before_the_tape_was_opened_have_a_gradient(rng, table):
    ids = rng.integers(0, 11, (4, 5))
    rows, dense = table(ids), Dense(2, 3, dtype="float64")
    rows.numpy()
    d = rng.standard_normal((4, 5, 2))
    drows = reference.embedding.backward(ids, 11, d @ dense.kernel.value.T)
    for _ in range(2):
        with GradientTape() as tape:
            y = dense(rows)
        (gradient,) = tape.gradient(y, [table.embeddings], d)
        assert_close(gradient, drows, FLOAT64_GRADIENT)


def test_rows_used_twice_add_up_in_the_table(rng, table):
    ids = rng.integers(0, 11, (4, 5))
    rows, first, second = (
        table(ids),
        Dense(2, 3, dtype="float64", seed=1),
        Dense(2, 2, dtype="float64", seed=2),
    )
    again = Dense(2, 3, dtype="float64", seed=3)
    d = rng.standard_normal((4, 5, 2))
    with GradientTape() as tape:
        inner = second(first(rows))
        outer = again(rows)
        total = Tensor(inner.value + outer.value)
        record([inner, outer], [total], lambda dy: [dy, dy])
    (gradient,) = tape.gradient(total, [table.embeddings], d)
    drows = d @ again.kernel.value.T + d @ second.kernel.value.T @ first.kernel.value.T
    assert_close(gradient, reference.embedding.backward(ids, 11, drows), FLOAT64_GRADIENT)
