"""An LSTM over the 28 rows of an image, with steps of training written out."""

import numpy as np
import pytest
from tolerances import FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, Variable, layers, losses, ops, optimizers, random
from fastrnn.datasets import mnist

CLASSES, CHUNKS, CHUNK_SIZE, RNN_SIZE, BATCH_SIZE = 10, 28, 28, 128, 128


def one_hot(y):
    return np.eye(CLASSES, dtype=np.float32)[y]


class RowByRow:
    """The program's function of x, which calls a cell for each row of the images."""

    def __init__(self):
        numbers = random.generator(3)
        self.layer = {
            "weights": Variable(numbers.normal(size=(RNN_SIZE, CLASSES)).astype(np.float32)),
            "biases": Variable(numbers.normal(size=CLASSES).astype(np.float32)),
        }
        self.cell = layers.LSTMCell(RNN_SIZE)

    def __call__(self, x):
        x = ops.transpose(x, [1, 0, 2])
        x = ops.reshape(x, [-1, CHUNK_SIZE])
        x = ops.split(x, CHUNKS, axis=0)
        states = self.cell.get_initial_state(len(x[0]))
        for row in x:
            output, states = self.cell(row, states)
        return ops.matmul(output, self.layer["weights"]) + self.layer["biases"]

    @property
    def trainable_variables(self):
        return [*self.layer.values(), *self.cell.trainable_variables]


class AllRows(RowByRow):
    """The same with a layer, which runs all rows at once."""

    def __init__(self):
        super().__init__()
        self.rnn = layers.RNN(self.cell)

    def __call__(self, x):
        return ops.matmul(self.rnn(x), self.layer["weights"]) + self.layer["biases"]


def accuracy(predict, x, y):
    correct = ops.equal(ops.argmax(predict(x), 1), ops.argmax(y, 1))
    return float(ops.mean(ops.cast(correct, "float32")))


def train(predict, data, epochs):
    """The losses, and the accuracies after each epoch, of the program's own loop."""
    (x_train, y_train), (x_test, y_test) = data
    cross_entropy = losses.CategoricalCrossentropy(from_logits=True)
    optimizer = optimizers.Adam(0.003)
    epoch_losses, accuracies = [], []
    for _ in range(epochs):
        epoch_loss = 0.0
        for i in range(len(x_train) // BATCH_SIZE):
            batch = slice(i * BATCH_SIZE, (i + 1) * BATCH_SIZE)
            epoch_x = x_train[batch].reshape((BATCH_SIZE, CHUNKS, CHUNK_SIZE))
            with GradientTape() as tape:
                cost = cross_entropy(y_train[batch], predict(epoch_x))
            variables = predict.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(cost, variables), variables, strict=True))
            epoch_loss += float(cost)
        epoch_losses.append(epoch_loss)
        accuracies.append(accuracy(predict, x_test.reshape((-1, CHUNKS, CHUNK_SIZE)), y_test))
    return epoch_losses, accuracies


@pytest.fixture
def digits(mnist_file):
    """Images as the program reads them: rows of 784 numbers up to 1, and one-hot classes."""
    parts = mnist.load_data()
    assert [x.dtype for x, _ in parts] == [np.uint8, np.uint8]
    return [(x.reshape(-1, 784).astype(np.float32) / 255, one_hot(y)) for x, y in parts]


def test_an_lstm_over_the_rows_learns_digits(digits):
    epoch_losses, accuracies = train(AllRows(), digits, epochs=5)
    assert epoch_losses[-1] < 0.2 * epoch_losses[0]
    assert accuracies[0] + 0.1 < 0.95 < accuracies[-1]


def test_a_cell_called_for_each_row_trains_as_the_layer_does(digits):
    (x, y), test = digits
    found = []
    for kind in (RowByRow, AllRows):
        random.set_seed(7)
        found.append(train(kind(), ((x[:256], y[:256]), test), epochs=2))
    (cell_losses, cell_accuracies), (layer_losses, layer_accuracies) = found
    assert cell_losses[1] < cell_losses[0]
    assert_close(np.float32(cell_losses), np.float32(layer_losses), FLOAT32_OUTPUT)
    assert cell_accuracies == layer_accuracies
