"""What goes in and what comes out: one or many, and who sees whom."""

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn import layers
from fastrnn.models import Model, Sequential

BATCH, STEPS, FEATURES, UNITS = 2, 5, 3, 4


def one_to_one():
    """A network without memory."""
    return Sequential([layers.Dense(UNITS, activation="tanh"), layers.Dense(1)])


def one_to_many():
    """A caption: the picture is the state that the words start from, and the first input."""
    picture = layers.Input((FEATURES,))
    state = layers.Dense(UNITS)(picture)
    words = layers.GRU(UNITS, return_sequences=True)(
        layers.RepeatVector(STEPS)(picture), initial_state=state
    )
    return Model(picture, layers.Dense(1)(words))


def many_to_one():
    """A verdict on a review."""
    return Sequential([layers.LSTM(UNITS), layers.Dense(1)])


def many_to_many_afterwards():
    """A translation: all of the input is read before the first word of the output."""
    text = layers.Input((None, FEATURES))
    _, h, c = layers.LSTM(UNITS, return_state=True)(text)
    words = layers.LSTM(UNITS, return_sequences=True)(layers.RepeatVector(STEPS)(h), [h, c])
    return Model(text, layers.Dense(1)(words))


def many_to_many_at_once():
    """A label for every frame of a film."""
    return Sequential(
        [layers.SimpleRNN(UNITS, return_sequences=True), layers.TimeDistributed(layers.Dense(1))]
    )


def both_ways():
    return Sequential(
        [layers.Bidirectional(layers.LSTM(UNITS, return_sequences=True)), layers.Dense(1)]
    )


NOT_BEFORE = np.tril(np.ones((STEPS, STEPS), bool))
ALL = np.ones((STEPS, STEPS), bool)


@pytest.mark.parametrize(
    ("build", "seen"),
    [
        (one_to_one, np.ones((1, 1), bool)),
        (one_to_many, np.ones((STEPS, 1), bool)),
        (many_to_one, np.ones((1, STEPS), bool)),
        (many_to_many_afterwards, ALL),
        (many_to_many_at_once, NOT_BEFORE),
        (both_ways, ALL),
    ],
)
def test_outputs_see_the_inputs_that_they_may(rng, build, seen):
    """`seen[s, t]`: whether the output of step s depends on the input of step t."""
    steps = seen.shape[1]
    model = build()
    shape = (BATCH, FEATURES) if steps == 1 else (BATCH, steps, FEATURES)
    x = rng.normal(size=shape).astype(np.float32)
    y = model.predict(x, verbose=0)
    assert y.shape == ((BATCH, 1) if len(seen) == 1 else (BATCH, len(seen), 1))
    for t in range(steps):
        changed = x.copy()
        changed.reshape(BATCH, steps, FEATURES)[:, t] += 1
        is_other = (model.predict(changed, verbose=0) != y).reshape(BATCH, len(seen))
        np.testing.assert_array_equal(is_other, np.broadcast_to(seen[:, t], is_other.shape))


def test_a_memory_with_unit_weights():
    """(1, 1), (1, 1), (2, 2) give 4, 12, 32; in another order they give others."""
    model = Sequential(
        [
            layers.SimpleRNN(
                2, activation="linear", use_bias=False, return_sequences=True,
                kernel_initializer="ones", recurrent_initializer="ones",
            ),
            layers.Dense(2, use_bias=False, kernel_initializer="ones"),
        ]
    )  # fmt: skip
    x = np.array([[1, 1], [1, 1], [2, 2]], np.float32)
    y = model.predict(x[None], verbose=0)[0]
    assert y.tolist() == [[4, 4], [12, 12], [32, 32]]
    memory = np.asarray(model.layers[0](x[None]))[0]
    assert memory.tolist() == [[2, 2], [6, 6], [16, 16]]
    assert model.predict(x[None, ::-1], verbose=0)[0].tolist() == [[8, 8], [20, 20], [44, 44]]


def test_layers_on_top_of_each_other_are_cells_on_top_of_each_other(rng):
    """Several layers: each one's output of a step is the next one's input of that step."""
    x = rng.normal(size=(BATCH, STEPS, FEATURES)).astype(np.float32)
    stack = Sequential([layers.LSTM(UNITS, return_sequences=True), layers.LSTM(UNITS)])
    expected = np.asarray(stack(x))
    cells = [layer.cell for layer in stack.layers]
    states = [cell.get_initial_state(BATCH) for cell in cells]
    for t in range(STEPS):
        output = x[:, t]
        for i, cell in enumerate(cells):
            output, states[i] = cell(output, states[i])
    assert_close(np.asarray(output), expected, FLOAT32_OUTPUT)
