"""What layers do with the masks of their inputs, and the masks of their outputs, as in Keras."""

import itertools
import os

import numpy as np
import pytest
from tolerances import TORCH_FLOAT32_GRADIENT, TORCH_FLOAT32_OUTPUT, assert_close

from fastrnn import GradientTape, Tensor, layers, ops
from fastrnn.layers.structure import leaves as flat

# Of Keras' own making.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*support masking")

B, T, I, H = 3, 4, 2, 3
MASKS = {
    "-": None,
    "padded": np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]], bool),
    "holes": np.array([[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1]], bool),
}
STATES = {"return_sequences": True, "return_state": True}
#: Layers by their class, a name for what they are given, how to make them, and input shapes.
CASES = [
    ("Dense", "", lambda m: m.Dense(2), [(B, T, I)]),
    ("Activation", "", lambda m: m.Activation("tanh"), [(B, T, I)]),
    ("Dropout", "", lambda m: m.Dropout(0.5), [(B, T, I)]),
    ("SpatialDropout1D", "", lambda m: m.SpatialDropout1D(0.5), [(B, T, I)]),
    ("Masking", "", lambda m: m.Masking(), [(B, T, I)]),
    ("LayerNormalization", "", lambda m: m.LayerNormalization(), [(B, T, I)]),
    ("SimpleRNN", "", lambda m: m.SimpleRNN(H), [(B, T, I)]),
    ("SimpleRNN", "zeros", lambda m: m.SimpleRNN(H, return_sequences=True,
                                                 zero_output_for_mask=True), [(B, T, I)]),
    ("LSTM", "all", lambda m: m.LSTM(H, **STATES), [(B, T, I)]),
    ("LSTM", "backwards", lambda m: m.LSTM(H, return_sequences=True, go_backwards=True),
     [(B, T, I)]),
    ("GRU", "state", lambda m: m.GRU(H, return_state=True), [(B, T, I)]),
    ("RNN", "", lambda m: m.RNN([m.LSTMCell(H), m.GRUCell(2)], **STATES), [(B, T, I)]),
    ("RNN", "one cell", lambda m: m.RNN(m.GRUCell(2), return_sequences=True), [(B, T, I)]),
    ("Bidirectional", "", lambda m: m.Bidirectional(m.GRU(H)), [(B, T, I)]),
    ("Bidirectional", "all", lambda m: m.Bidirectional(m.LSTM(H, **STATES)), [(B, T, I)]),
    ("Bidirectional", "both", lambda m: m.Bidirectional(
        m.LSTM(H, return_sequences=True), merge_mode=None), [(B, T, I)]),
    ("Bidirectional", "both, all", lambda m: m.Bidirectional(
        m.LSTM(H, **STATES), merge_mode=None), [(B, T, I)]),
    ("TimeDistributed", "", lambda m: m.TimeDistributed(m.Dense(2)), [(B, T, I)]),
    ("Embedding", "", lambda m: m.Embedding(5, 2, mask_zero=True), [(B, T)]),
    ("Embedding", "no zero", lambda m: m.Embedding(5, 2), [(B, T)]),
    ("Flatten", "", lambda m: m.Flatten(), [(B, T, I)]),
    ("Flatten", "channels first", lambda m: m.Flatten("channels_first"), [(B, T, I)]),
    ("Reshape", "", lambda m: m.Reshape((2, -1)), [(B, T, I)]),
    ("Permute", "", lambda m: m.Permute((2, 1)), [(B, T, I)]),
    ("RepeatVector", "", lambda m: m.RepeatVector(2), [(B, I)]),
    ("GlobalAveragePooling1D", "", lambda m: m.GlobalAveragePooling1D(), [(B, T, I)]),
    ("GlobalAveragePooling1D", "kept", lambda m: m.GlobalAveragePooling1D(keepdims=True),
     [(B, T, I)]),
    ("GlobalMaxPooling1D", "", lambda m: m.GlobalMaxPooling1D(), [(B, T, I)]),
    ("Attention", "", lambda m: m.Attention(), [(B, T, I)] * 2),
    ("Attention", "of key", lambda m: m.Attention(score_mode="concat"), [(B, T, I)] * 3),
    ("AdditiveAttention", "", lambda m: m.AdditiveAttention(), [(B, T, I)] * 2),
    *(
        (name, f"of {count}", lambda m, name=name: getattr(m, name)(), [(B, T, I)] * count)
        for name in ("Add", "Multiply", "Maximum", "Minimum", "Average", "Concatenate")
        for count in (2, 3)
    ),
    *(
        (name, f"of {shape}", lambda m, name=name: getattr(m, name)(), [(B, T, I), shape])
        for name in ("Add", "Multiply", "Maximum", "Minimum", "Average")
        for shape in ((B, T, 1), (B, I))
    ),
    ("Subtract", "", lambda m: m.Subtract(), [(B, T, I)] * 2),
    ("Concatenate", "in time", lambda m: m.Concatenate(axis=1), [(B, T, I), (B, T, I)]),
    ("Concatenate", "of the batch", lambda m: m.Concatenate(axis=0), [(B, T, I), (B, T, I)]),
    ("Dot", "", lambda m: m.Dot(2), [(B, T, I), (B, T, I)]),
    ("Dot", "two axes", lambda m: m.Dot((1, 2)), [(B, T, I), (B, I, T)]),
    ("Dot", "cosine", lambda m: m.Dot(-1, normalize=True), [(B, I), (B, I)]),
    ("Dot", "four axes", lambda m: m.Dot((2, 1)), [(B, I, T), (B, T, 2, 2)]),
]  # fmt: skip


@pytest.fixture(scope="module")
def keras():
    pytest.importorskip("torch")
    os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


def runs():
    for name, what, make, shapes in CASES:
        masked = [shape[:2] == (B, T) for shape in shapes]
        for masks in itertools.product(*(list(MASKS) if m else ["-"] for m in masked)):
            label = ", ".join(filter(None, [name, what, " ".join(masks)]))
            yield pytest.param(make, shapes, [MASKS[key] for key in masks], id=label)


def compare(keras, make, shapes, masks):
    """Compare values, masks and gradients."""
    import torch

    rng = np.random.default_rng(5)
    theirs, ours = make(keras.layers), make(layers)
    is_ids = isinstance(ours, layers.Embedding)
    arrays = [
        rng.integers(0, 5, s) if is_ids else rng.standard_normal(s).astype(np.float32)
        for s in shapes
    ]
    their = [torch.tensor(array, requires_grad=not is_ids) for array in arrays]
    our = [Tensor(array) for array in arrays]
    for tensor, own, mask in zip(their, our, masks, strict=True):
        if mask is not None:
            tensor._keras_mask = torch.tensor(mask)
            own.mask = mask
    desired = flat(theirs(their if len(their) > 1 else their[0]))
    shapes_now = [array.shape for array in arrays]
    ours.build(shapes_now if len(arrays) > 1 else shapes_now[0])
    ours.set_weights(theirs.get_weights())
    factors = [rng.standard_normal(tuple(y.shape)).astype(np.float32) for y in desired]
    with GradientTape() as tape:
        actual = flat(ours(our if len(our) > 1 else our[0]))
        total = sum(ops.sum(y * f) for y, f in zip(actual, factors, strict=True))
    for y, wanted in zip(actual, desired, strict=True):
        assert_close(y, wanted.detach().numpy(), TORCH_FLOAT32_OUTPUT)
        mask = getattr(wanted, "_keras_mask", None)
        assert (y.mask is None) == (mask is None)
        if mask is not None:
            np.testing.assert_array_equal(y.mask, mask.numpy())
    if is_ids:
        return
    sum((y * torch.tensor(f)).sum() for y, f in zip(desired, factors, strict=True)).backward()
    for gradient, tensor in zip(tape.gradient(total, our), their, strict=True):
        actual_gradient = (
            np.zeros(tensor.shape, np.float32) if gradient is None else np.asarray(gradient)
        )
        assert_close(actual_gradient, tensor.grad.numpy(), TORCH_FLOAT32_GRADIENT)


@pytest.mark.parametrize(("make", "shapes", "masks"), list(runs()))
def test_masks_agree(keras, make, shapes, masks):
    compare(keras, make, shapes, masks)


@pytest.mark.parametrize("inner", ["LSTM", "GlobalAveragePooling1D"])
def test_a_layer_for_each_step_gets_the_mask_of_its_own_steps(keras, inner):
    import torch

    rng = np.random.default_rng(2)
    x = rng.standard_normal((B, T, 5, I)).astype(np.float32)
    mask = rng.integers(0, 2, (B, T, 5)).astype(bool)
    mask[..., 0] = True
    mask[1, 2] = inner != "LSTM"
    argument = (H,) if inner == "LSTM" else ()
    theirs, ours = (m.TimeDistributed(getattr(m, inner)(*argument)) for m in (keras.layers, layers))
    desired = theirs(torch.tensor(x), mask=torch.tensor(mask))
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    for given in (x, np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)):
        actual = ours(given, mask=mask)
        assert_close(actual, desired.detach().numpy(), TORCH_FLOAT32_OUTPUT)
        # Keras hands the mask (B, T, S) on, which no layer for (B, T, H) takes.
        np.testing.assert_array_equal(actual.mask, mask.any(axis=-1))


def test_a_mask_of_steps_within_steps_goes_on_with_them():
    x = Tensor(np.ones((B, T, 5, I), np.float32))
    x.mask = np.arange(5) < np.arange(1, T + 1)[:, None]
    x.mask = np.broadcast_to(x.mask, (B, T, 5))
    y = layers.TimeDistributed(layers.GRU(H, return_sequences=True))(x)
    np.testing.assert_array_equal(y.mask, x.mask)


def test_functions_are_the_layers(rng):
    x, y = rng.standard_normal((2, B, T, I)).astype(np.float32)
    for name, desired in {
        "add": x + y, "subtract": x - y, "multiply": x * y, "average": (x + y) / 2,
        "maximum": np.maximum(x, y), "minimum": np.minimum(x, y),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(getattr(layers, name)([x, y]), desired.astype(np.float32))
    np.testing.assert_array_equal(
        layers.concatenate([x, y], axis=1), np.concatenate([x, y], axis=1)
    )
    assert layers.dot([x, y], axes=2, name="scores").shape == (B, T, T)


@pytest.mark.parametrize(
    ("axes", "shapes", "fragment"),
    [
        (0, [(B, I), (B, I)], "after the batch"),
        (3, [(B, I), (B, I)], "after the batch"),
        (1, [(B, I), (B, H)], "equal lengths"),
        (1, [(B, I), (1, I)], "equal lengths"),
        (1, [(B, I)] * 3, "expected 2 inputs"),
        (1, [(B,), (B,)], "expected 2 inputs"),
        ("1", [(B, I)] * 2, "axes: expected"),
        ((1, 1, 1), [(B, I)] * 2, "axes: expected"),
    ],
)
def test_products_that_cannot_be(axes, shapes, fragment):
    with pytest.raises(ValueError, match=fragment):
        layers.Dot(axes)([np.ones(shape, np.float32) for shape in shapes])


def test_every_layer_that_keras_has_is_here(keras):
    public = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    shared = {name for name in public if hasattr(keras.layers, name)}
    without_masks = {"GRUCell", "InputSpec", "LSTMCell", "Layer", "SimpleRNNCell",
                     "StackedRNNCells"}  # fmt: skip
    assert shared - without_masks == {name for name, *_ in CASES}
