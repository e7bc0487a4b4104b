"""Looked-up rows: copied out when somebody asks, with the right gradient either way."""

import numpy as np
import pytest
from tolerances import FLOAT64_GRADIENT, FLOAT64_OUTPUT, assert_close

from fastrnn import GradientTape, reference
from fastrnn.layers import Dense, Dropout, Embedding, SimpleRNN
from fastrnn.tape import RowGradients, constant


@pytest.fixture
def table():
    return Embedding(11, 3, dtype="float64", name="table")


def make_dense(units, features=3):
    layer = Dense(units, dtype="float64")
    layer.build((None, features))
    return layer


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
    dense, dropout = make_dense(2), Dropout(0.0, dtype="float64")
    d = rng.standard_normal((4, 5, 2))
    with GradientTape() as tape:
        y = dense(dropout(table(ids), training=True))
    (gradient,) = tape.gradient(y, [table.embeddings], d)
    drows = d @ dense.kernel.value.T
    assert_close(gradient, reference.embedding.backward(ids, 11, drows), FLOAT64_GRADIENT)


@pytest.mark.parametrize("ids", [[11], [-1], [0.5]], ids=str)
def test_wrong_ids_are_named(table, ids):
    with pytest.raises(ValueError, match="^(ids|table): expected"):
        table(ids).numpy()


def test_rows_read_before_the_tape_was_opened_have_a_gradient(rng, table):
    ids = rng.integers(0, 11, (4, 5))
    rows, dense = table(ids), make_dense(2)
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
    rows, first, second, again = table(ids), make_dense(2), make_dense(2, 2), make_dense(2)
    d = rng.standard_normal((4, 5, 2))
    with GradientTape() as tape:
        inner = second(first(rows))
        outer = again(rows)
        total = inner + outer
    (gradient,) = tape.gradient(total, [table.embeddings], d)
    drows = d @ again.kernel.value.T + d @ second.kernel.value.T @ first.kernel.value.T
    assert_close(gradient, reference.embedding.backward(ids, 11, drows), FLOAT64_GRADIENT)


def test_gradient_of_a_large_table_has_the_rows_that_were_used(rng):
    table, dense = Embedding(500, 3, dtype="float64"), make_dense(2)
    ids = rng.integers(0, 500, (4, 5))
    d = rng.standard_normal((4, 5, 2))
    with GradientTape() as tape:
        y = dense(table(ids))
    (gradient,) = tape.gradient(y, [table.embeddings], d)
    assert isinstance(gradient, RowGradients)
    np.testing.assert_array_equal(gradient.rows, np.unique(ids))
    desired = reference.embedding.backward(ids, 500, d @ dense.kernel.value.T)
    assert_close(gradient.dense(), desired, FLOAT64_GRADIENT)


@pytest.mark.parametrize("V", [4, 11, 500])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_recurrent_layers_read_only_rows_that_are_used(rng, V, go_backwards):
    table = Embedding(V, 3, dtype="float64")
    layer = SimpleRNN(5, return_sequences=True, go_backwards=go_backwards, dtype="float64")
    ids = rng.integers(0, V, (4, 6))
    d = rng.standard_normal((4, 6, 5))
    with GradientTape() as tape:
        y = layer(table(ids))
    variables = [table.embeddings, *layer.trainable_variables]
    gradient, *others = tape.gradient(y, variables, d)
    x = constant(table.embeddings.value[ids])
    with GradientTape() as tape:
        tape.watch(x)
        desired = layer(x)
    dx, *wanted = tape.gradient(desired, [x, *layer.trainable_variables], d)
    assert_close(y, desired, FLOAT64_OUTPUT)
    assert_close(np.array(gradient), reference.embedding.backward(ids, V, dx), FLOAT64_GRADIENT)
    for ours, theirs in zip(others, wanted, strict=True):
        assert_close(ours, theirs, FLOAT64_GRADIENT)
    if V > 4:
        np.testing.assert_array_equal(gradient.rows, np.unique(ids))


def test_whole_floats_are_indices_and_old_arguments_are_accepted(table):
    np.testing.assert_array_equal(table(np.array([1.0, 3.0])), table.embeddings.value[[1, 3]])
    layer = Embedding(5, 2, input_length=7, weights=[np.arange(10.0).reshape(5, 2)])
    np.testing.assert_array_equal(layer([4]), [[8, 9]])
    assert layer.get_config()["weights"] is None


def test_index_zero_is_masked_only_where_it_is_asked_for(table):
    assert table([[0, 1]]).mask is None
    masked = Embedding(3, 2, mask_zero=True)
    np.testing.assert_array_equal(masked([[0, 1], [2, 0]]).mask, [[False, True], [True, False]])
