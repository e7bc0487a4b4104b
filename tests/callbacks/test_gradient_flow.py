"""Norms of the gradients that reach each time step."""

import numpy as np
import pytest
from tolerances import FLOAT32_GRADIENT, assert_close

from fastrnn import functional, layers, random
from fastrnn.callbacks import GradientFlow
from fastrnn.models import Sequential
from fastrnn.tape import Tensor, record


class Linear(layers.Layer):
    """h' = h / 2 + x, whose gradients halve with every step back."""

    record_gradient_norms = False
    gradient_norms = None

    def build(self, input_shape):
        self.kernel = self.add_weight(name="kernel", shape=(1, 1), initializer="ones")

    def call(self, inputs):
        R = np.full((1, 1), 0.5, np.float32)
        y, (h,), backward = functional.rnn("rnn", inputs.value.swapaxes(0, 1), self.kernel.value, R)
        output = Tensor(h)

        def to_kernel(dh):
            d = backward(None, (dh,), wants_norms=self.record_gradient_norms)
            if self.record_gradient_norms:
                self.gradient_norms = d.norms
            return [d.W]

        record([self.kernel], [output], to_kernel)
        return output


@pytest.fixture
def model():
    random.set_seed(0)
    model = Sequential([Linear(name="half")])
    model.compile("sgd", "mse")
    return model


X = np.full((4, 6, 1), 1e-4, np.float32)  # so small that tanh is the identity
Y = np.ones((4, 1), np.float32)


def test_norms_are_means_over_sequences_by_step(model):
    flow = GradientFlow(freq=2)
    model.fit(X, Y, batch_size=2, epochs=3, verbose=0, callbacks=[flow])
    assert list(flow.norms) == ["half"]
    assert [line.shape for line in flow.norms["half"]] == [(6,)] * 3
    line = flow.norms["half"][0]
    # The loss is the mean over two rows: each has |dL/dh| = |h - 1| in the last step, about 1.
    expected = 0.5 ** np.arange(5, -1, -1)
    assert_close((line / line[-1]).astype(np.float32), expected, FLOAT32_GRADIENT)
    assert abs(line[-1] - 1) < 1e-3
    assert not model.layers[0].record_gradient_norms


def test_only_the_steps_asked_for_are_measured(model):
    measured = []

    class Watch(GradientFlow):
        def on_train_batch_end(self, batch, logs=None):
            measured.append(self.model.layers[0].gradient_norms is not None)
            super().on_train_batch_end(batch, logs)

    model.fit(X, Y, batch_size=1, epochs=2, verbose=0, callbacks=[Watch(freq=3)])
    assert measured == [True, False, False, True, False, False, True, False]


def test_a_picture_is_drawn_after_every_epoch(model, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "flow.png"
    model.fit(X, Y, verbose=0, callbacks=[GradientFlow(freq=1, picture=path)])
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert list(tmp_path.iterdir()) == [path]


def test_images_go_to_tensorboard(model, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model.fit(X, Y, epochs=2, verbose=0, callbacks=[GradientFlow(freq=1, log_dir=tmp_path)])
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    accumulator.Reload()
    sizes = [
        [int(part) for part in event.tensor_proto.string_val[:2]]
        for event in accumulator.Tensors("half/gradient_flow")
    ]
    assert sizes == [[6, 1], [6, 2]]  # steps, epochs


def test_cells_are_called_by_the_names_of_their_layers():
    class Holder(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.cell = Linear()

        def call(self, inputs):
            return self.cell(inputs)

    model = Sequential([Sequential([Holder(name="deep")], name="inner"), Linear(name="top")])
    model.layers[1].call = lambda inputs: inputs
    model.compile("sgd", "mse")
    flow = GradientFlow(freq=1)
    with pytest.warns(UserWarning, match="no gradient"):
        model.fit(X, Y, verbose=0, callbacks=[flow])
    assert [len(lines) for lines in flow.norms.values()] == [1, 0]
    assert list(flow.norms) == ["inner/deep", "top"]


def test_models_without_recurrence_are_refused():
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no recurrent layer"):
        model.fit(X[:, 0], Y, verbose=0, callbacks=[GradientFlow()])
    with pytest.raises(ValueError, match="freq: expected an int"):
        GradientFlow(0)
